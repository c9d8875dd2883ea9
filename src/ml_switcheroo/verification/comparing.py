"""Two activations against each other: by how much they differ, and what the difference looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml_switcheroo.ops import Array
from ml_switcheroo.verification.readings import AS_IT_IS, Reading, fitted

__all__ = ["Compared", "compare", "relative_error", "tolerance_of"]


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of comparing an activation.

    Attributes:
        error: The largest difference over the largest value in PyTorch; None where nothing can be compared.
        note: How it was read, or what the difference looks like, or why nothing can be compared.
        open: Whether several readings are possible and none of them agrees: the axes are not known.
    """

    error: float | None
    note: str = ""
    open: bool = False


def tolerance_of(arrays: Sequence[Array]) -> float:
    """Return the error that the coarsest dtype among some arrays explains.

    >>> tolerance_of([np.zeros(2, "f4")])
    0.0001
    """
    sizes = {array.dtype.itemsize for array in arrays if array.dtype.kind in "fV"}
    return 1e-4 if not sizes or min(sizes) >= 4 else 2e-2


def relative_error(mine: Array, other: Array) -> float:
    """Return the largest difference over the largest finite value of the first.

    NaN agrees with NaN, and an infinity with itself; otherwise they differ infinitely.

    >>> relative_error(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    0.25
    """
    if mine.size == 0:
        return 0.0
    if mine.dtype.kind in "biu" and other.dtype.kind in "biu":
        return 0.0 if np.array_equal(mine, other) else float(np.max(mine != other))
    wide = np.complex128 if "c" in (mine.dtype.kind, other.dtype.kind) else np.float64
    a, b = mine.astype(wide), other.astype(wide)
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    difference = float(np.abs(a[finite] - b[finite]).max())
    largest = float(np.abs(a[finite]).max())
    return difference / largest if largest else (0.0 if difference == 0 else float("inf"))


def compare(mine: Array, other: Array, ways: Sequence[Reading], tolerance: float) -> Compared:
    """Compare an activation under each of the readings that are possible.

    Where several are, the values decide: that one of them agrees is no coincidence. Where none agrees, it
    is not known which of them is meant.
    """
    tried = [(way, made) for way in ways if (made := fitted(way, mine, other)) is not None]
    if not tried:
        return Compared(None, f"shapes {_shape(mine)} and {_shape(other)} cannot be compared")
    errors = [relative_error(made, other) for _, made in tried]
    best = int(np.argmin(errors))
    way, made = tried[best]
    if errors[best] <= tolerance:
        return Compared(errors[best], f"read as {way.text}" if way is not AS_IT_IS and way.text else "")
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
    """Say so where both hold the same numbers in another order."""
    if mine.dtype.kind not in "f" or mine.size < 2 or not np.isfinite(mine).all():
        return ""
    a, b = np.sort(mine.ravel()), np.sort(other.ravel())
    if a[0] != a[-1] and relative_error(a, b) <= tolerance:
        return "the same numbers in another order"
    return ""
