"""Say the same with less: what several primitives can say is drawn in one way, so that it can be compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.nodes import Nodes

__all__ = ["simpler"]

_MOST_PARTS = 64

Params = Mapping[str, Any]
Shape = tuple[int, ...]


def simpler(draft: Nodes, op: str, operands: tuple[int, ...], params: Params, shape: Shape) -> int | None:
    """Return a node that does the same as another one would; None where there is no simpler one."""
    rule = _RULES.get(op)
    return rule(draft, operands, params, shape) if rule is not None else None


def _is(draft: Nodes, number: int, value: float) -> bool:
    known = draft.known(number)
    return known is not None and known.size > 0 and bool((known == value).all())


def _zeros(draft: Nodes, operands: tuple[int, ...], shape: Shape) -> int | None:
    if not any(_is(draft, one, 0) for one in operands):
        return None
    return draft.constant(np.zeros(shape), draft.dtype(operands[0]))


def _product(draft: Nodes, operands: tuple[int, ...], _: Params, shape: Shape) -> int | None:
    """Multiply by nothing, or by one."""
    for one, other in (operands, operands[::-1]):
        if _is(draft, one, 1) and draft.shape(other) == shape and draft.dtype(one) == draft.dtype(other):
            return other
    return _zeros(draft, operands, shape)


def _sum(draft: Nodes, operands: tuple[int, ...], _: Params, shape: Shape) -> int | None:
    for one, other in (operands, operands[::-1]):
        if _is(draft, one, 0):
            return _widened(draft, other, shape)
    mine, theirs = (draft[number] for number in operands)
    if (
        mine.op == theirs.op == "concat"
        and mine.params == theirs.params
        and len(mine.operands) == len(theirs.operands)
    ):
        axis = mine.params["axis"]
        pairs = list(zip(mine.operands, theirs.operands, strict=True))
        if all(draft.shape(left)[axis] == draft.shape(right)[axis] for left, right in pairs):
            return draft.add("concat", *(draft.add("add", *pair) for pair in pairs), axis=axis)
    return None


def _widened(draft: Nodes, number: int, shape: Shape) -> int:
    now = draft.shape(number)
    if now == shape:
        return number
    if len(now) < len(shape):
        number = draft.add("reshape", number, shape=(*[1] * (len(shape) - len(now)), *now))
    return draft.add("broadcast", number, shape=shape)


def _contraction(draft: Nodes, operands: tuple[int, ...], params: Params, shape: Shape) -> int | None:
    """Draw data that are multiplied with a leaf for each element of an axis as that many products."""
    (axes, others), count = params["batch"], shape[0] if shape else 0
    if not axes and (apart := _of_kernels(draft, operands, params)) is not None:
        return apart
    learned = [_is_leaf(draft, one) for one in operands]
    if not axes and any(learned) and not all(learned):
        summed = _of_joined(draft, operands, params, learned.index(False))
        if summed is not None:
            return summed
    if len(axes) != 1 or not 1 < count <= _MOST_PARTS or all(learned) or not any(learned):
        return _zeros(draft, operands, shape)
    contract = tuple(
        tuple(axis - (axis > taken) for axis in inner)
        for inner, taken in zip(params["contract"], (axes[0], others[0]), strict=True)
    )
    made = []
    for place in range(count):
        parts = [
            _row(draft, one, axis, place) for one, axis in zip(operands, (axes[0], others[0]), strict=True)
        ]
        part = draft.add("dot", *parts, contract=contract, batch=((), ()))
        made.append(draft.add("reshape", part, shape=(1, *shape[1:])))
    return draft.add("concat", *made, axis=0)


def _of_joined(draft: Nodes, operands: tuple[int, ...], params: Params, data: int) -> int | None:
    """Draw a product with what was joined along the contracted axis as the sum of the products."""
    node = draft[operands[data]]
    (axis,) = axes if len(axes := params["contract"][data]) == 1 else (-1,)
    if node.op != "concat" or node.params["axis"] != axis:
        return None
    first, made, twin = 0, None, params["contract"][1 - data][0]
    for one in node.operands:
        size = draft.shape(one)[axis]
        part = _piece(draft, operands[1 - data], twin, first, first + size)
        pair = (one, part) if data == 0 else (part, one)
        product = draft.add("dot", *pair, contract=params["contract"], batch=params["batch"])
        made = product if made is None else draft.add("add", made, product)
        first += size
    return made


def _of_kernels(draft: Nodes, operands: tuple[int, ...], params: Params) -> int | None:
    """Draw a product with leaves that were joined along an outer axis as the products, joined."""
    for place in (0, 1):
        node, inner = draft[operands[place]], params["contract"][place]
        if (
            node.op != "concat"
            or node.params["axis"] in inner
            or not all(_is_leaf(draft, n) for n in node.operands)
        ):
            continue
        axis = sum(one not in inner for one in range(node.params["axis"]))
        other = operands[1 - place]
        lead = len(draft.shape(other)) - len(inner) if place else 0
        pairs = [(other, one) if place else (one, other) for one in node.operands]
        made = [draft.add("dot", *pair, contract=params["contract"], batch=params["batch"]) for pair in pairs]
        return draft.add("concat", *made, axis=lead + axis)
    return None


def _piece(draft: Nodes, number: int, axis: int, first: int, last: int) -> int:
    shape = draft.shape(number)
    start = tuple(first if one == axis else 0 for one in range(len(shape)))
    stop = tuple(last if one == axis else size for one, size in enumerate(shape))
    return draft.add("slice", number, start=start, stop=stop, step=(1,) * len(shape))


def _is_leaf(draft: Nodes, number: int) -> bool:
    while draft[number].op in ("reshape", "transpose", "slice", "flip", "cast"):
        number = draft[number].operands[0]
    return draft[number].op == "leaf"


def _row(draft: Nodes, number: int, axis: int, place: int) -> int:
    shape = draft.shape(number)
    cut = _piece(draft, number, axis, place, place + 1)
    return draft.add("reshape", cut, shape=(*shape[:axis], *shape[axis + 1 :]))


def _itself(draft: Nodes, operands: tuple[int, ...], _: Params, shape: Shape) -> int | None:
    return operands[0] if draft.shape(operands[0]) == shape else None


def _reshape(draft: Nodes, operands: tuple[int, ...], _: Params, shape: Shape) -> int | None:
    (one,) = operands
    node = draft[one]
    if node.shape == shape:
        return one
    if node.op == "concat" and len(node.shape) == 1 and shape[-1] == node.shape[0]:
        lead = shape[:-1]
        parts = [draft.add("reshape", part, shape=(*lead, *draft.shape(part))) for part in node.operands]
        return draft.add("concat", *parts, axis=len(lead))
    return draft.add("reshape", node.operands[0], shape=shape) if node.op == "reshape" else None


def _transpose(draft: Nodes, operands: tuple[int, ...], params: Params, _: Shape) -> int | None:
    (one,), axes = operands, tuple(params["axes"])
    node = draft[one]
    if axes == tuple(range(len(axes))):
        return one
    if node.op == "transpose":
        return draft.add(
            "transpose", node.operands[0], axes=tuple(node.params["axes"][axis] for axis in axes)
        )
    return None


def _conv(draft: Nodes, operands: tuple[int, ...], params: Params, shape: Shape) -> int | None:
    """Draw a convolution that reads each element once as a product with the patches; pad within it."""
    data, kernel = operands
    inside = _unpadded(draft, data, 0.0) if all(one == 1 for one in params["spread"]) else None
    if inside is not None and not any(map(any, inside[1][:2])):
        data, widths = inside
        pads = zip(params["padding"], widths[2:], strict=True)
        whole = tuple((low + more, high + above) for (low, high), (more, above) in pads)
        return draft.add("conv", data, kernel, **{**params, "padding": whole})
    sizes, stride = draft.shape(kernel)[2:], params["stride"]
    fits = all(size in (1, step) for size, step in zip(sizes, stride, strict=True))
    apart = len(set(sizes)) == 1 or all(size == step for size, step in zip(sizes, stride, strict=True))
    still = all(tuple(pair) == (0, 0) for pair in params["padding"])
    plain = all(one == 1 for one in (*params["spread"], params["groups"]))
    dense = all(step == 1 or size == 1 for step, size in zip(params["dilation"], sizes, strict=True))
    if not (fits and apart and still and plain and dense) or 0 in shape:
        return _zeros(draft, operands, shape)
    return _patches(draft, data, kernel, stride, shape)


def _unpadded(draft: Nodes, number: int, value: float) -> tuple[int, list[tuple[int, int]]] | None:
    """Return what was padded with a value, and how wide on each axis; None for what was not padded."""
    node = draft[number]
    if node.op == "transpose":
        found = _unpadded(draft, node.operands[0], value)
        if found is None:
            return None
        axes = node.params["axes"]
        return draft.add("transpose", found[0], axes=axes), [found[1][axis] for axis in axes]
    if node.op != "pad" or any(node.params["interior"]) or not _is(draft, node.operands[1], value):
        return None
    widths = list(zip(node.params["low"], node.params["high"], strict=True))
    return (node.operands[0], widths) if all(one >= 0 for pair in widths for one in pair) else None


def _window(draft: Nodes, operands: tuple[int, ...], params: Params, _: Shape) -> int | None:
    """Pad within a window."""
    value = {"sum": 0.0, "max": -math.inf, "min": math.inf}[params["kind"]]
    inside = _unpadded(draft, operands[0], value)
    if inside is None:
        return None
    pads = zip(params["padding"], inside[1], strict=True)
    whole = tuple((low + more, high + above) for (low, high), (more, above) in pads)
    return draft.add("window", inside[0], **{**params, "padding": whole})


def _patches(draft: Nodes, data: int, kernel: int, stride: Any, shape: Shape) -> int:
    sizes, places, rank = draft.shape(kernel)[2:], shape[2:], len(stride)
    batch, channels = draft.shape(data)[:2]
    ends = [(count - 1) * step + size for count, step, size in zip(places, stride, sizes, strict=True)]
    steps = [step if size == 1 else 1 for step, size in zip(stride, sizes, strict=True)]
    cut = draft.add(
        "slice", data, start=(0,) * (rank + 2), stop=(batch, channels, *ends), step=(1, 1, *steps)
    )
    split = [one for count, size in zip(places, sizes, strict=True) for one in (count, size)]
    tiles = draft.add("reshape", cut, shape=(batch, channels, *split))
    axes = (0, *range(2, 2 + 2 * rank, 2), 1, *range(3, 3 + 2 * rank, 2))
    moved = draft.add("transpose", tiles, axes=axes)
    flat = draft.add("reshape", moved, shape=(batch, *places, channels * math.prod(sizes)))
    matrix = draft.add("reshape", kernel, shape=(draft.shape(kernel)[0], channels * math.prod(sizes)))
    made = draft.add("dot", flat, matrix, contract=((rank + 1,), (1,)), batch=((), ()))
    return draft.add("transpose", made, axes=(0, rank + 1, *range(1, rank + 1)))


def _slice(draft: Nodes, operands: tuple[int, ...], params: Params, shape: Shape) -> int | None:
    whole = all(first == 0 and step == 1 for first, step in zip(params["start"], params["step"], strict=True))
    if whole and draft.shape(operands[0]) == shape:
        return operands[0]
    return _of_part(draft, operands[0], params)


def _of_part(draft: Nodes, number: int, params: Params) -> int | None:
    """Draw a part of joined tensors that lies in one of them as a part of that one."""
    node = draft[number]
    if node.op != "concat" or node.params["axis"] != len(node.shape) - 1:
        return None  # steps of a loop that were joined stay so: the other program may take all at once
    axis, first = node.params["axis"], 0
    start, stop = params["start"], params["stop"]
    for one in node.operands:
        last = first + draft.shape(one)[axis]
        if first <= start[axis] and stop[axis] <= last:
            moved = (
                tuple(place - first if at == axis else place for at, place in enumerate(each))
                for each in (start, stop)
            )
            return draft.add("slice", one, start=next(moved), stop=next(moved), step=params["step"])
        first = last
    return None


def _take(draft: Nodes, operands: tuple[int, ...], params: Params, _: Shape) -> int | None:
    """Draw rows that follow each other as a part of the table."""
    table, axis = operands[0], params["axis"]
    index = draft.known(operands[1])
    if index is None or index.ndim != 1 or not np.array_equal(index, np.arange(len(index)) + index[:1]):
        return None
    size = draft.shape(table)
    start = tuple(int(index[0]) if one == axis else 0 for one in range(len(size)))
    stop = tuple(int(index[-1]) + 1 if one == axis else whole for one, whole in enumerate(size))
    return draft.add("slice", table, start=start, stop=stop, step=(1,) * len(size))


_RULES: Mapping[str, Callable[[Nodes, tuple[int, ...], Params, Shape], int | None]] = MappingProxyType(
    {
        "mul": _product,
        "add": _sum,
        "dot": _contraction,
        "conv": _conv,
        "window": _window,
        "broadcast": _itself,
        "reshape": _reshape,
        "transpose": _transpose,
        "slice": _slice,
        "take": _take,
    }
)
