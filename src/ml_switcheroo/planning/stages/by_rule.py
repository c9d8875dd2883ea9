"""The first stage: what the user's rules settle by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ml_switcheroo.errors import RuleError
from ml_switcheroo.moves import Move
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.rule_lines import expanded
from ml_switcheroo.rules import Drop, Rule, match
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Unmoved

__all__ = ["by_rule", "dropped_by"]

_STAGE = "by rule"


def by_rule(request: Request, ledger: Ledger) -> None:
    """Drop what Drop rules drop, and make the moves that the user wrote.

    Raises:
        UsageError: A tensor or a leaf of a move is not there, or is of another shape.
    """
    dropped = dropped_by(request.rules, request.specs)
    ledger.drop(_STAGE, {name: left.why for name, left in dropped.items()})
    ledger.move(_STAGE, _given(request))


def dropped_by(rules: Iterable[Rule], specs: Mapping[str, TensorSpec]) -> dict[str, Unmoved]:
    """Return the tensors that Drop rules leave behind."""
    drops = [rule for rule in rules if isinstance(rule, Drop)]
    return {
        name: Unmoved(spec, rule.why)
        for name, spec in specs.items()
        for rule in drops
        if match(rule.pattern, name) is not None
    }


def _given(request: Request) -> list[Move]:
    """Bind the moves that the user wrote.

    Raises:
        UsageError: A tensor or a leaf of one is not there, or is of another shape.
    """
    moves = [
        move.bind(request.specs)
        for rule in request.rules
        if isinstance(rule, Move)
        for move in expanded(rule, request.specs)
    ]
    if request.template is None:
        return moves
    leaves = request.template.specs
    for move in moves:
        for path, found in zip(move.leaves, move.outputs, strict=True):
            if path not in leaves:
                raise RuleError(f"{move}: the target has no leaf {path}")
            if leaves[path].shape != found.shape:
                raise RuleError(f"{move}: gives {found}, the target has {leaves[path]}")
    return moves
