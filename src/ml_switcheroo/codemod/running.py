"""What a variable was set to last before a call, where the order of the statements shows it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from ml_switcheroo.codemod.sites import FUNCTIONS, CallSite, is_declared, parameters, scope_of, walk_scope

__all__ = ["is_set_elsewhere", "last_set", "ran_before"]

_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def ran_before(site: CallSite) -> Iterator[tuple[ast.AST, list[ast.stmt]]]:
    """Yield each node around a call, inner ones first, with the statements of its block before the call."""
    inner: ast.AST = site.call
    for around in reversed(site.parents):
        blocks = (getattr(around, name, None) for name in ("body", "orelse", "finalbody"))
        found = (each for each in blocks if isinstance(each, list) and inner in each)
        block: list[Any] = next(found, [inner])
        yield around, block[: block.index(inner)]
        inner = around


def last_set(node: ast.expr, site: CallSite) -> ast.expr:
    """Return what a variable surely is where a call stands; the variable itself where that is open.

    It is what the last statement before the call sets it to, out of those that ran for sure.
    """
    if not isinstance(node, ast.Name):
        return node
    for around, before in ran_before(site):
        for statement in reversed(before):
            if _sets(statement, node.id):
                return _value(statement, node.id) or node
        # What a loop sets behind the call, it has set when it comes round again.
        if isinstance(around, _LOOPS) and _sets(around, node.id):
            return node
        if isinstance(around, (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler, ast.With, ast.AsyncWith)):
            return node
    return node


def is_set_elsewhere(node: ast.expr, site: CallSite) -> bool:
    """Tell whether a function says that it sets a variable of the code around it, which a call here reads."""
    if not isinstance(node, ast.Name):
        return False
    name, around = node.id, scope_of(site)
    words: tuple[type[ast.stmt], ...] = (ast.Global, ast.Nonlocal)
    own = name in parameters(around) or any(
        isinstance(part, ast.Name) and part.id == name and not isinstance(part.ctx, ast.Load)
        for part in walk_scope(around)
    )
    if isinstance(around, FUNCTIONS) and own and not is_declared(name, around):
        words = (ast.Nonlocal,)
    else:
        around = site.parents[0]
    return any(isinstance(part, words) and name in getattr(part, "names", ()) for part in ast.walk(around))


def _sets(statement: ast.AST, name: str) -> bool:
    """Tell whether a statement, or one within it, may set a variable."""
    return any(
        getattr(part, "name", None) == name
        or getattr(part, "asname", None) == name
        or (isinstance(part, ast.Name) and part.id == name and not isinstance(part.ctx, ast.Load))
        or (isinstance(part, ast.Global | ast.Nonlocal) and name in part.names)
        for part in ast.walk(statement)
    )


def _value(statement: ast.stmt, name: str) -> ast.expr | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
            return value
        case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
            return value
    return None
