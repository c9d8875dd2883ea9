"""Why a plan cannot be carried out, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_switcheroo.laid import plain
from ml_switcheroo.report.folding import columns
from ml_switcheroo.report.suggesting import suggested
from ml_switcheroo.report.text import ambiguous_block, differences_block, left_block, summary

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome

__all__ = ["bounded", "problems_text"]


def problems_text(plan: Outcome, missing: Sequence[str], unexpected: Sequence[str]) -> tuple[str, str]:
    """Write why a plan cannot be applied, and the cure: in at most 40 lines, and in full."""
    head = (
        f"the plan for {plan.source or 'this state dict'} -> {plan.target} is not complete: {summary(plan)}"
    )
    sections = [
        plain([left_block(plan, "missing", missing)]),
        plain([left_block(plan, "unexpected", unexpected)]),
        plain([ambiguous_block(plan)]),
        plain([differences_block(plan)]),
        _rules(plan) if missing and plan.unexpected else [],
    ]
    cures = []
    if missing or unexpected:
        cures.append('add Rename("name in PyTorch", "path in the target"), Drop or Keep rules')
        cures += ["pass --allow-missing"] * bool(missing) + ["pass --allow-unexpected"] * bool(unexpected)
    if missing and plan.unexpected and not plan.differences and all(m.origin != "graph" for m in plan.moves):
        cures.append('let both programs be read: inputs="float32[1,3,64,64]", with layers= and a live model')
    if plan.differences:
        cures.append("correct the port where it computes something else")
    if plan.ambiguous:
        cures.append("say what the layers are (layers=, --layers) or add one of the rules above")
    cure = "To mend it: " + "; or ".join(cures) + "."
    short, full = (
        "\n".join([head, *(line for section in body for line in section), cure])
        for body in (bounded(sections, _LINES - 2), sections)
    )
    return short, full


_LINES = 40


_ROOM = 3000  # characters, beside the head and the cure


def _size(section: Sequence[str], share: int) -> int:
    return sum(len(line) + 1 for line in section[:share])


def bounded(sections: Sequence[list[str]], most: int) -> list[list[str]]:
    """Cut sections of lines so that together they have at most so many lines, and room in a message.

    >>> bounded([["a", "1", "2", "3", "4"], ["b", "5"]], 5)
    [['a', '1', '  ... and 3 more (--full; error.full)'], ['b', '5']]
    """
    shares = [len(section) for section in sections]
    while sum(shares) > most and max(shares) > 2:
        shares[shares.index(max(shares))] -= 1
    while sum(sizes := [_size(*pair) for pair in zip(sections, shares, strict=True)]) > _ROOM:
        longest = max(range(len(shares)), key=lambda one: sizes[one] if shares[one] > 2 else 0)
        if shares[longest] <= 2:
            break
        shares[longest] -= 1
    return [
        section
        if share == len(section)
        else [*section[: share - 1], f"  ... and {len(section) - share + 1} more (--full; error.full)"]
        for section, share in zip(sections, shares, strict=True)
    ]


def _rules(plan: Outcome) -> list[str]:
    rows = list(suggested(plan))
    return ["possible rules (only the sizes speak for them)", *columns(rows)] if rows else []
