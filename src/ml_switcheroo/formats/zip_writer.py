"""Write zip archives of stored members, planned before the first byte: contents may come in any order."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.output import AtomicFile

__all__ = ["ZipLayout", "ZipMember"]

_ALIGNMENT = 64
_PADDING = 0xD935  # the extra field that Android's zipalign pads with
_ZIP64 = 45  # version needed to extract
_UTF8 = 0x800
_DATE = (1 << 5) | 1  # 1 January 1980: the same contents give the same bytes
_FULL32 = 0xFFFFFFFF


@dataclass(slots=True)
class ZipMember:
    """Where one member goes.

    Attributes:
        name: Its name in the archive.
        note: Its comment.
        begin: Offset of its header in the archive, in bytes.
        head: The first bytes of its content.
        nbytes: How many bytes follow these.
    """

    name: bytes
    note: bytes
    begin: int
    head: bytes
    nbytes: int
    extra: bytes
    crc: int = 0

    @property
    def size(self) -> int:
        """Size of the content in bytes."""
        return len(self.head) + self.nbytes

    @property
    def start(self) -> int:
        """Offset of the content in bytes."""
        return self.begin + 30 + len(self.name) + len(self.extra)

    def write(self, out: AtomicFile, pieces: Iterable[memoryview]) -> None:
        """Write the member: its head, then the pieces of its content."""
        self.crc = zlib.crc32(self.head)
        offset = self.start + len(self.head)
        for piece in pieces:
            out.write(piece, offset)
            self.crc = zlib.crc32(piece, self.crc)
            offset += piece.nbytes
        out.write(self._local(), self.begin)

    def _local(self) -> bytes:
        sizes = (_FULL32, _FULL32, len(self.name), len(self.extra))
        fields = (b"PK\x03\x04", _ZIP64, _UTF8, 0, 0, _DATE, self.crc, *sizes)
        return struct.pack("<4s5H3L2H", *fields) + self.name + self.extra + self.head

    def entry(self) -> bytes:
        """Return its entry in the directory."""
        extra = struct.pack("<2H3Q", 1, 24, self.size, self.size, self.begin)
        head = (b"PK\x01\x02", _ZIP64, _ZIP64, _UTF8, 0, 0, _DATE, self.crc, _FULL32, _FULL32)
        more = (len(self.name), len(extra), len(self.note), 0, 0, 0, _FULL32)
        return struct.pack("<4s6H3L3H2H2L", *head, *more) + self.name + extra + self.note


class ZipLayout:
    """Where the members of an archive go, each aligned so that it can be mapped.

    Args:
        metadata: Texts for the comment of the archive, as JSON.
        form: What such an archive is called in an error.

    Raises:
        UsageError: The metadata has more bytes than a comment has room for.
    """

    def __init__(self, metadata: Mapping[str, str] | None, form: str) -> None:
        self.members: list[ZipMember] = []
        self._form = form
        self._comment = json.dumps(dict(metadata)).encode() if metadata else b""
        if len(self._comment) > 0xFFFF:
            raise UsageError(f"metadata of {len(self._comment)} bytes; {form} has room for 65535")

    @property
    def end(self) -> int:
        """Where the directory begins."""
        return self.members[-1].start + self.members[-1].size if self.members else 0

    @property
    def size(self) -> int:
        """Size of the archive in bytes."""
        return self.end + sum(len(one.entry()) for one in self.members) + 56 + 20 + 22 + len(self._comment)

    def add(self, name: str, nbytes: int, *, head: bytes = b"", note: bytes = b"") -> ZipMember:
        """Plan a member.

        Raises:
            UsageError: It cannot have this name.
        """
        encoded = name.encode()
        if len(encoded) > 0xFFFF or name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise UsageError(f"{name[:200]!r} cannot be a member of {self._form}")
        member = ZipMember(encoded, note, self.end, head, nbytes, struct.pack("<2H2Q", 1, 16, 0, 0))
        padding = -(member.start + 4) % _ALIGNMENT
        sizes = struct.pack("<2H2Q", 1, 16, member.size, member.size)
        member.extra = sizes + struct.pack("<2H", _PADDING, padding) + bytes(padding)
        self.members.append(member)
        return member

    def finish(self, out: AtomicFile) -> None:
        """Write the directory, behind all members."""
        directory = b"".join(member.entry() for member in self.members)
        count, nbytes, begin = len(self.members), len(directory), self.end
        end64 = struct.pack(
            "<4sQ2H2L4Q", b"PK\x06\x06", 44, _ZIP64, _ZIP64, 0, 0, count, count, nbytes, begin
        )
        place = struct.pack("<4sLQL", b"PK\x06\x07", 0, begin + nbytes, 1)
        # The numbers are in the zip64 record before this one.
        end = (b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, _FULL32, _FULL32, len(self._comment))
        out.write(directory + end64 + place + struct.pack("<4s4H2LH", *end) + self._comment, begin)
