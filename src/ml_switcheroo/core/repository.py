"""Rewrite whole folders: find the files, keep their encoding, write them in one piece."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_switcheroo.core.hooks import Note
from ml_switcheroo.core.index import Index
from ml_switcheroo.core.notebook import rewrite_notebook
from ml_switcheroo.core.notes import said
from ml_switcheroo.core.rewriter import MENTIONS, Rewrite, rewrite
from ml_switcheroo.core.unified import unified_diff
from ml_switcheroo.errors import RewriteError
from ml_switcheroo.targets import find_target

__all__ = ["Rewritten", "find_files", "rewrite_paths"]

SUFFIXES = (".py", ".pyi", ".ipynb")
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What became of a file on the disk.

    Attributes:
        path: The file.
        before: Its text.
        rewrite: What became of the text.
        encoding: How the text is stored.
        unreadable: Whether the file is none that can be read as Python; a note says why.
    """

    path: Path
    before: str
    rewrite: Rewrite
    encoding: str = "utf-8"
    unreadable: bool = False

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.rewrite.code != self.before

    def diff(self) -> str:
        """Return the change as a unified diff; empty where there is none."""
        return unified_diff(self.before, self.rewrite.code, self.path.as_posix().lstrip("/"))

    def write(self) -> None:
        """Write the new text in one piece: after a crash there is the old file or the new one.

        Raises:
            RewriteError: The file cannot be written, or is another than when it was read.
        """
        try:
            if not self.path.stat().st_mode & 0o222:
                raise RewriteError(str(self.path), "the file is read-only; nothing was written")
            if self.path.read_bytes() != self.before.encode(self.encoding):
                raise RewriteError(str(self.path), "the file changed since it was read; nothing was written")
            _replace(self.path.resolve(), self.rewrite.code.encode(self.encoding))
        except OSError as error:
            raise RewriteError(str(self.path), f"cannot be written: {error}") from error


def rewrite_paths(paths: Iterable[str | Path], to: str, **settings: Any) -> Iterator[Rewritten]:
    """Rewrite files and folders; a file with nothing to change or to say is left out.

    Nothing is written: call ``write`` on what changed.

    Args:
        paths: Files, and folders that are searched for Python files, stubs and notebooks.
        to: The target's name.
        settings: As for :func:`ml_switcheroo.core.rewriter.rewrite`.
    """
    find_target(to)  # wrong usage is said before anything is read
    files = list(find_files(paths))
    index = Index(files)
    for path in files:
        done = _rewrite_file(path, to, {**settings, "index": index})
        if done is not None and (done.changed or done.rewrite.notes):
            yield done


def find_files(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Yield the Python files, stubs and notebooks of some paths, sorted and each once.

    Hidden folders are left out, and so are links in a folder: what they lead to is found where it is, or
    belongs to somebody else.

    Raises:
        RewriteError: A path does not exist.
    """
    seen: set[str] = set()
    for path in map(Path, paths):
        if not path.exists():
            raise RewriteError(str(path), "there is no such file or folder")
        for file, real in _below(path) if path.is_dir() else [(path, str(path.resolve()))]:
            if real not in seen:
                seen.add(real)
                yield file


def _below(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of a folder, each with the place where it really lies."""
    real, start = str(path.resolve()), len(str(path))
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIXES):
                file = os.path.join(folder, name)  # noqa: PTH118
                if stat.S_ISREG(os.lstat(file).st_mode):
                    yield Path(file), os.path.join(real, file[start:].lstrip(os.sep))  # noqa: PTH118


def _rewrite_file(path: Path, to: str, settings: dict[str, Any]) -> Rewritten | None:
    try:
        raw = path.read_bytes()
        if not any(word.encode() in raw for word in MENTIONS):
            return None
        encoding = _encoding(raw)
        before = raw.decode(encoding)
        if before.encode(encoding) != raw:
            raise RewriteError(str(path), f"its bytes are no plain {encoding}")
        one = rewrite_notebook if path.suffix == ".ipynb" else rewrite
        return Rewritten(path, before, one(before, to, file=path, **settings), encoding)
    except RewriteError as error:
        line = int(error.where.rpartition(":")[2]) if error.where != str(path) else 1
        reason = error.reason
    except (OSError, UnicodeDecodeError, SyntaxError, LookupError) as error:
        line, reason = 1, f"cannot be read: {error}"
    note = Note(str(path), line, *said("unreadable", why=reason))
    return Rewritten(path, "", Rewrite("", notes=(note,)), unreadable=True)


def _encoding(raw: bytes) -> str:
    """Return the encoding that a file declares; a byte order mark stays in the text."""
    found, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    return "utf-8" if found == "utf-8-sig" else found


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        shutil.copystat(path, name)
        os.utime(name)
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
