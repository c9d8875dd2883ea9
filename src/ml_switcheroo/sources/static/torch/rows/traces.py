"""Tensors of a known shape that carry the numbers of the rows their elements come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = [
    "LARGEST",
    "Key",
    "Product",
    "Rows",
    "Trace",
    "Unions",
    "Untold",
    "Weight",
    "as_tensor",
    "numbered",
    "spread",
    "trace_of",
    "varies",
]

Key = tuple[str, Any, int]
"""``("rows", name of a tensor, its axis)``; ``("side", number of a product, 0 or 1)``."""

Rows = Mapping[Key, np.ndarray[Any, Any]]

LARGEST = 1 << 24
"""Elements of a tensor that is followed."""

_MIXED = 64
"""Rows that may be mixed in one element, as a rotation mixes two; what mixes more is no part any more."""

_ZERO = np.zeros((), np.int8)


class Untold(Exception):  # no error: caught where an operation is followed
    """What an operation does to rows is not known."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor of the checkpoint whose rows are followed.

    Attributes:
        name: Its name.
        shape: Its shape.
        axis: For that of a layer, the axis of the outputs.
        layer: Whether it is that of a layer of torch.nn.
    """

    name: str
    shape: tuple[int, ...]
    axis: int = 0
    layer: bool = True


@dataclass(slots=True)
class Unions:
    """Sets of rows: what an element is made of that several rows are mixed in.

    Numbers below ``size`` stand for one row, the others for a set of them.
    """

    size: int
    sets: list[frozenset[int]] = field(default_factory=list)
    numbers: dict[frozenset[int], int] = field(default_factory=dict)

    def members(self, number: int) -> frozenset[int]:
        """Return the rows that a number stands for; none for -1, which stands for no row."""
        if number < 0:
            return frozenset()
        return frozenset((number,)) if number < self.size else self.sets[number - self.size]

    def mixed(self, left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return the numbers of the unions of two arrays of numbers.

        Raises:
            Untold: More rows are mixed than a part of a projection has a use for.
        """
        pairs, places = np.unique(np.stack([left.ravel(), right.ravel()]), axis=1, return_inverse=True)
        found = [self._number(self.members(int(a)) | self.members(int(b))) for a, b in pairs.T]
        return np.array(found, np.int32)[places.ravel()].reshape(left.shape)

    def _number(self, rows: frozenset[int]) -> int:
        if len(rows) < 2:
            return next(iter(rows), -1)
        if len(rows) > _MIXED:
            raise Untold
        if rows not in self.numbers:
            self.numbers[rows] = self.size + len(self.sets)
            self.sets.append(rows)
        return self.numbers[rows]


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A product of two traced tensors: of queries and keys, where it is the one of an attention.

    Attributes:
        number: Tells products apart.
        sides: The two tensors.
        along: For each side the axes that are summed over.
        free: For each side the axes that only it has.
    """

    number: int
    sides: tuple[Trace, Trace]
    along: tuple[tuple[int, ...], tuple[int, ...]]
    free: tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A tensor whose shape is known.

    Attributes:
        shape: Its sizes.
        rows: For each tensor whose rows it holds, their numbers: an array of this shape.
        unions: By key, what the numbers stand for.
        given: The number of the input of ``forward`` that it is, passed on unchanged in its last axis; -1
            for any other.
        weight: Whether it is a parameter, or a part of one.
        active: Whether it went through an activation, or a softmax, since its projection.
        vague: Whether it went through a function that nobody knows.
        spent: Whether an attention, or a gate, has taken its rows in: they have no part in another one.
        result: The role of a layer that takes it: ``o`` behind an attention, ``down`` behind a gate.
        product: The product it is, where it is one.
        normal: Along which side of the product a softmax went; -1 for none.
        of: What it was made of.
    """

    shape: tuple[int, ...]
    rows: Rows = field(default_factory=dict)
    unions: Mapping[Key, Unions] = field(default_factory=dict)
    given: int = -1
    weight: bool = False
    active: bool = False
    vague: bool = False
    spent: bool = False
    result: str = ""
    product: Product | None = None
    normal: int = -1
    of: tuple[Trace, ...] = ()

    @property
    def sources(self) -> list[Key]:
        """The keys of the rows it holds."""
        return [key for key in self.rows if key[0] == "rows"]

    def moved(self, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Trace:
        """Return what a change of shape or a selection makes of it.

        Raises:
            Untold: The change does not fit the shape.
        """
        if self.vague:
            raise Untold
        try:
            shape = change(np.broadcast_to(_ZERO, self.shape)).shape
            rows = {key: change(numbers) for key, numbers in self.rows.items()}
        except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError) as error:
            raise Untold from error
        if math.prod(shape) > LARGEST:
            raise Untold
        return self.changed(shape=tuple(map(int, shape)), rows=rows)

    def changed(self, **values: Any) -> Trace:
        """Return the same with other attributes, made of this one."""
        kept = values.get("shape", self.shape)[-1:] == self.shape[-1:]
        return replace(self, **{"of": (self,), "given": self.given if kept else -1, **values})

    def bare(self, shape: tuple[int, ...] | None = None) -> Trace:
        """Return a tensor of the same shape, or another, that holds nobody's rows."""
        return Trace(self.shape if shape is None else shape)

    def joined(self, others: Iterable[Trace | None]) -> Trace | None:
        """Return what is one of several tensors: this one, where all of them hold the same rows."""
        if all(other is not None and _alike(self, other) for other in others):
            return self
        return None


def _alike(one: Trace, other: Trace) -> bool:
    if one is other:
        return True
    same = (one.active, one.vague, one.spent, one.result, one.normal) == (
        other.active,
        other.vague,
        other.spent,
        other.result,
        other.normal,
    )
    if not same or one.shape != other.shape or one.product is not other.product:
        return False
    return one.rows.keys() == other.rows.keys() and all(
        np.array_equal(numbers, other.rows[key]) for key, numbers in one.rows.items()
    )


def numbered(key: Key, shape: tuple[int, ...], axis: int, unions: Unions) -> Trace:
    """Return a tensor whose rows along an axis are those of the tensor that a key names, in order."""
    line = np.arange(shape[axis], dtype=np.int32).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return Trace(shape, {key: np.broadcast_to(line, shape)}, {key: unions})


def as_tensor(trace: Trace) -> Tensor:
    """Return the value that stands for a trace."""
    return Tensor(trace=trace)


def trace_of(value: Any) -> Trace | None:
    """Return the trace of a value; None where it has none."""
    found = value.trace if isinstance(value, Tensor) else None
    return found if isinstance(found, Trace) else None


def varies(numbers: Any, axis: int) -> bool:
    """Tell whether numbers change along an axis."""
    return numbers is not None and not (numbers == numbers.take([0], axis)).all()


def spread(array: Any, shape: tuple[int, ...]) -> Any:
    """Repeat an array along axes of size 1."""
    return np.broadcast_to(array, shape)
