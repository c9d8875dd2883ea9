"""Rewrite whole folders: find the files, keep their encoding, write them in one piece."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from multiprocessing import get_context
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

__all__ = ["EXCLUDED", "Rewritten", "find_files", "rewrite_paths", "rewrite_stream"]

SUFFIXES = (".py", ".pyi", ".ipynb")
EXCLUDED = ("__pycache__", "node_modules", "site-packages", "build", "dist")
"""Folders that are left out, beside hidden ones and virtual environments."""
_MENTIONS = tuple(word.encode() for word in MENTIONS)
_CHUNK = 16  # files that a process takes at once
_PROCESS: dict[str, Any] = {}  # what one of several processes works with


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


def rewrite_paths(
    paths: Iterable[str | Path],
    to: str,
    *,
    exclude: Iterable[str] = (),
    root: Path | None = None,
    jobs: int = 1,
    **settings: Any,
) -> Iterator[Rewritten]:
    """Rewrite files and folders; a file with nothing to change or to say is left out.

    Nothing is written: call ``write`` on what changed.

    Args:
        paths: Files, and folders that are searched for Python files, stubs and notebooks.
        to: The target's name.
        exclude: Patterns of paths that are left out (see ``find_files``).
        root: The folder that the patterns are meant in.
        jobs: How many processes share the work; 0 for as many as there are cores. The order stays.
        settings: As for :func:`ml_switcheroo.core.rewriter.rewrite`.
    """
    find_target(to)  # wrong usage is said before anything is read
    files = find_files(paths, exclude=exclude, root=root)
    for done in _each(files, to, settings, jobs or os.cpu_count() or 1):
        if done is not None and (done.changed or done.rewrite.notes):
            yield done


def _each(files: Iterator[Path], to: str, settings: dict[str, Any], jobs: int) -> Iterator[Rewritten | None]:
    if jobs == 1:
        index = Index()
        for path in files:
            yield _rewrite_file(path, to, {**settings, "index": index})
        return
    # Each process reads what is imported anew; a fresh one, since threads and forks do not mix.
    start = partial(_start, to, settings)
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=start) as pool:
        yield from pool.map(_rewrite_one, files, chunksize=_CHUNK)


def _start(to: str, settings: dict[str, Any]) -> None:
    """Set up one of several processes."""
    warnings.simplefilter("ignore", SyntaxWarning)
    _PROCESS.update(to=to, settings={**settings, "index": Index()})


def _rewrite_one(path: Path) -> Rewritten | None:
    return _rewrite_file(path, _PROCESS["to"], _PROCESS["settings"])


def rewrite_stream(raw: bytes, path: Path, to: str, **settings: Any) -> Rewritten:
    """Rewrite the bytes of a file that need not exist, such as an editor's.

    Args:
        raw: The bytes.
        path: The name that notes give, and where the files that it imports are looked for.
        to: The target's name.
        settings: As for :func:`ml_switcheroo.core.rewriter.rewrite`.
    """
    find_target(to)
    return _rewrite_bytes(raw, path, to, settings)


def find_files(
    paths: Iterable[str | Path], *, exclude: Iterable[str] = (), root: Path | None = None
) -> Iterator[Path]:
    """Yield the Python files, stubs and notebooks of some paths, sorted and each once.

    Hidden folders and virtual environments are left out, and so are links in a folder: what they lead to is
    found where it is, or belongs to somebody else.

    Args:
        paths: Files and folders.
        exclude: Patterns of what is left out too, named or found: ``tests`` is a file or folder of that name
            at any depth, ``docs/*.py`` a path from ``root`` on (``*`` takes slashes as well).
        root: The folder that patterns with a slash begin in; by default the current one.

    Raises:
        RewriteError: A path does not exist.
    """
    seen: set[str] = set()
    excluded = partial(_is_excluded, tuple(exclude), str((root or Path.cwd()).resolve()))
    for path in map(Path, paths):
        if not path.exists():
            raise RewriteError(str(path), "there is no such file or folder")
        for file, real in _below(path, excluded) if path.is_dir() else [(path, str(path.resolve()))]:
            if real not in seen and not excluded(real):
                seen.add(real)
                yield file


def _is_excluded(patterns: tuple[str, ...], root: str, real: str) -> bool:
    """Tell whether a pattern takes a file, or a folder around it."""
    if not patterns:
        return False
    inside = os.path.relpath(real, root).replace(os.sep, "/")
    parts = inside.split("/")
    wholes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return any(
        fnmatchcase(name, pattern.strip("/"))
        for pattern in patterns
        for name in (wholes if "/" in pattern.strip("/") else parts)
    )


def _below(path: Path, excluded: Callable[[str], bool]) -> Iterator[tuple[Path, str]]:
    """Yield the files of a folder, each with the place where it really lies."""
    real, start = str(path.resolve()), len(str(path))
    for folder, folders, names in os.walk(path):
        inside = os.path.join(real, folder[start:].lstrip(os.sep))  # noqa: PTH118
        if folder != str(path) and ("pyvenv.cfg" in names or excluded(inside)):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name not in EXCLUDED and not name.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIXES):
                file = os.path.join(folder, name)  # noqa: PTH118
                if stat.S_ISREG(os.lstat(file).st_mode):
                    yield Path(file), os.path.join(inside, name)  # noqa: PTH118


def _rewrite_file(path: Path, to: str, settings: dict[str, Any]) -> Rewritten | None:
    try:
        raw = path.read_bytes()
    except OSError as error:
        return _unreadable(path, 1, f"cannot be read: {error}")
    if not any(word in raw for word in _MENTIONS):
        return None
    return _rewrite_bytes(raw, path, to, settings)


def _rewrite_bytes(raw: bytes, path: Path, to: str, settings: dict[str, Any]) -> Rewritten:
    try:
        encoding = _encoding(raw)
        before = raw.decode(encoding)
        if before.encode(encoding) != raw:
            raise RewriteError(str(path), f"its bytes are no plain {encoding}")
        one = rewrite_notebook if path.suffix == ".ipynb" else rewrite
        return Rewritten(path, before, one(before, to, file=path, **settings), encoding)
    except RewriteError as error:
        line = int(error.where.rpartition(":")[2]) if error.where != str(path) else 1
        return _unreadable(path, line, error.reason)
    except (UnicodeDecodeError, SyntaxError, LookupError) as error:
        return _unreadable(path, 1, f"cannot be read: {error}")


def _unreadable(path: Path, line: int, reason: str) -> Rewritten:
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
