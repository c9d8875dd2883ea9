"""A tensor seen through reshapes, transposes, slices and flips: which of its elements lies where."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph, Node

__all__ = ["Digit", "View", "digits_of", "followed", "places"]

Array = np.ndarray[Any, Any]
Digit = tuple[int, int]
"""A size, and how far apart neighbours lie in the flat tensor."""

_Axis = tuple[Digit, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Where the elements of a view lie in the flat tensor that is seen.

    Attributes:
        axes: For each axis of the view the digits that it is made of, the slowest first.
        offset: Where its first element lies.
    """

    axes: tuple[_Axis, ...]
    offset: int = 0

    @classmethod
    def whole(cls, shape: Sequence[int]) -> View:
        """Return the view of a tensor as it lies."""
        strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        return cls(tuple(((size, stride),) for size, stride in zip(shape, strides, strict=True)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(math.prod(size for size, _ in axis) for axis in self.axes)

    def reshaped(self, shape: Sequence[int]) -> View | None:
        """Return it with another shape; None where an axis is cut between its digits."""
        left = [digit for axis in self.axes for digit in axis if digit[0] != 1]
        made: list[_Axis] = []
        for size in shape:
            axis: list[Digit] = []
            while size > 1:
                if not left:
                    return None
                whole, stride = left.pop(0)
                if size % whole == 0:
                    axis.append((whole, stride))
                    size //= whole
                elif whole % size == 0:
                    axis.append((size, stride * (whole // size)))
                    left.insert(0, (whole // size, stride))
                    size = 1
                else:
                    return None
            made.append(tuple(axis) or ((1, 0),))
        return View(tuple(made), self.offset) if not left else None

    def transposed(self, axes: Sequence[int]) -> View:
        """Return it with its axes in another order."""
        return View(tuple(self.axes[axis] for axis in axes), self.offset)

    def sliced(self, start: Sequence[int], stop: Sequence[int], step: Sequence[int]) -> View | None:
        """Return a part of it; None where no digits describe it."""
        made, offset = [], self.offset
        for axis, first, last, by in zip(self.axes, start, stop, step, strict=True):
            size, count = math.prod(one for one, _ in axis), len(range(first, last, by))
            if (first, count, by) == (0, size, 1):
                made.append(axis)
                continue
            part = _part(axis, first, count, by)
            if part is None:
                return None
            offset += part[1]
            made.append(part[0])
        return View(tuple(made), offset)

    def flipped(self, axes: Sequence[int]) -> View:
        """Return it with some axes from their ends."""
        made, offset = list(self.axes), self.offset
        for one in axes:
            offset += sum((size - 1) * stride for size, stride in made[one])
            made[one] = tuple((size, -stride) for size, stride in made[one])
        return View(tuple(made), offset)

    def broadcast(self, shape: Sequence[int]) -> View:
        """Return it repeated along axes of size 1, and along new ones in front."""
        lead = len(shape) - len(self.axes)
        made = [((size, 0),) for size in shape[:lead]]
        now = self.shape
        for place, axis in enumerate(self.axes):
            size = shape[lead + place]
            made.append(axis if now[place] == size else ((size, 0),))  # type: ignore[arg-type]
        return View(tuple(made), self.offset)


def _part(axis: _Axis, first: int, count: int, by: int) -> tuple[_Axis, int] | None:
    """Return the digits of a part of an axis, and how far in it begins; None where no digits describe it."""
    if len(axis) == 1:
        ((_, stride),) = axis
        return ((count, stride * by),), first * stride
    rest = axis[1:]
    inner = math.prod(size for size, _ in rest)
    if by == 1 and first % inner == 0 and count % inner == 0:
        stride = axis[0][1]
        return ((count // inner, stride), *rest), (first // inner) * stride
    if count == 1:
        return ((1, 0),), int(places(axis)[first])
    return None


def places(digits: Sequence[Digit]) -> Array:
    """Return where the elements of digits lie, the last digit the fastest.

    >>> places([(2, 10), (3, 1)]).tolist()
    [0, 1, 2, 10, 11, 12]
    """
    found = np.zeros(1, np.int64)
    for size, stride in digits:
        found = (found[:, None] + np.arange(size) * stride).reshape(-1)
    return found


_SEEN: Mapping[str, Callable[[View, Node], View | None]] = MappingProxyType(
    {
        "reshape": lambda view, node: view.reshaped(node.params["shape"]),
        "transpose": lambda view, node: view.transposed(node.params["axes"]),
        "slice": lambda view, node: view.sliced(*(node.params[one] for one in ("start", "stop", "step"))),
        "flip": lambda view, node: view.flipped(node.params["axes"]),
        "broadcast": lambda view, node: view.broadcast(node.params["shape"]),
        "cast": lambda view, _: view,
    }
)


def followed(graph: Graph, number: int) -> tuple[int, View] | None:
    """Return the node that another one is nothing but a view of, and the view; None where it is no view.

    A node that is no view of another is one of itself.
    """
    chain = []
    while graph.nodes[number].op in _SEEN:
        chain.append(graph.nodes[number])
        number = graph.nodes[number].operands[0]
    view: View | None = View.whole(graph.nodes[number].shape)
    for node in reversed(chain):
        view = _SEEN[node.op](view, node) if view is not None else None
    return (number, view) if view is not None else None


def digits_of(*arrays: Array) -> list[tuple[int, tuple[int, ...]]] | None:
    """Return the digits that say where several arrays of places lie: sizes, and a stride in each array.

    >>> digits_of(np.array([0, 1, 2, 10, 11, 12]), np.array([0, 2, 4, 1, 3, 5]))
    [(2, (10, 1)), (3, (1, 2))]

    Returns:
        None where the places follow no such rule.
    """
    found: list[tuple[int, tuple[int, ...]]] = []
    now = [array - array[0] for array in arrays]
    while len(now[0]) > 1:
        runs = [_run(array) for array in now]
        size = reduce(math.gcd, (run for run in runs if run), 0) if all(runs) else 0
        size = min(runs) if size <= 1 and min(runs) > 1 and len(now[0]) % min(runs) == 0 else size
        if size <= 1 or len(now[0]) % size:
            return None
        strides = tuple(int(array[1]) for array in now)
        expected = [np.arange(size) * stride for stride in strides]
        for array, line in zip(now, expected, strict=True):
            if not np.array_equal(array.reshape(-1, size), array[::size, None] + line):
                return None
        found.insert(0, (size, strides))
        now = [array[::size] for array in now]
    return found


def _run(array: Array) -> int:
    """Return how many elements lie equally far apart, from the first."""
    apart = np.diff(array)
    other = np.flatnonzero(apart != apart[0])
    return int(other[0]) + 1 if other.size else len(array)
