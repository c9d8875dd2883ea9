"""Rewrite whole folders: find the files, keep their encoding, write them in one piece."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ml_switcheroo.codemod.block import Carried, compose, find_block, folded
from ml_switcheroo.codemod.delivery import block_at, carry, in_place_of
from ml_switcheroo.codemod.files import find_files
from ml_switcheroo.codemod.home import runtime_of
from ml_switcheroo.codemod.hooks import Note
from ml_switcheroo.codemod.index import Index
from ml_switcheroo.codemod.notebook import rewrite_notebook
from ml_switcheroo.codemod.notes import said
from ml_switcheroo.codemod.rewriter import Rewrite, mentions, rewrite
from ml_switcheroo.codemod.text import Text, apply_edits
from ml_switcheroo.codemod.unified import unified_diff
from ml_switcheroo.errors import RewriteError
from ml_switcheroo.formats.apart import write_text
from ml_switcheroo.targets import find_target

__all__ = ["Rewritten", "find_files", "rewrite_paths", "rewrite_stream", "update_paths"]

_LINTERS = "# ruff: noqa\n"  # other people's rules do not hold for what is generated
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

    def diff(self, *, full: bool = True) -> str:
        """Return the change as a unified diff; empty where there is none.

        Args:
            full: Whether ``KeyMapper`` is printed whole, as ``patch`` needs it, or as one line.
        """
        texts = (self.before, self.rewrite.code)
        before, after = texts if full else map(folded, texts)
        return unified_diff(before, after, self.path.as_posix().lstrip("/"))

    def write(self) -> None:
        """Write the new text in one piece: after a crash there is the old file or the new one.

        Raises:
            RewriteError: The file cannot be written, or is another than when it was read.
        """
        try:
            if not self.before and not self.path.exists():
                write_text(self.path, self.rewrite.code)
                return
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
        settings: As for :func:`ml_switcheroo.codemod.rewriter.rewrite`.
    """
    find_target(to)  # wrong usage is said before anything is read
    paths = list(map(Path, paths))
    files = list(find_files(paths, exclude=exclude, root=root))
    settings["named"] = frozenset(paths)
    results = list(_each(files, to, settings, jobs or os.cpu_count() or 1))
    homes: dict[Path, set[str]] = {}
    for home, needs in filter(None, (done.rewrite.home for done in results)):
        homes.setdefault(home, set()).update(needs)
    # Before the first file that imports them: an interruption leaves no import of nothing.
    modules = [_rewrite_home(home, to, homes[home], settings) for home in sorted(homes)]
    yield from (done for done in (*modules, *results) if done.changed or done.rewrite.notes)


def _each(files: Sequence[Path], to: str, settings: dict[str, Any], jobs: int) -> Iterator[Rewritten]:
    if jobs == 1:
        index = Index(files)
        found = (_rewrite_file(path, to, {**settings, "index": index}) for path in files)
        yield from filter(None, found)
        return
    # Each process reads what is imported anew; a fresh one, since threads and forks do not mix.
    start = partial(_start, to, settings, files)
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=start) as pool:
        yield from filter(None, pool.map(_rewrite_one, files, chunksize=_CHUNK))


def _start(to: str, settings: dict[str, Any], files: Sequence[Path]) -> None:
    """Set up one of several processes."""
    warnings.simplefilter("ignore", SyntaxWarning)
    _PROCESS.update(to=to, settings={**settings, "index": Index(files)})


def _rewrite_one(path: Path) -> Rewritten | None:
    return _rewrite_file(path, _PROCESS["to"], _PROCESS["settings"])


def rewrite_stream(raw: bytes, path: Path, to: str, **settings: Any) -> Rewritten:
    """Rewrite the bytes of a file that need not exist, such as an editor's.

    Args:
        raw: The bytes.
        path: The name that notes give, and where the files that it imports are looked for.
        to: The target's name.
        settings: As for :func:`ml_switcheroo.codemod.rewriter.rewrite`.
    """
    find_target(to)
    return _rewrite_bytes(raw, path, to, settings)


def update_paths(
    paths: Iterable[str | Path], *, exclude: Iterable[str] = (), root: Path | None = None
) -> Iterator[Rewritten]:
    """Write the ``KeyMapper`` of each file anew, from the package as it is now; nothing else changes.

    One that was changed by hand is left, with a note.
    """
    for path in find_files(paths, exclude=exclude, root=root):
        raw = path.read_bytes()
        if path.suffix != ".ipynb" and b"# >>> KeyMapper" in raw:
            before = raw.decode(_encoding(raw))
            block = find_block(before)
            done = _with_block(path, before, block.carried if block else None)
            if done.changed or done.rewrite.notes:
                yield done


def _rewrite_home(path: Path, to: str, needs: Iterable[str], settings: Mapping[str, Any]) -> Rewritten:
    """Write the module that the files of a package import ``KeyMapper`` from, with all that they call."""
    there = block_at(path)
    carried = carry(to, needs, settings) if there is None else there.carried.with_entries(needs)
    return _with_block(path, path.read_text("utf-8") if path.exists() else "", carried)


def _with_block(path: Path, before: str, carried: Carried | None) -> Rewritten:
    """Put a block in place of the one in a text; one that was changed by hand stays."""
    there = find_block(before)
    if carried is None or (there is not None and there.edited):
        what = "what this version has" if there else "its last line"
        note = Note(str(path), 1, *said("edited-block", what=what))
        return Rewritten(path, before, Rewrite(before, notes=(note,)))
    text = Text(before)
    if there is None:
        edit = text.edit(0, 0, _LINTERS + compose(carried))
    else:
        edit = in_place_of(there, carried, text)
    return Rewritten(path, before, Rewrite(apply_edits(before, [edit]), (edit,)))


def _rewrite_file(path: Path, to: str, settings: dict[str, Any]) -> Rewritten | None:
    try:
        raw = path.read_bytes()
    except OSError as error:
        return _unreadable(path, 1, f"cannot be read: {error}")
    if not any(word.encode() in raw for word in mentions()):
        return None
    return _rewrite_bytes(raw, path, to, settings)


def _rewrite_bytes(raw: bytes, path: Path, to: str, settings: dict[str, Any]) -> Rewritten:
    named = path in settings.get("named", (path,))
    try:
        encoding = _encoding(raw)
        before = raw.decode(encoding)
        if before.encode(encoding) != raw:
            raise RewriteError(str(path), f"its bytes are no plain {encoding}")
        one = rewrite_notebook if path.suffix == ".ipynb" else rewrite
        own = {key: value for key, value in settings.items() if key != "named"}
        own["runtime"] = runtime_of(settings.get("runtime", "auto"), path, named)
        return Rewritten(path, before, one(before, to, file=path, **own), encoding)
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
