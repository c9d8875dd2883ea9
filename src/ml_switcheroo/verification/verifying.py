"""A run of the target beside PyTorch's: the verdict, and the first layer that differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ml_switcheroo.ops import Array
from ml_switcheroo.verification.calls import Call
from ml_switcheroo.verification.doubting import doubts_of
from ml_switcheroo.verification.locating import locate
from ml_switcheroo.verification.reference import Reference
from ml_switcheroo.verification.verdict import Verification

__all__ = ["verified"]


def verified(reference: Reference, model: Any) -> Verification:
    """Run a model of the target, and compare its outputs, its layers and its weights with PyTorch's."""
    sides, plan, mine = reference.sides, reference.sides.plan, reference.mine
    other = reference.run(model)
    limit = reference.limit(other)
    _, layers = reference.layers(sides, other, limit)
    outputs = reference.outputs(sides, other, limit)
    weights = _other_weights(reference, model)
    first = locate(layers, outputs, weights, _last(mine.calls), _last(other.calls), limit)
    notes = [*plan.differences, *reference.remarks, *plan.notes]
    if len(weights) == len(plan.outputs) > 0:
        notes.append("no leaf is what the plan gives: was the target model loaded? (load=True, --load)")
    return Verification(
        sides.source,
        sides.target.name,
        outputs,
        layers,
        weights,
        first,
        limit,
        tuple(dict.fromkeys(notes)),
        tuple(doubts_of(outputs, layers, plan.notes, limit)),
        (len(plan.outputs), len(plan.outputs) + len(plan.missing)),
    )


def _other_weights(reference: Reference, model: Any) -> tuple[str, ...]:
    """Return the leaves of the model that are not what the plan makes of PyTorch's tensors."""
    now = reference.sides.live.read(model)
    planned = reference.sides.plan.apply(reference.state, partial=True)
    return tuple(
        path
        for path in planned
        if path in now and not np.array_equal(now[path], planned[path].astype(now[path].dtype, copy=False))
    )


def _last(calls: Sequence[Call]) -> dict[str, Array]:
    return {call.path: call.outputs[0] for call in calls if call.outputs}
