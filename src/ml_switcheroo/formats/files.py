"""One file opened for reading: a regular file, mapped read-only, watched for change."""

from __future__ import annotations

import mmap
import os
import stat
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from ml_switcheroo.errors import CheckpointError, cannot_read

__all__ = ["Bytes", "MappedBytes", "Mapping", "Region", "Source", "SourceFile", "SourceRange", "StoredBytes"]

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class Mapping(mmap.mmap):
    """The read-only, shared mapping of a :class:`SourceFile`: its pages can be dropped at any time.

    Attributes:
        file: Refers to the file, as long as somebody keeps it.
        path: Where it was opened.
    """

    file: weakref.ref[SourceFile]
    path: Path


class SourceFile:
    """A regular file whose bytes are mapped read-only when they are first asked for.

    Attributes:
        stamp: Its size and time of change when it was opened.

    Args:
        path: The file; a symbolic link is followed, a device, pipe or folder is refused.

    Raises:
        CheckpointError: The file cannot be opened, is no regular file, or is empty.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._map: Mapping | None = None
        try:
            # O_NONBLOCK: opening a pipe must not wait for its other end.
            self._fd = os.open(
                self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            )
        except OSError as error:
            raise CheckpointError(path, cannot_read(path, error)) from error
        except ValueError as error:
            raise CheckpointError(repr(str(path)), f"no name of a file: {error}") from error
        state = os.fstat(self._fd)
        if not stat.S_ISREG(state.st_mode):
            self.close()
            raise CheckpointError(path, "not a regular file")
        if not state.st_size:
            self.close()
            raise CheckpointError(path, "the file is empty")
        self.size = state.st_size
        self.stamp = (state.st_size, state.st_mtime_ns)

    def read(self, offset: int, nbytes: int) -> bytes:
        """Return ``nbytes`` bytes from ``offset``; raise where the file is shorter."""
        self.check()
        inside = 0 <= offset <= self.size and 0 <= nbytes <= self.size
        piece = os.pread(self._fd, nbytes, offset) if inside else b""
        if len(piece) != nbytes:
            reason = f"the file ends early: {nbytes} bytes expected, {len(piece)} found"
            raise CheckpointError(self.path, reason, offset=offset, cure="Copy or download it again.")
        return piece

    def read_into(self, target: Bytes, offset: int) -> None:
        """Fill an array of bytes from ``offset``; raise where the file is shorter."""
        self.check()
        done = 0
        while done < target.nbytes:
            piece = os.preadv(self._fd, [target.data[done:]], offset + done)
            if not piece:
                reason = f"the file ends early: {target.nbytes} bytes expected, {done} found"
                raise CheckpointError(self.path, reason, offset=offset, cure="Copy or download it again.")
            done += piece

    def view(self, offset: int, nbytes: int) -> Bytes:
        """Map ``nbytes`` bytes from ``offset`` as a read-only array; nothing is read yet."""
        self.check()
        if offset < 0 or nbytes < 0 or offset + nbytes > self.size:
            reason = f"{nbytes} bytes lie outside of the file's {self.size} bytes"
            raise CheckpointError(self.path, reason, offset=offset, cure="Copy or download it again.")
        return np.frombuffer(self.mapping(), dtype=np.uint8, count=nbytes, offset=offset)

    def mapping(self) -> Mapping:
        """Map the whole file, which reads nothing yet."""
        self.check()
        if self._map is None:
            self._map = Mapping(self._fd, self.size, access=mmap.ACCESS_READ)
            self._map.file = weakref.ref(self)
            self._map.path = self.path
        return self._map

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self._fd >= 0

    def check(self) -> None:
        """Raise if the file is closed or has been written to since it was opened.

        Reading a mapped page behind the end of a file that shrank would kill the interpreter.
        """
        if not self.is_open:
            raise CheckpointError(self.path, "the checkpoint is closed")
        state = os.fstat(self._fd)
        if (state.st_size, state.st_mtime_ns) != self.stamp:
            reason = f"the file changed while it was read: {self.size} bytes before, {state.st_size} now"
            raise CheckpointError(self.path, reason, cure="Open it again once it is complete.")

    def is_at_path(self) -> bool:
        """Tell whether who opens the path now gets this file."""
        self.check()
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    def close(self) -> None:
        """Close the file; arrays that were handed out stay valid and keep the mapping alive."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._map = None

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()


class SourceRange:
    """A range of a file's bytes, read as if it were a file of its own: an archive within a file.

    Args:
        file: The file.
        start: Where the range begins.
        size: Its bytes.
    """

    def __init__(self, file: SourceFile, start: int, size: int) -> None:
        self.file = file
        self.path = file.path
        self.start = start
        self.size = size

    def read(self, offset: int, nbytes: int) -> bytes:
        """Return ``nbytes`` bytes from ``offset`` of the range."""
        self._check(offset, nbytes)
        return self.file.read(self.start + offset, nbytes)

    def view(self, offset: int, nbytes: int) -> Bytes:
        """Map ``nbytes`` bytes from ``offset`` of the range."""
        self._check(offset, nbytes)
        return self.file.view(self.start + offset, nbytes)

    def _check(self, offset: int, nbytes: int) -> None:
        if offset < 0 or nbytes < 0 or offset + nbytes > self.size:
            reason = f"{nbytes} bytes at {offset} lie outside of a range of {self.size}"
            raise CheckpointError(self.path, reason, offset=self.start + offset)


Source = SourceFile | SourceRange


class Region(Protocol):
    """Bytes that a tensor may lie in."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""

    def load(self) -> Bytes:
        """Return all the bytes, read-only and mapped where they can be."""


class MappedBytes:
    """A range of a file's bytes, mapped where it is read."""

    __slots__ = ("file", "nbytes", "offset")

    def __init__(self, file: SourceFile, offset: int, nbytes: int) -> None:
        self.file = file
        self.offset = offset
        self.nbytes = nbytes

    def load(self) -> Bytes:
        """Map the range."""
        return self.file.view(self.offset, self.nbytes)


class StoredBytes:
    """Bytes that lie in memory."""

    __slots__ = ("_bytes",)

    def __init__(self, content: bytes) -> None:
        self._bytes = content

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return len(self._bytes)

    def load(self) -> Bytes:
        """Return the bytes as an array."""
        return np.frombuffer(self._bytes, dtype=np.uint8)
