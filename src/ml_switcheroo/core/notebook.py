"""Rewrite notebooks: their code cells are one program, and magics are no Python."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml_switcheroo.core.hooks import Note
from ml_switcheroo.core.rewriter import Rewrite, rewrite
from ml_switcheroo.core.text import Edit, apply_edits
from ml_switcheroo.errors import RewriteError

__all__ = ["rewrite_notebook"]

# Cell magics whose cell is Python all the same.
_PYTHON_CELLS = ("%%time", "%%timeit", "%%capture", "%%prun")
_MAGIC = re.compile(r"^[ \t]*(?:[%!].*|\?.*|[\w.]+\?{1,2}[ \t]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A code cell: where its text begins in the program, and its text."""

    start: int
    code: str
    record: dict[str, Any]


def rewrite_notebook(
    source: str, to: str = "nnx", *, file: str | Path = "<notebook>", **settings: Any
) -> Rewrite:
    """Rewrite the code cells of a notebook; lines of notes and edits count over the code cells.

    Args:
        source: The text of the ``.ipynb`` file.
        to: The target's name.
        file: Its path.
        settings: As for :func:`ml_switcheroo.core.rewriter.rewrite`.

    Raises:
        RewriteError: It is no notebook.
    """
    try:
        notebook = json.loads(source)
        records = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        codes = ["".join(cell["source"]) for cell in records]
    except (ValueError, KeyError, TypeError) as error:
        raise RewriteError(str(file), f"this is no notebook: {error!r}") from error
    cells, program = [], ""
    for record, code in zip(records, codes, strict=True):
        cells.append(_Cell(len(program), code, record))
        program += _masked(code) + "\n"
    done = rewrite(program, to, file=file, **settings)
    if not done.edits:
        return replace(done, code=source)
    written = _written(source, notebook)
    if written is None:
        note = Note(str(file), 1, "left as it is: this notebook is written in a way that cannot be kept")
        return Rewrite(source, (), (*done.notes, note))
    for cell in cells:
        edits = [
            _within(edit, cell)
            for edit in done.edits
            if cell.start <= edit.start <= cell.start + len(cell.code)
        ]
        if edits:
            lines = apply_edits(cell.code, edits)
            is_list = isinstance(cell.record["source"], list)
            cell.record["source"] = lines.splitlines(keepends=True) if is_list else lines
    return replace(done, code=written(notebook))


def _within(edit: Edit, cell: _Cell) -> Edit:
    return replace(edit, start=edit.start - cell.start, end=edit.end - cell.start)


def _masked(code: str) -> str:
    """Return Python of the same length: magics become comments behind a ``0``, foreign cells empty."""
    foreign = code.startswith("%%") and not code.startswith(_PYTHON_CELLS)
    masked = _MAGIC.sub(lambda found: _blank(found[0]), code)
    try:
        ast.parse(masked)
    except SyntaxError:
        foreign = True
    return re.sub(r"[^\n]", " ", code) if foreign else masked


def _blank(line: str) -> str:
    """Put a statement in place of a magic, for it may be all that a block has."""
    body = line.lstrip(" \t")
    return line[: len(line) - len(body)] + ("0#" + body[2:])[: len(body)]


def _written(source: str, notebook: Any) -> Any:
    """Return the function that writes JSON the way this file is written; None where none does."""
    end = source[len(source.rstrip()) :]
    for indent in (1, 2, 4, None, "\t"):
        for ascii_only in (False, True):

            def write(value: Any, indent: Any = indent, ascii_only: bool = ascii_only) -> str:
                return json.dumps(value, indent=indent, ensure_ascii=ascii_only) + end

            if write(notebook) == source:
                return write
    return None
