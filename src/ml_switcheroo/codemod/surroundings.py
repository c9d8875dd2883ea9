"""What the statements around a call say of its receiver: ``isinstance``, a gathering of shards."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ml_switcheroo.codemod.arguments import loaded
from ml_switcheroo.codemod.index import File
from ml_switcheroo.codemod.sites import CallSite, in_scope

__all__ = ["is_sharded", "tested_classes"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SHARDING = frozenset({"distribute_tensor", "distribute_module", "from_local", "fully_shard"})


def tested_classes(site: CallSite) -> Iterator[ast.expr]:
    """Yield the classes that ``isinstance`` has shown the receiver to be of, where the call stands.

    The nearest test comes first; one in an outer function says nothing.
    """
    receiver = ast.dump(site.receiver)
    inner: ast.AST = site.call
    for node in reversed(site.parents):
        if isinstance(node, _FUNCTIONS):
            return
        if isinstance(node, ast.If | ast.IfExp):
            body = node.body if isinstance(node.body, list) else [node.body]
            if any(part is inner for part in body):
                yield from _classes(node.test, receiver)
        inner = node


def _classes(test: ast.expr, receiver: str) -> Iterator[ast.expr]:
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            for value in values:
                yield from _classes(value, receiver)
        case ast.Call(func=ast.Name(id="isinstance"), args=[tested, classes]):
            if ast.dump(tested) == receiver:
                yield classes


def is_sharded(site: CallSite, file: File) -> bool:
    """Tell whether the call loads shards: within ``FSDP.state_dict_type``, or what was distributed."""
    for node in site.parents:
        if isinstance(node, ast.With | ast.AsyncWith) and any(
            isinstance(item.context_expr, ast.Call)
            and getattr(item.context_expr.func, "attr", "") == "state_dict_type"
            for item in node.items
        ):
            return True
    state = loaded(site.call)
    if not isinstance(state, ast.Name):
        return False
    scope = next((node for node in reversed(site.parents) if isinstance(node, _FUNCTIONS)), site.parents[0])
    sharding = set(file.calls(_SHARDING.__contains__))
    return bool(sharding) and not sharding.isdisjoint(file.once(in_scope, scope))
