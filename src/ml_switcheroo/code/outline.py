"""What the statements of a module bind, import and call, without running them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["bound_names", "imported_names", "outline", "top_level"]


def imported_names(statements: Iterable[ast.AST]) -> dict[str, tuple[int, str]]:
    """Return what each imported name stands for: how many dots came first, and the dotted name."""
    found: dict[str, tuple[int, str]] = {}
    for node in statements:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                found[name] = (0, alias.name if alias.asname else name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                dotted = ".".join(part for part in (node.module, alias.name) if part)
                found[alias.asname or alias.name] = (node.level, dotted)
    return found


def top_level(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the statements of the top level, those in ``if`` and ``try`` too."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from top_level(ast.iter_child_nodes(node))


@functools.lru_cache(maxsize=512)
def outline(
    tree: ast.Module,
) -> tuple[Mapping[str, Sequence[int]], Sequence[ast.ImportFrom], Sequence[tuple[int, str]]]:
    """Return what a module's statements bind, its star imports, and what it calls for an effect."""
    bindings: dict[str, list[int]] = {}
    imported = {
        name for one in tree.body if isinstance(one, ast.Import | ast.ImportFrom) for name in bound_names(one)
    }
    stars: list[ast.ImportFrom] = []
    for index, statement in enumerate(tree.body):
        for name in (*bound_names(statement), *(_registries(statement) - imported)):
            places = bindings.setdefault(name, [])
            if not places or places[-1] != index:
                places.append(index)
        if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            stars.append(statement)
    called = ((index, _called(one)) for index, one in enumerate(tree.body))
    return bindings, stars, tuple((index, name) for index, name in called if name)


def _called(statement: ast.stmt) -> str:
    """Return the name of the function that a statement calls for its effect; empty for any other."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name))):
            return name
        case ast.ClassDef(decorator_list=[first, *_]) | ast.FunctionDef(decorator_list=[first, *_]):
            named = first.func if isinstance(first, ast.Call) else first
            return named.id if isinstance(named, ast.Name) else ""
        case ast.Assign() | ast.Expr() | ast.For() | ast.If() | ast.With() | ast.Try():
            return "globals" if any(map(_puts_a_name, ast.walk(statement))) else ""
    return ""


def _puts_a_name(node: ast.AST) -> bool:
    """Tell whether a module's names are changed by their text: ``globals()[name] = layer``."""
    match node:
        case (
            ast.Subscript(value=ast.Call(func=ast.Name(id="globals" | "vars")), ctx=ast.Store())
            | ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="globals")), attr="update"))
            | ast.Call(func=ast.Name(id="setattr"))
        ):
            return True
    return False


def _registries(statement: ast.stmt) -> set[str]:
    """Return the objects whose methods decorate a class or a function: they may keep it."""
    decorators = statement.decorator_list if isinstance(statement, ast.ClassDef | ast.FunctionDef) else []
    named = [one.func if isinstance(one, ast.Call) else one for one in decorators]
    return {root for one in named if isinstance(one, ast.Attribute) for root in _roots(one.value)}


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names a module-level statement binds or changes."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                yield alias.asname or alias.name.partition(".")[0]
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            for target in targets:
                yield from _roots(target)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            yield from _roots(target)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner))):
            yield from _roots(owner)
        case _:
            yield from _bound_inside(statement)


def _bound_inside(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.For):
        yield from _roots(statement.target)
    if isinstance(statement, ast.With):
        for item in statement.items:
            if item.optional_vars is not None:
                yield from _roots(item.optional_vars)
    for block in ("body", "orelse", "finalbody"):
        for inner in getattr(statement, block, ()):
            yield from bound_names(inner)
    for guard in getattr(statement, "handlers", ()):
        for inner in guard.body:
            yield from bound_names(inner)


def _roots(target: ast.expr) -> Iterator[str]:
    """Yield the names at the roots of an assignment's target: ``a.b[0], c`` has a and c."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Starred(value=inner):
            yield from _roots(inner)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            for element in elements:
                yield from _roots(element)
