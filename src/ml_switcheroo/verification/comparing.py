"""Compare two activations: how far they differ, and what the difference looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ml_switcheroo.ops import Array
from ml_switcheroo.verification.readings import AS_IT_IS, Reading, fitted

__all__ = ["Compared", "Measured", "compare", "measured", "relative_error", "tolerance_of"]


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of comparing an activation.

    Attributes:
        error: As :class:`Measured` has it; None where nothing can be compared.
        note: How it was read, or what the difference looks like, or why nothing can be compared.
        open: Whether several readings are possible and none of them agrees: the axes are not known.
        weak: Why agreement proves little; empty if it proves something.
    """

    error: float | None
    note: str = ""
    open: bool = False
    weak: str = ""


def tolerance_of(arrays: Sequence[Array]) -> float:
    """Return the error that the coarsest dtype among some arrays explains.

    >>> tolerance_of([np.zeros(2, "f4")])
    0.0001
    """
    sizes = {array.dtype.itemsize for array in arrays if array.dtype.kind in "fV"}
    return 1e-4 if not sizes or min(sizes) >= 4 else 2e-2


@dataclass(frozen=True, slots=True)
class Measured:
    """How far two arrays differ, and how much that proves.

    Attributes:
        error: The largest difference, divided by the spread of the values that are finite and not filled in
            by a mask. NaN agrees with NaN, and an infinity with itself; otherwise they differ infinitely.
        resolution: The smallest error that rounding does not hide.
        weak: Why agreement proves little; empty if it proves something.
    """

    error: float
    resolution: float = 0.0
    weak: str = ""


def relative_error(mine: Array, other: Array) -> float:
    """Return the error of :func:`measured`.

    >>> relative_error(np.array([1.0, 3.0]), np.array([1.0, 3.5]))
    0.25
    """
    return measured(mine, other).error


def measured(mine: Array, other: Array) -> Measured:
    """Measure how far an array differs from PyTorch's."""
    if mine.size == 0:
        return Measured(0.0, weak="it is empty")
    if mine.dtype.kind in "biu" and other.dtype.kind in "biu":
        error = 0.0 if np.array_equal(mine, other) else float(np.max(mine != other))
        return Measured(error, weak="it holds whole numbers, which different values can also give")
    wide = np.complex128 if "c" in (mine.dtype.kind, other.dtype.kind) else np.float64
    a, b = mine.astype(wide), other.astype(wide)
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return Measured(float("inf"))
    telling = finite & ~_masked(a, b, finite)
    if not telling.any():
        return Measured(0.0, weak=f"none of its {a.size} values is a finite number")
    a, b = a[telling], b[telling]
    difference, largest = float(np.abs(a - b).max()), float(np.abs(a).max())
    spread = min(largest, max(float(np.ptp(a.real)), float(np.ptp(a.imag))) or largest)
    if not spread:
        return Measured(0.0 if difference == 0 else float("inf"), weak="all of it is 0")
    rounding = largest * max(_rounding(array.dtype) for array in (mine, other))
    error = difference / (largest if difference <= rounding else spread)
    return Measured(error, rounding / spread, _weakness(mine, a))


def _masked(a: Array, b: Array, finite: Array) -> Array:
    """Return where a mask has filled in values: one value on both sides, far larger than all others.

    Masks are -1e4, -1e9 or the least number of the dtype.
    """
    with np.errstate(invalid="ignore"):
        large = finite & (np.abs(a) >= _MASK)
        same = large & (a == b)
    rest = np.abs(a[finite & ~large])
    filled = np.unique(a[same])
    if filled.size != 1 or not rest.size or np.abs(filled[0]) < _FAR * max(1.0, float(rest.max())):
        return np.zeros(a.shape, bool)
    return np.asarray(same)


_MASK, _FAR = 1e4, 100


def _rounding(dtype: Any) -> float:
    """Return how far rounding takes a value of a dtype, relative to it."""
    if dtype.kind in "biu":
        return 0.0
    found: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return float(found.eps) * (4 if dtype.itemsize >= _WIDE else 1)


_WIDE = 4


def _weakness(mine: Array, telling: Array) -> str:
    undefined = int(np.isnan(mine.astype(np.complex128 if mine.dtype.kind == "c" else np.float64)).sum())
    if undefined:
        return f"{undefined} of its {mine.size} values are NaN on both sides"
    if telling.size > 1 and not np.ptp(telling.real):
        return f"all of it is {telling[0].real:g}"
    return ""


def compare(mine: Array, other: Array, ways: Sequence[Reading], tolerance: float) -> Compared:
    """Compare an activation under each of the readings that are possible.

    If there are several, the values decide: it is no coincidence that one of them agrees. If none agrees,
    it is unknown which is right.
    """
    tried = [(way, made) for way in ways if (made := fitted(way, mine, other)) is not None]
    if not tried:
        return Compared(None, f"shapes {_shape(mine)} and {_shape(other)} cannot be compared")
    found = [measured(made, other) for _, made in tried]
    errors = [one.error for one in found]
    best = int(np.argmin(errors))
    way, made = tried[best]
    if errors[best] <= tolerance:
        weak = found[best].weak
        if not weak and found[best].resolution > tolerance:
            weak = f"rounding hides errors below {found[best].resolution:.1e}: all its values are alike"
        note = f"read as {way.text}" if way is not AS_IT_IS and way.text else ""
        return Compared(errors[best], note, weak=weak)
    note = _reordered(made, other, tolerance)
    if len({_key(made) for _, made in tried}) > 1:
        texts = " or ".join(f'"{way.text}"' if way.text else "as it is" for way, _ in tried)
        return Compared(
            errors[best], f"its axes are not known: {texts}" + (f"; {note}" if note else ""), True
        )
    return Compared(errors[best], note)


def _shape(array: Array) -> str:
    return f"({', '.join(map(str, array.shape))})"


def _key(array: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return array.shape, array.strides


def _reordered(mine: Array, other: Array, tolerance: float) -> str:
    """Say so if both hold the same numbers in another order."""
    if mine.dtype.kind not in "f" or mine.size < 2 or not np.isfinite(mine).all():
        return ""
    a, b = np.sort(mine.ravel()), np.sort(other.ravel())
    if a[0] != a[-1] and relative_error(a, b) <= tolerance:
        return "the same numbers in another order"
    return ""
