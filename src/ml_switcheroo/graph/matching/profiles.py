"""Compare what two programs compute, whatever the order of their axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ml_switcheroo.graph.matching.oracles import TOLERANCE

__all__ = ["Profiles", "agree", "columns_between", "outputs_agree", "profile", "rows_among"]

Array = np.ndarray[Any, Any]

_MOST_ROWS = 1024
_MOST_AXES = 5


def profile(rows: Array) -> Array:
    """Return what ``(rows, columns)`` are, whatever the order of the rows and of the columns."""
    return np.sort(_row_profiles(rows))


def _row_profiles(rows: Array) -> Array:
    """Return a number for each row that does not depend on the order of its columns."""
    found: Array = np.sort(rows, axis=1) @ _weights(rows.shape[1])
    return found


@lru_cache(64)
def _weights(count: int) -> Array:
    made: Array = np.random.default_rng(count).normal(size=count) / max(np.sqrt(count), 1)
    return made


def agree(one: Array, other: Array, tolerance: float = TOLERANCE) -> bool:
    """Tell whether two arrays are equal but for rounding."""
    if one.shape != other.shape:
        return False
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(other)):
        return False
    largest = np.abs(one[finite]).max(initial=0.0)
    return bool(np.abs(one[finite] - other[finite]).max(initial=0.0) <= tolerance * max(largest, 1e-6))


class Profiles:
    """Numbers for profiles: equal ones have the same number."""

    def __init__(self) -> None:
        self._kept: dict[int, list[tuple[int, Array]]] = {}
        self._count = 0

    def number(self, found: Array) -> int:
        """Return the number of a profile."""
        kept = self._kept.setdefault(len(found), [])
        for number, other in kept:
            if agree(other, found):
                return number
        self._count += 1
        kept.append((self._count, found))
        return self._count


def columns_between(source: Array, target: Array, orders: Iterable[Array] = ()) -> Array | None:
    """Return which column of the source each column of the target is, of ``(rows, columns)`` in any order.

    Args:
        source: The rows of the source.
        target: Those of the target.
        orders: The orders that are likely, where the columns are not in order.

    Returns:
        In order wherever that is right; an empty array where nothing is.
    """
    mine, theirs = _row_profiles(source), _row_profiles(target)
    order, other = np.argsort(mine, kind="stable"), np.argsort(theirs, kind="stable")
    step = max(len(order) // _MOST_ROWS, 1)
    here, there = source[order[::step]], target[other[::step]]
    if agree(here, there):
        return None
    for likely in orders:
        if agree(here[:, likely], there):
            return likely
    weights = np.random.default_rng(len(here)).normal(size=len(here))
    found = np.empty(here.shape[1], np.int64)
    found[np.argsort(weights @ there, kind="stable")] = np.argsort(weights @ here, kind="stable")
    return found if agree(here[:, found], there) else np.zeros(0, np.int64)


def rows_among(few: Array, many: Array) -> Array | None:
    """Return for each row the one among many that it is, whatever the order of the columns.

    Returns:
        None where one is none of them, or fewer of them than there are.
    """
    if few.shape[1] != many.shape[1] or len(few) >= len(many):
        return None
    mine, theirs = _row_profiles(few), _row_profiles(many)
    room = TOLERANCE * max(np.abs(theirs).max(initial=0.0), 1e-6)
    found, order = np.zeros(len(few), np.int64), np.argsort(theirs, kind="stable")
    next_one = 0
    for one in np.argsort(mine, kind="stable"):
        while next_one < len(many) and theirs[order[next_one]] < mine[one] - room:
            next_one += 1
        if next_one == len(many) or theirs[order[next_one]] > mine[one] + room:
            return None
        found[one] = order[next_one]
        next_one += 1
    return found


def outputs_agree(source: Array, target: Array) -> bool:
    """Tell whether two outputs are equal, but for axes of size 1 and where the channels are.

    Axes in any other order count only where their sizes leave no other.
    """
    here, there = source.squeeze(), target.squeeze()
    if sorted(here.shape) != sorted(there.shape) or here.ndim > _MOST_AXES:
        return False
    return any(agree(here.transpose(axes), there) for axes in _orders(here.shape, there.shape))


def _orders(here: Sequence[int], there: Sequence[int]) -> Iterator[tuple[int, ...]]:
    rank = len(here)
    plain = tuple(range(rank))
    if tuple(here) == tuple(there):
        yield plain
    if rank > 2:  # the channels behind, or before, what was a batch and an image
        for moved in (
            (0, *plain[2:], 1),
            (0, rank - 1, *plain[1:-1]),
            (*plain[1:], 0),
            (rank - 1, *plain[:-1]),
        ):
            if _permuted(here, moved) == tuple(there):
                yield moved
    if len(set(here)) == rank:
        yield tuple(here.index(size) for size in there)


def _permuted(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in axes)
