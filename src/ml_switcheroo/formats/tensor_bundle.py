"""Read TensorFlow checkpoints without TensorFlow: ``model.index`` with ``model.data-00000-of-00001``.

Layout: the index is a table of LevelDB (``doc/table_format.md`` in its repository) from names to
``BundleEntryProto`` (``tensorflow/core/protobuf/tensor_bundle.proto``); the data files are the bytes of the
tensors in C order. TensorFlow writes the table uncompressed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor, StridedTensor
from ml_switcheroo.formats.files import MappedBytes, SourceFile
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["is_tensor_bundle", "open_tensor_bundle"]

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER = 48
_LARGEST = 2**28  # bytes of an index
_MOST_FILES = 10_000
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_STRING = 7

# tensorflow/core/framework/types.proto
_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 8: "complex64", 9: "int64",
    10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64",
    24: "float8_e5m2", 25: "float8_e4m3fn",
}  # fmt: skip


def is_tensor_bundle(file: SourceFile) -> bool:
    """Tell whether a file ends as a table of LevelDB does."""
    return file.size >= _FOOTER and file.read(file.size - 8, 8) == MAGIC


def open_tensor_bundle(file: SourceFile) -> Checkpoint:
    """Open a checkpoint of TensorFlow by its index; the data files are mapped.

    Names are those of the variables; of an object's checkpoint the paths of its objects, without the
    ``/.ATTRIBUTES/VARIABLE_VALUE`` at their end. Text, such as the graph of the objects, is among the extras.

    Raises:
        CheckpointError: It is damaged, a data file is missing, or a tensor is no plain one.
    """
    if file.size > _LARGEST:
        raise CheckpointError(file.path, f"an index of {file.size} bytes; at most {_LARGEST} are read")
    entries = dict(_table(file))
    header = _message(file, entries.pop(b"", b""))
    shards, order = _number(header, 1), _number(header, 2)
    if not 1 <= shards <= _MOST_FILES or order:
        raise CheckpointError(
            file.path, f"{shards} data files, byte order {order}: not an index that is read"
        )
    tensors: dict[str, LazyTensor] = {}
    extras: dict[str, Any] = {}
    data: dict[int, SourceFile] = {}
    with ExitStack() as stack:
        for key, content in entries.items():
            name = key.decode("utf-8", "replace")
            if not name.isprintable():
                raise CheckpointError(file.path, f"a name that is not printable: {ascii(name)[:80]}")
            entry = _message(file, content)
            if _number(entry, 1) == _STRING:
                extras[name] = "text"
                continue
            shard = _number(entry, 3)
            if shard not in data:
                data[shard] = stack.enter_context(_data(file, shard, shards))
            short = name.removesuffix(_VALUE)
            if short in tensors:
                raise CheckpointError(file.path, f"{short[:200]} is there twice")
            tensors[short] = _tensor(file, name, entry, data[shard])
        if not tensors:
            raise CheckpointError(file.path, "the index names no tensor")
        stack.pop_all()
    return Checkpoint(
        file.path,
        "tensorflow",
        tensors,
        metadata={"format": "tf"},
        extras=extras,
        files=[file, *data.values()],
    )


def _data(file: SourceFile, shard: int, shards: int) -> SourceFile:
    """Open one of the data files."""
    if not 0 <= shard < shards:
        raise CheckpointError(file.path, f"names data file {shard} of {shards}")
    path = file.path.with_name(f"{file.path.name.removesuffix('.index')}.data-{shard:05}-of-{shards:05}")
    if not path.is_file():
        raise CheckpointError(file.path, f"{path.name} is missing", cure="Copy it too.")
    return SourceFile(path)


def _tensor(file: SourceFile, name: str, entry: dict[int, list[Any]], data: SourceFile) -> StridedTensor:
    def fault(reason: str) -> CheckpointError:
        return CheckpointError(file.path, f"{name[:200]}: {reason}")

    if 7 in entry:
        raise fault("stored in slices, which are not read")
    dtype = _DTYPES.get(_number(entry, 1), "")
    if dtype not in DTYPES:
        raise fault(f"of the type {_number(entry, 1)} of TensorFlow, no plain numbers")
    shape = []
    for dim in _message(file, (entry.get(2) or [b""])[-1]).get(2, []):
        size = _number(_message(file, dim), 1)
        if not 0 <= size < 2**63:
            raise fault("of no plain shape")
        shape.append(size)
    if len(shape) > 64 or math.prod(size or 1 for size in shape) >= 2**60:
        raise fault("of no plain shape")
    spec, offset, size = TensorSpec(tuple(shape), dtype), _number(entry, 4), _number(entry, 5)
    if size != spec.nbytes or offset + size > data.size:
        raise fault(f"{spec!r} has {spec.nbytes} bytes; {size} at {offset} of {data.size} are announced")
    return StridedTensor(MappedBytes(data, offset, size), spec)


# The table --------------------------------------------------------------------------------


def _table(file: SourceFile) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a table of LevelDB, in order."""
    footer = file.read(file.size - _FOOTER, _FOOTER)
    _, at = _handle(file, footer, 0)
    index, _ = _handle(file, footer, at)
    seen: set[bytes] = set()
    for _, handle in _block(file, *index):
        for key, value in _block(file, *_handle(file, handle, 0)[0]):
            if key in seen:
                raise CheckpointError(file.path, f"{key[:100]!r} is there twice")
            seen.add(key)
            yield key, value


def _handle(file: SourceFile, raw: bytes, at: int) -> tuple[tuple[int, int], int]:
    start, at = _varint(file, raw, at)
    size, at = _varint(file, raw, at)
    return (start, size), at


def _block(file: SourceFile, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of a block: each key shares its beginning with the one before."""
    raw = file.read(start, size + 1)
    if raw[-1:] != b"\0":
        reason = "a compressed table: TensorFlow itself writes none"
        raise CheckpointError(file.path, reason, offset=start, cure="Save it again with tf.train.Checkpoint.")
    if size < 4:
        raise CheckpointError(file.path, "a damaged table", offset=start)
    (restarts,) = struct.unpack_from("<I", raw, size - 4)
    end = size - 4 - 4 * restarts
    if end < 0:
        raise CheckpointError(file.path, "a damaged table", offset=start)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(file, raw, at)
        own, at = _varint(file, raw, at)
        length, at = _varint(file, raw, at)
        if shared > len(key) or at + own + length > end:
            raise CheckpointError(file.path, "a damaged table", offset=start + at)
        key = key[:shared] + raw[at : at + own]
        yield key, raw[at + own : at + own + length]
        at += own + length


# Protocol buffers -------------------------------------------------------------------------


def _varint(file: SourceFile, raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(raw) and shift < 64:
        byte = raw[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise CheckpointError(file.path, "a damaged index: a number that does not end")


def _message(file: SourceFile, raw: Any) -> dict[int, list[Any]]:
    """Return the fields of a message: numbers, and bytes as they are."""
    if not isinstance(raw, bytes):
        raise CheckpointError(file.path, "a damaged index: a number where a message is expected")
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(raw):
        tag, at = _varint(file, raw, at)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(file, raw, at)
        else:
            size = {1: 8, 5: 4}.get(kind, 0)
            if kind == 2:
                size, at = _varint(file, raw, at)
            if kind not in (1, 2, 5) or at + size > len(raw):
                raise CheckpointError(file.path, "a damaged index: a field that does not end")
            value, at = raw[at : at + size], at + size
        found.setdefault(tag >> 3, []).append(value)
    return found


def _number(message: dict[int, list[Any]], field: int) -> int:
    value = message.get(field, [0])[-1]
    return value if isinstance(value, int) else -1
