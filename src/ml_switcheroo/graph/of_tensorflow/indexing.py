"""Parts of tensors of TensorFlow, and elements that others choose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.formulas import cut, turned
from ml_switcheroo.graph.step import Lowered, Step

__all__ = ["LOWERED"]


def _slice(step: Step) -> int:
    first, sizes = step.whole(1), step.whole(2)
    shape = step.draft.shape(step.operands[0])
    each = zip(first, sizes, shape, strict=True)
    return cut(
        step.draft,
        step.operands[0],
        first,
        (1,) * len(shape),
        tuple(whole - start if size < 0 else size for start, size, whole in each),
    )


def _strided(step: Step) -> int:
    """Draw what Python writes in brackets; bits say what each place of it is."""
    shape = step.draft.shape(step.operands[0])
    first: list[int] = []
    pace: list[int] = []
    sizes: list[int] = []
    left: list[int] = []
    for one in _written(step, len(shape)):
        if one is None:
            left.append(1)
            continue
        whole = shape[len(first)]
        if isinstance(one, int):
            first, pace, sizes = [*first, one % whole], [*pace, 1], [*sizes, 1]
            continue
        start, stop, by = one.indices(whole)
        size = len(range(start, stop, by))
        first, pace, sizes, left = [*first, start], [*pace, by], [*sizes, size], [*left, size]
    made = cut(step.draft, step.operands[0], first, pace, sizes)
    return step.draft.add("reshape", made, shape=tuple(left))


def _written(step: Step, rank: int) -> list[Any]:
    bits = {
        name: step.arguments[f"{name}_mask"]
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    ones = list(zip(step.whole(1), step.whole(2), step.whole(3), strict=True))

    def has(name: str, place: int) -> bool:
        return bool(bits[name] >> place & 1)

    named = sum(not has("new_axis", place) and not has("ellipsis", place) for place in range(len(ones)))
    found: list[Any] = []
    for place, (start, stop, by) in enumerate(ones):
        if has("ellipsis", place):
            found += [slice(None)] * (rank - named)
        elif has("new_axis", place):
            found.append(None)
        elif has("shrink_axis", place):
            found.append(start)
        else:
            ends = None if has("begin", place) else start, None if has("end", place) else stop
            found.append(slice(*ends, by))
    taken = sum(one is not None for one in found)
    return [*found, *[slice(None)] * (rank - taken)]


def _gather(step: Step) -> int | None:
    table, index = step.operands[:2]
    if step.arguments.get("batch_dims", 0):
        return None
    axis = step.whole(2)[0] % len(step.draft.shape(table)) if len(step.operands) > 2 else 0
    return step.draft.add("take", table, index, axis=axis)


def _gather_all(step: Step) -> int | None:
    """Draw elements whose places along the first axes are given together."""
    draft, (table, places) = step.draft, step.operands
    shape, lead = draft.shape(table), draft.shape(places)
    count = lead[-1]
    if step.arguments.get("batch_dims", 0) or not count:
        return None
    apart = np.array([math.prod(shape[axis + 1 : count]) for axis in range(count)])
    spread = draft.add("mul", draft.cast(places, "int64"), draft.constant(apart))
    index = draft.add("sum", spread, axes=(len(lead) - 1,))
    rows = draft.add("reshape", table, shape=(math.prod(shape[:count]), *shape[count:]))
    return draft.add("take", rows, index, axis=0)


def _one_hot(step: Step) -> int:
    draft, (index, _, yes, no) = step.draft, step.operands
    (depth,), shape = step.whole(1), draft.shape(index)
    spread = draft.add("reshape", index, shape=(*shape, 1))
    same = draft.add("eq", spread, draft.constant(np.arange(depth)))
    made = draft.add("where", same, yes, no)
    axis = step.arguments["axis"] % (len(shape) + 1)
    order = list(range(len(shape)))
    order.insert(axis, len(shape))
    return turned(draft, made, order)


def _band(step: Step) -> int:
    rows, columns = step.draft.shape(step.operands[0])[-2:]
    below, above = step.whole(1)[0], step.whole(2)[0]
    apart = np.arange(rows)[:, None] - np.arange(columns)
    kept = ((below < 0) | (apart <= below)) & ((above < 0) | (-apart <= above))
    return step.draft.add("where", step.draft.constant(kept), step.operands[0], step.number(0.0))


LOWERED: Mapping[str, Lowered] = MappingProxyType(
    {
        "GatherNd": _gather_all,
        **dict.fromkeys(("Gather", "GatherV2", "ResourceGather"), _gather),
        "MatrixBandPart": _band,
        "OneHot": _one_hot,
        "Slice": _slice,
        "StridedSlice": _strided,
    }
)
"""By the name of the operation."""
