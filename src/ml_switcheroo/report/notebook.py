"""A plan in a notebook: what becomes of its tensors, counted, and what a person has to decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ml_switcheroo.report.text import summary
from ml_switcheroo.shown import html_table

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome

__all__ = ["plan_table"]

_MOST = 10  # names of one sort


def plan_table(plan: Outcome) -> str:
    """Write a plan as a small table of HTML."""
    return html_table(f"{plan.source or 'state dict'} -> {plan.target}: {summary(plan)}", _rows(plan))


def _rows(plan: Outcome) -> Iterator[tuple[object, ...]]:
    kinds = Counter(move.kind for move in plan.moves)
    yield from (("moved", f"{count} of {kind}", "") for kind, count in kinds.items())
    for word in ("dropped", "kept"):
        reasons = Counter(left.why for left in getattr(plan, word).values())
        yield from ((word, str(count), why) for why, count in reasons.items())
    for word in ("unexpected", "missing"):
        left = getattr(plan, word)
        yield from _listed((word, f"{name} {one.spec}", one.why) for name, one in left.items())
    yield from _listed(("ambiguous", ", ".join(one.names), " or ".join(one.rules)) for one in plan.ambiguous)
    yield from _listed(("different", line, "") for line in plan.differences)


def _listed(rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    rows = iter(rows)
    yield from islice(rows, _MOST)
    rest = sum(1 for _ in rows)
    if rest:
        yield (f"... and {rest} more", "", "")
