"""What the matcher weighed for a tensor or a leaf, as text for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ml_switcheroo.report.folding import columns

if TYPE_CHECKING:
    from ml_switcheroo.match.trace import Account, Considered

__all__ = ["account_text"]

_MOST = 8
"""Candidates, and names for each veto, that are listed; more would not help."""


def account_text(account: Account) -> list[str]:
    """Write one account: the candidates, best first, the evidence for each, and what each stage said."""
    lines = [f"  weighed: {account.name}" + (f", taken for the {account.role}" if account.role else "")]
    scored = [one for one in account.considered if one.score is not None]
    lines += columns([_row(one) for one in scored[:_MOST]], "    ")
    if len(scored) > _MOST:
        lines.append(f"    ... and {len(scored) - _MOST} more candidates")
    lines += _ruled_out(account)
    return [*lines, *_margin(account), *_layouts(account)]


_SHOWN = 0.005
"""Terms that round to 0.00 are left out."""


def _row(one: Considered) -> tuple[str, ...]:
    said = "taken" if one.taken else "not taken"
    score = f"{one.score:.2f}" if one.score is not None else ""
    return (score, one.name, f"{said} ({one.stage}{f': {one.why}' if one.why else ''})", _terms(one))


def _terms(one: Considered) -> str:
    """Write the evidence for a candidate, then that against it, the heaviest first."""
    told = sorted((t for t in one.terms if abs(t[1]) >= _SHOWN), key=lambda term: -abs(term[1]))
    rows = [*(t for t in told if t[1] > 0), *(t for t in told if t[1] < 0)]
    return ", ".join(f"{word} {term:+.2f}" for word, term in rows)


def _ruled_out(account: Account) -> Iterator[str]:
    """Write what was ruled out, by reason; the most similar names come first."""
    by_reason: dict[str, list[str]] = {}
    for one in account.considered:
        if one.score is None:
            by_reason.setdefault(one.why, []).append(one.name)
    for why, names in by_reason.items():
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        yield f"    ruled out, {why}: {', '.join(names[:_MOST])}{more}"


def _margin(account: Account) -> Iterator[str]:
    if account.margin is None:
        return
    rival = f"else {account.rival}" if account.rival else "else nothing"
    needed = "more than words can give" if math.isinf(account.needed) else f"{account.needed:.2f}"
    doubt = f"; in doubt: {account.doubt}" if account.doubt else ""
    yield f"    margin {account.margin:.2f}, needed {needed}; {rival}{doubt}"


def _layouts(account: Account) -> Iterator[str]:
    for slot, layout, why in account.layouts:
        said = f"laid out as {layout}" if layout is not None else "in doubt"
        yield f"    {slot}: {said}" + (f": {why}" if why else "")
