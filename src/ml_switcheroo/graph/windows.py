"""Padding, products of matrices and windows, of NumPy arrays: what they give, and its shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["conv", "convolved", "dot", "pad", "padded", "pooled", "product", "window"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Params = Mapping[str, Any]


def padded(shapes: Sequence[Shape], params: Params) -> Shape:
    """Return the shape of what :func:`pad` gives."""
    widths = zip(shapes[0], params["low"], params["high"], params["interior"], strict=True)
    return tuple(size + low + high + max(size - 1, 0) * inside for size, low, high, inside in widths)


def pad(arrays: Sequence[Array], params: Params) -> Array:
    """Pad, with holes between the elements where ``interior`` is positive; a negative width cuts."""
    array, value = arrays
    spread = tuple(
        size + max(size - 1, 0) * inside for size, inside in zip(array.shape, params["interior"], strict=True)
    )
    whole = np.full(spread, value, np.result_type(array, value))
    whole[tuple(slice(None, None, inside + 1) for inside in params["interior"])] = array
    widths = list(zip(params["low"], params["high"], strict=True))
    whole = np.pad(
        whole, [(max(low, 0), max(high, 0)) for low, high in widths], constant_values=np.asarray(value).item()
    )
    return whole[
        tuple(
            slice(max(-low, 0), size - max(-high, 0))
            for size, (low, high) in zip(whole.shape, widths, strict=True)
        )
    ]


def _free(shape: Shape, taken: Sequence[int]) -> list[int]:
    return [axis for axis in range(len(shape)) if axis not in taken]


def product(shapes: Sequence[Shape], params: Params) -> Shape:
    """Return the shape of what :func:`dot` gives."""
    (left, right), (lbatch, rbatch) = params["contract"], params["batch"]
    one, other = shapes
    return (
        *(one[axis] for axis in lbatch),
        *(one[axis] for axis in _free(one, (*left, *lbatch))),
        *(other[axis] for axis in _free(other, (*right, *rbatch))),
    )


def dot(arrays: Sequence[Array], params: Params) -> Array:
    """Multiply: the axes of both that are batch, those free on the left, those free on the right."""
    (left, right), (lbatch, rbatch) = params["contract"], params["batch"]
    one, other = arrays
    mine, theirs = _free(one.shape, (*left, *lbatch)), _free(other.shape, (*right, *rbatch))
    batch = tuple(one.shape[axis] for axis in lbatch)
    inner = math.prod(one.shape[axis] for axis in left)
    first = one.transpose(*lbatch, *mine, *left).reshape(*batch, -1, inner) if inner else None
    if first is None:
        return np.zeros(product([one.shape, other.shape], params))
    second = other.transpose(*rbatch, *right, *theirs).reshape(*batch, inner, -1)
    return np.asarray(np.matmul(first, second).reshape(product([one.shape, other.shape], params)))


def _places(size: int, window: int, stride: int, pads: Sequence[int], dilation: int, spread: int = 1) -> int:
    whole = (size - 1) * spread + 1 + pads[0] + pads[1] if size else pads[0] + pads[1]
    return max((whole - (window - 1) * dilation - 1) // stride + 1, 0)


def convolved(shapes: Sequence[Shape], params: Params) -> Shape:
    """Return the shape of what :func:`conv` gives."""
    data, kernel = shapes
    each = zip(
        data[2:],
        kernel[2:],
        params["stride"],
        params["padding"],
        params["dilation"],
        params["spread"],
        strict=True,
    )
    return (data[0], kernel[0], *(_places(*one) for one in each))


def conv(arrays: Sequence[Array], params: Params) -> Array:
    """Correlate data ``n c *space`` with a kernel ``out in *space``; ``spread`` puts holes into the data."""
    data, kernel = arrays
    windows = _windows(
        data, kernel.shape[2:], params["stride"], params["padding"], params["dilation"], params["spread"]
    )
    rank, groups = kernel.ndim - 2, params["groups"]
    batch, places = data.shape[0], windows.shape[2 : 2 + rank]
    inside = windows.reshape(batch, groups, -1, *windows.shape[2:])
    outside = kernel.reshape(groups, -1, *kernel.shape[1:])
    inner = [2, *range(3 + rank, 3 + 2 * rank)]
    parts = [
        np.tensordot(
            inside[:, group],
            outside[group],
            axes=([axis - 1 for axis in inner], list(range(1, 2 + rank))),
        )
        for group in range(groups)
    ]
    out = np.concatenate(parts, axis=-1)  # n *places out
    return np.ascontiguousarray(np.moveaxis(out, -1, 1)).reshape(batch, kernel.shape[0], *places)


def _windows(
    data: Array,
    sizes: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[Sequence[int]],
    dilation: Sequence[int],
    spread: Sequence[int],
    filling: float = 0.0,
) -> Array:
    """Return the windows of the last axes of data: the places of those axes, then the axes of a window."""
    rank = len(sizes)
    lead = data.ndim - rank
    widths = {
        "low": [0] * lead + [low for low, _ in padding],
        "high": [0] * lead + [high for _, high in padding],
        "interior": [0] * lead + [one - 1 for one in spread],
    }
    whole = pad([data, np.asarray(filling, data.dtype)], widths)
    spans = tuple((size - 1) * step + 1 for size, step in zip(sizes, dilation, strict=True))
    axes = tuple(range(lead, data.ndim))
    views = np.lib.stride_tricks.sliding_window_view(whole, spans, axis=axes)
    cut = [slice(None)] * lead + [slice(None, None, step) for step in stride]
    return views[(*cut, *(slice(None, None, step) for step in dilation))]


def pooled(shapes: Sequence[Shape], params: Params) -> Shape:
    """Return the shape of what :func:`window` gives."""
    each = zip(
        shapes[0], params["size"], params["stride"], params["padding"], params["dilation"], strict=True
    )
    return tuple(_places(*one) for one in each)


_POOLS: Mapping[str, tuple[Callable[..., Any], float]] = {
    "sum": (np.sum, 0.0),
    "max": (np.max, -math.inf),
    "min": (np.min, math.inf),
}


def window(arrays: Sequence[Array], params: Params) -> Array:
    """Reduce the windows; every axis has its size, stride, padding and dilation."""
    run, filling = _POOLS[params["kind"]]
    array = arrays[0].astype(np.float64, copy=False)
    moving = [axis for axis in range(array.ndim) if _moves(params, axis)]
    rest = [axis for axis in range(array.ndim) if axis not in moving]
    size, stride, padding, dilation = (
        [params[name][axis] for axis in moving] for name in ("size", "stride", "padding", "dilation")
    )
    moved = array.transpose(*rest, *moving)
    windows = _windows(moved, size, stride, padding, dilation, [1] * len(moving), filling)
    found = np.asarray(run(windows, axis=tuple(range(array.ndim, windows.ndim))))
    return found.transpose(np.argsort([*rest, *moving]))


def _moves(params: Params, axis: int) -> bool:
    return (params["size"][axis], params["stride"][axis], tuple(params["padding"][axis])) != (1, 1, (0, 0))
