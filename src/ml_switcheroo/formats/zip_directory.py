"""The directory of a zip archive, read strictly, and its members as regions of bytes.

Layout: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (its end,
zip64), 4.5.3 (zip64 field). Only what checkpoint writers make is read: stored or deflated members, neither
encrypted nor spanned, without overlaps, duplicates or names that leave the archive.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.files import Bytes, Source

__all__ = ["ZIP_MAGIC", "ZipMember", "read_directory"]

ZIP_MAGIC = b"PK\x03\x04"

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_MAX_DIRECTORY = 2**28
_BOMB_BYTES, _BOMB_RATIO = 2**26, 200


class ZipMember:
    """One member of an archive; a :class:`~ml_switcheroo.formats.files.Region`.

    Attributes:
        name: Its path in the archive.
        nbytes: Its size when unpacked.
        crc: CRC-32 of the unpacked bytes; 0 also where torch was told not to compute it.
        comment: The text that the directory keeps for it.
    """

    __slots__ = ("_file", "_header", "_limit", "_method", "_packed", "comment", "crc", "name", "nbytes")

    def __init__(self, file: Source, name: str, fields: Mapping[str, int], comment: str) -> None:
        self._file = file
        self.name = name
        self.comment = comment
        self.nbytes = fields["size"]
        self.crc = fields["crc"]
        self._packed = fields["packed"]
        self._method = fields["method"]
        self._header = fields["offset"]
        self._limit = fields["limit"]

    @property
    def stored(self) -> bool:
        """Whether the bytes lie in the file as they are."""
        return self._method == _STORED

    def start(self) -> int:
        """Return where the member's bytes begin, as its local header says."""
        raw = self._file.read(self._header, _LOCAL.size)
        magic, _version, flags, method, _time, _date, _crc, packed, size, name, extra = _LOCAL.unpack(raw)
        if magic != ZIP_MAGIC:
            raise self.fault("the directory points to no member")
        if self._file.read(self._header + _LOCAL.size, name) != self.name.encode():
            raise self.fault("its own header has another name")
        later = bool(flags & 8)  # sizes follow the bytes
        if method != self._method or (not later and _FULL32 not in (packed, size) and size != self.nbytes):
            raise self.fault("its own header contradicts the directory")
        start: int = self._header + _LOCAL.size + name + extra
        if start + self._packed > self._limit:
            raise self.fault("it reaches into what follows it")
        return start

    def load(self) -> Bytes:
        """Return the bytes: mapped where they are stored as they are, else unpacked and checked."""
        start = self.start()
        if self.stored:
            return self._file.view(start, self.nbytes)
        if self.nbytes > _BOMB_BYTES and self.nbytes > _BOMB_RATIO * self._packed:
            raise self.fault(f"{self._packed} bytes unpack to {self.nbytes}: a decompression bomb")
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = unpacker.decompress(self._file.read(start, self._packed), self.nbytes + 1)
        except zlib.error as error:
            raise self.fault(f"its bytes do not unpack ({error})") from error
        if len(content) != self.nbytes:
            raise self.fault(f"{self.nbytes} bytes expected, but it unpacks to another number")
        if zlib.crc32(content) != self.crc:
            raise self.fault("its checksum is wrong: the file is damaged")
        return np.frombuffer(content, np.uint8)

    def head(self, nbytes: int) -> bytes:
        """Return the first bytes, at most ``nbytes``; the rest is not read."""
        start = self.start()
        if self.stored:
            return self._file.read(start, min(nbytes, self.nbytes))
        try:
            packed = self._file.read(start, min(self._packed, 2 * nbytes + 1024))
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, min(nbytes, self.nbytes) or 1)
        except zlib.error as error:
            raise self.fault(f"its bytes do not unpack ({error})") from error

    def content(self, limit: int) -> bytes:
        """Return a small member's bytes, checked against its CRC.

        Args:
            limit: Bytes that it may have.
        """
        if self.nbytes > limit:
            raise self.fault(f"it has {self.nbytes} bytes; {limit} are the most a file of this kind may have")
        content = self.load().tobytes()
        if self.crc and zlib.crc32(content) != self.crc:
            raise self.fault("its checksum is wrong: the file is damaged")
        return content

    def verify(self) -> None:
        """Read all of the member and compare its CRC.

        Raises:
            CheckpointError: It differs.
        """
        content = self.load()
        if self.stored and self.crc and zlib.crc32(content.data) != self.crc:
            raise self.fault("its checksum is wrong: the file is damaged")

    def fault(self, reason: str) -> CheckpointError:
        """Build the error for what is wrong with this member."""
        return CheckpointError(self._file.path, reason, member=self.name, offset=self._header)


def read_directory(file: Source) -> tuple[Mapping[str, ZipMember], bytes]:
    """Return the members of an archive by name, in the order of the directory, and its comment.

    Raises:
        CheckpointError: The directory is damaged, contradicts itself, or has what no checkpoint has.
    """
    count, nbytes, offset, comment = _find_end(file)
    if nbytes > _MAX_DIRECTORY:
        raise CheckpointError(file.path, f"a zip directory of {nbytes} bytes", offset=offset)
    raw = file.read(offset, nbytes)
    entries: list[tuple[str, dict[str, int], str]] = []
    at = 0
    for _ in range(count):
        name, fields, note, at = _entry(file, raw, at, offset)
        entries.append((name, fields, note))
    if at != nbytes:
        reason = f"the zip directory has {nbytes} bytes, its {count} entries {at}"
        raise CheckpointError(file.path, reason, offset=offset + at)
    _bound(file, [fields for _, fields, _ in entries], offset)
    members: dict[str, ZipMember] = {}
    for name, fields, note in entries:
        if name in members:
            raise CheckpointError(
                file.path, "two members have this name", member=name, offset=fields["offset"]
            )
        members[name] = ZipMember(file, name, fields, note)
    return members, comment


def _find_end(file: Source) -> tuple[int, int, int, bytes]:
    """Return the directory's number of entries, size and offset, and the archive's comment."""
    start = max(0, file.size - _END.size - _FULL16)
    tail = file.read(start, file.size - start)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        end = _END.unpack(tail[at : at + _END.size].ljust(_END.size))
        if at + _END.size + end[7] == len(tail):
            break
        at = tail.rfind(b"PK\x05\x06", 0, at)
    else:
        reason = "a zip archive without its directory: the file is cut off or damaged"
        raise CheckpointError(file.path, reason, offset=file.size, cure="Copy or download it again.")
    _, disk, first, here, count, nbytes, offset, _ = end
    place = start + at
    if place >= _END64_LOCATOR.size:
        locator = _END64_LOCATOR.unpack(file.read(place - _END64_LOCATOR.size, _END64_LOCATOR.size))
        if locator[0] == b"PK\x06\x07":
            place = locator[2]
            end64 = _END64.unpack(file.read(place, _END64.size))
            if end64[0] != b"PK\x06\x06" or place + _END64.size > start + at - _END64_LOCATOR.size:
                raise CheckpointError(file.path, "a damaged zip64 directory end", offset=place)
            disk, first, here, count, nbytes, offset = end64[4:]
    if disk or first or here != count:
        raise CheckpointError(file.path, "a zip archive in several parts", offset=place)
    if offset + nbytes != place:
        reason = f"the zip directory should end at byte {offset + nbytes}, its end record is at {place}"
        raise CheckpointError(file.path, reason, offset=place)
    return count, nbytes, offset, tail[at + _END.size :]


def _entry(file: Source, raw: bytes, at: int, base: int) -> tuple[str, dict[str, int], str, int]:
    if len(raw) - at < _ENTRY.size or raw[at : at + 4] != b"PK\x01\x02":
        raise CheckpointError(file.path, "a damaged zip directory entry", offset=base + at)
    entry = _ENTRY.unpack_from(raw, at)
    flags, method, crc, packed, size = entry[3], entry[4], entry[7], entry[8], entry[9]
    names, extras, notes, disk, offset = entry[10], entry[11], entry[12], entry[13], entry[16]
    start = at + _ENTRY.size
    end = start + names + extras + notes
    if end > len(raw):
        raise CheckpointError(file.path, "a damaged zip directory entry", offset=base + at)
    try:
        name = raw[start : start + names].decode("utf-8")
        note = raw[start + names + extras : end].decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(file.path, "a member whose name is no text", offset=base + at) from error
    if _FULL32 in (packed, size, offset):
        extra = raw[start + names : start + names + extras]
        size, packed, offset = _zip64(extra, (size, packed, offset))
        if size < 0:
            reason = "a zip64 record that is missing or too short"
            raise CheckpointError(file.path, reason, member=name, offset=base + at)
    fields = {"size": size, "packed": packed, "offset": offset, "method": method, "crc": crc}
    problem = _problem(name, fields, encrypted=bool(flags & 0x2041), spanned=bool(disk))
    if problem:
        raise CheckpointError(file.path, problem, member=name, offset=base + at)
    return name, fields, note, end


def _zip64(extra: bytes, small: tuple[int, ...]) -> list[int]:
    """Replace the fields that say 0xFFFFFFFF by those of the zip64 record; by -1 where it lacks them."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            body = extra[at + 4 : at + 4 + length]
            wide = list(struct.unpack_from(f"<{len(body) // 8}Q", body))
            if len(wide) < small.count(_FULL32):
                break
            return [wide.pop(0) if value == _FULL32 else value for value in small]
        at += 4 + length
    return [-1] * len(small)


def _problem(name: str, fields: Mapping[str, int], *, encrypted: bool, spanned: bool) -> str:
    if encrypted:
        return "the member is encrypted"
    if spanned:
        return "the member lies in another part of the archive"
    if fields["method"] not in (_STORED, _DEFLATED):
        return f"compression method {fields['method']}; stored (0) and deflated (8) can be read"
    if fields["method"] == _STORED and fields["size"] != fields["packed"]:
        return f"stored as it is, but with two sizes: {fields['size']} and {fields['packed']}"
    parts = name.split("/")
    if not name or ".." in parts or name.startswith("/") or "\\" in name or "\0" in name or ":" in parts[0]:
        return "the member's name leaves the archive"
    return ""


def _bound(file: Source, entries: list[dict[str, Any]], end: int) -> None:
    """Check that no member reaches into the next; keep where each must end."""
    ordered = sorted(entries, key=lambda fields: fields["offset"])
    for fields, following in zip(ordered, [*ordered[1:], {"offset": end}], strict=True):
        fields["limit"] = following["offset"]
        if fields["offset"] + _LOCAL.size + fields["packed"] > following["offset"]:
            reason = f"members overlap: one of {fields['packed']} bytes begins here, the next one"
            reason += f" at {following['offset']}"
            raise CheckpointError(file.path, reason, offset=fields["offset"])


def metadata_of(comment: bytes) -> Mapping[str, str]:
    """Read the archive's comment if it is one that this library's writers make."""
    try:
        table = json.loads(comment) if comment[:1] == b"{" else {}
    except (ValueError, RecursionError):
        return {}
    return {key: value for key, value in table.items() if isinstance(value, str)}
