"""Tell what an expression is: a module, an optimizer, a function's file ..., read from the code around it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ml_switcheroo.codemod.assignments import annotation_of, assigned_in, written
from ml_switcheroo.codemod.index import File, Index
from ml_switcheroo.codemod.known import (
    ANY_MODULES,
    CHILDREN_METHODS,
    OVERRIDES,
    PASSING_CALLS,
    PASSING_METHODS,
    kind_of_class,
)
from ml_switcheroo.codemod.sites import FUNCTIONS, in_scope, is_declared, parameters, parents_of
from ml_switcheroo.codemod.trees import spelled

__all__ = ["Origin", "Place", "Receivers"]

Definition = TypeVar("Definition", bound=ast.stmt)

_DEPTH = 8
_HOOK = re.compile(r"state_dict\w*hook")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: its file, and the definitions around it, outermost first."""

    file: File
    scopes: tuple[ast.AST, ...] = ()

    @property
    def owner(self) -> ast.ClassDef | None:
        """The class whose method it stands in, if any."""
        return next((node for node in reversed(self.scopes) if isinstance(node, ast.ClassDef)), None)


class Origin(NamedTuple):
    """What an expression can be: its kind, and where the object comes from; each empty if unknown."""

    kind: str
    made: str = ""


class Receivers:
    """Find the kinds of expressions, and where the objects come from.

    A kind is ``module``, ``overriding`` (a module with a ``load_state_dict`` or state-dict hooks of its own),
    ``object`` (a class of the repository that is no module), ``file`` (an imported module), ``class``,
    ``super``, ``sharded``, ``quantised``, ``optimizer`` and the other words of ``known``. An unknown
    expression has none.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._classes: dict[str, tuple[ast.ClassDef, File]] = {}
        self._kinds: dict[ast.ClassDef, set[str]] = {}
        self._asked: set[tuple[File, tuple[ast.AST, ...], str]] = set()

    def kinds(self, node: ast.expr, place: Place) -> set[str]:
        """Return every kind that the expression can be, as far as the code shows it."""
        return {origin.kind for origin in self.origins(node, place) if origin.kind}

    def class_named(self, node: ast.expr, place: Place) -> ast.ClassDef | None:
        """Return the class of the repository that an expression names."""
        found = self._definition(node, place, ast.ClassDef)
        return found[0] if found else None

    def instances(self, classes: ast.expr, place: Place) -> set[str]:
        """Return what the instances of a class are, or of several, as ``isinstance`` takes them."""
        return {origin.kind for origin in self._of_annotation(classes, place, 0)}

    def origins(self, node: ast.expr, place: Place, depth: int = 0) -> set[Origin]:
        """Return what the expression can be and where it comes from: two of one origin are of one class."""
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
                return self.origins(one, place, depth + 1) | self.origins(other, place, depth + 1)
            case ast.BoolOp(values=values):
                return self._of_values(values, place, depth)
            case ast.NamedExpr(value=value) | ast.Await(value=value) | ast.Starred(value=value):
                return self.origins(value, place, depth + 1)
        return set()

    def _assigned(self, scope: ast.AST, name: str, file: File) -> Sequence[ast.expr]:
        return file.once(assigned_in, scope).get(name, ())

    # ---- names ---------------------------------------------------------------------------------

    def _of_name(self, name: str, place: Place, depth: int) -> set[Origin]:
        """Return what a variable is; one that is set to what it makes of itself adds nothing."""
        asked = (place.file, place.scopes[-1:], name)
        if asked in self._asked:
            return set()
        self._asked.add(asked)
        try:
            return self._of_variable(name, place, depth)
        finally:
            self._asked.discard(asked)

    def _of_variable(self, name: str, place: Place, depth: int) -> set[Origin]:
        if name == "self" and place.owner is not None:
            return self.of_class(place.owner, place.file, depth + 1)
        for i in range(len(place.scopes) - 1, -1, -1):
            scope, around = place.scopes[i], Place(place.file, place.scopes[: i + 1])
            if isinstance(scope, FUNCTIONS):
                found = self._of_values(self._assigned(scope, name, place.file), around, depth)
                if name in parameters(scope):
                    return found | self._of_parameter(name, scope, around, depth)
                if found or self._is_local(name, scope, place.file):
                    return found
        values = self._assigned(place.file.tree, name, place.file)
        found = self._of_values(values, Place(place.file), depth)
        return found or self._of_import(name, place, depth)

    def _of_parameter(self, name: str, scope: ast.AST, place: Place, depth: int) -> set[Origin]:
        """Return what a parameter is: of its class, or any; what is handed in is one object."""
        annotation = annotation_of(name, scope)
        found = self._of_annotation(annotation, place, depth) if annotation else {Origin("")}
        if any(origin.made for origin in found):
            return found
        made = f"{place.file.path}:{getattr(scope, 'lineno', 0)}:{name}"
        return {Origin(origin.kind, made) for origin in found}

    def _is_local(self, name: str, scope: ast.AST, file: File) -> bool:
        return bool(self._assigned(scope, name, file)) and not is_declared(name, scope)

    def _of_values(self, values: Iterable[ast.expr], place: Place, depth: int) -> set[Origin]:
        return set().union(*(self.origins(value, place, depth + 1) for value in values))

    def _of_annotation(self, node: ast.expr, place: Place, depth: int) -> set[Origin]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return set()
        names = [part for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)]
        return set().union(*(self._instances(part, place, depth + 1) for part in names))

    def _of_import(self, name: str, place: Place, depth: int) -> set[Origin]:
        if name in place.file.definitions:
            is_class = isinstance(place.file.definitions[name], ast.ClassDef)
            return {Origin("class")} if is_class else set()
        if name not in place.file.imports:
            return set()
        level, dotted = place.file.imports[name]
        file, rest = self.index.find(place.file, level, dotted)
        if file is None:
            # Nobody imports a model from a library; what is in no capitals is a module of it.
            return {Origin("class" if name[:1].isupper() else "file")}
        if not rest:
            return {Origin("file")}
        return self._of_name(rest, Place(file), depth + 1) if "." not in rest else set()

    # ---- attributes ----------------------------------------------------------------------------

    def _of_attribute(self, node: ast.Attribute, place: Place, depth: int) -> set[Origin]:
        if node.attr == "module":
            return self.origins(node.value, place, depth + 1)
        if kind_of_class(self.dotted(node, place)) == "module":
            return {Origin("class")}
        owner = self._class_of(node.value, place, depth)
        if owner is not None:
            return self._of_member(*owner, node.attr, depth)
        is_file = self.origins(node.value, place, depth + 1) == {Origin("file")}
        dotted = "." in self.dotted(node, place)
        return {Origin("file")} if is_file and dotted and node.attr.islower() else set()

    def _of_member(self, owner: ast.ClassDef, file: File, name: str, depth: int) -> set[Origin]:
        """Return what an attribute of ``self`` is: what its class sets it to, or else a base of it."""
        found: set[Origin] = set()
        for item in owner.body:
            if isinstance(item, FUNCTIONS):
                values = self._assigned(item, f"self.{name}", file)
                found |= self._of_values(values, Place(file, (owner, item)), depth)
            elif isinstance(item, ast.AnnAssign) and written(item.target) == name:
                found |= self._of_annotation(item.annotation, Place(file, (owner,)), depth)
        for base in owner.bases if not found and depth < _DEPTH else ():
            defined = self._definition(base, Place(file), ast.ClassDef)
            found |= self._of_member(*defined, name, depth + 1) if defined else set()
        return found

    def _of_subscript(self, node: ast.Subscript, place: Place, depth: int) -> set[Origin]:
        """Return what an item is: what was put there, or what all of the container are."""
        for scope in (*reversed(place.scopes), place.file.tree):
            found = self._of_values(self._assigned(scope, spelled(node), place.file), place, depth)
            if found:
                return found
            for container in self._assigned(scope, spelled(node.value), place.file):
                items = getattr(container, "values" if isinstance(container, ast.Dict) else "elts", [])
                found |= self._of_values(items, place, depth)
            if found:
                return found
        whole = self.origins(node.value, place, depth + 1)
        return {Origin("module") for origin in whole if origin.kind == "module"}

    def _class_of(self, node: ast.expr, place: Place, depth: int) -> tuple[ast.ClassDef, File] | None:
        """Return the class of the repository that an expression is an instance of."""
        if isinstance(node, ast.Name) and node.id == "self" and place.owner is not None:
            return place.owner, place.file
        made = {origin.made for origin in self.origins(node, place, depth + 1)}
        return self._classes.get(made.pop()) if len(made) == 1 else None

    # ---- calls ---------------------------------------------------------------------------------

    def _of_call(self, node: ast.Call, place: Place, depth: int) -> set[Origin]:
        dotted = self.dotted(node.func, place)
        if kind_of_class(dotted) in ("sharded", "quantised"):
            return {Origin(kind_of_class(dotted))}
        if dotted.rpartition(".")[2] in CHILDREN_METHODS and isinstance(node.func, ast.Attribute):
            return {Origin("module")}  # each of what it yields
        if isinstance(node.func, ast.Attribute) and node.func.attr in PASSING_METHODS:
            return self.origins(node.func.value, place, depth + 1)
        if PASSING_CALLS.search(dotted) and node.args:
            inner = self.origins(node.args[0], place, depth + 1)
            if any(origin.kind for origin in inner) or not _is_wrapper(dotted):
                return inner
            return {Origin("module", origin.made) for origin in inner} or {Origin("module")}
        if dotted == "super":
            return {Origin("super")}
        found = self._instances(node.func, place, depth, spelled(node))
        found = found or self._returned(node, place, depth) or self._of_factory(node.func, place, depth)
        return found or self._unseen(node.func, place) or ({Origin("", spelled(node))} if dotted else set())

    def _instances(self, node: ast.expr, place: Place, depth: int, call: str = "") -> set[Origin]:
        """Return what the instances of the class are that an expression names.

        The name of a function that makes models is no class: there ``call``, its arguments too, tells.
        """
        found = self._definition(node, place, ast.ClassDef)
        if found is not None:
            return self.of_class(*found, depth + 1)
        if self._is_shadowed(written(node), place):
            return set()
        dotted = self.dotted(node, place)
        kind = kind_of_class(dotted)
        is_class = dotted.rpartition(".")[2][:1].isupper()
        made = "" if dotted.rpartition(".")[2] in ANY_MODULES else dotted if is_class else call
        return {Origin(kind, made)} if kind else set()

    def _of_factory(self, node: ast.expr, place: Place, depth: int) -> set[Origin]:
        """Return what ``cls()`` and ``Net.from_pretrained()`` give: an instance of the class."""
        if isinstance(node, ast.Name) and node.id == "cls" and place.owner is not None:
            return self.of_class(place.owner, place.file, depth + 1)
        if isinstance(node, ast.Attribute) and node.attr.startswith("from_"):
            if isinstance(node.value, ast.Name) and node.value.id == "cls":
                return self._of_factory(node.value, place, depth)
            return self._instances(node.value, place, depth) or self._unseen(node.value, place)
        return set()

    def _unseen(self, node: ast.expr, place: Place) -> set[Origin]:
        """Return what the instances of a class are that is not here: of that class, and no more is known."""
        dotted = self.dotted(node, place)
        return {Origin("", dotted)} if dotted.rpartition(".")[2][:1].isupper() else set()

    def _returned(self, call: ast.Call, place: Place, depth: int) -> set[Origin]:
        """Return what the function of the repository returns that a call names."""
        found = self._definition(call.func, place, ast.FunctionDef) or self._method(call.func, place)
        if found is None or depth > _DEPTH:
            return set()
        function, file = found
        inside = Place(file, (function,))
        if function.returns is not None:
            origins = self._of_annotation(function.returns, inside, depth + 1)
        else:
            returns = (node for node in file.once(in_scope, function) if isinstance(node, ast.Return))
            origins = self._of_values((node.value for node in returns if node.value), inside, depth + 1)
        made = {origin.made for origin in origins}
        if (
            len(made) == 1
            and "" not in made
            and not any(name.startswith(f"{file.path}:{function.lineno}:") for name in made)
        ):
            return origins
        # One of several classes, or what is handed in: the same for the same arguments.
        return {Origin(origin.kind, f"{file.path}:{spelled(call)}") for origin in origins}

    def _method(self, node: ast.expr, place: Place) -> tuple[ast.FunctionDef, File] | None:
        """Return the method of the class around a place, or of a base of it, that ``self.make`` names."""
        if not (isinstance(node, ast.Attribute) and _is_self(node.value)) or place.owner is None:
            return None
        todo = [(place.owner, place.file)]
        for owner, file in todo:
            if len(todo) > _DEPTH:
                return None
            for item in owner.body:
                if isinstance(item, ast.FunctionDef) and item.name == node.attr:
                    # What a property returns is called here, and may be a class.
                    return None if item.decorator_list else (item, file)
            bases = (self._definition(base, Place(file), ast.ClassDef) for base in owner.bases)
            todo += [base for base in bases if base]
        return None

    def of_class(self, node: ast.ClassDef, file: File, depth: int = 0) -> set[Origin]:
        """Return what the instances of a class of the repository are."""
        made = f"{file.path}:{node.name}"
        self._classes[made] = (node, file)
        if node not in self._kinds:
            self._kinds[node] = self._kinds_of_class(node, file, depth) or {""}
        return {Origin(kind, made) for kind in self._kinds[node]}

    def _kinds_of_class(self, node: ast.ClassDef, file: File, depth: int) -> set[str]:
        own = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        loads = bool(own & OVERRIDES)
        bases: set[str] = set()
        for base in node.bases if depth <= _DEPTH else ():
            bases |= {origin.kind for origin in self._instances(base, Place(file), depth)} - {""}
        is_module = "module" in bases or bool(node.bases and "forward" in own)
        if "overriding" in bases or (is_module and (loads or _registers_hook(file, node))):
            return {"overriding"}
        if bases or loads:
            return bases or {"object"}
        # A class of a library that is not here: what can be run forward is a module.
        return {"module"} if is_module else set()

    # ---- definitions ---------------------------------------------------------------------------

    def _definition(
        self, node: ast.expr, place: Place, wanted: type[Definition]
    ) -> tuple[Definition, File] | None:
        """Find the class or function that an expression names, here or in an imported file."""
        name, _, rest = written(node).partition(".")
        if self._is_shadowed(name, place):
            return None
        if not rest and name in place.file.definitions:
            found = place.file.definition(name)
            return (found, place.file) if isinstance(found, wanted) else None
        if name not in place.file.imports:
            return None
        level, dotted = place.file.imports[name]
        file, inner = self.index.find(place.file, level, ".".join(part for part in (dotted, rest) if part))
        for _ in range(_DEPTH):
            if file is None:
                return None
            if inner in file.definitions:
                found = file.definition(inner)
                return (found, file) if isinstance(found, wanted) else None
            if inner not in file.imports:
                return None
            file, inner = self.index.find(file, *file.imports[inner])
        return None

    def _is_shadowed(self, written: str, place: Place) -> bool:
        """Tell whether a function around the place has another thing by that name."""
        name = written.partition(".")[0]
        return any(
            name in parameters(scope) or self._is_local(name, scope, place.file)
            for scope in place.scopes
            if isinstance(scope, FUNCTIONS)
        )

    def dotted(self, node: ast.expr, place: Place) -> str:
        """Write a name or an attribute with what its first word was imported as."""
        first, dot, rest = written(node).partition(".")
        return place.file.imports.get(first, (0, first))[1] + dot + rest


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_wrapper(dotted: str) -> bool:
    return dotted.rpartition(".")[2] in ("DataParallel", "DistributedDataParallel", "DDP")


def _registers_hook(file: File, node: ast.ClassDef) -> bool:
    """Tell whether a class registers hooks on its state dict, of its own or of its parts."""
    return node in file.once(_around_hooks)


def _around_hooks(file: File) -> set[ast.AST]:
    """Return what stands around each call that registers a hook on a state dict."""
    found: set[ast.AST] = set()
    for node in file.of(ast.Attribute) if _HOOK.search(file.code) else ():
        if "state_dict" in node.attr and node.attr.endswith("hook"):
            found.update(parents_of(node, file))
    return found
