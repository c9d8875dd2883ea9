"""What a program does, coarsely: its layers and functions, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ["Sketch", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """A layer or a function of a program.

    Attributes:
        what: What the program calls it: the module's path, or the function.
        ops: The primitives that it does, in order, each once.
        shape: The shape of what it gives.
        line: Where the program says so, as ``model.py:12``; empty if nobody knows.
        leaves: The leaves (or tensors) that enter it.
        takes: The steps whose results it takes, by number; all of them come before it.
    """

    what: str
    ops: tuple[str, ...]
    shape: tuple[int, ...]
    line: str = ""
    leaves: tuple[str, ...] = ()
    takes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sketch:
    """A program.

    Attributes:
        steps: What it does, in order; arguments come first.
        gives: The steps whose results it returns.
        size: How many operations it has.
    """

    steps: tuple[Step, ...]
    gives: tuple[int, ...]
    size: int

    def renamed(self, names: Mapping[str, str]) -> Sketch:
        """Return the same with other names for the leaves; those without one keep theirs."""
        steps = (
            replace(step, leaves=tuple(names.get(leaf, leaf) for leaf in step.leaves)) for step in self.steps
        )
        return replace(self, steps=tuple(steps))
