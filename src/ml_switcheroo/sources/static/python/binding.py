"""What the left side of an assignment binds."""

from __future__ import annotations

import ast

from ml_switcheroo.sources.static.python.containers import expand, store_item
from ml_switcheroo.sources.static.python.counted import is_number, number
from ml_switcheroo.sources.static.python.frames import Frame
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Maybe,
    OneOf,
    Repeat,
    Value,
    join,
    options,
)

__all__ = ["bind_target"]


def bind_target(machine: Machine, target: ast.expr, value: Value, frame: Frame) -> None:
    """Bind what an assignment's left side names."""
    if isinstance(target, ast.Name):
        machine.bind(frame, target.id, value)
    elif isinstance(target, ast.Attribute):
        machine.write(machine.evaluate(target.value, frame), target.attr, value)
    elif isinstance(target, ast.Subscript):
        owner = machine.evaluate(target.value, frame)
        index = machine.evaluate(target.slice, frame)
        if machine.follower is not None:
            machine.follower.stored(owner)
        for one in options(owner):
            store_item(machine, one, index, value)
    elif isinstance(target, ast.Tuple | ast.List):
        _unpack(machine, target.elts, value, frame)


def _unpack(machine: Machine, targets: list[ast.expr], value: Value, frame: Frame) -> None:
    if isinstance(value, OneOf):
        parts = [expand(machine, choice) for choice in value.choices]
        if all(part is not None and len(part) == len(targets) for part in parts):
            value = tuple(join(column) for column in zip(*(part or [] for part in parts), strict=True))
    items = expand(machine, value)
    star = next((i for i, target in enumerate(targets) if isinstance(target, ast.Starred)), None)
    vague = items is None or any(isinstance(item, Maybe | Repeat) for item in items)
    if items is None or vague or (star is None and len(items) != len(targets)):
        items, star = _unpacked(machine, value, len(targets)), None
    for index, target in enumerate(targets):
        if isinstance(target, ast.Starred):
            after = len(targets) - index - 1
            middle = items[index : len(items) - after]
            bind_target(machine, target.value, machine.heap.new(list(middle)), frame)
        else:
            place = index if star is None or index < star else index - len(targets)
            bind_target(machine, target, items[place], frame)


def _unpacked(machine: Machine, value: Value, count: int) -> list[Value]:
    """Return what unpacking gives where the items of a value are unknown."""
    run = machine.tables.unpacked.get(type(value))
    found = run(value, count) if run is not None else None
    if found is not None:
        return found
    return [number() if is_number(value) else UNKNOWN for _ in range(count)]
