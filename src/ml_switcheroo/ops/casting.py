"""What a change of dtype loses: kinds of numbers that cannot hold others, and values that do not survive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from ml_switcheroo.ops.op import Array

__all__ = ["Losses", "losses", "may_lose", "refusal", "stays"]

_FLOATING, _INTEGER = "float", "integer"


@dataclass(frozen=True, slots=True)
class Losses:
    """How many values of one array did not survive a cast.

    Attributes:
        infinite: Finite values that became infinite.
        undefined: Finite values that became NaN.
        zero: Other values than 0 that became 0.
        wrapped: Integers that became others.
    """

    infinite: int = 0
    undefined: int = 0
    zero: int = 0
    wrapped: int = 0

    def __bool__(self) -> bool:
        return bool(self.infinite or self.undefined or self.zero or self.wrapped)

    def __add__(self, other: Losses) -> Losses:
        return Losses(
            self.infinite + other.infinite,
            self.undefined + other.undefined,
            self.zero + other.zero,
            self.wrapped + other.wrapped,
        )

    def __str__(self) -> str:
        words = {
            "become infinite": self.infinite,
            "become NaN": self.undefined,
            "become 0": self.zero,
            "become other integers": self.wrapped,
        }
        return ", ".join(f"{count:,} {word}" for word, count in words.items() if count)


@cache
def refusal(before: np.dtype[Any], after: np.dtype[Any]) -> str:
    """Say why no value of one dtype can be trusted to survive as another; empty where most do.

    >>> refusal(np.dtype("float32"), np.dtype("int8"))
    'an integer has no place for fractions'
    >>> refusal(np.dtype("float32"), np.dtype("float16"))
    ''
    """
    mine, other = _kind(before), _kind(after)
    if mine == "complex" and other != "complex":
        return "a real number has no place for the imaginary part"
    if mine == _FLOATING and other == _INTEGER:
        return "an integer has no place for fractions"
    if other == "bool" and mine != "bool":
        return "a bool has no place for numbers"
    return ""


def stays(before: np.dtype[Any], default: np.dtype[Any]) -> bool:
    """Tell whether numbers keep their dtype in a leaf whose own is a default that nobody asked for.

    >>> stays(np.dtype("float16"), np.dtype("float32")), stays(np.dtype("float64"), np.dtype("float32"))
    (True, False)
    """
    return default == np.float32 and before.itemsize == 2 and _kind(before) == _FLOATING


@cache
def may_lose(before: np.dtype[Any], after: np.dtype[Any]) -> bool:
    """Tell whether a finite value of one dtype may be infinite, NaN, 0 or another integer in the other."""
    mine, other = _kind(before), _kind(after)
    if mine == "bool" or before == after:
        return False
    if mine == _INTEGER and other == _INTEGER:
        low, high = np.iinfo(before), np.iinfo(after)
        return low.min < high.min or low.max > high.max
    if mine == _INTEGER:
        return int(np.iinfo(before).max) > float(_limits(after)[1])
    (small, large), (smallest, largest) = _limits(before), _limits(after)
    return small < smallest or large > largest


def losses(before: Array, after: Array) -> Losses:
    """Count what a cast has lost, of an array and what became of it.

    >>> with np.errstate(over="ignore"):
    ...     print(losses(np.float32([7e4, 1e-9, 1]), np.float32([7e4, 1e-9, 1]).astype("float16")))
    1 become infinite, 1 become 0
    """
    if not may_lose(before.dtype, after.dtype):
        return Losses()
    if _kind(after.dtype) == _INTEGER:
        return Losses(wrapped=int(np.count_nonzero(after.astype(before.dtype) != before)))
    odd = ~_is_finite(after)
    zero = _is_zero(after)
    if not odd.any() and int(zero.sum()) == int(np.count_nonzero(_is_zero(before))):
        return Losses()  # nearly always: nothing more is looked at
    known = _is_finite(before)
    undefined = np.isnan(after) & known
    return Losses(
        infinite=int(np.count_nonzero(odd & known & ~undefined)),
        undefined=int(np.count_nonzero(undefined)),
        zero=int(np.count_nonzero(zero & ~_is_zero(before))),
    )


def _kind(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "c":
        return "complex"
    if dtype.kind == "b":
        return "bool"
    return _INTEGER if dtype.kind in "iu" or dtype.name in ("int4", "uint4") else _FLOATING


@cache
def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the smallest positive and the largest finite value of a floating-point dtype."""
    found: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return float(found.smallest_subnormal), float(found.max)


_EXPONENTS = {"float16": 0x7C00, "bfloat16": 0x7F80}
"""The bits of the exponent: all of them are set in what is infinite or NaN (IEEE 754; bfloat16 alike)."""


def _is_finite(array: Array) -> Array:
    mask = _EXPONENTS.get(array.dtype.name)
    if mask is None:
        return np.asarray(np.isfinite(array))
    return np.asarray((_bits(array) & mask) != mask)


def _is_zero(array: Array) -> Array:
    if array.dtype.name in _EXPONENTS:
        return np.asarray((_bits(array) & 0x7FFF) == 0)
    return np.asarray(array == 0)


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(np.uint16).reshape(array.shape)
