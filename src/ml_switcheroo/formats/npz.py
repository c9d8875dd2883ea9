"""Read NumPy's ``.npz`` archives and ``.npy`` files; arrays of objects are refused.

Layout: a zip archive with one ``.npy`` for each array (NumPy Enhancement Proposal 1). NumPy has no bf16 or
fp8 and keeps such bytes as ``V2`` and ``V1``; :mod:`ml_switcheroo.formats.npz_writer` notes the dtype in
the member's comment, which ``np.load`` ignores.
"""

from __future__ import annotations

import ast
import math
import struct
import sys
from typing import Any

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor, StridedTensor
from ml_switcheroo.formats.files import MappedBytes, SourceFile
from ml_switcheroo.formats.zip_directory import metadata_of, read_directory
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["NPY_MAGIC", "open_npy", "open_npz"]

NPY_MAGIC = b"\x93NUMPY"

_MAX_HEADER = 10_000
_CODES = {row.numpy.str[1:]: row.name for row in DTYPES.values() if row.numpy.isbuiltin == 1}


def open_npz(file: SourceFile) -> Checkpoint:
    """Open an ``.npz`` archive; only the headers of its arrays are read.

    Raises:
        CheckpointError: It is damaged, or holds an array of objects, text or records.
    """
    members, comment = read_directory(file)
    tensors: dict[str, LazyTensor] = {}
    for name, member in members.items():
        if not name.endswith(".npy"):
            raise member.fault("not an array of NumPy: an .npz archive has .npy members only")
        head = member.head(_MAX_HEADER + 12)
        try:
            spec, offset, fortran, swapped = _parse_header(head, member.nbytes, member.comment)
        except ValueError as error:
            raise member.fault(str(error)) from error
        tensors[name.removesuffix(".npy")] = StridedTensor(
            member, spec, offset=offset, strides=_fortran(spec) if fortran else None, swapped=swapped
        )
    if not tensors:
        raise CheckpointError(file.path, "the archive holds no array")
    return Checkpoint(file.path, "npz", tensors, metadata=metadata_of(comment), files=[file])


def open_npy(file: SourceFile) -> Checkpoint:
    """Open a ``.npy`` file: one array, named like the file.

    Raises:
        CheckpointError: It is damaged, or holds objects, text or records.
    """
    head = file.read(0, min(file.size, _MAX_HEADER + 12))
    try:
        spec, offset, fortran, swapped = _parse_header(head, file.size, "")
    except ValueError as error:
        raise CheckpointError(file.path, str(error), offset=0) from error
    region = MappedBytes(file, 0, file.size)
    strides = _fortran(spec) if fortran else None
    tensor = StridedTensor(region, spec, offset=offset, strides=strides, swapped=swapped)
    return Checkpoint(file.path, "npy", {file.path.stem: tensor}, files=[file])


def _parse_header(head: bytes, nbytes: int, note: str) -> tuple[TensorSpec, int, bool, bool]:
    """Return the spec, where the bytes begin, and whether they are in Fortran order or byte-swapped."""
    if head[:6] != NPY_MAGIC or len(head) < 12:
        raise ValueError("not an array of NumPy: its first bytes are others")
    form = struct.Struct("<H" if head[6] == 1 else "<I")
    (length,) = form.unpack_from(head, 8)
    start = 8 + form.size
    if head[6] not in (1, 2, 3) or length > _MAX_HEADER or start + length > len(head):
        raise ValueError(f"an array header of version {head[6]} and {length} bytes")
    try:
        header = ast.literal_eval(head[start : start + length].decode("utf-8").strip())
        descr, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ValueError("a damaged array header") from error
    spec = TensorSpec(_shape(shape), _dtype(descr, note))
    if start + length + spec.nbytes != nbytes:
        raise ValueError(f"{spec!r} has {spec.nbytes} bytes, {nbytes - start - length} are there")
    foreign = ">" if sys.byteorder == "little" else "<"
    return spec, start + length, bool(fortran), descr[:1] == foreign


def _shape(shape: Any) -> tuple[int, ...]:
    if type(shape) is not tuple or len(shape) > 64 or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("an array whose shape is none")
    if math.prod(n for n in shape if n) >= 2**59:
        raise ValueError(f"an array whose shape overflows: {shape}")
    return shape


def _dtype(descr: Any, note: str) -> str:
    if not isinstance(descr, str):
        raise ValueError("an array of records; only plain numbers are read")
    if note in DTYPES and descr[1:] == f"V{DTYPES[note].itemsize}":
        return note
    if descr[1:] in _CODES:
        return _CODES[descr[1:]]
    cure = ""
    if descr[1:] in ("V1", "V2"):
        cure = ": bf16 or fp8 that np.save has stripped of its dtype; save it as safetensors"
    raise ValueError(f"an array of dtype {descr[:20]!r}, which is not one of plain numbers{cure}")


def _fortran(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(math.prod(spec.shape[:axis]) for axis in range(len(spec.shape)))
