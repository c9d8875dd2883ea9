"""Convolutions, pools and changes of size, as TensorFlow writes them: kernels lie ``*space in out``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.formulas import cut, number, turned
from ml_switcheroo.graph.step import Lowered, Step

__all__ = ["LOWERED", "dilated"]

Array = np.ndarray[Any, Any]
Pairs = tuple[tuple[int, int], ...]


def _first(step: Step, data: int) -> tuple[int, bool]:
    """Return data with the channels before the space, and whether they lay there."""
    rank = len(step.draft.shape(data))
    before = step.arguments.get("data_format", "NHWC").startswith("NC")
    return (data, True) if before else (turned(step.draft, data, (0, rank - 1, *range(1, rank - 1))), False)


def _back(step: Step, made: int, before: bool) -> int:
    rank = len(step.draft.shape(made))
    return made if before else turned(step.draft, made, (0, *range(2, rank), 1))


def _space(step: Step, name: str, rank: int) -> tuple[int, ...]:
    """Return an attribute of each spatial axis."""
    sizes = step.arguments.get(name) or [1] * rank
    before = step.arguments.get("data_format", "NHWC").startswith("NC")
    return tuple(sizes[2:] if before else sizes[1:-1])


def _padding(
    step: Step, sizes: Sequence[int], windows: Sequence[int], pace: Sequence[int], apart: Sequence[int]
) -> Pairs:
    kind = step.arguments["padding"]
    if kind == "VALID":
        return ((0, 0),) * len(sizes)
    if kind == "EXPLICIT":
        flat = step.arguments["explicit_paddings"]
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        before = step.arguments.get("data_format", "NHWC").startswith("NC")
        return tuple(pairs[2:] if before else pairs[1:-1])
    found = []
    for size, window, by, step_ in zip(sizes, windows, pace, apart, strict=True):
        more = max((math.ceil(size / by) - 1) * by + (window - 1) * step_ + 1 - size, 0)
        found.append((more // 2, more - more // 2))
    return tuple(found)


def _kernel(step: Step, kernel: int) -> int:
    rank = len(step.draft.shape(kernel))
    return turned(step.draft, kernel, (rank - 1, rank - 2, *range(rank - 2)))


def _depthwise(step: Step, kernel: int) -> int:
    """Return a kernel ``*space channels multiples`` as one for each channel."""
    *space, channels, multiples = step.draft.shape(kernel)
    made = turned(step.draft, kernel, (len(space), len(space) + 1, *range(len(space))))
    return step.draft.add("reshape", made, shape=(channels * multiples, 1, *space))


def _convolved(step: Step, data: int, kernel: int, padding: Pairs | None, apart: Sequence[int]) -> int:
    """Convolve ``n c *space`` with ``out in *space``."""
    shape, window = step.draft.shape(data), step.draft.shape(kernel)[2:]
    pace = _space(step, "strides", len(shape))
    if padding is None:
        padding = _padding(step, shape[2:], window, pace, apart)
    return step.draft.add(
        "conv",
        data,
        kernel,
        stride=pace,
        padding=padding,
        dilation=tuple(apart),
        spread=(1,) * len(window),
        groups=shape[1] // step.draft.shape(kernel)[1],
    )


def _conv(depthwise: bool) -> Lowered:
    def lowered(step: Step) -> int:
        data, before = _first(step, step.operands[0])
        kernel = (_depthwise if depthwise else _kernel)(step, step.operands[1])
        apart = _space(step, "dilations", len(step.draft.shape(data)))
        return _back(step, _convolved(step, data, kernel, None, apart), before)

    return lowered


def dilated(step: Step, depthwise: bool) -> int:
    """Draw a convolution with holes, which TensorFlow moves into the batch and back.

    Its operands are the data, the holes, the padding, the kernel, and what is cut off afterwards.
    """
    draft, (data, _, _, kernel, _) = step.draft, step.operands
    apart, rank = list(step.whole(1)), len(draft.shape(step.operands[3]))
    pads, cuts = (step.known(place).reshape(-1, 2).tolist() for place in (2, 4))
    shape = draft.shape(data)
    more = rank - len(shape)
    flat = draft.add("reshape", data, shape=(shape[0], *(1,) * more, *shape[1:]))
    ones = rank - 2 - len(apart)
    apart, pads, cuts = [1] * ones + apart, [[0, 0]] * ones + pads, [[0, 0]] * ones + cuts
    turned_data, before = _first(step, flat)
    laid = (_depthwise if depthwise else _kernel)(step, kernel)
    made = _convolved(step, turned_data, laid, tuple((low, high) for low, high in pads), apart)
    whole = draft.shape(made)
    sizes = [size - low - high for size, (low, high) in zip(whole[2:], cuts, strict=True)]
    first = (0, 0, *(low for low, _ in cuts))
    made = _back(step, cut(draft, made, first, (1,) * rank, (*whole[:2], *sizes)), before)
    left = draft.shape(made)
    return draft.add("reshape", made, shape=(left[0], *left[1 + more :]))


def _transposed(step: Step) -> int | None:
    """Draw the gradient of a convolution: its kernel is turned around, its data has holes."""
    draft = step.draft
    data, before = _first(step, step.operands[2])
    sizes, given = step.whole(0), draft.shape(data)
    space = sizes[2:] if before else sizes[1:-1]
    rank, kernel = len(given), step.operands[1]
    *window, inside, outside = draft.shape(kernel)
    if outside != given[1] or inside != (sizes[1] if before else sizes[-1]):
        return None
    pace, apart = _space(step, "strides", rank), _space(step, "dilations", rank)
    pads = []
    ahead = _padding(step, space, window, pace, apart)
    for place, (low, _) in enumerate(ahead):
        reach = (window[place] - 1) * apart[place]
        spread = (given[2 + place] - 1) * pace[place] + 1
        pads.append((reach - low, space[place] - spread + low))
    laid = turned(draft, kernel, (rank - 2, rank - 1, *range(rank - 2)))
    made = draft.add(
        "conv",
        data,
        draft.add("flip", laid, axes=tuple(range(2, rank))),
        stride=(1,) * len(window),
        padding=tuple(pads),
        dilation=apart,
        spread=pace,
        groups=1,
    )
    return _back(step, made, before)


def _pool(kind: str) -> Lowered:
    def lowered(step: Step) -> int:
        draft = step.draft
        data, before = _first(step, step.operands[0])
        shape = draft.shape(data)
        window, pace = _space(step, "ksize", len(shape)), _space(step, "strides", len(shape))
        ones = (1,) * len(window)
        pads = _padding(step, shape[2:], window, pace, ones)
        words: dict[str, Any] = {
            "kind": kind,
            "size": (1, 1, *window),
            "stride": (1, 1, *pace),
            "padding": ((0, 0), (0, 0), *pads),
            "dilation": (1, 1, *ones),
        }
        made = draft.add("window", data, **words)
        if kind == "sum":
            # What is padded does not count.
            there = draft.constant(np.ones((1, 1, *shape[2:])), draft.dtype(data))
            counts = draft.add("window", there, **words)
            known = draft.known(counts)
            if known is not None and np.ptp(known) == 0:
                counts = number(draft, float(known.flat[0]), data)
            made = draft.add("div", made, counts)
        return _back(step, made, before)

    return lowered


# ---- another size


def _places(step: Step, size: int, wanted: int) -> Array:
    """Return where each of the wanted places lies among the old ones."""
    places = np.arange(wanted, dtype=np.float64)
    if step.arguments["align_corners"] and wanted > 1:
        return places * (size - 1) / (wanted - 1)
    if step.arguments["half_pixel_centers"]:
        return (places + 0.5) * size / wanted - 0.5
    return places * size / wanted


def _nearest(step: Step) -> int:
    made = step.operands[0]
    for axis, wanted in zip((1, 2), step.whole(1), strict=True):
        size = step.draft.shape(made)[axis]
        places = _places(step, size, wanted) + (0.5 if step.arguments["half_pixel_centers"] else 0.0)
        rounded = np.floor(places + 0.5) if step.arguments["align_corners"] else np.floor(places + 1e-9)
        index = np.clip(rounded, 0, size - 1).astype(np.int64)
        made = step.draft.add("take", made, step.draft.constant(index), axis=axis)
    return made


def _linear(step: Step) -> int:
    draft, made = step.draft, step.operands[0]
    for axis, wanted in zip((1, 2), step.whole(1), strict=True):
        size = draft.shape(made)[axis]
        places = np.clip(_places(step, size, wanted), 0, size - 1)
        near = np.abs(places[:, None] - np.arange(size))
        weights = draft.constant(np.maximum(1 - near, 0), draft.dtype(made))
        found = draft.add("dot", made, weights, contract=((axis,), (1,)), batch=((), ()))
        order = [0, 1, 2]
        order.insert(axis, 3)
        made = turned(draft, found, order)
    return made


LOWERED: Mapping[str, Lowered] = MappingProxyType(
    {
        **dict.fromkeys(("AvgPool", "AvgPool3D"), _pool("sum")),
        **dict.fromkeys(("Conv2D", "Conv3D"), _conv(depthwise=False)),
        **dict.fromkeys(("Conv2DBackpropInput", "Conv3DBackpropInputV2"), _transposed),
        "DepthwiseConv2dNative": _conv(depthwise=True),
        **dict.fromkeys(("MaxPool", "MaxPool3D"), _pool("max")),
        "ResizeBilinear": _linear,
        "ResizeNearestNeighbor": _nearest,
    }
)
"""By the name of the operation."""
