"""Write ``.npz`` archives leaf by leaf, each array aligned so that it can be mapped.

``np.load`` reads them. The layout is planned before the first byte is written, so leaves may come in
any order.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.leaves import LeafCheck
from ml_switcheroo.formats.npz import NPY_MAGIC
from ml_switcheroo.formats.output import AtomicFile
from ml_switcheroo.formats.stream import Leaf, strips
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["write_npz"]

_ALIGNMENT = 64
_ZIP64 = 45  # version needed to extract
_UTF8 = 0x800
_DATE = (1 << 5) | 1  # 1 January 1980: the same leaves give the same bytes
_FULL32 = 0xFFFFFFFF


@dataclass(slots=True)
class _Member:
    """Where one array goes."""

    name: bytes
    note: bytes
    begin: int
    head: bytes
    nbytes: int
    extra: bytes
    crc: int = 0

    @property
    def size(self) -> int:
        return len(self.head) + self.nbytes

    @property
    def start(self) -> int:
        return self.begin + 30 + len(self.name) + len(self.extra)

    def local(self) -> bytes:
        fields = (
            b"PK\x03\x04",
            _ZIP64,
            _UTF8,
            0,
            0,
            _DATE,
            self.crc,
            _FULL32,
            _FULL32,
            len(self.name),
            len(self.extra),
        )
        return struct.pack("<4s5H3L2H", *fields) + self.name + self.extra + self.head

    def entry(self) -> bytes:
        extra = struct.pack("<2H3Q", 1, 24, self.size, self.size, self.begin)
        fields = (
            b"PK\x01\x02",
            _ZIP64,
            _ZIP64,
            _UTF8,
            0,
            0,
            _DATE,
            self.crc,
            _FULL32,
            _FULL32,
            len(self.name),
        )
        more = (len(extra), len(self.note), 0, 0, 0, _FULL32)
        return struct.pack("<4s6H3L3H2H2L", *fields, *more) + self.name + extra + self.note


def write_npz(
    path: str | Path,
    specs: Mapping[str, TensorSpec],
    leaves: Iterable[tuple[str, Leaf]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write an ``.npz`` archive; arguments, guarantees and errors as for ``write_safetensors``.

    bf16 and fp8 arrive in ``np.load`` as raw bytes (``V2``, ``V1``), as ``np.savez`` writes them: view them
    as their ``ml_dtypes`` type. :func:`~ml_switcheroo.formats.open_checkpoint` knows the dtype.
    """
    comment = json.dumps(dict(metadata)).encode() if metadata else b""
    if len(comment) > 0xFFFF:
        raise UsageError(f"metadata of {len(comment)} bytes; an .npz archive has room for 65535")
    members, end = _layout(specs)
    size = end + sum(len(member.entry()) for member in members.values()) + 56 + 20 + 22 + len(comment)
    check = LeafCheck(specs)
    with AtomicFile(path, size) as out:
        for name, leaf in check.each(leaves):
            member = members[name]
            member.crc = zlib.crc32(member.head)
            offset = member.start + len(member.head)
            for strip in strips(leaf):
                out.write(strip, offset)
                member.crc = zlib.crc32(strip, member.crc)
                offset += strip.nbytes
            out.write(member.local(), member.begin)
        check.finish()
        directory = b"".join(member.entry() for member in members.values())
        out.write(directory + _end(len(members), len(directory), end) + _comment(comment), end)


def _layout(specs: Mapping[str, TensorSpec]) -> tuple[dict[str, _Member], int]:
    members: dict[str, _Member] = {}
    position = 0
    for name, spec in specs.items():
        encoded = f"{name}.npy".encode()
        if len(encoded) > 0xFFFF or name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise UsageError(f"{name[:200]!r} cannot be a member of an .npz archive")
        row = DTYPES[spec.dtype]
        plain = row.numpy.isbuiltin == 1
        member = _Member(
            encoded,
            b"" if plain else spec.dtype.encode(),
            position,
            _npy_head(spec, row.numpy.newbyteorder("<").str if plain else f"|V{row.itemsize}"),
            spec.nbytes,
            struct.pack("<2H2Q", 1, 16, 0, 0),
        )
        padding = -(member.start + 4) % _ALIGNMENT
        sizes = struct.pack("<2H2Q", 1, 16, member.size, member.size)
        member.extra = sizes + struct.pack("<2H", 0xD935, padding) + bytes(padding)
        members[name] = member
        position = member.start + member.size
    return members, position


def _npy_head(spec: TensorSpec, code: str) -> bytes:
    text = f"{{'descr': '{code}', 'fortran_order': False, 'shape': {spec.shape!r}, }}"
    padding = -(len(NPY_MAGIC) + 4 + len(text) + 1) % _ALIGNMENT
    text += " " * padding + "\n"
    return NPY_MAGIC + bytes((1, 0)) + struct.pack("<H", len(text)) + text.encode("latin-1")


def _end(count: int, nbytes: int, begin: int) -> bytes:
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, _ZIP64, _ZIP64, 0, 0, count, count, nbytes, begin)
    return end64 + struct.pack("<4sLQL", b"PK\x06\x07", 0, begin + nbytes, 1)


def _comment(comment: bytes) -> bytes:
    # The numbers are in the zip64 record before this one.
    return (
        struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, _FULL32, _FULL32, len(comment)) + comment
    )
