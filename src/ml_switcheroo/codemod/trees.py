"""Syntax trees, read fast: what lies in a node, how a name is written, and a pause of the collector."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["FIELDS", "called", "spelled", "uncollected"]

# Fields of names, numbers and flags, and of ``load`` and ``+``: one object wherever they stand, no nodes.
_NO_NODES = frozenset(
    """
    arg asname attr conversion ctx id is_async kind kwd_attrs level lineno module op ops rest simple str tag
    type_comment
    """.split()
)
_LEAVES = frozenset({"Constant", "Global", "Name", "Nonlocal"})


def _fields(kind: type[ast.AST]) -> Iterator[tuple[type[ast.AST], tuple[str, ...]]]:
    """Yield each class of nodes with the fields that may hold nodes."""
    named = _NO_NODES if kind.__name__ == "TypeAlias" else _NO_NODES | {"name"}
    yield kind, () if kind.__name__ in _LEAVES else tuple(name for name in kind._fields if name not in named)
    for one in kind.__subclasses__():
        yield from _fields(one)


FIELDS: Mapping[type[ast.AST], tuple[str, ...]] = dict(_fields(ast.AST))
"""The fields of each class of nodes that hold a node, a list of nodes, or None in place of one."""


def spelled(node: ast.AST) -> str:
    """Return the code of a node as ``ast.unparse`` writes it; a dotted name costs little.

    >>> spelled(ast.parse("self.net.fc", mode="eval").body)
    'self.net.fc'
    """
    inner, words = node, []
    while isinstance(inner, ast.Attribute):
        words.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name):
        return ast.unparse(node)
    words.append(inner.id)
    return ".".join(reversed(words))


def called(call: ast.Call) -> str:
    """Return the last word of what is called: ``save`` of ``torch.save(...)``."""
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the collector: a tree is a hundred thousand objects without a cycle, and it would walk each."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()
