"""Read ``flax_model.msgpack``: a tree of arrays as ``flax.serialization`` writes it, without flax.

Layout: MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md); an array is an extension of
type 1, whose content is a MessagePack list: the shape, the name of the dtype, and the bytes in C order. An
array of more than 1 GiB is a table ``{"__msgpack_chunked_array__": true, "shape": {"0": ...}, "chunks":
{"0": ...}}`` of flat pieces (``flax/serialization.py``). Only what lies between the bytes is read.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Array, Checkpoint, LazyTensor, StridedTensor
from ml_switcheroo.formats.derived import DerivedTensor
from ml_switcheroo.formats.files import MappedBytes, SourceFile
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["is_flax_msgpack", "open_flax_msgpack"]

_CHUNKED = "__msgpack_chunked_array__"
_ARRAY, _SCALAR = 1, 3
_DEEPEST = 100
_MOST = 1_000_000  # values of one file
_LONGEST = 1 << 16  # bytes of a name


def is_flax_msgpack(head: bytes) -> bool:
    """Tell whether a file begins with a table whose first key is a short text."""
    if not head or not (0x81 <= head[0] <= 0x8F or head[0] in (0xDE, 0xDF)):
        return False
    at = {0xDE: 3, 0xDF: 5}.get(head[0], 1)
    if len(head) <= at + 2:
        return False
    size = head[at] - 0xA0 if 0xA1 <= head[at] <= 0xBF else head[at + 1] if head[at] == 0xD9 else 0
    start = at + (1 if head[at] != 0xD9 else 2)
    return 0 < size <= len(head) - start and head[start : start + size].isascii() and size > 0


@dataclass(frozen=True, slots=True)
class _Held:
    """The content of an extension or a binary: where it lies."""

    start: int
    size: int
    code: int = -1


def open_flax_msgpack(file: SourceFile) -> Checkpoint:
    """Open a file of ``flax.serialization``; names are the keys of the tree, joined by slashes.

    Raises:
        CheckpointError: It is damaged, or holds something else than arrays of numbers.
    """
    reader = _Reader(file)
    tree = reader.value(0)
    if reader.at != file.size:
        raise CheckpointError(file.path, "bytes after the tree belong to nothing", offset=reader.at)
    tensors: dict[str, LazyTensor] = {}
    extras: dict[str, Any] = {}
    for name, value in _leaves(tree, ""):
        if isinstance(value, dict):
            tensors[name] = _chunked(file, value, name)
        elif isinstance(value, _Held) and value.code in (_ARRAY, _SCALAR):
            tensors[name] = _array(file, value)
        elif isinstance(value, _Held):
            raise CheckpointError(file.path, f"{name[:200]} is no array of numbers", offset=value.start)
        else:
            extras[name.replace("/", ".")] = value
    if not tensors:
        raise CheckpointError(file.path, "the file holds no array")
    return Checkpoint(
        file.path, "flax-msgpack", tensors, metadata={"format": "flax"}, extras=extras, files=[file]
    )


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(tree, dict) or _CHUNKED in tree:
        yield path, tree
        return
    for key, value in tree.items():
        yield from _leaves(value, f"{path}/{key}" if path else key)


class _Reader:
    """Reads values one after the other; the bytes of arrays are passed over."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.at = 0
        self._left = _MOST

    def fault(self, reason: str) -> CheckpointError:
        return CheckpointError(self.file.path, f"a damaged MessagePack file: {reason}", offset=self.at)

    def take(self, nbytes: int) -> bytes:
        piece = self.file.read(self.at, nbytes)
        self.at += nbytes
        return piece

    def number(self, form: str) -> Any:
        return struct.unpack(f">{form}", self.take(struct.calcsize(f">{form}")))[0]

    def value(self, depth: int) -> Any:
        """Read one value."""
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise self.fault("too many values, or nested too deep")
        code = self.take(1)[0]
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 0x100
        if code < 0x90:
            return self.table(code & 15, depth)
        if code < 0xA0:
            return [self.value(depth + 1) for _ in range(code & 15)]
        if code < 0xC0:
            return self.text(code & 31)
        if code in _PLAIN:
            return _PLAIN[code]
        if code in _NUMBERS:
            return self.number(_NUMBERS[code])
        return self.sized(code, depth)

    def sized(self, code: int, depth: int) -> Any:
        """Read a value that says its size first."""
        if code in _EXTENSIONS:
            size = _EXTENSIONS[code]
            return self.held(size if isinstance(size, int) else self.number(size), extension=True)
        if code not in _SIZED:
            raise self.fault(f"the unknown code {code:#x}")
        what, form = _SIZED[code]
        size = self.number(form)
        if what == "text":
            return self.text(size)
        if what == "bytes":
            return self.held(size, extension=False)
        if size > self._left:
            raise self.fault("too many values")
        return self.table(size, depth) if what == "table" else [self.value(depth + 1) for _ in range(size)]

    def held(self, size: int, *, extension: bool) -> _Held:
        code = self.number("b") if extension else -1
        start, self.at = self.at, self.at + size
        if self.at > self.file.size:
            raise self.fault(f"{size} bytes announced, {self.file.size - start} left")
        return _Held(start, size, code)

    def text(self, size: int) -> str:
        if size > _LONGEST:
            raise self.fault(f"a text of {size} bytes")
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            raise self.fault("a text that is no UTF-8") from None

    def table(self, size: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(size):
            key = self.value(depth + 1)
            if not isinstance(key, str) or not key.isprintable():
                raise self.fault("a key that is no printable text")
            if key in found:
                raise self.fault(f"{key[:200]!r} is there twice")
            found[key] = self.value(depth + 1)
        return found


_PLAIN = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {0xCA: "f", 0xCB: "d", 0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q"}
_NUMBERS |= {0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q"}
_EXTENSIONS: dict[int, int | str] = {
    0xD4: 1,
    0xD5: 2,
    0xD6: 4,
    0xD7: 8,
    0xD8: 16,
    0xC7: "B",
    0xC8: "H",
    0xC9: "I",
}
_SIZED = {
    **{0xC4 + n: ("bytes", form) for n, form in enumerate("BHI")},
    **{0xD9 + n: ("text", form) for n, form in enumerate("BHI")},
    **{0xDC + n: ("list", form) for n, form in enumerate("HI")},
    **{0xDE + n: ("table", form) for n, form in enumerate("HI")},
}


def _array(file: SourceFile, held: _Held) -> StridedTensor:
    """Return the array of an extension: its shape, its dtype, and where its bytes lie."""
    reader = _Reader(file)
    reader.at = held.start
    found = reader.value(0)

    def fault(reason: str) -> CheckpointError:
        return CheckpointError(file.path, reason, offset=held.start)

    if not isinstance(found, list) or len(found) != 3 or reader.at != held.start + held.size:
        raise fault("an array that is not its shape, its dtype and its bytes")
    shape, dtype, content = found
    dtype = _name(file, dtype)
    sizes = isinstance(shape, list) and all(type(one) is int and 0 <= one < 2**63 for one in shape)
    if not sizes or dtype not in DTYPES or not isinstance(content, _Held) or content.code != -1:
        raise fault(f"an array of {str(dtype)[:40]!r}, no plain numbers")
    spec = TensorSpec(tuple(shape), dtype)
    if math.prod(size or 1 for size in shape) >= 2**63 or spec.nbytes != content.size:
        raise fault(f"{spec!r} has {spec.nbytes} bytes, not {content.size}")
    return StridedTensor(MappedBytes(file, content.start, content.size), spec)


def _name(file: SourceFile, dtype: Any) -> str:
    """Return the name of a dtype; some versions write it as bytes."""
    if isinstance(dtype, _Held) and dtype.size <= 32:
        return file.read(dtype.start, dtype.size).decode("ascii", "replace")
    return dtype if isinstance(dtype, str) else ""


def _chunked(file: SourceFile, table: dict[str, Any], name: str) -> LazyTensor:
    """Return the array whose flat pieces a table holds."""
    shape, held = _numbered(table.get("shape")), _numbered(table.get("chunks"))
    sizes = all(type(size) is int and 0 <= size < 2**63 for size in shape)
    arrays = all(isinstance(one, _Held) and one.code == _ARRAY for one in held)
    parts = [_array(file, one) for one in held] if sizes and arrays else []
    dtypes = {part.spec.dtype for part in parts}
    if len(dtypes) != 1 or sum(part.size for part in parts) != math.prod(shape):
        raise CheckpointError(file.path, f"{name[:200]}: pieces that do not make the array they announce")
    spec = TensorSpec(tuple(shape), dtypes.pop())

    def joined() -> Array:
        return np.concatenate([part.read().reshape(-1) for part in parts]).reshape(spec.shape)

    return DerivedTensor(spec, joined)


def _numbered(table: Any) -> list[Any]:
    """Return the values of a table whose keys are "0", "1", "2" ...; it stands for a list."""
    return [table.get(str(n)) for n in range(len(table))] if isinstance(table, dict) else []
