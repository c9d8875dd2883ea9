"""What the values of a norm's scale show when no code tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ml_switcheroo.layers import is_alone, tracks
from ml_switcheroo.match.paths.words import meaning, segment_tokens
from ml_switcheroo.match.units.kinds_by_name import plain_kind
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Shift
from ml_switcheroo.tensors import read_array

__all__ = ["said_of_values"]

_SCALES = frozenset({"scale", "gamma", "weight"})


def said_of_values(moves: Sequence[Move], state: Mapping[str, Any]) -> tuple[str, ...]:
    """Warn if the scales of norms lie around 0 instead of 1: their own class may add one to them.

    Only the scales are read, and only where the plan adds nothing to them. Fewer than 8 values show nothing.

    >>> import numpy as np
    >>> from ml_switcheroo.tensors import spec_of
    >>> spec = spec_of(np.zeros(9, "float32"))
    >>> move = Move(("norm.weight",), ("norm.scale",), inputs=(spec,), outputs=(spec,), kind="rms_norm")
    >>> len(said_of_values([move], {"norm.weight": np.linspace(-0.3, 0.2, 9, dtype="float32")}))
    1
    >>> said_of_values([move], {"norm.weight": np.linspace(0.8, 1.2, 9, dtype="float32")})
    ()
    """
    around = [move.sources[0] for move in moves if _is_scale(move) and _around_zero(move, state)]
    if not around:
        return ()
    more = f" and {len(around) - 1} more" if len(around) > 1 else ""
    return (
        f"{around[0]}{more}: the values of these scales of norms lie around 0, not 1. Where their own class"
        " scales by 1 + weight, a plain norm needs that 1 added: name the model's source (layers=), or write"
        f' Move("{around[0]}", leaf, [{{"op": "shift", "amount": 1.0}}])',
    )


def _is_scale(move: Move) -> bool:
    """Tell whether a move copies the scale of a norm unchanged."""
    if (
        len(move.sources) != 1
        or len(move.inputs[0].shape) != 1
        or any(isinstance(op, Shift) for op in move.ops)
    ):
        return False
    leaf = re.split(r"[./]", move.leaves[0])[-1]
    named = "norm" in meaning(
        [word for part in re.split(r"[./]", move.sources[0]) for word in segment_tokens(part)]
    )
    return leaf in _SCALES and (plain_kind(move.kind) == "norm" or (is_alone(move.kind) and named))


def _around_zero(move: Move, state: Mapping[str, Any]) -> bool:
    """Tell whether values lie on both sides of 0, nearly all of them nearer to it than to 1 and -1."""
    values = read_array(state[move.sources[0]]).astype(np.float64)
    if len(values) < _FEWEST or not np.isfinite(values).all():
        return False
    if not values.any():
        return not tracks(move.kind)  # many models start the scales of a batch norm from 0
    sides = np.mean(values < 0), np.mean(values > 0)
    return bool(min(sides) >= _SIDE and np.mean(np.abs(values) < 0.5) >= _NEAR)


_FEWEST, _SIDE, _NEAR = 8, 0.2, 0.95
