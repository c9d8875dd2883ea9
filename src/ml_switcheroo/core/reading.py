"""Calls of ``torch.load`` whose result goes into a rewritten call and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from ml_switcheroo.core.sites import Site, scope_of

__all__ = ["Read", "find_reads"]

_DROPPED = frozenset({"map_location", "weights_only", "mmap"})

Read = tuple[ast.expr, ast.expr, str]
"""What is replaced, the path that is read, and the part of the checkpoint (empty for the only one)."""


def find_reads(sites: Sequence[Site]) -> Iterator[Read]:
    """Yield each ``torch.load(path)`` (with the ``["part"]`` behind it) that feeds one of the calls.

    One that goes through a variable counts only where the variable is the state dict itself, everywhere
    in its scope: a checkpoint of several parts may hold what no reader of tensors knows.
    """
    seen: set[int] = set()
    for site in sites:
        states = [
            *site.call.args[:1],
            *(word.value for word in site.call.keywords if word.arg == "state_dict"),
        ]
        for state in states:
            scope = scope_of(site)
            values = [state, *_assigned(scope, state)] if isinstance(state, ast.Name) else [state]
            for value in values:
                read = _read(value)
                if read and id(read[0]) not in seen:
                    seen.add(id(read[0]))
                    yield read


def _read(node: ast.expr) -> Read | None:
    part = ""
    inner = node
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    ):
        part, inner = node.slice.value, node.value
    if not isinstance(inner, ast.Call) or ast.unparse(inner.func) != "torch.load":
        return None
    words = {word.arg: word.value for word in inner.keywords}
    paths = [*inner.args[:1], *([words["f"]] if "f" in words else [])]
    if (
        len(paths) != 1
        or isinstance(paths[0], ast.Starred)
        or words.keys() - _DROPPED - {"f"}
        or len(inner.args) > 2
    ):
        return None
    return node, paths[0], part


def _assigned(scope: ast.AST, name: ast.Name) -> list[ast.expr]:
    """Return what a variable is set to, if it holds a state dict and nothing around one."""
    for node in ast.walk(scope):
        key = getattr(node, "slice", None)
        if isinstance(node, ast.Subscript) and _is(node.value, name) and isinstance(key, ast.Constant):
            return []
        if isinstance(node, ast.Compare) and any(_is(item, name) for item in node.comparators):
            return []
        if isinstance(node, ast.Attribute) and _is(node.value, name) and node.attr in ("get", "pop"):
            return []
    return [
        node.value
        for node in ast.walk(scope)
        if isinstance(node, ast.Assign) and any(_is(target, name) for target in node.targets)
    ]


def _is(node: ast.expr, name: ast.Name) -> bool:
    return isinstance(node, ast.Name) and node.id == name.id
