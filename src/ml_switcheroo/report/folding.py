"""Rows of a table: repeated layers folded, names joined, columns aligned."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["Row", "columns", "fold", "joined"]

_INDEX = re.compile(r"(?<![A-Za-z0-9 ])\d+(?=[./\[\]\"]|$)|(?<=_)\d+(?=[./\"]|$)")
_SPEC = re.compile(r"\b(?:bool|[a-z]*(?:int|float|complex)\d+\w*)\[[\d,]*\]")
Row = tuple[str, ...]
"""Texts that belong together: a line of a table."""


def fold(rows: Iterable[Row]) -> list[Row]:
    """Fold rows that differ in one index only: ``layers.0.w``, ``layers.1.w`` -> ``layers.{0..1}.w``.

    A row is a tuple of texts; the index must change in the same way in all of them, and in all names of
    the first one.

    >>> fold([("h.0.w", "h_0/w"), ("h.1.w", "h_1/w"), ("h.2.w", "h_2/w"), ("out", "out")])
    [('h.{0..2}.w', 'h_{0..2}/w'), ('out', 'out')]
    >>> fold([("h.0.w, h.0.b", "h.0"), ("h.1.w, h.1.b", "h.1")])
    [('h.{0..1}.w, h.{0..1}.b', 'h.{0..1}')]
    """
    result = list(rows)
    position = 0
    while True:
        folded = _fold_at(result, position)
        if folded is None:
            return result
        result, position = folded, position + 1


def _fold_at(rows: list[Row], position: int) -> list[Row] | None:
    """Fold the index that stands at ``position`` among those of the first text's first name."""
    groups: dict[Row, list[int]] = {}
    deep = False
    for row in rows:
        found = _indices(row[0].partition(", ")[0])
        if position < len(found):
            deep = True
            groups.setdefault(_template(row, found, position), []).append(int(found[position][0]))
        else:
            groups.setdefault(row, []).append(-1)
    return (
        [_unfold(template, run) for template, seen in groups.items() for run in _runs(seen)] if deep else None
    )


def _indices(text: str) -> list[re.Match[str]]:
    """Return the indices in a text; the sizes of a spec are none, although layer 8 may be 8 wide."""
    specs = [found.span() for found in _SPEC.finditer(text)]
    return [
        found
        for found in _INDEX.finditer(text)
        if not any(begin < found.start() < end for begin, end in specs)
    ]


def _template(row: Row, found: Sequence[re.Match[str]], position: int) -> Row:
    """Put a hole where the index stands, in the first text and in those that have the same indices."""
    indices = [index[0] for index in found]
    template = []
    for text in row:
        here = _indices(text)
        times, rest = divmod(len(here), len(indices))
        if not rest and [index[0] for index in here] == indices * times:
            for index in reversed(here[position :: len(indices)]):
                text = text[: index.start()] + "\0" + text[index.end() :]
        template.append(text)
    return tuple(template)


def _unfold(template: Row, run: tuple[int, int]) -> Row:
    low, high = run
    text = str(low) if low == high else f"{{{low}..{high}}}"
    return tuple(part.replace("\0", text) for part in template)


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for index in sorted(set(indices)):
        if runs and index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs


def columns(rows: Sequence[Row], indent: str = "  ") -> list[str]:
    """Align texts in columns, two blanks between them."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [indent + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def joined(paths: Sequence[str]) -> str:
    """Write paths that differ in the middle once, with the difference in braces.

    >>> joined(("attn.query.kernel", "attn.key.kernel", "attn.value.kernel"))
    'attn.{query,key,value}.kernel'
    >>> joined(("a.b", "c"))
    'a.b, c'
    """
    rows = [re.split(r"(?<=[./])", path) for path in paths]
    first, shortest = rows[0], min(map(len, rows))
    head = next((i for i in range(shortest) if len({row[i] for row in rows}) > 1), shortest)
    tail = next(
        (i for i in range(shortest - head) if len({row[-1 - i] for row in rows}) > 1), shortest - head
    )
    if len(paths) == 1 or not head + tail:
        return ", ".join(paths)
    middles = ["".join(row[head : len(row) - tail]) for row in rows]
    ends = {middle[-1:] for middle in middles}
    end = ends.pop() if len(ends) == 1 and tail else ""
    inside = ",".join(middle.removesuffix(end) for middle in middles)
    return "".join(first[:head]) + f"{{{inside}}}{end}" + "".join(first[len(first) - tail :])
