"""Tell what an expression is: a module, an optimizer, a function's file ..., read from the code around it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ml_switcheroo.core.index import File, Index
from ml_switcheroo.core.known import CHILDREN_METHODS, PASSING_CALLS, PASSING_METHODS, kind_of_class
from ml_switcheroo.core.sites import walk_scope

__all__ = ["Place", "Receivers"]

Definition = TypeVar("Definition", bound=ast.stmt)

_DEPTH = 8
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: its file, and the definitions around it, outermost first."""

    file: File
    scopes: tuple[ast.AST, ...] = ()

    @property
    def owner(self) -> ast.ClassDef | None:
        """The class whose method it stands in, if any."""
        return next((node for node in reversed(self.scopes) if isinstance(node, ast.ClassDef)), None)


class Receivers:
    """Find the kinds of expressions.

    A kind is ``module``, ``overriding`` (a module with a ``load_state_dict`` of its own), ``object`` (a class
    of the repository that is no module), ``file`` (an imported module), ``class``, ``super``, ``sharded``,
    ``optimizer`` and the other words of ``known``. An unknown expression has none.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._bound: dict[ast.AST, dict[str, list[ast.expr]]] = {}

    def _assigned(self, scope: ast.AST, name: str) -> Sequence[ast.expr]:
        if scope not in self._bound:
            self._bound[scope] = _bindings(scope)
        return self._bound[scope].get(name, ())

    def kinds(self, node: ast.expr, place: Place, depth: int = 0) -> set[str]:
        """Return every kind that the expression can be, as far as the code shows it."""
        if depth > _DEPTH:
            return set()
        match node:
            case ast.Name(id=name):
                return self._of_name(name, place, depth)
            case ast.Attribute():
                return self._of_attribute(node, place, depth)
            case ast.Subscript():
                return self._of_subscript(node, place, depth)
            case ast.Call():
                return self._of_call(node, place, depth)
            case ast.IfExp(body=one, orelse=other):
                return self.kinds(one, place, depth + 1) | self.kinds(other, place, depth + 1)
            case ast.BoolOp(values=values):
                return set().union(*(self.kinds(value, place, depth + 1) for value in values))
            case ast.NamedExpr(value=value) | ast.Await(value=value) | ast.Starred(value=value):
                return self.kinds(value, place, depth + 1)
        return set()

    def instances(self, classes: ast.expr, place: Place) -> set[str]:
        """Return what the instances of a class are, or of several, as ``isinstance`` takes them."""
        return self._of_annotation(classes, place, 0)

    # ---- names ---------------------------------------------------------------------------------

    def _of_name(self, name: str, place: Place, depth: int) -> set[str]:
        if name == "self" and place.owner is not None:
            return self.of_class(place.owner, place.file, depth + 1)
        for i in range(len(place.scopes) - 1, -1, -1):
            scope, around = place.scopes[i], Place(place.file, place.scopes[: i + 1])
            if isinstance(scope, _FUNCTIONS):
                annotation = _annotation(scope, name)
                found = self._of_annotation(annotation, around, depth) if annotation else set()
                found |= self._of_values(self._assigned(scope, name), around, depth)
                if found or name in _parameters(scope):
                    return found
        found = self._of_values(self._assigned(place.file.tree, name), Place(place.file), depth)
        return found or self._of_import(name, place, depth)

    def _of_values(self, values: Iterable[ast.expr], place: Place, depth: int) -> set[str]:
        return set().union(*(self.kinds(value, place, depth + 1) for value in values))

    def _of_annotation(self, node: ast.expr, place: Place, depth: int) -> set[str]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return set()
        names = [part for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)]
        return set().union(*(self._instances(part, place, depth + 1) for part in names))

    def _of_import(self, name: str, place: Place, depth: int) -> set[str]:
        if name in place.file.definitions:
            return {"class"} if isinstance(place.file.definitions[name], ast.ClassDef) else set()
        if name not in place.file.imports:
            return set()
        level, dotted = place.file.imports[name]
        file, rest = self._index.find(place.file, level, dotted)
        if file is None:
            # Nobody imports a model from a library; what is in no capitals is a module of it.
            return {"class" if name[:1].isupper() else "file"}
        if not rest:
            return {"file"}
        return self._of_name(rest, Place(file), depth + 1) if "." not in rest else set()

    # ---- attributes ----------------------------------------------------------------------------

    def _of_attribute(self, node: ast.Attribute, place: Place, depth: int) -> set[str]:
        if node.attr == "module":
            return self.kinds(node.value, place, depth + 1)
        if kind_of_class(self.dotted(node, place)) == "module":
            return {"class"}
        owner = self._class_of(node.value, place, depth)
        if owner is None:
            base = self.kinds(node.value, place, depth + 1)
            return (
                {"file"}
                if base == {"file"} and "." in self.dotted(node, place) and _is_lower(node)
                else set()
            )
        owner_class, file = owner
        found: set[str] = set()
        for method in owner_class.body:
            if isinstance(method, _FUNCTIONS):
                values = self._assigned(method, f"self.{node.attr}")
                found |= self._of_values(values, Place(file, (owner_class, method)), depth)
        return found

    def _of_subscript(self, node: ast.Subscript, place: Place, depth: int) -> set[str]:
        """Return what an item is: what was put there, or what all of the container are."""
        for scope in (*reversed(place.scopes), place.file.tree):
            found = self._of_values(self._assigned(scope, ast.unparse(node)), place, depth)
            if found:
                return found
            for container in self._assigned(scope, ast.unparse(node.value)):
                items = getattr(container, "values" if isinstance(container, ast.Dict) else "elts", [])
                found |= self._of_values(items, place, depth)
            if found:
                return found
        return {"module"} & self.kinds(node.value, place, depth + 1)

    def _class_of(self, node: ast.expr, place: Place, depth: int) -> tuple[ast.ClassDef, File] | None:
        """Return the class of the repository that an expression is an instance of."""
        if isinstance(node, ast.Name) and node.id == "self" and place.owner is not None:
            return place.owner, place.file
        if isinstance(node, ast.Name) and depth < _DEPTH:
            scope = next((s for s in reversed(place.scopes) if isinstance(s, _FUNCTIONS)), place.file.tree)
            for value in self._assigned(scope, node.id):
                if isinstance(value, ast.Call):
                    return self._definition(value.func, place, ast.ClassDef)
        return None

    # ---- calls ---------------------------------------------------------------------------------

    def _of_call(self, node: ast.Call, place: Place, depth: int) -> set[str]:
        dotted = self.dotted(node.func, place)
        if kind_of_class(dotted) == "sharded":
            return {"sharded"}
        if dotted.rpartition(".")[2] in CHILDREN_METHODS and isinstance(node.func, ast.Attribute):
            return {"module"}  # each of what it yields
        if isinstance(node.func, ast.Attribute) and node.func.attr in PASSING_METHODS:
            return self.kinds(node.func.value, place, depth + 1)
        if PASSING_CALLS.search(dotted) and node.args:
            return self.kinds(node.args[0], place, depth + 1) or {"module"} & _wrapper(dotted)
        if dotted == "super":
            return {"super"}
        return self._instances(node.func, place, depth) or self._returned(node.func, place, depth)

    def _instances(self, node: ast.expr, place: Place, depth: int) -> set[str]:
        """Return what the instances of the class are that an expression names."""
        found = self._definition(node, place, ast.ClassDef)
        if found is not None:
            return self.of_class(*found, depth + 1)
        kind = kind_of_class(self.dotted(node, place))
        return {kind} if kind else set()

    def _returned(self, node: ast.expr, place: Place, depth: int) -> set[str]:
        """Return what the function of the repository returns that an expression names."""
        found = self._definition(node, place, ast.FunctionDef)
        if found is None or depth > _DEPTH:
            return set()
        function, file = found
        inside = Place(file, (function,))
        if function.returns is not None:
            return self._of_annotation(function.returns, inside, depth + 1)
        values = (part.value for part in walk_scope(function) if isinstance(part, ast.Return) and part.value)
        return self._of_values(values, inside, depth + 1)

    def of_class(self, node: ast.ClassDef, file: File, depth: int = 0) -> set[str]:
        """Return what the instances of a class of the repository are."""
        own = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        overrides = bool(own & {"load_state_dict", "_load_from_state_dict"})
        bases: set[str] = set()
        for base in node.bases if depth <= _DEPTH else ():
            bases |= self._instances(base, Place(file), depth)
        if "overriding" in bases or ("module" in bases and overrides):
            return {"overriding"}
        if bases or overrides:
            return bases or {"object"}
        # A class of a library that is not here: what can be run forward is a module.
        return {"module"} if node.bases and "forward" in own else set()

    # ---- definitions ---------------------------------------------------------------------------

    def _definition(
        self, node: ast.expr, place: Place, wanted: type[Definition]
    ) -> tuple[Definition, File] | None:
        """Find the class or function that an expression names, here or in an imported file."""
        name, _, rest = _written(node).partition(".")
        if not rest and name in place.file.definitions:
            found = place.file.definition(name)
            return (found, place.file) if isinstance(found, wanted) else None
        if name not in place.file.imports:
            return None
        level, dotted = place.file.imports[name]
        file, inner = self._index.find(place.file, level, ".".join(part for part in (dotted, rest) if part))
        for _ in range(_DEPTH):
            if file is None:
                return None
            if inner in file.definitions:
                found = file.definition(inner)
                return (found, file) if isinstance(found, wanted) else None
            if inner not in file.imports:
                return None
            file, inner = self._index.find(file, *file.imports[inner])
        return None

    def dotted(self, node: ast.expr, place: Place) -> str:
        """Write a name or an attribute with what its first word was imported as."""
        first, dot, rest = _written(node).partition(".")
        return place.file.imports.get(first, (0, first))[1] + dot + rest


def _written(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def _is_lower(node: ast.Attribute) -> bool:
    return node.attr.islower()


def _wrapper(dotted: str) -> set[str]:
    return (
        {"module"}
        if dotted.rpartition(".")[2] in ("DataParallel", "DistributedDataParallel", "DDP")
        else set()
    )


def _bindings(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Return every expression that a name, or an attribute such as ``self.net``, is set to in a scope."""
    found: dict[str, list[ast.expr]] = {}
    for node in walk_scope(scope):
        targets: Sequence[ast.expr] = ()
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            targets = [node.target]
        value = getattr(node, "value", None)
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            targets, value = _looped(node.target, node.iter)
        for target in targets if isinstance(value, ast.expr) else ():
            pairs: list[tuple[ast.expr, Any]] = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
            for one, item in pairs:
                name = ast.unparse(one) if isinstance(one, ast.Subscript) else _written(one)
                found.setdefault(name, []).append(item)
    return found


def _looped(target: ast.expr, values: ast.expr) -> tuple[list[ast.expr], ast.expr | None]:
    """Return the variable that takes the modules in turn, and the call that yields them.

    ``for child in net.children()``, ``for name, child in net.named_children()``.
    """
    method = (
        values.func.attr if isinstance(values, ast.Call) and isinstance(values.func, ast.Attribute) else ""
    )
    if method not in CHILDREN_METHODS:
        return [], None
    if isinstance(target, ast.Tuple) and method.startswith("named_") and len(target.elts) > 1:
        return [target.elts[1]], values
    return [target], values


def _parameters(scope: ast.AST) -> set[str]:
    if not isinstance(scope, _FUNCTIONS):
        return set()
    arguments = scope.args
    every = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    return {argument.arg for argument in every if argument is not None}


def _annotation(scope: ast.AST, name: str) -> ast.expr | None:
    if not isinstance(scope, _FUNCTIONS):
        return None
    arguments = [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]
    return next((item.annotation for item in arguments if item.arg == name), None)
