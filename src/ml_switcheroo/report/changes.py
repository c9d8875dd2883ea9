"""What differs between two plans, tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_switcheroo.report.folding import columns, fold

if TYPE_CHECKING:
    from ml_switcheroo.outcome import Outcome

__all__ = ["changes_text"]

NOWHERE = "not in the plan"
FILLED = "filled"


def changes_text(old: Outcome, new: Outcome) -> str:
    """Write the tensors and leaves that the plans treat differently; empty if there are none.

    Args:
        old: The plan before.
        new: The plan after.
    """
    before, after = _fates(old), _fates(new)
    rows = fold(
        (name, before.get(name, NOWHERE), after.get(name, NOWHERE))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
        and {before.get(name, FILLED), after.get(name, FILLED)} != {FILLED}
    )
    lines = [f"target: {old.target} -> {new.target}"] if old.target != new.target else []
    for name, one, other in rows:
        lines += [name, *columns([("-", one), ("+", other)])]
    return "\n".join(lines)


def _fates(plan: Outcome) -> dict[str, str]:
    """Say in one line what becomes of each tensor, and whether each leaf is filled."""
    fates: dict[str, str] = {}
    for move in plan.moves:
        text = f"moved: {move.kind}, {move.what}"
        fates |= dict.fromkeys(move.sources, f"{text} -> {', '.join(move.leaves)}")
    for entry in plan.ambiguous:
        fates |= dict.fromkeys(entry.names, f"ambiguous: {'; or '.join(entry.candidates)}")
    for word in ("dropped", "unexpected"):
        fates |= {name: f"{word}: {left.why}" for name, left in getattr(plan, word).items()}
    leaves = {path: FILLED for move in plan.moves for path in move.leaves}
    for word in ("kept", "missing"):
        leaves |= {path: f"{word}: {left.why}" for path, left in getattr(plan, word).items()}
    return fates | {f"leaf {path}": fate for path, fate in leaves.items()}
