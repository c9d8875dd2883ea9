"""List, set and dictionary comprehensions, over known and unknown items."""

from __future__ import annotations

import ast
from typing import Any

from ml_switcheroo.sources.static.python.binding import bind_target
from ml_switcheroo.sources.static.python.containers import expand, store_item
from ml_switcheroo.sources.static.python.frames import Frame
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.tables import Reader
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Maybe,
    Repeat,
    Value,
    known,
)

__all__ = ["COMPREHENSIONS"]


def _comprehension(machine: Machine, node: Any, frame: Frame) -> list[Value]:
    inner = Frame(dict(), frame.source, frame, frame.function, frame.owner, frame.self_)  # noqa: C408
    if frame.body:  # a class body is seen by its first iterable only; seeing more does no harm
        inner.names.update(frame.names)
    machine.heap.new(inner.names)
    found: list[Value] = []
    machine.heap.new(found)
    _generate(machine, node, node.generators, inner, found)
    return found


def _generate(
    machine: Machine, node: Any, generators: list[ast.comprehension], frame: Frame, found: list[Value]
) -> None:
    if not generators:
        if isinstance(node, ast.DictComp):
            item: Value = (machine.evaluate(node.key, frame), machine.evaluate(node.value, frame))
        else:
            item = machine.evaluate(node.elt, frame)
        machine.heap.touch(found)
        found.append(item)
        return
    first, rest = generators[0], generators[1:]
    items = expand(machine, machine.evaluate(first.iter, frame))
    for item in [Repeat(UNKNOWN)] if items is None else items:
        if not isinstance(item, Maybe | Repeat):
            _step(machine, node, first, rest, frame, found, item)
            continue
        part: list[Value] = machine.heap.new([])
        count = item.count if isinstance(item, Repeat) else ""
        with machine.heap.loop(count):
            _step(machine, node, first, rest, frame, part, item.value)
        machine.heap.touch(found)
        for one in part:
            repeated = isinstance(item, Repeat) and not isinstance(one, Repeat)
            found.append(
                Repeat(_bare(one), count)
                if repeated
                else one
                if isinstance(one, Repeat)
                else Maybe(_bare(one))
            )


def _bare(item: Value) -> Value:
    return item.value if isinstance(item, Maybe) else item


def _step(
    machine: Machine,
    node: Any,
    first: ast.comprehension,
    rest: list[ast.comprehension],
    frame: Frame,
    found: list[Value],
    item: Value,
) -> None:
    bind_target(machine, first.target, item, frame)
    unsure = False
    for test in first.ifs:
        truth = machine.truth(machine.evaluate(test, frame))
        if truth is False:
            return
        unsure = unsure or truth is None
    if not unsure:
        _generate(machine, node, rest, frame, found)
        return
    part: list[Value] = machine.heap.new([])
    machine.heap.branch([lambda: _generate(machine, node, rest, frame, part), lambda: None])
    machine.heap.touch(found)
    found.extend(one if isinstance(one, Repeat | Maybe) else Maybe(one) for one in part)


def _list_comp(machine: Machine, node: Any, frame: Frame) -> Value:
    return machine.heap.new(_comprehension(machine, node, frame))


def _set_comp(machine: Machine, node: ast.SetComp, frame: Frame) -> Value:
    items = _comprehension(machine, node, frame)
    return machine.heap.new(set(items)) if known(items) else UNKNOWN


def _dict_comp(machine: Machine, node: ast.DictComp, frame: Frame) -> Value:
    made: dict[Any, Value] = machine.heap.new({})
    for item in _comprehension(machine, node, frame):
        pair = item.value if isinstance(item, Maybe | Repeat) else item
        if isinstance(pair, tuple):
            store_item(machine, made, *pair)
    return made


COMPREHENSIONS: dict[type, Reader[Machine]] = {
    ast.ListComp: _list_comp,
    ast.GeneratorExp: _list_comp,
    ast.SetComp: _set_comp,
    ast.DictComp: _dict_comp,
}
