"""A plan as one page for a browser that loads nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from ml_switcheroo.report.folding import Row, fold
from ml_switcheroo.report.text import by_pattern, move_texts, summary

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome

__all__ = ["plan_html"]

MEANINGS = {
    "ambiguous": "several answers fit equally: write one of the rules",
    "missing": "nothing fills this leaf",
    "unexpected": "no leaf takes this tensor",
    "moved": "becomes a leaf",
    "dropped": "left behind, for a reason",
    "kept": "stays as the target has it",
}
"""What can become of a tensor or a leaf; what a person has to decide comes first."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: a tensor, a leaf, or the same of many layers.

    Attributes:
        status: One of ``MEANINGS``.
        source: PyTorch's name and spec.
        leaf: The path and spec.
        what: The move in words, or the candidates with their rules.
        why: Kind, origin and reason.
        read: Whether what both programs compute has decided it.
    """

    status: str
    source: Row
    leaf: Row
    what: str
    why: str
    read: bool = False

    @property
    def count(self) -> int:
        """How many tensors the line stands for; leaves, if no tensor fills them."""
        return _size(self.source[0] or self.leaf[0])


def plan_html(plan: Outcome) -> str:
    """Write the whole plan as one HTML page: folded layers, a filter, and what a person must decide first."""
    lines = sorted(_lines(plan), key=lambda line: [*MEANINGS].index(line.status))
    counts = {status: sum(line.count for line in lines if line.status == status) for status in MEANINGS}
    notes = dict.fromkeys([note for move in plan.moves for note in move.notes] + list(plan.notes))
    page = files("ml_switcheroo.report").joinpath("page.html").read_text("utf-8")
    return Template(page).substitute(
        title=escape(f"{plan.source or 'state dict'} \N{RIGHTWARDS ARROW} {plan.target}"),
        summary=escape(summary(plan)),
        boxes="".join(
            f'<label class="{status}" title="{meaning}"><input type="checkbox" value="{status}" checked>'
            f"{status} <b>{counts[status]:,}</b></label>\n"
            for status, meaning in MEANINGS.items()
            if counts[status]
        ),
        differences=_differences(plan),
        notes="".join(f"<li>{escape(note)}</li>\n" for note in notes),
        rows="".join(map(_row, lines)),
    )


def _lines(plan: Outcome) -> Iterator[Line]:
    moves = [
        (
            *move_texts(move),
            f"{move.kind} \N{MIDDLE DOT} {move.origin}: {move.reason}\n{move.where}",
            move.origin,
        )
        for move in plan.moves
    ]
    for source, inputs, _, leaf, outputs, what, why, origin in fold(moves):
        yield Line("moved", (source, inputs), (leaf, outputs), what, why, origin == "graph")
    doubts = [
        (", ".join(entry.names), "\n".join(map("{}\t{}".format, entry.candidates, entry.rules)))
        for entry in plan.ambiguous
    ]
    for names, candidates in fold(doubts):
        yield Line("ambiguous", (names, ""), ("", ""), by_pattern(candidates), "")
    for status in ("missing", "unexpected", "dropped", "kept"):
        left = getattr(plan, status).items()
        for name, spec, why in fold((name, str(entry.spec), entry.why) for name, entry in sorted(left)):
            pair = ((name, spec), ("", ""))
            of_leaf = status in ("missing", "kept")
            yield Line(status, pair[of_leaf], pair[not of_leaf], "", why)


def _differences(plan: Outcome) -> str:
    """Write where the programs compute something else, with the lines of both; empty where they do not."""
    if not plan.differences:
        return ""
    rows = "".join(f"<li>{_LINE.sub(_CODE, escape(line))}</li>\n" for line in plan.differences)
    return f"<section>\n<h2>The programs compute something else</h2>\n<ol>\n{rows}</ol>\n</section>\n"


_LINE = re.compile(r"[^\s();]+\.py:\d+")
_CODE = r"<code>\g<0></code>"


def _size(names: str) -> int:
    """Count the names that folded and joined ones stand for.

    >>> _size("h.{0..11}.w, h.{0..11}.b"), _size("h.{0..1}.{query,key,value}.kernel")
    (24, 6)
    """
    total = 0
    for name in names.split(", "):
        size = 1
        for part in name.split("{")[1:]:
            inside = part.partition("}")[0]
            low, dots, high = inside.partition("..")
            size *= int(high) - int(low) + 1 if dots else inside.count(",") + 1
        total += size
    return total


def _row(line: Line) -> str:
    mark = "<small>by what both programs compute</small>" if line.read else ""
    status = f"<td><span>{line.status}</span>{mark}</td>"
    source, leaf = (
        f"<td>{f'<code>{escape(name)}</code> <small>{escape(spec)}</small>' if name else ''}</td>"
        for name, spec in (line.source, line.leaf)
    )
    what = "".join(
        f"<div>{escape(reason)}{f'<code>{escape(rule)}</code>' if rule else ''}</div>"
        for reason, _, rule in (option.partition("\t") for option in line.what.split("\n"))
    )
    why = "<br>".join(escape(part) for part in line.why.split("\n") if part)
    rest = f"{leaf}<td>{what}</td><td>{why}</td>"
    if line.status == "ambiguous":
        rest = f'<td colspan="3">{what}</td>'
    return f'<tr class="{line.status}">{status}{source}{rest}</tr>\n'
