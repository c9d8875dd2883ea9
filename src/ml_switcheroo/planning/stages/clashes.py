"""Two moves that would write the same leaf: neither is made, and the user is asked."""

from __future__ import annotations

from ml_switcheroo.moves import Move
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.rule_lines import written
from ml_switcheroo.rules import Drop
from ml_switcheroo.unmoved import Ambiguity

__all__ = ["without_clashes"]

_STAGE = "clashes"


def without_clashes(ledger: Ledger) -> None:
    """Take back the moves that would write the same leaf."""
    writers: dict[str, list[Move]] = {}
    for move in ledger.moves:
        for path in move.leaves:
            writers.setdefault(path, []).append(move)
    clashing = {path: found for path, found in writers.items() if len(found) > 1}
    bad = {id(move) for found in clashing.values() for move in found}
    ledger.take_back(_STAGE, lambda move: id(move) in bad, "another tensor would fill the same leaf")
    ledger.ask(_STAGE, (_clash(path, found) for path, found in clashing.items()))


def _clash(path: str, found: list[Move]) -> Ambiguity:
    others = [[other for other in found if other is not move] for move in found]
    return Ambiguity(
        tuple(name for move in found for name in move.sources),
        tuple(f"{', '.join(move.sources)} -> {path}" for move in found),
        tuple(written(Drop(name) for other in rest for name in other.sources) for rest in others),
    )
