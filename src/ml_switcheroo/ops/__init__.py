"""What is done to tensors on their way: small operations that know their inverses.

An operation takes a tuple of arrays and gives a tuple of arrays. Those of :mod:`layout` and
:mod:`pieces` only move elements, and return views where NumPy can make one; those of
:mod:`arithmetic` change values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.ops.arithmetic import (
    Cast,
    GateSum,
    GateSumParted,
    Scale,
    Shift,
    SpectralNorm,
    SpectralRestored,
    SpectralState,
    Sum,
    SumParted,
    WeightNorm,
    WeightNormSplit,
)
from ml_switcheroo.ops.layout import Axes, Flip, Gates
from ml_switcheroo.ops.op import Array, Arrays, Op, Specs, run, trace
from ml_switcheroo.ops.pieces import (
    Branch,
    Concat,
    Copy,
    Discarded,
    Filled,
    Order,
    Skip,
    Split,
    Stack,
    Tie,
    Unstack,
)

__all__ = [
    "OPS",
    "Array",
    "Arrays",
    "Axes",
    "Branch",
    "Cast",
    "Concat",
    "Copy",
    "Discarded",
    "Filled",
    "Flip",
    "GateSum",
    "GateSumParted",
    "Gates",
    "Op",
    "Order",
    "Scale",
    "Shift",
    "Skip",
    "Specs",
    "SpectralNorm",
    "SpectralRestored",
    "SpectralState",
    "Split",
    "Stack",
    "Sum",
    "SumParted",
    "Tie",
    "Unstack",
    "WeightNorm",
    "WeightNormSplit",
    "op_from_json",
    "op_to_json",
    "run",
    "trace",
]

OPS: Mapping[str, type[Op]] = {
    op.__name__.lower(): op
    for op in (
        *(
            Axes,
            Flip,
            Gates,
            Split,
            Concat,
            Stack,
            Unstack,
            Tie,
            Copy,
            Order,
            Branch,
            Filled,
            Discarded,
            Skip,
        ),
        *(Shift, Scale, Sum, SumParted, GateSum, GateSumParted, WeightNorm, WeightNormSplit),
        *(SpectralNorm, SpectralState, SpectralRestored, Cast),
    )
}


def op_to_json(op: Op) -> dict[str, Any]:
    """Describe an operation with JSON's types.

    >>> op_to_json(Split(0, (4, 8)))
    {'op': 'split', 'axis': 0, 'sizes': (4, 8)}
    """
    own = {entry.name: _plain(getattr(op, entry.name)) for entry in fields(op)}
    return {"op": type(op).__name__.lower(), **own}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return op_to_json(value) if isinstance(value, Op) else value


def op_from_json(record: Mapping[str, Any]) -> Op:
    """Make the operation that :func:`op_to_json` described.

    Raises:
        UsageError: No such operation, or other fields than it has.
    """
    own = {key: _frozen(value) for key, value in record.items() if key != "op"}
    try:
        return OPS[record["op"]](**own)
    except (KeyError, TypeError) as error:
        raise UsageError(f"no operation is written as {dict(record)}; known: {', '.join(OPS)}") from error


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return op_from_json(value)
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
