"""The files of a run: which of a folder count, and which are left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from ml_switcheroo.errors import RewriteError

__all__ = ["EXCLUDED", "find_files"]

SUFFIXES = (".py", ".pyi", ".ipynb")
EXCLUDED = ("__pycache__", "node_modules", "site-packages", "build", "dist")
"""Folders that are left out, beside hidden ones and virtual environments."""


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
