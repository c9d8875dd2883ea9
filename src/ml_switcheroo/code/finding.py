"""Where the file of a module lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["folder_of", "module_file"]


def module_file(folder: Path, parts: Sequence[str]) -> Path | None:
    """Return the file of a module below a folder: a package goes before a module of its name, as in Python.

    Without parts it is the folder itself, if that is a package.
    """
    package = folder.joinpath(*parts, "__init__.py")
    if package.is_file():
        return package
    module = folder.joinpath(*parts).with_suffix(".py") if parts else None
    return module if module is not None and module.is_file() else None


def folder_of(path: Path, level: int) -> Path:
    """Return the folder that a relative import with so many dots starts from, in a file."""
    return path.parents[min(level, len(path.parents)) - 1]
