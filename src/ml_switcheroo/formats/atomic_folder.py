"""A folder that appears when it is complete, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ml_switcheroo.errors import CheckpointError, cannot_write

__all__ = ["AtomicFolder"]


class AtomicFolder:
    """A folder filled under a temporary name beside its target, and renamed at the end.

    Leaving the ``with`` block by an exception deletes it; the target stays as it was.

    Args:
        path: The target. One that exists is replaced if it is empty or ``ours`` says so.
        ours: Tells whether an existing folder is a checkpoint of the same kind.

    Attributes:
        temporary: The folder to fill.

    Raises:
        CheckpointError: The folder cannot be made, or something else is there.
    """

    def __init__(self, path: str | Path, ours: Callable[[Path], bool]) -> None:
        self.path = Path(path)
        self._target = Path(os.path.realpath(self.path))
        self._ours = ours
        self.temporary = self._beside("partial")

    def _beside(self, word: str) -> Path:
        return self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}.{word}")

    def __enter__(self) -> AtomicFolder:
        there = self._target
        try:
            if os.path.lexists(there) and not (
                there.is_dir() and (self._ours(there) or not any(there.iterdir()))
            ):
                cure = "Give another name, or remove it."
                raise CheckpointError(self.path, "exists and is no checkpoint of this format", cure=cure)
            self.temporary.mkdir()
        except OSError as error:
            raise self.fault(error) from error
        return self

    def fault(self, error: OSError) -> CheckpointError:
        """Return the error of a folder that cannot be written."""
        return cannot_write(self.path, error)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)
            return
        old = self._beside("old") if self._target.exists() else None
        try:
            self._sync()
            if old:
                self._target.rename(old)
            self.temporary.rename(self._target)
            _sync(self._target.parent)
        except OSError as error:
            if old and old.exists() and not self._target.exists():
                old.rename(self._target)
            shutil.rmtree(self.temporary, ignore_errors=True)
            raise self.fault(error) from error
        if old:
            shutil.rmtree(old, ignore_errors=True)

    def _sync(self) -> None:
        for folder, _, files in os.walk(self.temporary):
            for name in files:
                _sync(Path(folder, name))
            _sync(Path(folder))


def _sync(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
