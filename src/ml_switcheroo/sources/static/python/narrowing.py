"""What a test tells about the values in it, inside the branch that it leads to."""

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.values import Instance, OneOf, Raised, Unknown, Value, join

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.frames import Frame
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["narrowed"]


def narrowed(machine: Machine, test: ast.expr, answer: bool, frame: Frame) -> None:
    """Drop the alternatives of the names in ``test`` with which it cannot come out as ``answer``."""
    for node in _mentioned(test):
        place = _place(machine, node, frame)
        if place is None:
            continue
        names, key = place
        value = names[key]
        if isinstance(value, Unknown) and answer and _is_none(test, node):
            machine.heap.touch(names)
            names[key] = None
        if not isinstance(value, OneOf):
            continue
        kept = [one for one in value.choices if _possible(machine, test, answer, frame, names, key, one)]
        if kept and len(kept) < len(value.choices):
            machine.heap.touch(names)
            names[key] = join(kept)


@functools.lru_cache(maxsize=8192)
def _mentioned(test: ast.expr) -> tuple[ast.expr, ...]:
    """Return the names and attributes in an expression."""
    return tuple(node for node in ast.walk(test) if isinstance(node, ast.Name | ast.Attribute))


def _is_none(test: ast.expr, node: ast.AST) -> bool:
    match test:
        case ast.Compare(left=left, ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            return left is node
    return False


def _place(machine: Machine, node: ast.AST, frame: Frame) -> tuple[dict[Any, Value], str] | None:
    """Return the dictionary and the key a name or ``self.name`` is kept under."""
    if isinstance(node, ast.Name) and node.id in frame.names:
        return frame.names, node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        owner = frame.names.get(node.value.id)
        if isinstance(owner, Instance) and node.attr in owner.attrs:
            return owner.attrs, node.attr
    return None


def _possible(
    machine: Machine,
    test: ast.expr,
    answer: bool,
    frame: Frame,
    names: dict[Any, Value],
    key: str,
    value: Value,
) -> bool:
    def read() -> bool:
        machine.heap.touch(names)
        names[key] = value
        return machine.truth(machine.evaluate(test, frame)) in (answer, None)

    try:
        return machine.heap.attempt(read)
    except Raised:
        return False
