"""The notes that a rewrite makes, by code and by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ml_switcheroo.codemod.note_row import CONSEQUENCES, Consequence, Row
from ml_switcheroo.codemod.note_rows import ALL
from ml_switcheroo.errors import UsageError, did_you_mean

__all__ = ["CONSEQUENCES", "FOREIGN", "ROWS", "Consequence", "Row", "Said", "said", "select_codes"]


class Said(NamedTuple):
    """What a note says of one place, and the code of its row."""

    text: str
    code: str


ROWS: Mapping[str, Row] = {row.code: row for row in ALL}
"""Every kind of note, by its code."""

FOREIGN = "SW901"
"""The code of what a hook says without a code."""

_BY_NAME = {row.name: row for row in ALL}


def said(name: str, /, **words: object) -> Said:
    """Return what the row of that name says of a place.

    >>> said("hook").code, said("dropped", name="assign", why="it says nothing").text
    ('SW502', 'assign= is dropped: it says nothing')
    """
    row = _BY_NAME[name]
    text = row.text.format_map(words)
    return Said(f"left as it is: {text}" if row.left else text, row.code)


def select_codes(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> frozenset[str]:
    """Return the codes that begin with one of ``select`` (all, where there is none) and none of ``ignore``.

    As with ruff the longer beginning counts: ``SW201`` of ``select`` goes before ``SW2`` of ``ignore``.

    Raises:
        UsageError: Nothing begins with one of them.

    >>> sorted(select_codes(["SW3"], ["SW30"])), sorted(select_codes(["SW2", "SW301"], ["SW20", "SW3"]))
    ([], ['SW301'])
    """
    chosen, dropped = tuple(select) or ("SW",), tuple(ignore)
    for prefix in (*chosen, *dropped):
        if not prefix or not any(code.startswith(prefix) for code in ROWS):
            raise UsageError(
                f"no note has a code that begins with {prefix!r}{did_you_mean(prefix, ROWS)};"
                f" known codes: {', '.join(ROWS)}"
            )

    def longest(code: str, prefixes: tuple[str, ...]) -> int:
        return max((len(prefix) for prefix in prefixes if code.startswith(prefix)), default=0)

    return frozenset(code for code in ROWS if longest(code, chosen) > longest(code, dropped))
