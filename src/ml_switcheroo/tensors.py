"""What a tensor is before anyone reads its bytes: a shape and a dtype."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ml_switcheroo.errors import UsageError

__all__ = [
    "DTYPES",
    "DType",
    "TensorSpec",
    "as_numpy",
    "dtype_named",
    "dtype_of",
    "read_array",
    "spec_of",
    "to_tensor",
]


@dataclass(frozen=True, slots=True)
class DType:
    """One row of the dtype table.

    Attributes:
        name: The name torch and ``ml_dtypes`` share, such as ``bfloat16``.
        numpy: The NumPy dtype that holds the same bits.
        safetensors: The code in a safetensors header; empty where the format has none.
        storage: The class of ``torch`` that a pickled checkpoint names for it; empty where
            torch writes such tensors as an ``UntypedStorage`` with a dtype of its own.
    """

    name: str
    numpy: np.dtype[Any]
    safetensors: str
    storage: str

    @property
    def itemsize(self) -> int:
        """Size of one element in bytes."""
        return int(self.numpy.itemsize)


def _row(name: str, scalar: Any, safetensors: str, storage: str) -> DType:
    return DType(name, np.dtype(scalar), safetensors, storage)


# Codes: https://github.com/huggingface/safetensors (README, "Format"). Storages: torch/storage.py.
DTYPES: Mapping[str, DType] = {
    row.name: row
    for row in (
        _row("float64", np.float64, "F64", "DoubleStorage"),
        _row("float32", np.float32, "F32", "FloatStorage"),
        _row("float16", np.float16, "F16", "HalfStorage"),
        _row("bfloat16", ml_dtypes.bfloat16, "BF16", "BFloat16Storage"),
        _row("float8_e4m3fn", ml_dtypes.float8_e4m3fn, "F8_E4M3", ""),
        _row("float8_e5m2", ml_dtypes.float8_e5m2, "F8_E5M2", ""),
        _row("float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, "F8_E4M3FNUZ", ""),
        _row("float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, "F8_E5M2FNUZ", ""),
        _row("float8_e8m0fnu", ml_dtypes.float8_e8m0fnu, "F8_E8M0", ""),
        _row("int64", np.int64, "I64", "LongStorage"),
        _row("int32", np.int32, "I32", "IntStorage"),
        _row("int16", np.int16, "I16", "ShortStorage"),
        _row("int8", np.int8, "I8", "CharStorage"),
        _row("uint64", np.uint64, "U64", ""),
        _row("uint32", np.uint32, "U32", ""),
        _row("uint16", np.uint16, "U16", ""),
        _row("uint8", np.uint8, "U8", "ByteStorage"),
        _row("bool", np.bool_, "BOOL", "BoolStorage"),
        _row("complex64", np.complex64, "C64", "ComplexFloatStorage"),
        _row("complex128", np.complex128, "", "ComplexDoubleStorage"),
    )
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """The shape and dtype of a tensor.

    Attributes:
        shape: Sizes of the axes.
        dtype: A name from :data:`DTYPES`.

    >>> TensorSpec((768, 10), "float32")
    float32[768,10]
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * DTYPES[self.dtype].itemsize

    def __repr__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


def dtype_of(value: Any) -> str:
    """Name the dtype of an array, a torch tensor or anything else with a ``dtype``.

    Raises:
        UsageError: The dtype has no row in :data:`DTYPES` (strings, objects, quantised).
    """
    dtype = value.dtype
    # NumPy, JAX and TensorFlow have dtype.name; torch and MLX print "torch.int8", "mlx.core.int8".
    name = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
    if name not in DTYPES:
        raise UsageError(f"dtype {name} is not one of: {', '.join(DTYPES)}")
    return str(name)


def dtype_named(dtype: Any) -> str | None:
    """Return the name of a dtype that is given by name, or as NumPy, torch, JAX, Keras or MLX has it.

    >>> dtype_named("bfloat16"), dtype_named(np.float16), dtype_named(np.dtype("int8")), dtype_named(None)
    ('bfloat16', 'float16', 'int8', None)
    """
    if dtype is None or isinstance(dtype, str):
        return dtype
    if isinstance(dtype, type):  # np.float16, jnp.bfloat16
        return np.dtype(dtype).name
    return str(getattr(dtype, "name", None) or str(dtype).rpartition(".")[2])


def spec_of(value: Any) -> TensorSpec:
    """Return the spec of an array, tensor, ``ShapeDtypeStruct``, spec or bare shape.

    A bare shape (a tuple or list of integers) is taken as float32.
    """
    if isinstance(value, TensorSpec):
        return value
    if isinstance(value, tuple | list):
        return TensorSpec(tuple(int(size) for size in value), "float32")
    return TensorSpec(tuple(int(size) for size in value.shape), dtype_of(value))


def place_of(value: Any) -> tuple[object, ...] | None:
    """Return where the bytes of a tensor or array lie, and how they are read; None where that is unknown."""
    if callable(getattr(value, "data_ptr", None)):  # a torch tensor; one on the meta device has no bytes
        pointer = 0 if getattr(value, "is_meta", False) else value.data_ptr()
        return (pointer, tuple(value.shape), tuple(value.stride()), value.dtype) if pointer else None
    if isinstance(value, np.ndarray):
        where = value.__array_interface__["data"][0]
        return (where, value.shape, value.strides, value.dtype) if value.size else None
    return None


def as_numpy(value: Any) -> np.ndarray[Any, Any]:
    """Return an array or a torch tensor (any device, bf16, ``requires_grad``) as NumPy, bit for bit.

    Torch is not imported: a tensor is recognised by its ``detach``, and then torch is loaded.
    """
    if not hasattr(value, "detach"):
        return np.asarray(value)
    tensor = value.detach().cpu()
    dtype = DTYPES[dtype_of(tensor)].numpy
    if dtype.isbuiltin == 1:
        return np.asarray(tensor.resolve_conj().resolve_neg().numpy())
    # torch hands no bf16 or fp8 to NumPy; the same bytes go through as integers.
    integer = getattr(sys.modules["torch"], f"int{8 * dtype.itemsize}")
    return np.asarray(tensor.contiguous().view(integer).numpy()).view(dtype)


def read_array(value: Any) -> np.ndarray[Any, Any]:
    """Return an array, a torch tensor or the lazy tensor of a checkpoint as NumPy, bit for bit."""
    return np.asarray(value.read()) if hasattr(value, "read") else as_numpy(value)


def to_tensor(array: np.ndarray[Any, Any], *, owned: bool = False) -> Any:
    """Return an array as a torch tensor, bit for bit; torch is imported already if a caller wants one.

    Args:
        array: The array.
        owned: Whether nothing else uses its memory: then the tensor keeps using it.
    """
    torch = sys.modules["torch"]
    whole = np.ascontiguousarray(array)
    whole = whole if owned else whole.copy()
    if whole.dtype.isbuiltin == 1:
        return torch.from_numpy(whole).reshape(array.shape)
    # NumPy hands no bf16 or fp8 to torch; the same bytes go through as integers.
    integers = torch.from_numpy(whole.view(f"int{8 * whole.dtype.itemsize}"))
    return integers.view(getattr(torch, dtype_of(whole))).reshape(array.shape)
