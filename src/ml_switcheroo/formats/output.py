"""A file that appears when it is complete, or not at all."""

from __future__ import annotations

import errno
import glob
import os
import re
import secrets
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType

from ml_switcheroo.errors import CheckpointError, cannot_write

__all__ = ["AtomicFile", "left_behind"]

_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV)

_BEGIN = 2**20
"""Bytes that are worth writing back at once."""

_PIECE = 2**18
"""Most bytes of one system call. For longer writes the kernel looks for longer runs of free memory, which
takes up to 10 times as long in a virtual machine that gives its free memory back to the host."""


def left_behind(path: str | Path) -> list[Path]:
    """Return the temporary files that runs into a file have left, because they were killed.

    Those of a run that is still writing are none, nor those that ``resume`` goes on with.
    """
    if os.name != "posix":
        return []
    import fcntl

    target, found = Path(os.path.realpath(path)), []
    for file in sorted(target.parent.glob(f".{glob.escape(target.name)}.*.partial")):
        if re.fullmatch(r"[0-9a-f]{8}", file.name.split(".")[-2]) and file.is_file():
            with suppress(OSError), file.open("rb") as opened:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.append(file)
    return found


class AtomicFile:
    """A file written at any offset under a temporary name beside its target, and renamed at the end.

    Leaving the ``with`` block by an exception deletes it; the target stays as it was. The new file has the
    mode that the umask gives, or the mode of the file it replaces.

    Args:
        path: The target; a symbolic link is followed, so that what it points to is replaced.
        size: Its final size, reserved at once where the file system can.
        keep: Keep the temporary file after an exception, and continue in one that an earlier run left.

    Attributes:
        temporary: The temporary name.
        reused: Whether an earlier run left the file.

    Raises:
        CheckpointError: The file cannot be made or written: no folder, no permission, no space.
    """

    def __init__(self, path: str | Path, size: int, *, keep: bool = False) -> None:
        self.path = Path(path)
        self._target = Path(os.path.realpath(self.path))
        self._size = size
        self._fd = -1
        self._keep = keep
        tag = "unfinished" if keep else secrets.token_hex(4)
        self.temporary = self._target.with_name(f".{self._target.name}.{tag}.partial")
        self.reused = False

    def __enter__(self) -> AtomicFile:
        if self._target.exists() and not self._target.is_file():
            raise CheckpointError(self.path, "exists and is no regular file")
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            self.reused = (
                self._keep and self.temporary.is_file() and self.temporary.stat().st_size == self._size
            )
            self._fd = os.open(self.temporary, flags if self._keep else flags | os.O_EXCL, 0o666)
            self._lock()
            if not self.reused:
                os.ftruncate(self._fd, 0)
                self._reserve()
        except BaseException as error:  # also an interrupt: nobody leaves a block that was not entered
            self._discard(keep=self.reused)
            if isinstance(error, OSError):
                raise self._fault(error) from error
            raise
        return self

    def read(self, offset: int, nbytes: int) -> bytes:
        """Return bytes that were written."""
        return os.pread(self._fd, nbytes, offset)

    def write(self, content: bytes | memoryview, offset: int) -> None:
        """Write all of ``content`` at ``offset``; several threads may do so at once.

        Raises:
            CheckpointError: There is no space, or the disk fails; the target stays as it was.
        """
        view = memoryview(content).cast("B")
        try:
            done = 0
            while done < len(view):
                done += os.pwrite(self._fd, view[done : done + _PIECE], offset + done)
            if done >= _BEGIN and hasattr(os, "posix_fadvise"):
                # Begins to write back what is dirty, so that the fsync at the end has less to wait for.
                os.posix_fadvise(self._fd, offset, done, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            raise self._fault(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard(keep=self._keep)
        elif self._fd >= 0:
            self.commit()

    def commit(self) -> None:
        """Give the complete file its name; nothing can be written any more."""
        try:
            if self._target.exists():
                os.fchmod(self._fd, self._target.stat().st_mode & 0o7777)
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
            self.temporary.replace(self._target)
            self._sync_folder()
        except OSError as error:
            self._discard(keep=self._keep)
            raise self._fault(error) from error

    def reserve(self, size: int) -> None:
        """Reserve that many bytes now.

        Raises:
            CheckpointError: There is no space.
        """
        self._size = size
        try:
            self._reserve()
        except OSError as error:
            raise self._fault(error) from error

    def _reserve(self) -> None:
        if not self._size:
            return
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self._fd, 0, self._size)
                return
            except OSError as error:
                if error.errno not in _CANNOT_RESERVE:
                    raise
        os.ftruncate(self._fd, self._size)

    def _sync_folder(self) -> None:
        if os.name == "posix":
            folder = os.open(self._target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _lock(self) -> None:
        """Hold the temporary file while it is open: no second run writes it, or takes it for left behind."""
        if os.name == "posix":
            import fcntl

            # Without a name that both know there is nobody to keep out, and not every file system has locks.
            with nullcontext() if self._keep else suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _discard(self, *, keep: bool) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if not keep:
            # If it could not even be made, as on a read-only file system, that is the error to report.
            with suppress(OSError):
                self.temporary.unlink()

    def _fault(self, error: OSError) -> CheckpointError:
        if isinstance(error, BlockingIOError):
            return CheckpointError(
                self.path, "another run is writing this file", cure="Wait for it, or stop it."
            )
        return cannot_write(self.path, error)
