"""Read and write safetensors files.

Layout (https://github.com/huggingface/safetensors, README, "Format"): 8 bytes, little-endian: the size of the
header; the header, JSON: name -> dtype, shape, data_offsets, and ``__metadata__``; then the tensors' bytes in
C order, little-endian, without gaps.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor, StridedTensor
from ml_switcheroo.formats.files import MappedBytes, SourceFile
from ml_switcheroo.formats.leaves import LeafCheck
from ml_switcheroo.formats.output import AtomicFile
from ml_switcheroo.formats.stream import Leaf, copy_leaves
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["MAX_HEADER", "layout_safetensors", "open_safetensors", "write_safetensors"]

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


def layout_safetensors(
    specs: Mapping[str, TensorSpec], metadata: Mapping[str, str]
) -> tuple[bytes, dict[str, int], int]:
    """Plan a file: the bytes up to the first tensor, each tensor's offset in the file, and the file's size.

    Wide dtypes come first, so that every tensor lies aligned; names of one width keep their order.

    Raises:
        UsageError: A dtype that the format does not have, a reserved name, or metadata that is no text.

    >>> specs = {"a": TensorSpec((3,), "int8"), "b": TensorSpec((), "float32")}
    >>> head, offsets, size = layout_safetensors(specs, {})
    >>> offsets["b"] - len(head), offsets["a"] - len(head), size - len(head)
    (0, 4, 7)
    """
    wrong = sorted(
        f"{name}: {spec.dtype}" for name, spec in specs.items() if not DTYPES[spec.dtype].safetensors
    )
    if wrong:
        raise UsageError(f"safetensors has no such dtype: {', '.join(wrong)}")
    if "__metadata__" in specs:
        raise UsageError("a tensor cannot have the name __metadata__ in a safetensors file")
    if not all(isinstance(key, str) and isinstance(value, str) for key, value in metadata.items()):
        raise UsageError("the metadata of a safetensors file must be text")
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    begins: dict[str, int] = {}
    position = 0
    for name in sorted(specs, key=lambda name: -DTYPES[specs[name].dtype].itemsize):
        spec = specs[name]
        begins[name] = position
        position += spec.nbytes
        offsets = [begins[name], position]
        code = DTYPES[spec.dtype].safetensors
        header[name] = {"dtype": code, "shape": list(spec.shape), "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise UsageError(f"a safetensors header of {len(text)} bytes; at most {MAX_HEADER} are allowed")
    head = _SIZE.pack(len(text)) + text
    return head, {name: len(head) + begin for name, begin in begins.items()}, len(head) + position


def write_safetensors(
    path: str | Path,
    specs: Mapping[str, TensorSpec],
    leaves: Iterable[tuple[str, Leaf]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file leaf by leaf, in any order; the file appears when it is complete.

    Args:
        path: The file; one that exists is replaced at the end, or stays as it is if anything fails.
        specs: Every leaf with its shape and dtype; their order is the file's.
        leaves: Each leaf once: an array (transposed, sliced, read-only: as it is), or a
            :class:`~ml_switcheroo.formats.deferred.Deferred` one, which is made strip by strip.
        metadata: Text for the header.

    Raises:
        UsageError: A leaf is missing, unknown, there twice, or not of the shape and dtype of its spec.
        CheckpointError: The file cannot be written.
    """
    head, offsets, size = layout_safetensors(specs, metadata or {})
    check = LeafCheck(specs)
    with AtomicFile(path, size) as out:
        out.write(head, 0)
        copy_leaves(((name, leaf, offsets[name]) for name, leaf in check.each(leaves)), out)
        check.finish()
