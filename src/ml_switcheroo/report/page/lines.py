"""The lines of source files that decided moves, as a person would look them up."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

__all__ = ["source_lines"]

_DEEPEST = 6  # folders above a model's file: a package is rarely deeper
_WIDEST = 300  # characters of a line


def source_lines(wheres: Iterable[str], sources: Iterable[str]) -> Mapping[str, str]:
    """Return the text of each ``file.py:line`` that lies beside or above the model's files.

    Args:
        wheres: The places, such as ``pkg/layers.py:12``, as seen from the folder that holds ``pkg``.
        sources: The files of the models, as ``model.py`` or ``model.py:Net``; others are not looked for.
    """
    folders = list(dict.fromkeys(_folders(sources)))
    found = {}
    for where in dict.fromkeys(wheres):
        name, _, number = where.rpartition(":")
        if name.endswith(".py") and number.isdecimal() and not Path(name).is_absolute():
            file = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if file is not None and ".." not in Path(name).parts:
                found[where] = linecache.getline(str(file), int(number)).strip()[:_WIDEST]
    return {where: line for where, line in found.items() if line}


def _folders(sources: Iterable[str]) -> Iterator[Path]:
    for given in sources:
        file = Path(given if given.endswith(".py") else given.rpartition(":")[0])
        if file.suffix == ".py" and file.is_file():
            yield from list(file.resolve().parents)[:_DEEPEST]
