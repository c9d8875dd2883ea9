"""Samples of values, before and after: what a small histogram shows of a tensor and of its leaf."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_switcheroo.tensors import read_array

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome

__all__ = ["Sample", "samples"]

_MOST = 4096  # elements of a sample
_BINS = 24
_SEED = 0
_AT_ONCE = 1 << 20  # elements that are looked at together, to bound memory

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """What some elements of a tensor, evenly spaced, show of its values.

    Attributes:
        size: How many elements the tensor has.
        taken: How many of them the sample has.
        nans: NaNs in the whole tensor.
        infinite: Infinities in the whole tensor.
        low: The smallest finite value of the whole tensor; 0 where there is none.
        high: The largest.
        mean: The mean of the finite values of the sample.
        deviation: Their standard deviation.
        counts: How many values of the sample lie in each of equal bins between ``low`` and ``high``.
    """

    size: int
    taken: int
    nans: int
    infinite: int
    low: float
    high: float
    mean: float
    deviation: float
    counts: tuple[int, ...]

    def record(self) -> list[Any]:
        """Return the facts with JSON's types, which have no infinity."""
        facts = (self.low, self.high, self.mean, self.deviation)
        shown = [float(f"{value:.5g}") if math.isfinite(value) else None for value in facts]
        return [self.size, self.taken, self.nans, self.infinite, *shown, list(self.counts)]


def samples(plan: Outcome, state: Mapping[str, Any]) -> Mapping[tuple[str, str], Sample]:
    """Sample each tensor and leaf of a plan, as ``("tensor", name)`` and ``("leaf", path)``.

    Every tensor is read once, and every move is carried out; memory is bounded by the largest leaf with its
    sources.
    """
    found: dict[tuple[str, str], Sample] = {}
    for move in plan.moves:
        before = tuple(read_array(state[name]) for name in move.sources)
        found.update(_named("tensor", zip(move.sources, before, strict=True)))
        with np.errstate(over="ignore", invalid="ignore"):
            after = move(before)
        found.update(_named("leaf", zip(move.leaves, after, strict=True)))
    for name in (*plan.doubted, *plan.unexpected, *plan.dropped):
        found["tensor", name] = sampled(read_array(state[name]))
    return found


def _named(which: str, arrays: Iterable[tuple[str, Array]]) -> Mapping[tuple[str, str], Sample]:
    return {(which, name): sampled(array) for name, array in arrays}


def sampled(array: Array) -> Sample:
    """Take a sample of an array: evenly spaced elements from a seeded first one.

    A complex number counts as its absolute value.

    >>> found = sampled(np.array([0.0, 1.0, np.nan, np.inf], "float32"))
    >>> found.nans, found.infinite, found.low, found.high, sum(found.counts)
    (1, 1, 0.0, 1.0, 2)
    """
    array = np.asarray(array)
    nans = infinite = 0
    low, high = math.inf, -math.inf
    for start in range(0, array.size, _AT_ONCE):
        part = _real(array.flat[start : start + _AT_ONCE])
        finite = part[np.isfinite(part)]
        not_numbers = int(np.isnan(part).sum())
        nans, infinite = nans + not_numbers, infinite + part.size - finite.size - not_numbers
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        low = high = 0.0
    step = max(1, -(-array.size // _MOST))
    first = int(np.random.default_rng(_SEED).integers(step))
    taken = _real(array.flat[first::step])
    finite = taken[np.isfinite(taken)]
    scale = max(abs(low), abs(high)) or 1.0  # in units of the largest value nothing overflows
    units = finite / scale
    spread = high / scale - low / scale
    places = _BINS * ((units - low / scale) / spread) if spread > 0 else units * 0
    counts = np.bincount(np.clip(places.astype(int), 0, _BINS - 1), minlength=_BINS)
    mean, deviation = (float(units.mean()), float(units.std())) if finite.size else (0.0, 0.0)
    return Sample(
        array.size,
        taken.size,
        nans,
        infinite,
        low,
        high,
        mean * scale,
        deviation * scale,
        tuple(map(int, counts)),
    )


def _real(values: Array) -> Array:
    return np.abs(values).astype(np.float64) if values.dtype.kind == "c" else values.astype(np.float64)
