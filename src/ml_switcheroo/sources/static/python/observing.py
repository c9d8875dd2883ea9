"""Observe a program that is read: each expression that is evaluated, with its value.

The tables of a machine are exchanged for a while, so a machine that nobody observes does not pay for it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ml_switcheroo.sources.static.python.frames import Frame
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.tables import Reader
from ml_switcheroo.sources.static.python.values import Value

__all__ = ["Observer", "observing"]

Observer = Callable[[ast.expr, Value], None]
"""Is told an expression and its value, each time that it has been evaluated."""


@contextmanager
def observing(machine: Machine, observer: Observer) -> Iterator[list[Frame]]:
    """Tell an observer of every expression that is evaluated meanwhile.

    What a branch or a round of a loop makes of an expression is told as well, also where the reading forgets
    it later: all values that an expression may have are among those that are told.

    Yields:
        The frames that expressions are being evaluated in, the innermost last.
    """
    frames: list[Frame] = []

    def observed(read: Reader[Machine]) -> Reader[Machine]:
        def run(machine: Machine, node: Any, frame: Frame) -> Value:
            entered = not frames or frames[-1] is not frame
            if entered:
                frames.append(frame)
            try:
                value = read(machine, node, frame)
                if isinstance(node, ast.expr):
                    observer(node, value)
            finally:
                if entered:
                    frames.pop()
            return value

        return run

    before = machine.tables
    expressions = {kind: observed(read) for kind, read in before.expressions.items()}
    machine.tables = replace(before, expressions=expressions, unread=observed(before.unread))
    try:
        yield frames
    finally:
        machine.tables = before
