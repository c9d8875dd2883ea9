"""What the names of a scope are set to."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.known import CHILDREN_METHODS
from ml_switcheroo.codemod.sites import FUNCTIONS, in_scope
from ml_switcheroo.codemod.trees import spelled

__all__ = ["annotation_of", "assigned_in", "written"]

_SETTING = (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.For, ast.AsyncFor, ast.comprehension)


def assigned_in(file: File, scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Return every expression that a name, or an attribute such as ``self.net``, is set to in a scope."""
    found: dict[str, list[ast.expr]] = {}
    for node in file.once(in_scope, scope):
        if node.__class__ not in _SETTING:
            continue
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
                name = spelled(one) if isinstance(one, ast.Subscript) else written(one)
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


def written(node: ast.expr) -> str:
    """Return a dotted name; of a generic class without what stands in brackets."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        node = node.value
    return spelled(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def annotation_of(name: str, scope: ast.AST) -> ast.expr | None:
    """Return the annotation of a parameter of a function."""
    if not isinstance(scope, FUNCTIONS):
        return None
    arguments = [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]
    return next((item.annotation for item in arguments if item.arg == name), None)
