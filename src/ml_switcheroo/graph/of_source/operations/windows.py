"""Feature maps: convolutions, pools, padding, patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.operations.elementwise import power
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS", "adapted", "around", "conv", "conv_transpose", "pad", "spread_over", "window"]


def spread_over(pen: Pen, given: Any, rank: int) -> tuple[int, ...]:
    """Return a number for each spatial axis: one stands for all."""
    sizes = pen.sizes(given)
    return sizes * rank if len(sizes) == 1 else sizes


def _batched(run: Any) -> Any:
    """Return an operation on maps that may lack the axis of the batch."""

    def lowered(pen: Pen, input: Drawn, weight: Drawn, *args: Any, **words: Any) -> Drawn:
        if input.rank == weight.rank:
            return cast("Drawn", run(pen, input, weight, *args, **words))
        if input.rank != weight.rank - 1:
            raise Unlowered(f"a convolution of {input.shape} by {weight.shape}")
        found = run(pen, pen.insert(input, 0), weight, *args, **words)
        return pen.reshape(found, found.shape[1:])

    return lowered


def _conv(
    pen: Pen,
    input: Drawn,
    weight: Drawn,
    bias: Drawn | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Drawn:
    rank = weight.rank - 2
    steps, apart = spread_over(pen, stride, rank), spread_over(pen, dilation, rank)
    pads = around(pen, padding, weight.shape[2:], apart)
    return _convolved(pen, input, weight, bias, steps, pads, apart, (1,) * rank, pen.whole(groups))


def around(
    pen: Pen, padding: Any, kernel: Sequence[int], apart: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Return what is added before and behind each spatial axis."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        whole = [(size - 1) * step for size, step in zip(kernel, apart, strict=True)]
        return tuple((one // 2, one - one // 2) for one in whole)
    return tuple((one, one) for one in spread_over(pen, padding, len(kernel)))


def _convolved(
    pen: Pen,
    input: Drawn,
    kernel: Drawn,
    bias: Drawn | None,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    spread: tuple[int, ...],
    groups: int,
) -> Drawn:
    if input.shape[1] != kernel.shape[1] * groups or kernel.shape[0] % groups:
        raise Unlowered(f"a convolution of {input.shape} by {kernel.shape} in {groups} groups")
    words = {"stride": stride, "padding": padding, "dilation": dilation, "spread": spread, "groups": groups}
    found = pen.op("conv", input, kernel, dtype=pen.together(input, kernel), **words)
    return found if bias is None else found + pen.reshape(bias, (bias.shape[0], *(1,) * (kernel.rank - 2)))


def _conv_transpose(
    pen: Pen,
    input: Drawn,
    weight: Drawn,
    bias: Drawn | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Drawn:
    rank = weight.rank - 2
    apart, less, more = (spread_over(pen, one, rank) for one in (dilation, padding, output_padding))
    kernel = _turned(pen, weight, pen.whole(groups))
    pads = tuple(
        (step * (size - 1) - cut, step * (size - 1) - cut + extra)
        for size, step, cut, extra in zip(weight.shape[2:], apart, less, more, strict=True)
    )
    ones = (1,) * rank
    return _convolved(pen, input, kernel, bias, ones, pads, apart, spread_over(pen, stride, rank), groups)


def _turned(pen: Pen, weight: Drawn, groups: int) -> Drawn:
    """Return the kernel of a transposed convolution as that of one with holes between its data."""
    into, out, *space = weight.shape
    rank = len(space)
    if groups == 1:
        kernel = pen.transpose(weight, [1, 0, *range(2, rank + 2)])
    else:
        split = pen.reshape(weight, (groups, into // groups, out, *space))
        kernel = pen.transpose(split, [0, 2, 1, *range(3, rank + 3)])
        kernel = pen.reshape(kernel, (groups * out, into // groups, *space))
    return pen.flip(kernel, [axis for axis in range(2, rank + 2) if kernel.shape[axis] > 1])


conv, conv_transpose = _batched(_conv), _batched(_conv_transpose)


# ---- padding


def pad(pen: Pen, input: Drawn, pad: Any, mode: str = "constant", value: Any = None) -> Drawn:
    """Return a tensor with something around its last axes."""
    widths = pen.sizes(pad)
    pairs = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    if len(widths) % 2 or len(pairs) > input.rank:
        raise Unlowered(f"pad by {widths} of {input.shape}")
    first = input.rank - len(pairs)
    if mode == "constant":
        low, high = ([0] * first + [pair[side] for pair in pairs] for side in (0, 1))
        return pen.pad(input, low, high, pen.known(value, "what is padded with") or 0)
    for axis, (low_one, high_one) in enumerate(pairs, first):
        input = _mirrored(pen, input, axis, low_one, high_one, mode)
    return input


def _mirrored(pen: Pen, x: Drawn, axis: int, low: int, high: int, mode: str) -> Drawn:
    size = x.shape[axis]
    most = size - (mode == "reflect")
    if min(low, high) < 0 or (mode != "replicate" and max(low, high) > most):
        raise Unlowered(f"pad by {(low, high)} of {size}")

    def part(start: int, stop: int) -> Drawn:
        return pen.slice(x, axis, start, stop)

    def wide(edge: Drawn, count: int) -> Drawn:
        return pen.broadcast(edge, (*x.shape[:axis], count, *x.shape[axis + 1 :]))

    if mode == "reflect":
        sides = pen.flip(part(1, low + 1), [axis]), pen.flip(part(size - 1 - high, size - 1), [axis])
    elif mode == "circular":
        sides = part(size - low, size), part(0, high)
    elif mode == "replicate":
        sides = wide(part(0, 1), low), wide(part(size - 1, size), high)
    else:
        raise Unlowered(f"pad with mode={mode!r}")
    before, after = sides
    return pen.concat([*([before] if low else []), x, *([after] if high else [])], axis)


# ---- pools


def _ends(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> int:
    """Return how much further the last window reaches than what is padded."""
    span = dilation * (kernel - 1) + 1
    over = size + 2 * padding - span
    if over < 0 and not ceil:
        raise Unlowered(f"a window of {span} in {size + 2 * padding}")
    if not ceil:
        return 0
    count = -(-over // stride) + 1
    count -= (count - 1) * stride >= size + padding
    return max((count - 1) * stride + span - size - 2 * padding, 0)


def window(
    pen: Pen,
    x: Drawn,
    kind: str,
    size: Sequence[int],
    stride: Sequence[int],
    pads: Sequence[tuple[int, int]],
    apart: Sequence[int],
) -> Drawn:
    """Return windows of the last axes, each reduced to one number."""
    lead = x.rank - len(size)
    ones = (1,) * lead
    return pen.op(
        "window",
        x,
        dtype=x.dtype,
        kind=kind,
        size=(*ones, *size),
        stride=(*ones, *stride),
        padding=(*((0, 0),) * lead, *pads),
        dilation=(*ones, *apart),
    )


def _max_pool(rank: int) -> Any:
    def run(
        pen: Pen,
        input: Drawn,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        size, apart, around = (spread_over(pen, one, rank) for one in (kernel_size, dilation, padding))
        steps = spread_over(pen, stride, rank) if stride not in (None, [], ()) else size
        each = list(zip(input.shape[-rank:], size, steps, around, apart, strict=True))
        pads = [(one[3], one[3] + _ends(*one, ceil_mode)) for one in each]
        found = window(pen, input, "max", size, steps, pads, apart)
        if return_indices:
            return found, pen.gap("the places of max_pool", found.shape, "int64", input)
        return found

    return run


def _avg_pool(rank: int) -> Any:
    def run(
        pen: Pen,
        input: Drawn,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: Any = None,
    ) -> Drawn:
        size, around = spread_over(pen, kernel_size, rank), spread_over(pen, padding, rank)
        steps = spread_over(pen, stride, rank) if stride not in (None, [], ()) else size
        each = list(zip(input.shape[-rank:], size, steps, around, strict=True))
        more = [_ends(*one, 1, ceil_mode) for one in each]
        pads = [(low, low + extra) for low, extra in zip(around, more, strict=True)]
        ones = (1,) * rank
        found = window(pen, input, "sum", size, steps, pads, ones)
        if divisor_override is not None:
            return found / float(divisor_override)
        if not any(more) and (count_include_pad or not any(around)):
            return found / float(math.prod(size))
        shape = [
            length + (2 * low if count_include_pad else 0)
            for length, low in zip(input.shape[-rank:], around, strict=True)
        ]
        inner = [(0, extra) if count_include_pad else both for both, extra in zip(pads, more, strict=True)]
        count = window(pen, pen.constant(np.ones(shape), input.dtype), "sum", size, steps, inner, ones)
        return found / count

    return run


def _lp_pool(rank: int) -> Any:
    def run(
        pen: Pen,
        input: Drawn,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
    ) -> Drawn:
        size = spread_over(pen, kernel_size, rank)
        found = _avg_pool(rank)(pen, power(pen, input, norm_type), size, stride, 0, ceil_mode)
        found = pen.each("sign", found) * pen.each("max", pen.each("abs", found), 0.0)
        return power(pen, found * float(math.prod(size)), 1.0 / norm_type)

    return run


def adapted(kind: str, rank: int) -> Any:
    """Return a pool whose windows follow from the size of its result."""

    def run(pen: Pen, input: Drawn, output_size: Any, return_indices: bool = False) -> Any:
        given = output_size if isinstance(output_size, list | tuple) else [output_size] * rank
        lead = input.rank - rank
        goal = [input.shape[lead + i] if one is None else pen.whole(one) for i, one in enumerate(given)]
        if return_indices:
            raise Unlowered("the places of an adaptive pool")
        axes = range(lead, input.rank)
        if all(one == 1 for one in goal):
            return (
                pen.mean(input, axes, keep=True)
                if kind == "avg"
                else pen.reduce("amax", input, axes, keep=True)
            )
        if all(size % one == 0 for size, one in zip(input.shape[lead:], goal, strict=True)):
            size = [whole // one for whole, one in zip(input.shape[lead:], goal, strict=True)]
            found = window(
                pen, input, "sum" if kind == "avg" else "max", size, size, [(0, 0)] * rank, [1] * rank
            )
            return found / float(math.prod(size)) if kind == "avg" else found
        for axis, one in zip(axes, goal, strict=True):
            input = _uneven(pen, input, axis, one, kind)
        return input

    return run


def _uneven(pen: Pen, x: Drawn, axis: int, goal: int, kind: str) -> Drawn:
    size = x.shape[axis]
    spans = [(one * size // goal, -(-(one + 1) * size // goal)) for one in range(goal)]
    parts = [pen.slice(x, axis, start, stop) for start, stop in spans]
    if kind == "avg":
        return pen.concat([pen.mean(part, [axis], keep=True) for part in parts], axis)
    return pen.concat([pen.reduce("amax", part, [axis], keep=True) for part in parts], axis)


_RANKS = (1, 2, 3)

ROWS: list[Lowering] = [
    *rows(
        "tf",
        {
            "conv1d conv2d conv3d": conv,
            "conv_transpose1d conv_transpose2d conv_transpose3d": conv_transpose,
            **{f"max_pool{rank}d": _max_pool(rank) for rank in _RANKS},
            "avg_pool1d": _avg_pool(1),
            "adaptive_avg_pool1d": adapted("avg", 1),
            "adaptive_max_pool1d": adapted("max", 1),
        },
    ),
    *rows(
        "f",
        {
            **{f"avg_pool{rank}d": _avg_pool(rank) for rank in (2, 3)},
            **{f"lp_pool{rank}d": _lp_pool(rank) for rank in _RANKS},
            **{f"adaptive_avg_pool{rank}d": adapted("avg", rank) for rank in (2, 3)},
            **{f"adaptive_max_pool{rank}d": adapted("max", rank) for rank in (2, 3)},
            "pad": pad,
        },
    ),
]
