"""Read safetensors files.

Layout (https://github.com/huggingface/safetensors, README, "Format"): 8 bytes, little-endian: the size of the
header; the header, JSON: name -> dtype, shape, data_offsets, and ``__metadata__``; then the tensors' bytes in
C order, little-endian, without gaps.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor, StridedTensor
from ml_switcheroo.formats.files import MappedBytes, SourceFile
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["MAX_HEADER", "open_safetensors"]

MAX_HEADER = 100_000_000
"""Bytes that the reference implementation lets a header have."""

_CODES = {row.safetensors: row.name for row in DTYPES.values() if row.safetensors}
_SIZE = struct.Struct("<Q")
_FIELDS = {"dtype", "shape", "data_offsets"}


def open_safetensors(file: SourceFile) -> Checkpoint:
    """Open a safetensors file; only its header is read.

    Raises:
        CheckpointError: The header is damaged, or does not account for each byte of the file exactly once.
    """
    header, start = _read_header(file)
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(file.path, "__metadata__ is not a table of text", offset=_SIZE.size)
    entries = sorted(
        (_entry(file.path, name, entry) for name, entry in header.items()), key=lambda entry: entry[2:]
    )
    if not entries:
        raise CheckpointError(file.path, "the file holds no tensor", offset=_SIZE.size)
    tensors: dict[str, LazyTensor] = {}
    position = 0
    for name, spec, begin, end in entries:
        if begin != position:
            problem = "overlaps what comes before it" if begin < position else "leaves a gap before it"
            reason = f"tensor {name!r} {problem}: it begins at {begin}, expected {position}"
            raise CheckpointError(file.path, reason, offset=start + begin)
        if start + end > file.size:
            reason = f"tensor {name!r} ends at byte {start + end}, but the file has {file.size}"
            cure = "The file is cut off; copy or download it again."
            raise CheckpointError(file.path, reason, offset=file.size, cure=cure)
        tensors[name] = StridedTensor(MappedBytes(file, start + begin, end - begin), spec)
        position = end
    if start + position != file.size:
        reason = f"{file.size - start - position} bytes after the last tensor belong to none"
        raise CheckpointError(file.path, reason, offset=start + position)
    return Checkpoint(file.path, "safetensors", tensors, metadata=metadata, files=[file])


def _read_header(file: SourceFile) -> tuple[dict[str, Any], int]:
    if file.size < _SIZE.size:
        raise CheckpointError(file.path, f"{file.size} bytes are no checkpoint", offset=0)
    (nbytes,) = _SIZE.unpack(file.read(0, _SIZE.size))
    if nbytes > MAX_HEADER:
        reason = f"a safetensors header of {nbytes} bytes; at most {MAX_HEADER} are allowed"
        raise CheckpointError(file.path, reason, offset=0)
    if _SIZE.size + nbytes > file.size:
        reason = f"the header has {nbytes} bytes, but the file ends at {file.size}"
        raise CheckpointError(file.path, reason, offset=0, cure="Copy or download it again.")
    raw = file.read(_SIZE.size, nbytes)
    if raw[:1] != b"{":
        raise CheckpointError(file.path, "the safetensors header does not begin with {", offset=_SIZE.size)
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        reason = f"the safetensors header is no JSON: {str(error)[:200]}"
        raise CheckpointError(file.path, reason, offset=_SIZE.size) from error
    return header, _SIZE.size + nbytes


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        names = [name for name, _ in pairs]
        twice = (
            sorted({name for name in names if names.count(name) > 1}) if len(names) < 10_000 else ["a name"]
        )
        raise ValueError(f"{', '.join(twice[:5])} is there twice")
    return table


def _entry(path: Path, name: str, entry: Any) -> tuple[str, TensorSpec, int, int]:
    def fault(reason: str) -> CheckpointError:
        return CheckpointError(path, f"tensor {name[:200]!r}: {reason}", offset=_SIZE.size)

    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        raise fault("its header entry must have dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _CODES:
        raise fault(f"dtype {str(dtype)[:40]!r} is not one of {', '.join(sorted(_CODES))}")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2 or len(shape) > 64:
        raise fault("its shape or its offsets are no lists of sizes")
    spec = TensorSpec(tuple(shape), _CODES[dtype])
    if math.prod(size for size in shape if size) * DTYPES[spec.dtype].itemsize >= 2**63:
        raise fault(f"its shape {shape} overflows")
    begin, end = offsets
    if end - begin != spec.nbytes:
        raise fault(f"{spec!r} has {spec.nbytes} bytes, its offsets {begin} to {end} span {end - begin}")
    return name, spec, begin, end


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)
