"""Loops: over items that are known, item by item; over what is unknown, once for all of them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.binding import bind_target
from ml_switcheroo.sources.static.python.containers import expand
from ml_switcheroo.sources.static.python.frames import Frame, assigned
from ml_switcheroo.sources.static.python.tables import Ending, Outcome
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Maybe,
    Raised,
    Repeat,
    Value,
    join,
    same,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["run_for", "run_while"]

_MOST_ROUNDS = 2000


def run_for(machine: Machine, node: ast.For, frame: Frame) -> Outcome:
    """Run ``for target in items``."""
    items = expand(machine, machine.evaluate(node.iter, frame))
    for item in [Repeat(UNKNOWN)] if items is None else items:
        if isinstance(item, Repeat):
            outcome = _vague(
                machine, node.body, frame, partial(_bind, machine, node, item.value, frame), item.count
            )
        elif isinstance(item, Maybe):
            outcome = _possible(machine, node, item.value, frame)
        else:
            _bind(machine, node, item, frame)
            outcome = machine.run(node.body, frame)
        if outcome.ending is Ending.RETURN:
            return outcome
        if outcome.ending is Ending.BREAK:
            return Outcome()
    return machine.run(node.orelse, frame)


def _bind(machine: Machine, node: ast.For, item: Value, frame: Frame) -> None:
    bind_target(machine, node.target, item, frame)


def _possible(machine: Machine, node: ast.For, item: Value, frame: Frame) -> Outcome:
    def read() -> Outcome:
        _bind(machine, node, item, frame)
        return machine.run(node.body, frame)

    outcomes = machine.heap.branch([read, Outcome])
    for outcome in outcomes:
        if isinstance(outcome, Outcome) and outcome.ending is Ending.RETURN:
            frame.returned.append(outcome.value)
    return Outcome()


def run_while(machine: Machine, node: ast.While, frame: Frame) -> Outcome:
    """Run ``while test``."""
    for _ in range(_MOST_ROUNDS):
        truth = machine.truth(machine.evaluate(node.test, frame))
        if truth is False:
            return machine.run(node.orelse, frame)
        if truth is None:
            break
        outcome = machine.run(node.body, frame)
        if outcome.ending is Ending.RETURN:
            return outcome
        if outcome.ending is Ending.BREAK:
            return Outcome()
    return _vague(machine, node.body, frame, lambda: None)


def _vague(
    machine: Machine, body: list[ast.stmt], frame: Frame, start: Callable[[], None], count: str = ""
) -> Outcome:
    """Run a body that may run any number of times.

    A first reading, whose effects are forgotten, shows which names change from round to round;
    those are widened, and the second reading counts.
    """
    names = assigned(tuple(body))

    def first() -> dict[str, Value]:
        with machine.heap.loop(count):
            start()
            machine.run(body, frame)
        return {name: frame.names.get(name, ABSENT) for name in names}

    before = {name: frame.names.get(name, ABSENT) for name in names}
    try:
        after = machine.heap.attempt(first)
    except Raised:
        return Outcome()  # the body cannot run: the loop has no rounds
    for name, value in before.items():
        if value is not ABSENT and not same(value, after[name]):
            machine.bind(frame, name, _widened(machine, value, after[name]))
    with machine.heap.loop(count):
        start()
        outcome = machine.run(body, frame)
    if outcome.ending is Ending.RETURN:
        frame.returned.append(outcome.value)
    return Outcome()


def _widened(machine: Machine, before: Value, after: Value) -> Value:
    """Return what a name may hold in any round, from the first two."""
    run = machine.tables.widened.get(type(before))
    found = run(before, after) if run is not None else NotImplemented
    if found is not NotImplemented:
        return found
    if isinstance(before, int | float | str) or isinstance(after, int | float | str):
        return UNKNOWN
    return join([before, after])
