"""Patches of maps: windows as rows, and the way back; the mean of the channels around each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.operations.elementwise import power
from ml_switcheroo.graph.of_source.operations.windows import spread_over, window
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS"]


def _local_response_norm(
    pen: Pen, input: Drawn, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Drawn:
    widths = [(0, 0)] * input.rank
    widths[1] = (size // 2, (size - 1) // 2)
    lengths = [size if axis == 1 else 1 for axis in range(input.rank)]
    ones = [1] * input.rank
    mean = window(pen, input * input, "sum", lengths, ones, widths, ones) / float(size)
    return input / power(pen, mean * float(alpha) + float(k), float(beta))


def _places(
    pen: Pen, sizes: Sequence[int], kernel: Any, dilation: Any, padding: Any, stride: Any
) -> list[Any]:
    """Return, for each axis, the place of each element of a window, for each window."""
    each = [spread_over(pen, one, len(sizes)) for one in (kernel, dilation, padding, stride)]
    found = []
    for size, length, apart, around, step in zip(sizes, *each, strict=True):
        count = (size + 2 * around - apart * (length - 1) - 1) // step + 1
        found.append(np.arange(length)[:, None] * apart + np.arange(count) * step)
    return found


def _unfold(
    pen: Pen, input: Drawn, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Drawn:
    if input.rank == 3:
        found = _unfold(pen, pen.insert(input, 0), kernel_size, dilation, padding, stride)
        return pen.reshape(found, found.shape[1:])
    high, wide = _places(pen, input.shape[2:], kernel_size, dilation, padding, stride)
    around = spread_over(pen, padding, 2)
    x = pen.pad(input, (0, 0, *around), (0, 0, *around))
    x = pen.op("take", x, pen.constant(high), axis=2, dtype=x.dtype)
    x = pen.op("take", x, pen.constant(wide), axis=4, dtype=x.dtype)  # n c kh oh kw ow
    x = pen.transpose(x, (0, 1, 2, 4, 3, 5))
    n, channels, *sizes = x.shape
    return pen.reshape(x, (n, channels * sizes[0] * sizes[1], sizes[2] * sizes[3]))


def _fold(
    pen: Pen,
    input: Drawn,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Drawn:
    if input.rank == 2:
        found = _fold(pen, pen.insert(input, 0), output_size, kernel_size, dilation, padding, stride)
        return pen.reshape(found, found.shape[1:])
    goal, around, steps = (spread_over(pen, one, 2) for one in (output_size, padding, stride))
    high, wide = _places(pen, goal, kernel_size, dilation, padding, stride)
    kernel = (len(high), len(wide))
    count = (high.shape[1], wide.shape[1])
    x = pen.reshape(input, (input.shape[0], -(-input.shape[1] // math.prod(kernel)), *kernel, *count))
    whole: Drawn | None = None
    for i, j in itertools.product(*map(range, kernel)):
        part = pen.slice(pen.slice(x, 2, i, i + 1), 3, j, j + 1)
        part = pen.reshape(part, (*x.shape[:2], *count))
        low = [int(high[i, 0]) - around[0], int(wide[j, 0]) - around[1]]
        ends = [goal[0] - 1 - (int(high[i, -1]) - around[0]), goal[1] - 1 - (int(wide[j, -1]) - around[1])]
        placed = pen.pad(part, (0, 0, *low), (0, 0, *ends), 0, (0, 0, steps[0] - 1, steps[1] - 1))
        whole = placed if whole is None else whole + placed
    if whole is None:
        raise Unlowered("fold without a kernel")
    return whole


ROWS: list[Lowering] = [
    *rows("f", {"unfold": _unfold, "fold": _fold, "local_response_norm": _local_response_norm})
]
