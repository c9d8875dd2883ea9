"""The dtypes of torch by name, and which one an operation gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ml_switcheroo.graph.of_source.drawn import Limits, Unlowered
from ml_switcheroo.sources.static.python.values import Builtin, External
from ml_switcheroo.tensors import DTYPES

__all__ = ["FLOAT", "by_name", "category", "limits", "of_number", "promoted", "torch_name"]

FLOAT = "float32"
"""What torch makes by default."""

_ALSO = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "cfloat": "complex64",
    "cdouble": "complex128",
    "complex32": "complex64",
    "FloatTensor": "float32",
    "DoubleTensor": "float64",
    "HalfTensor": "float16",
    "BFloat16Tensor": "bfloat16",
    "LongTensor": "int64",
    "IntTensor": "int32",
    "BoolTensor": "bool",
}
_OF_PYTHON = {"float": FLOAT, "int": "int64", "bool": "bool", "complex": "complex64"}
_ORDER = ("bool", "int", "float", "complex")
_WIDTH = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")


def by_name(value: Any) -> str | None:
    """Return the dtype that a value of the program names; None where it names none."""
    if isinstance(value, Builtin):
        return _OF_PYTHON.get(value.name)
    if isinstance(value, External):
        head, _, last = value.name.rpartition(".")
        if head in ("torch", "torch.cuda", "numpy"):
            name = _ALSO.get(last, last)
            return name if name in DTYPES else None
    if isinstance(value, str):
        last = value.rpartition(".")[2]
        name = _ALSO.get(last, last)
        return name if name in DTYPES else None
    return None


def torch_name(dtype: str) -> External:
    """Return a dtype as a value of the program."""
    return External(f"torch.{dtype}")


def category(dtype: str) -> str:
    """Return ``bool``, ``int``, ``float`` or ``complex``."""
    if dtype.startswith("uint"):
        return "int"
    if dtype.startswith("bfloat"):
        return "float"
    return next(word for word in _ORDER if dtype.startswith(word))


def of_number(value: bool | int | float | complex) -> str:
    """Return the dtype that torch gives to a number of Python."""
    return _OF_PYTHON[type(value).__name__]


def promoted(tensors: Sequence[tuple[str, bool]], numbers: Sequence[str] = ()) -> str:
    """Return the dtype of what is computed from tensors (each with whether it has axes) and numbers.

    >>> promoted([("int64", True), ("float16", False)], ["float32"])
    'float16'
    """
    found = ""
    for level in (
        [dtype for dtype, axes in tensors if axes],
        [dtype for dtype, axes in tensors if not axes],
        list(numbers),
    ):
        wide = ""
        for dtype in level:
            wide = _wider(wide, dtype)
        if wide and (not found or _ORDER.index(category(wide)) > _ORDER.index(category(found))):
            found = wide
    return found or FLOAT


def _wider(one: str, other: str) -> str:
    if not one or one == other:
        return other
    kinds = category(one), category(other)
    if kinds[0] != kinds[1]:
        return one if _ORDER.index(kinds[0]) > _ORDER.index(kinds[1]) else other
    if kinds[0] == "int":
        return max(one, other, key=_WIDTH.index)
    if {one, other} == {"float16", "bfloat16"}:
        return FLOAT
    return max(one, other, key=lambda name: DTYPES[name].itemsize)


def limits(dtype: str) -> Limits:
    """Return what ``torch.finfo`` or ``torch.iinfo`` says."""
    kind = DTYPES[dtype].numpy
    if category(dtype) == "int":
        whole = np.iinfo(kind)
        return Limits(int(whole.min), int(whole.max), bits=int(whole.bits))
    if category(dtype) != "float":
        raise Unlowered(f"limits of {dtype}")
    real: Any = ml_dtypes.finfo(kind)  # type: ignore[no-untyped-call]
    tiny = float(real.smallest_normal)
    return Limits(float(real.min), float(real.max), float(real.eps), tiny, tiny, int(real.bits))
