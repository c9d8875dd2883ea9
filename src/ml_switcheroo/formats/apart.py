"""The guard of every output: nothing that was given as an input is ever overwritten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.output import AtomicFile
from ml_switcheroo.formats.shards import siblings

__all__ = ["keep_apart", "write_text"]


def keep_apart(out: str | Path, *inputs: Any) -> None:
    """Raise if an output would take the place of an input.

    Args:
        out: The file or folder to write.
        inputs: What was given, in any form that names a file: a path, ``"model.py:Net"``, an open checkpoint,
            a folder with all that lies in it, an index with its shards. Anything else is no file.

    Raises:
        UsageError: The output is one of the inputs, by any of its names, or holds one.
    """
    out = Path(out)
    if not out.exists():
        return
    for given in inputs:
        for file in _files(given):
            if _is_in(file, out) or (file.is_dir() and _is_in(out, file)):
                raise UsageError(
                    f"{out} is where the input {given} is, which would be lost; give another name"
                )


def _is_in(file: Path, out: Path) -> bool:
    """Tell whether a file is another one, or lies in it."""
    places = [file, *file.resolve().parents] if out.is_dir() else [file]
    return any(out.samefile(place) for place in places)


def _files(given: Any) -> Iterator[Path]:
    if isinstance(given, list | tuple):
        for one in given:
            yield from _files(one)
        return
    path = getattr(given, "path", given)
    if not isinstance(path, str | Path) or not str(path):
        return
    file = Path(path)
    if isinstance(path, str) and not file.exists() and ":" in path:
        file = Path(path.rpartition(":")[0])
    with suppress(OSError, ValueError):  # a name that no file can have is none
        if file.exists():
            yield file
            yield from _shards(file)


def _shards(file: Path) -> Iterator[Path]:
    if file.name.endswith(".index.json") and file.is_file():
        with suppress(ValueError, AttributeError):  # opening it says what is wrong with it
            names = set(json.loads(file.read_text(encoding="utf-8")).get("weight_map", {}).values())
            yield from (file.parent / name for name in names if (file.parent / name).exists())
    yield from siblings(file)


def write_text(path: str | Path, text: str, *inputs: Any) -> None:
    """Write a text file; it appears whole or not at all, and never in the place of an input.

    Raises:
        CheckpointError: The file cannot be written.
        UsageError: It is one of the inputs.
    """
    keep_apart(path, *inputs)
    content = text.encode("utf-8")
    with AtomicFile(path, len(content)) as file:
        file.write(content, 0)
