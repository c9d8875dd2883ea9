"""The leaves that nothing fills: those that a rule keeps, and those that are missing."""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.match.paths.spelling import segments
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.rules import Keep, match
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Unmoved

__all__ = ["unfilled"]

_STAGE = "what is left"


def unfilled(request: Request, ledger: Ledger) -> None:
    """Say of each leaf that no move fills whether a rule keeps it, or what could be meant."""
    if request.template is None:
        return
    rules = [rule for rule in request.rules if isinstance(rule, Keep)]
    filled = {path for move in ledger.moves for path in move.leaves}
    kept: dict[str, str] = {}
    missing: dict[str, str] = {}
    for path, spec in request.template.specs.items():
        if path in filled:
            continue
        why = next((rule.why for rule in rules if match(rule.pattern, path) is not None), None)
        if why is not None:
            kept[path] = why
        else:
            missing[path] = _nearest(path, spec, ledger.refused)
    ledger.keep(_STAGE, kept)
    ledger.lack(_STAGE, missing)


def _nearest(path: str, spec: TensorSpec, unexpected: Mapping[str, Unmoved]) -> str:
    """Name the unused tensors that could be meant: same number of elements, most words in common."""
    words = set(segments(path))
    alike = [name for name, left in unexpected.items() if left.spec.size == spec.size]
    alike.sort(key=lambda name: (-len(words & set(segments(name))), name))
    return "no source" + (f"; unused: {', '.join(alike[:3])}" if alike else "")
