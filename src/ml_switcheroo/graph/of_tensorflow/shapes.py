"""The same elements on other axes, as TensorFlow writes it; shapes that are values are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ml_switcheroo.graph.formulas import cut, turned
from ml_switcheroo.graph.step import Lowered, Step

__all__ = ["LOWERED"]

Shape = tuple[int, ...]


def _shape(step: Step) -> int:
    return step.draft.constant(np.array(step.draft.shape(step.operands[0]), np.int64), step.dtype)


def _shapes(step: Step) -> tuple[int, ...]:
    return tuple(
        step.draft.constant(np.array(step.draft.shape(one), np.int64), dtype)
        for one, (_, dtype) in zip(step.operands, step.results, strict=True)
    )


def _size(step: Step) -> int:
    return step.draft.constant(math.prod(step.draft.shape(step.operands[0])), step.dtype)


def _rank(step: Step) -> int:
    return step.draft.constant(len(step.draft.shape(step.operands[0])), step.dtype)


def _reshape(step: Step) -> int:
    shape, size = list(step.whole(1)), math.prod(step.draft.shape(step.operands[0]))
    if -1 in shape:
        rest = math.prod(one for one in shape if one != -1)
        shape[shape.index(-1)] = size // rest if rest else 0
    return step.draft.add("reshape", step.operands[0], shape=tuple(shape))


def _expand(step: Step) -> int:
    shape = list(step.draft.shape(step.operands[0]))
    place = step.whole(1)[0]
    shape.insert(place if place >= 0 else place + len(shape) + 1, 1)
    return step.draft.add("reshape", step.operands[0], shape=tuple(shape))


def _squeeze(step: Step) -> int:
    shape = step.draft.shape(step.operands[0])
    gone = [axis % len(shape) for axis in step.arguments["squeeze_dims"]]
    left = [size for axis, size in enumerate(shape) if (axis not in gone if gone else size != 1)]
    return step.draft.add("reshape", step.operands[0], shape=tuple(left))


def _transpose(step: Step) -> int:
    return turned(step.draft, step.operands[0], step.whole(1))


def _concat(step: Step) -> int:
    """Join all operands but the last, which is the axis."""
    *parts, _ = step.operands
    axis = step.whole(len(parts))[0] % len(step.draft.shape(parts[0]))
    return step.draft.add("concat", *parts, axis=axis)


def _pack(step: Step) -> int:
    shape = step.draft.shape(step.operands[0])
    axis = step.arguments["axis"] % (len(shape) + 1)
    wide = (*shape[:axis], 1, *shape[axis:])
    parts = [step.draft.add("reshape", one, shape=wide) for one in step.operands]
    return step.draft.add("concat", *parts, axis=axis)


def _parts(step: Step, data: int, axis: int, sizes: Sequence[int]) -> list[int]:
    shape, place, found = step.draft.shape(data), 0, []
    for size in sizes:
        first = tuple(place if one == axis else 0 for one in range(len(shape)))
        cuts = tuple(size if one == axis else whole for one, whole in enumerate(shape))
        found.append(cut(step.draft, data, first, (1,) * len(shape), cuts))
        place += size
    return found


def _unpack(step: Step) -> tuple[int, ...]:
    (data,) = step.operands
    shape = step.draft.shape(data)
    axis = step.arguments["axis"] % len(shape)
    left = (*shape[:axis], *shape[axis + 1 :])
    parts = _parts(step, data, axis, (1,) * shape[axis])
    return tuple(step.draft.add("reshape", one, shape=left) for one in parts)


def _split(step: Step) -> tuple[int, ...]:
    data, shape = step.operands[1], step.draft.shape(step.operands[1])
    axis, count = step.whole(0)[0] % len(shape), len(step.results)
    return tuple(_parts(step, data, axis, (shape[axis] // count,) * count))


def _split_unequally(step: Step) -> tuple[int, ...]:
    data, shape = step.operands[0], step.draft.shape(step.operands[0])
    axis, sizes = step.whole(2)[0] % len(shape), list(step.whole(1))
    if -1 in sizes:
        sizes[sizes.index(-1)] = shape[axis] - sum(size for size in sizes if size != -1)
    return tuple(_parts(step, data, axis, sizes))


def _pad(step: Step) -> int:
    draft, rank = step.draft, len(step.draft.shape(step.operands[0]))
    widths = step.known(1).reshape(rank, 2)
    value = step.operands[2] if len(step.operands) > 2 else step.number(0.0)
    low, high = (tuple(int(size) for size in widths[:, side]) for side in (0, 1))
    return draft.add("pad", step.operands[0], value, low=low, high=high, interior=(0,) * rank)


def _mirror(step: Step) -> int:
    made, mode = step.operands[0], step.arguments["mode"].lower()
    for axis, widths in enumerate(step.known(1).reshape(-1, 2)):
        if widths.any():
            index = np.pad(np.arange(step.draft.shape(made)[axis]), tuple(widths), mode=mode)
            made = step.draft.add("take", made, step.draft.constant(index), axis=axis)
    return made


def _tile(step: Step) -> int:
    draft, times, shape = step.draft, step.whole(1), step.draft.shape(step.operands[0])
    spread = draft.add("reshape", step.operands[0], shape=tuple(one for size in shape for one in (1, size)))
    wide = tuple(one for pair in zip(times, shape, strict=True) for one in pair)
    whole = tuple(count * size for count, size in zip(times, shape, strict=True))
    return draft.add("reshape", draft.add("broadcast", spread, shape=wide), shape=whole)


def _broadcast(step: Step, data: int, shape: Shape) -> int:
    mine = step.draft.shape(data)
    spread = step.draft.add("reshape", data, shape=(1,) * (len(shape) - len(mine)) + mine)
    return step.draft.add("broadcast", spread, shape=shape)


def _reverse(step: Step) -> int:
    rank = len(step.draft.shape(step.operands[0]))
    return step.draft.add("flip", step.operands[0], axes=tuple(axis % rank for axis in step.whole(1)))


def _filled(value: float) -> Lowered:
    return lambda step: step.draft.constant(
        np.full(step.draft.shape(step.operands[0]), value), step.draft.dtype(step.operands[0])
    )


LOWERED: Mapping[str, Lowered] = MappingProxyType(
    {
        "BroadcastTo": lambda step: _broadcast(step, step.operands[0], step.whole(1)),
        "ConcatV2": _concat,
        "ExpandDims": _expand,
        "Fill": lambda step: _broadcast(step, step.operands[1], step.whole(0)),
        "MirrorPad": _mirror,
        "OnesLike": _filled(1.0),
        "Pack": _pack,
        **dict.fromkeys(("Pad", "PadV2"), _pad),
        "Rank": _rank,
        "Reshape": _reshape,
        "ReverseV2": _reverse,
        "Shape": _shape,
        "ShapeN": _shapes,
        "Size": _size,
        "Split": _split,
        "SplitV": _split_unequally,
        "Squeeze": _squeeze,
        "Tile": _tile,
        "Transpose": _transpose,
        "Unpack": _unpack,
        "ZerosLike": _filled(0.0),
    }
)
"""By the name of the operation."""
