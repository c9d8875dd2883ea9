"""What is said, apart from how it is shown: lines of cells with roles, laid out for a width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, cast

__all__ = ["Block", "Cell", "Line", "Role", "blocks_of", "laid_out", "plain"]

Role = Literal[
    "",
    "title",
    "faint",
    "note",
    "rule",
    "moved",
    "dropped",
    "kept",
    "unexpected",
    "missing",
    "ambiguous",
    "different",
]
"""What a cell is; on a terminal its colour says so."""

ARROW = "->"
_LEAST = 24  # characters, of a last column that is worth a column
_DEEPER = 4  # blanks before what goes on below its first line


@dataclass(frozen=True, slots=True)
class Cell:
    """A text that stands together, and what it is."""

    text: str
    role: Role = ""


@dataclass(frozen=True, slots=True)
class Line:
    """Cells side by side.

    Attributes:
        cells: The cells; those of the lines of a block stand below each other, where there are several.
        indent: The blanks before the first.
    """

    cells: tuple[Cell, ...]
    indent: int = 0


Block = Sequence[Line]
"""Lines whose cells are aligned."""
Pieces = list[Cell]


def plain(blocks: Iterable[Block]) -> list[str]:
    """Write blocks as lines of text, as wide as they come.

    >>> plain([[Line((Cell("missing"), Cell("2"))), Line((Cell("kept"), Cell("10")), 2)]])
    ['missing  2', '  kept   10']
    """
    return ["".join(cell.text for cell in line) for block in blocks for line in laid_out(block, None)]


def laid_out(block: Block, width: int | None) -> Iterator[Pieces]:
    """Yield the lines of a block, each as pieces to print one behind the other.

    Where columns are too wide, the last one is broken between words; where that leaves it no room, it goes
    below the others, or each line becomes several. A name is never broken: one that is wider than all of the
    width loses its middle, but a rule stays whole, since it is to be copied.

    Args:
        block: The lines.
        width: The characters there are in a line; None for any number.

    >>> block = [Line((Cell("conv.weight"), Cell("->"), Cell("conv.kernel"), Cell("as it is")))]
    >>> ["".join(cell.text for cell in line) for line in laid_out(block, 30)]
    ['conv.weight', '    ->  conv.kernel  as it is']
    """
    starts = _starts(block)
    ruled = any(line.cells[-1].role == "rule" for line in block)
    widest = max((_width(line, starts) for line in block if len(line.cells) > 1), default=0)
    for line in block:
        if len(line.cells) > 1 and (width is None or widest <= width):
            yield _aligned(line, starts)
        elif width is None:
            yield [Cell(" " * line.indent), *line.cells]
        elif len(line.cells) > 1 and starts[len(line.cells) - 1] + _LEAST <= width and not ruled:
            yield from _hanging(line, starts, width)
        elif (
            len(line.cells) > 2
            and not ruled
            and starts[len(line.cells) - 1] <= width + 2
            and not _points(line)
        ):
            yield _aligned(Line(line.cells[:-1], line.indent), starts)
            yield from _broken(line.cells[-1], line.indent + _DEEPER, line.indent + _DEEPER, width)
        elif len(line.cells) > 1:
            yield from _stacked(line, width)
        else:
            yield from _broken(line.cells[0], line.indent, line.indent + 2, width)


def blocks_of(text: str, width: int | None, role: Role = "") -> Iterator[Block]:
    """Yield text as blocks; where it is too wide, what stands two blanks apart or more is taken for columns.

    Args:
        text: Lines, such as those of an error.
        width: The characters there are in a line; None for any number.
        role: What all of it is, if it is one thing; else the heads of sections are known by their words.

    >>> [block] = blocks_of("  a.name.that.is.long  float32[3]  nothing fills it", 40)
    >>> ["".join(cell.text for cell in line) for line in laid_out(block, 40)]
    ['  a.name.that.is.long  float32[3]', '      nothing fills it']
    """
    lines = [_line_of(line, role) for line in text.split("\n")]
    for (_, several), group in groupby(lines, key=lambda line: (line.indent, len(line.cells) > 1)):
        block = list(group)
        whole = [Line((_whole(line),), line.indent) for line in block]
        wide = width is not None and any(line.indent + len(line.cells[0].text) > width for line in whole)
        yield [Line(line.cells[::2], line.indent) for line in block] if several and wide else whole


def _whole(line: Line) -> Cell:
    return Cell("".join(cell.text for cell in line.cells), line.cells[0].role)


_HEAD = re.compile(r"(note|moved|dropped|kept|unexpected|missing|ambiguous|different)\b[^(]*(\(\d+\)$|:)")
_RULE = re.compile(r"(Rename|Kind|Drop|Keep|Move)\(")


def _line_of(text: str, role: Role) -> Line:
    """Return a line with its cells and, between them, the blanks that part them."""
    bare = text.lstrip(" ")
    head = _HEAD.match(text)
    parts = re.split(r"( {2,})", bare)
    cells = (Cell(part, role or ("rule" if _RULE.match(part) else "")) for part in parts)
    if head:
        return Line((Cell(bare, role or cast("Role", head[1])),))
    return Line(tuple(cells), len(text) - len(bare))


def _starts(block: Block) -> list[int]:
    """Return where each column starts, apart from the indentation of the first."""
    widths: dict[int, int] = {}
    for line in block:
        for column, cell in enumerate(line.cells if len(line.cells) > 1 else ()):
            indent = line.indent if column == 0 else 0
            widths[column] = max(widths.get(column, 0), indent + len(cell.text))
    starts = [0]
    for width in widths.values():
        starts.append(starts[-1] + width + 2)
    return starts


def _width(line: Line, starts: Sequence[int]) -> int:
    last = len(line.cells) - 1
    return starts[last] + len(line.cells[last].text) + (line.indent if last == 0 else 0)


def _aligned(line: Line, starts: Sequence[int]) -> Pieces:
    pieces, here = [], 0
    for column, cell in enumerate(line.cells):
        start = starts[column] if column else line.indent
        if cell.text:
            pieces += [Cell(" " * (start - here)), cell]
            here = start + len(cell.text)
    return pieces


def _points(line: Line) -> bool:
    return any(cell.text == ARROW for cell in line.cells)


def _hanging(line: Line, starts: Sequence[int], width: int) -> Iterator[Pieces]:
    """Break the last cell between words, below where it starts."""
    *before, last = line.cells
    start = starts[len(before)]
    head = _aligned(Line(tuple(before), line.indent), starts)
    gap = start - sum(len(cell.text) for cell in head)
    for number, pieces in enumerate(_broken(last, start, start, width)):
        yield [*head, Cell(" " * gap), *pieces[1:]] if number == 0 else pieces


def _stacked(line: Line, width: int) -> Iterator[Pieces]:
    """Put what stands before the arrow, or before the last cell, on a line, and the rest below it."""
    texts = [cell.text for cell in line.cells]
    turn = texts.index(ARROW) if ARROW in texts else len(texts) - 1
    yield from _packed(line.cells[:turn], line.indent, line.indent + _DEEPER, width)
    rest = line.cells[turn:]
    yield from _packed(
        rest, line.indent + _DEEPER, line.indent + _DEEPER + 4 * (rest[0].text == ARROW), width
    )


def _packed(cells: Sequence[Cell], indent: int, deeper: int, width: int) -> Iterator[Pieces]:
    """Put as many cells on a line as it holds; an arrow stays with what it points to."""
    pieces: Pieces = []
    here = 0
    for cell in (cell for cell in cells if cell.text):
        glued = bool(pieces) and pieces[-1].text == ARROW
        if pieces and (glued or here + 2 + len(cell.text) <= width):
            room = max(width - here - 2, _LEAST // 2)
            shown = cell if len(cell.text) <= room else Cell(_elided(cell, room), cell.role)
            pieces += [Cell("  "), shown]
            here += 2 + len(shown.text)
            continue
        if pieces:
            yield pieces
            indent = deeper
        *lines, pieces = _broken(cell, indent, deeper, width)
        yield from lines
        here = sum(len(piece.text) for piece in pieces)
    if pieces:
        yield pieces


def _broken(cell: Cell, indent: int, deeper: int, width: int) -> list[Pieces]:
    """Break a cell between words."""
    first, *others = cell.text.split(" ")
    room = max(width - deeper, _LEAST // 2)
    words = [_elided(Cell(first, cell.role), max(width - indent, _LEAST // 2))]
    text = " ".join([*words, *(_elided(Cell(word, cell.role), room) for word in others)])
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * deeper,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return [[Cell(line[: -len(line.lstrip(" "))]), Cell(line.lstrip(" "), cell.role)] for line in lines] or [
        [Cell("")]
    ]


def _elided(cell: Cell, room: int) -> str:
    """Leave away what is in the middle of a name, first what stands near its beginning: many names share it.

    >>> _elided(Cell("text_model.encoder.layers.{0..7}.q_proj.weight"), 40)
    'text_model...layers.{0..7}.q_proj.weight'
    """
    text = cell.text
    if len(text) <= room or cell.role == "rule":
        return text
    head, *parts = re.split(r"(?<=[A-Za-z0-9_}\]])[./]", text)
    while len(parts) > 1:
        parts = parts[1:]
        tail = text[len(text) - len(".".join(parts)) :]
        if len(shorter := f"{head}...{tail}") <= room:
            return shorter
    half = (room - 3) // 2
    return f"{text[: room - 3 - half]}...{text[-half:]}"
