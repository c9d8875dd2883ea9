"""Parts of arrays of MLX: slices, rows that an index picks, windows, and what is written into parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.formulas import cut
from ml_switcheroo.graph.step import Lowered, Step

__all__ = ["LOWERED"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


def _slice(step: Step) -> int:
    first, _, pace = step.arguments
    return cut(step.draft, step.operands[0], first, pace, step.shape)


def _split(step: Step) -> tuple[int, ...]:
    _, axis = step.arguments
    (data,) = step.operands
    found, place = [], 0
    for shape, _ in step.results:
        first = tuple(place if one == axis else 0 for one in range(len(shape)))
        found.append(cut(step.draft, data, first, (1,) * len(shape), shape))
        place += shape[axis]
    return tuple(found)


def _known_places(step: Step, number: int, axes: Sequence[int], sizes: Sequence[int]) -> list[int] | None:
    """Return where a slice begins whose place is a value that no input decides."""
    places = step.draft.known(number)
    if places is None:
        return None
    first = [0] * len(sizes)
    for axis, place in zip(axes, places.reshape(-1), strict=True):
        first[axis] = int(place)
    return first


def _dynamic_slice(step: Step) -> int | None:
    data, places = step.operands
    shape = step.draft.shape(data)
    first = _known_places(step, places, step.arguments[0], shape)
    if first is None:
        return None
    limits = zip(first, shape, step.shape, strict=True)
    first = [int(np.clip(one, 0, whole - size)) for one, whole, size in limits]
    return cut(step.draft, data, first, (1,) * len(shape), step.shape)


# ---- what is written into a part

_REPLACED, _ADDED = 4, 2  # of the ways that MLX numbers: the largest, the least, sum, product, none


def _written(step: Step, kind: int, first: Sequence[int], pace: Sequence[int]) -> int | None:
    """Return data with a part that is replaced, or to which something is added."""
    draft, (data, part) = step.draft, step.operands[:2]
    if kind not in (_REPLACED, _ADDED) or any(by < 1 for by in pace):
        return None
    sizes, whole = draft.shape(part), draft.shape(data)
    ends = [one + (size - 1) * by + 1 for one, by, size in zip(first, pace, sizes, strict=True)]
    behind = tuple(size - end for size, end in zip(whole, ends, strict=True))
    nothing, apart = draft.constant(0.0, draft.dtype(part)), tuple(by - 1 for by in pace)
    spread = draft.add("pad", part, nothing, low=tuple(first), high=behind, interior=apart)
    if kind == _ADDED:
        return draft.add("add", data, spread)
    there = np.zeros(whole, np.bool_)
    there[tuple(slice(one, end, by) for one, end, by in zip(first, ends, pace, strict=True))] = True
    return draft.add("where", draft.constant(there), spread, data)


def _slice_update(step: Step) -> int | None:
    kind, first, _, pace = step.arguments
    return _written(step, int(kind), first, pace)


def _dynamic_slice_update(step: Step) -> int | None:
    first = _known_places(step, step.operands[2], step.arguments[0], step.shape)
    return _written(step, _REPLACED, first, (1,) * len(first)) if first is not None else None


def _scatter(step: Step) -> int | None:
    """Let NumPy write, or add, what the indices say where."""
    kind, axes = step.arguments
    if int(kind) not in (_REPLACED, _ADDED):
        return None

    def run(data: Array, *rest: Array) -> Array:
        *indices, parts = rest
        made = data.copy()
        places: list[Any] = [slice(0, size) for size in parts.shape[-data.ndim :]]
        for axis, index in zip(axes, indices, strict=True):
            places[axis] = index.astype(np.int64)
        lead = parts.ndim - data.ndim
        for number in np.ndindex(parts.shape[:lead]):
            where = tuple(
                slice(one[number], one[number] + size) if isinstance(one, np.ndarray) else one
                for one, size in zip(places, parts.shape[lead:], strict=True)
            )
            made[where] = parts[number] + (made[where] if int(kind) == _ADDED else 0)
        return made

    return step.called("Scatter", run)


def _scatter_axis(step: Step) -> int:
    """Of two ways, which MLX numbers otherwise here: sum, none."""
    kind, axis = step.arguments

    def run(data: Array, index: Array, part: Array) -> Array:
        made, places = data.copy(), list(np.indices(index.shape))
        places[axis] = index.astype(np.int64)
        if int(kind) == 0:
            np.add.at(made, tuple(places), part)
        else:
            made[tuple(places)] = part
        return made

    return step.called("ScatterAxis", run)


# ---- elements chosen by others


def _gather(step: Step) -> int | None:
    """Draw elements that indices pick along some axes, with all of the others."""
    axes, sizes = step.arguments
    draft, data, indices = step.draft, step.operands[0], list(step.operands[1:])
    shape = draft.shape(data)
    if any(size != (1 if axis in axes else shape[axis]) for axis, size in enumerate(sizes)):
        return None
    left = [axis for axis in range(len(shape)) if axis not in axes]
    lead = draft.shape(indices[0]) if indices else ()
    if len(axes) == 1:
        made = draft.add("take", data, _from_the_end(step, indices[0], shape[axes[0]]), axis=axes[0])
        count = len(lead)
        order = (
            *range(axes[0], axes[0] + count),
            *range(axes[0]),
            *range(axes[0] + count, count + len(left)),
        )
        made = draft.add("transpose", made, axes=order)
        return draft.add("reshape", made, shape=step.shape)
    turned = draft.add("transpose", data, axes=(*axes, *left))
    sized = [shape[axis] for axis in axes]
    table = draft.add("reshape", turned, shape=(math.prod(sized), *(shape[axis] for axis in left)))
    index = draft.constant(0, "int64")
    for place, (number, size) in enumerate(zip(indices, sized, strict=True)):
        apart = draft.constant(math.prod(sized[place + 1 :]), "int64")
        index = draft.add("add", index, draft.add("mul", _from_the_end(step, number, size), apart))
    return draft.add("reshape", draft.add("take", table, index, axis=0), shape=step.shape)


def _from_the_end(step: Step, index: int, size: int) -> int:
    """Return an index that counts from the beginning: known ones may count from the end."""
    known = step.draft.known(index)
    if known is None or not (known < 0).any():
        return step.draft.cast(index, "int64")
    return step.draft.constant(np.where(known < 0, known + size, known))


def _gather_axis(step: Step) -> int:
    return step.draft.add("take_along", *step.operands, axis=step.arguments[0])


# ---- windows


def _strided(step: Step) -> int:
    """Draw the windows that strides make of a whole array as what an index picks along each of its axes."""
    shape, strides, offset = step.arguments
    draft, (flat,) = step.draft, step.operands
    node = draft[flat]
    whole = draft.shape(node.operands[0]) if node.op == "reshape" else draft.shape(flat)
    found = _windows(whole, shape, strides) if not offset else None
    if found is None:
        lies = offset + sum(
            np.arange(size).reshape([-1 if one == axis else 1 for one in range(len(shape))]) * by
            for axis, (size, by) in enumerate(zip(shape, strides, strict=True))
        )
        return draft.add("take", flat, draft.constant(np.broadcast_to(lies, shape), "int64"), axis=0)
    made = draft.add("reshape", flat, shape=whole)
    order: list[list[int]] = []
    for places, window in found:
        at = sum(map(len, order))
        order.append(list(range(at, at + (1 if window is None else 2))))
        if window is not None:
            (count, pace), (size, _) = places, window
            index = np.arange(count)[:, None] * pace + np.arange(size)
            made = draft.add("take", made, draft.constant(index, "int64"), axis=at)
    spread = [axes for axes in order if len(axes) == 2]
    axes = [*order[0], *(one[0] for one in spread), *(one[1] for one in spread), *order[-1]]
    return draft.add("transpose", made, axes=tuple(axes))


def _windows(whole: Shape, shape: Sequence[int], strides: Sequence[int]) -> list[Any] | None:
    """Return of each axis how many places there are and how far apart, and how large the windows.

    Axes lie as pools of MLX make them: the batch, the places of each axis, the windows of each, the channels.
    """
    rank = len(whole) - 2
    if rank < 1 or len(shape) != 2 * rank + 2:
        return None
    apart = [math.prod(whole[axis + 1 :]) for axis in range(len(whole))]
    if (shape[0], shape[-1], strides[0], strides[-1]) != (whole[0], whole[-1], apart[0], apart[-1]):
        return None
    found: list[Any] = [((whole[0], 1), None)]
    for axis in range(1, rank + 1):
        step, window = strides[axis], strides[axis + rank]
        if step % apart[axis] or window != apart[axis]:
            return None
        found.append(((shape[axis], step // apart[axis]), (shape[axis + rank], 1)))
    return [*found, ((whole[-1], 1), None)]


LOWERED: Mapping[str, Lowered] = MappingProxyType(
    {
        "AsStrided": _strided,
        "DynamicSlice": _dynamic_slice,
        "DynamicSliceUpdate": _dynamic_slice_update,
        "Gather": _gather,
        "GatherAxis": _gather_axis,
        "Scatter": _scatter,
        "ScatterAxis": _scatter_axis,
        "Slice": _slice,
        "SliceUpdate": _slice_update,
        "Split": _split,
    }
)
"""By the name of the primitive."""
