"""One operation of a framework, as it was traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Draft

__all__ = ["Lowered", "Made", "Step", "Unfollowed"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Made = int | tuple[int, ...] | None


class Unfollowed(Exception):
    """What an operation does cannot be followed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation.

    Attributes:
        draft: What it is drawn in.
        operands: The nodes that it takes.
        arguments: Its arguments: by their names, or in the order in which the framework states them.
        results: The shape and the dtype of each of its results.
    """

    draft: Draft
    operands: tuple[int, ...]
    arguments: Any
    results: Sequence[tuple[Shape, str]]

    @property
    def shape(self) -> Shape:
        """The shape of its first result."""
        return self.results[0][0]

    @property
    def dtype(self) -> str:
        """The dtype of its first result."""
        return self.results[0][1]

    def number(self, value: float) -> int:
        """Return a number, of the dtype of the first result."""
        return self.draft.constant(value, self.dtype)

    def known(self, place: int) -> Array:
        """Return the value of an operand that has to be known before anything is given.

        Raises:
            Unfollowed: It is not.
        """
        value = self.draft.known(self.operands[place])
        if value is None:
            raise Unfollowed("depends on what is given")
        return value

    def whole(self, place: int) -> tuple[int, ...]:
        """Return the whole numbers of an operand that has to be known."""
        return tuple(int(one) for one in self.known(place).reshape(-1))

    def called(self, name: str, run: Callable[..., Any]) -> int:
        """Return a call of NumPy, for what has no primitive."""
        return self.draft.add(
            "call",
            *self.operands,
            dtype=self.dtype,
            shape=self.shape,
            name=name,
            number=0,
            run=lambda *arrays: np.asarray(run(*arrays)),
        )


Lowered = Callable[[Step], Made]
