"""Both programs of a plan side by side, as a part of its page: what is each other's stands in one row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING

from ml_switcheroo.sketch import Sketch, Step

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome

__all__ = ["programs_html"]


def programs_html(plan: Outcome) -> str:
    """Draw both programs; empty where they were not read.

    A script of the page draws the lines: between steps that take from each other, and between those that
    share a move.
    """
    if plan.programs is None:
        return ""
    source, target = plan.programs
    partners = _partners(plan, source, target)
    rows = "".join(
        f"<div>{_step('a', source, left, partners)}{_step('b', target, right, {})}</div>\n"
        for left, right in _rows(source, target, partners)
    )
    head = f"{source.size:,} operations in PyTorch, {target.size:,} in the target"
    return (
        f"<p>{head}</p>\n<figure id=programs>\n<svg></svg>\n"
        f"<div><h2>PyTorch</h2><h2>{escape(plan.target)}</h2></div>\n{rows}</figure>\n"
    )


def _partners(plan: Outcome, source: Sketch, target: Sketch) -> Mapping[int, int]:
    """Return for steps of the source the one of the target that the same move fills."""
    here, there = _by_leaf(source), _by_leaf(target)
    pairs: dict[int, int] = {}
    for move in plan.moves:
        for name in move.sources:
            for path in move.leaves:
                if name in here and path in there:
                    pairs.setdefault(here[name], there[path])
    return pairs


def _by_leaf(sketch: Sketch) -> dict[str, int]:
    return {leaf: number for number, step in enumerate(sketch.steps) for leaf in step.leaves}


def _rows(
    source: Sketch, target: Sketch, partners: Mapping[int, int]
) -> Iterator[tuple[int | None, int | None]]:
    """Yield the steps of both in their orders; partners share a row where both orders allow it."""
    left = right = 0
    for one in [*sorted(partners), len(source.steps)]:
        other = partners.get(one, len(target.steps))
        if other < right:
            continue
        for row in range(max(one - left, other - right)):
            yield (
                left + row if left + row < one else None,
                right + row if right + row < other else None,
            )
        if one < len(source.steps):
            yield one, other
        left, right = one + 1, other + 1


def _step(side: str, sketch: Sketch, number: int | None, partners: Mapping[int, int]) -> str:
    if number is None:
        return "<div></div>"
    step = sketch.steps[number]
    takes = " ".join(f"{side}{one}" for one in step.takes)
    pair = f" data-pair=b{partners[number]}" if number in partners else ""
    gives = " class=gives" if number in sketch.gives else ""
    shape = "\N{MULTIPLICATION SIGN}".join(map(str, step.shape))
    return (
        f'<div id={side}{number} data-takes="{takes}"{pair}{gives} title="{escape(_title(step))}">'
        f"<b>{escape(step.what)}</b> <small>{shape}</small> <code>{escape(step.line)}</code></div>"
    )


def _title(step: Step) -> str:
    return "; ".join([" ".join(step.ops), *step.leaves])
