"""Rewrite notebooks: their code cells are one program, and magics are no Python."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ml_switcheroo.codemod.hooks import Note
from ml_switcheroo.codemod.notes import said
from ml_switcheroo.codemod.rewriter import Rewrite, rewrite
from ml_switcheroo.codemod.text import Edit, apply_edits
from ml_switcheroo.errors import RewriteError

__all__ = ["rewrite_notebook"]

# Cell magics whose cell is Python all the same, and whose names are those of the notebook.
_PYTHON_CELLS = re.compile(r"%%(time|capture)\b.*")
_CELL = 3  # how deep the fields of a cell lie: {"cells": [{...
_MAGIC = re.compile(r"^[ \t]*(?:[%!].*|\?.*|[\w.]+\?{1,2}[ \t]*)$", re.MULTILINE)
_ASSIGNED = re.compile(r"^([ \t]*[\w.,\[\]\"' ]+=[ \t]*)([%!].*)$", re.MULTILINE)
_CALL = re.compile(r"\.load_state_dict\(")


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
# The keys that matter, brackets, and every other string: a bracket inside one is none.
_TOKEN = re.compile(r'"cell_type"|"source"|[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*"')
_FIELDS = ('"cell_type"', '"source"')
_VALUE = re.compile(r"\s*:\s*")


@dataclass(frozen=True, slots=True)
class _Cell:
    """A code cell: where its text begins in the program, the text, and the JSON of its ``source``.

    ``first`` and ``last`` are the offsets of that JSON in the file; ``read`` tells whether it is Python.
    """

    start: int
    code: str
    first: int
    last: int
    read: bool


def rewrite_notebook(
    source: str, to: str = "nnx", *, file: str | Path = "<notebook>", **settings: Any
) -> Rewrite:
    """Rewrite the code cells of a notebook; lines of notes and edits count over the code cells.

    Args:
        source: The text of the ``.ipynb`` file.
        to: The target's name.
        file: Its path.
        settings: As for :func:`ml_switcheroo.codemod.rewriter.rewrite`.

    Raises:
        RewriteError: It is no notebook.
    """
    cells, program = list[_Cell](), ""
    notes = list[Note]()
    for code, first, last in _code_cells(source, str(file)):
        masked, why = _masked(code)
        cells.append(_Cell(len(program), code, first, last, not why))
        line = program.count("\n") + 1
        for call in _CALL.finditer(code) if why else ():
            notes.append(Note(str(file), line + code.count("\n", 0, call.start()), *said("cell", why=why)))
        program += masked + "\n"
    done = rewrite(program, to, file=file, **settings)
    changed: list[Edit] = []
    edits = [_moved(edit, cells) for edit in done.edits]
    for cell in cells:
        inside = [
            _within(edit, cell) for edit in edits if cell.start <= edit.start <= cell.start + len(cell.code)
        ]
        if inside:
            before = source[cell.first : cell.last]
            after = _written(apply_edits(cell.code, inside), before)
            changed.append(Edit(cell.first, cell.last, after, inside[0].line, before))
    code = apply_edits(source, changed)
    return replace(done, code=code, notes=tuple(sorted({*done.notes, *notes})))


def _code_cells(source: str, file: str) -> Iterator[tuple[str, int, int]]:
    """Yield text, and first and last offset of the ``source`` of each code cell, as the file has it."""
    try:
        records = [cell for cell in json.loads(source)["cells"] if cell["cell_type"] == "code"]
        codes = ["".join(cell["source"]) for cell in records]
    except (ValueError, KeyError, TypeError) as error:
        raise RewriteError(file, f"this is no notebook: {error!r}") from error
    places = _places(source)
    if [code for code, _, _ in places] != codes:
        raise RewriteError(file, "the places of its cells cannot be told")
    yield from places


def _places(source: str) -> list[tuple[str, int, int]]:
    """Find each ``"source"`` that stands in a cell of type ``code``, by scanning strings and brackets."""
    found: list[tuple[str, int, int]] = []
    depth, behind = 0, 0
    kind, place = "", (0, 0)
    for token in _TOKEN.finditer(source):
        if token.start() < behind:
            continue
        word = token[0]
        if word in ("[", "{"):
            depth += 1
        elif word in ("]", "}"):
            depth -= 1
            if word == "}" and depth == _CELL - 1:
                if kind == '"code"':
                    found.append(("".join(json.loads(source[slice(*place)])), *place))
                kind, place = "", (0, 0)
        elif depth == _CELL and word in _FIELDS and (value := _VALUE.match(source, token.end())):
            _, behind = json.JSONDecoder().raw_decode(source, value.end())
            if word == '"cell_type"':
                kind = source[value.end() : behind]
            else:
                place = (value.end(), behind)
    return found


def _written(code: str, before: str) -> str:
    """Write the text of a cell as JSON, the way it was written before: as a string, or as lines."""
    plain = before.isascii() and "\\u" in before

    def dumped(text: str) -> str:
        return json.dumps(text, ensure_ascii=plain)

    if not before.startswith("["):
        return dumped(code)
    strings = [match.span() for match in _STRING.finditer(before)]
    head, tail = before[: strings[0][0]], before[strings[-1][1] :]
    between = before[strings[0][1] : strings[1][0]] if len(strings) > 1 else "," + (head[1:] or " ")
    old = {json.loads(before[slice(*span)]): before[slice(*span)] for span in strings}
    return head + between.join(old.get(line) or dumped(line) for line in _lines(code)) + tail


def _lines(code: str) -> list[str]:
    """Split a text into lines that keep their end, at line feeds alone."""
    lines = code.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _moved(edit: Edit, cells: list[_Cell]) -> Edit:
    """Return an insertion into a cell that is not read as one into the next that is."""
    place = next((i for i, cell in enumerate(cells) if edit.start <= cell.start + len(cell.code)), 0)
    if edit.start != edit.end or cells[place].read:
        return edit
    start = next(cell.start for cell in cells[place:] if cell.read)
    return replace(edit, start=start, end=start)


def _within(edit: Edit, cell: _Cell) -> Edit:
    """Return an edit of the program as one of a cell; nothing goes before the magic of the whole cell."""
    start, end = edit.start - cell.start, edit.end - cell.start
    if start == end and cell.code.startswith("%%"):
        first = len(cell.code.split("\n", 1)[0])
        if start <= first:
            at = min(first + 1, len(cell.code))
            return replace(edit, start=at, end=at, after=edit.after if at > first else f"\n{edit.after}")
    return replace(edit, start=start, end=end)


def _masked(code: str) -> tuple[str, str]:
    """Return Python of the same length, and why the cell is not read: then all of it is empty.

    Magics become comments behind a ``0``; a cell that is Python as it stands has none.
    """
    why = "" if not code.startswith("%%") or _PYTHON_CELLS.match(code) else code.split("\n", 1)[0]
    if not why and _is_python(code):
        return code, ""
    masked = _ASSIGNED.sub(lambda found: found[1] + _blank(found[2]), code)
    masked = _MAGIC.sub(lambda found: _blank(found[0]), masked)
    if not why and not _is_python(masked):
        why = "it is no Python"
    return (re.sub(r"[^\n]", " ", code) if why else masked), why


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True


def _blank(line: str) -> str:
    """Put a statement in place of a magic, for it may be all that a block has."""
    body = line.lstrip(" \t")
    return line[: len(line) - len(body)] + ("0#" + body[2:])[: len(body)]
