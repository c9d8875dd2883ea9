"""Operations that leave fewer elements, and those along an axis: sums, extremes, cumulative ones, sorting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.dtypes import by_name, category
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.operations.elementwise import where
from ml_switcheroo.graph.of_source.operations.shapes import flatten
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS", "axes_of", "variance"]


def axes_of(pen: Pen, input: Drawn, dim: Any) -> list[int]:
    """Return the axes that ``dim`` means: all, where it is None or empty."""
    if dim is None or dim in ([], ()):
        return list(range(input.rank))
    return [input.axis(one) for one in pen.sizes(dim)]


def _sum(pen: Pen, input: Drawn, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Drawn:
    wanted = by_name(dtype) or ("int64" if category(input.dtype) in ("bool", "int") else input.dtype)
    return pen.reduce("sum", pen.cast(input, wanted), axes_of(pen, input, dim), keep=keepdim)


def _prod(pen: Pen, input: Drawn, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Drawn:
    wanted = by_name(dtype) or ("int64" if category(input.dtype) in ("bool", "int") else input.dtype)
    return pen.reduce("prod", pen.cast(input, wanted), axes_of(pen, input, dim), keep=keepdim)


def _mean(pen: Pen, input: Drawn, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Drawn:
    return pen.mean(pen.cast(input, by_name(dtype) or input.dtype), axes_of(pen, input, dim), keep=keepdim)


def _nansum(pen: Pen, input: Drawn, dim: Any = None, keepdim: bool = False) -> Drawn:
    return _sum(pen, where(pen, pen.op("ne", input, input), 0.0, input), dim, keepdim)


def _nanmean(pen: Pen, input: Drawn, dim: Any = None, keepdim: bool = False) -> Drawn:
    there = pen.cast(pen.op("eq", input, input), input.dtype)
    return _nansum(pen, input, dim, keepdim) / _sum(pen, there, dim, keepdim)


def _over(op: str) -> Any:
    def run(pen: Pen, input: Drawn, dim: Any = None, keepdim: bool = False) -> Drawn:
        return pen.reduce(op, input, axes_of(pen, input, dim), keep=keepdim)

    return run


def _places(op: str) -> Any:
    def run(pen: Pen, input: Drawn, dim: Any = None, keepdim: bool = False) -> Drawn:
        x = flatten(pen, input) if dim is None else input
        return pen.reduce(op, x, [x.axis(0 if dim is None else dim)], keep=keepdim and dim is not None)

    return run


def _extreme(one: str, many: str) -> Any:
    def run(pen: Pen, input: Drawn, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
        if isinstance(dim, Drawn) or other is not None:
            return pen.each(one, input, dim if other is None else other)
        if dim is None:
            return pen.reduce(many, input, range(input.rank))
        values = pen.reduce(many, input, [input.axis(dim)], keep=keepdim)
        return values, _places(f"arg{one}")(pen, input, dim, keepdim)

    return run


def variance(pen: Pen, input: Drawn, axes: list[int], correction: float, *, keep: bool = False) -> Drawn:
    """Return the mean of the squared distances of the elements from their mean."""
    off = input - pen.mean(input, axes, keep=True)
    count = math.prod(input.shape[axis] for axis in axes)
    return pen.reduce("sum", off * off, axes, keep=keep) / float(max(count - correction, 0))


def _var(
    pen: Pen,
    input: Drawn,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    correction: Any = None,
) -> Drawn:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    less = correction if correction is not None else 0 if unbiased is False else 1
    return variance(pen, input, axes_of(pen, input, dim), less, keep=keepdim)


def _std(pen: Pen, input: Drawn, *args: Any, **words: Any) -> Drawn:
    return pen.each("sqrt", _var(pen, input, *args, **words))


def _var_mean(
    pen: Pen,
    input: Drawn,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    correction: Any = None,
) -> Any:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return _var(pen, input, dim, unbiased, keepdim, correction), _mean(pen, input, dim, keepdim)


def _std_mean(pen: Pen, input: Drawn, *args: Any, **words: Any) -> Any:
    found, mean = _var_mean(pen, input, *args, **words)
    return pen.each("sqrt", found), mean


def _logsumexp(pen: Pen, input: Drawn, dim: Any, keepdim: bool = False) -> Drawn:
    axes = axes_of(pen, input, dim)
    top = pen.reduce("amax", input, axes, keep=True)
    rest = pen.each("log", pen.reduce("sum", pen.each("exp", input - top), axes, keep=True))
    shape = [size for axis, size in enumerate(input.shape) if axis not in axes]
    return rest + top if keepdim else pen.reshape(rest + top, shape)


def norm(
    pen: Pen, input: Drawn, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Drawn:
    """Return the length of vectors along axes."""
    axes = axes_of(pen, input, dim)
    size = pen.each("abs", input)
    if p in ("fro", 2, 2.0, None):
        return pen.each("sqrt", pen.reduce("sum", input * input, axes, keep=keepdim))
    if not isinstance(p, int | float):
        raise Unlowered(f"norm {p!r}")
    if p in (math.inf, -math.inf):
        return pen.reduce("amax" if p > 0 else "amin", size, axes, keep=keepdim)
    if p == 0:
        return pen.reduce("sum", pen.cast(pen.op("ne", input, 0.0), input.dtype), axes, keep=keepdim)
    if p == 1:
        return pen.reduce("sum", size, axes, keep=keepdim)
    powers = pen.each("pow", size, float(p))
    return pen.each("pow", pen.reduce("sum", powers, axes, keep=keepdim), 1.0 / p)


def _vector_norm(
    pen: Pen, x: Drawn, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Drawn:
    return norm(pen, x, ord, dim, keepdim)


def _normalize(pen: Pen, input: Drawn, p: Any = 2.0, dim: Any = 1, eps: float = 1e-12) -> Drawn:
    return input / pen.each("max", norm(pen, input, p, dim, True), float(eps))


def _along(op: str) -> Any:
    def run(pen: Pen, input: Drawn, dim: Any, dtype: Any = None) -> Drawn:
        whole = category(input.dtype) in ("bool", "int") and op in ("cumsum", "cumprod")
        x = pen.cast(input, by_name(dtype) or ("int64" if whole else input.dtype))
        return pen.op(op, x, axis=x.axis(pen.whole(dim)), dtype=x.dtype)

    return run


def _sort(pen: Pen, input: Drawn, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    axis = input.axis(dim)
    places = _argsort(pen, input, dim, descending)
    return pen.op("take_along", input, places, axis=axis, dtype=input.dtype), places


def _argsort(pen: Pen, input: Drawn, dim: int = -1, descending: bool = False, stable: bool = False) -> Drawn:
    return pen.op("argsort", -input if descending else input, axis=input.axis(dim))


def _topk(pen: Pen, input: Drawn, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    axis = input.axis(dim)
    values, places = _sort(pen, input, dim, largest)
    return tuple(pen.slice(one, axis, 0, pen.whole(k)) for one in (values, places))


def _median(pen: Pen, input: Drawn, dim: Any = None, keepdim: bool = False) -> Any:
    x = flatten(pen, input) if dim is None else input
    axis = x.axis(0 if dim is None else dim)
    middle = (x.shape[axis] - 1) // 2
    found = [pen.slice(one, axis, middle, middle + 1) for one in _sort(pen, x, axis)]
    shape = [size for place, size in enumerate(x.shape) if place != axis]
    found = found if keepdim and dim is not None else [pen.reshape(one, shape) for one in found]
    return tuple(found) if dim is not None else found[0]


def _cumextreme(op: str) -> Any:
    def run(pen: Pen, input: Drawn, dim: int) -> Any:
        axis = input.axis(dim)
        values = pen.op(op, input, axis=axis, dtype=input.dtype)
        places = np.arange(input.shape[axis]).reshape([-1 if one == axis else 1 for one in range(input.rank)])
        here = pen.op(
            "where", pen.op("eq", input, values), pen.constant(places), pen.constant(0), dtype="int64"
        )
        return values, pen.op("cummax", here, axis=axis, dtype="int64")

    return run


def _diff(
    pen: Pen, input: Drawn, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None
) -> Drawn:
    axis = input.axis(dim)
    ends = [*([prepend] if prepend is not None else []), input, *([append] if append is not None else [])]
    input = pen.concat(ends, axis)
    for _ in range(n):
        size = input.shape[axis]
        input = pen.slice(input, axis, 1, size) - pen.slice(input, axis, 0, size - 1)
    return input


def _cosine_similarity(pen: Pen, x1: Drawn, x2: Drawn, dim: int = 1, eps: float = 1e-8) -> Drawn:
    x1, x2 = (pen.broadcast(one, np.broadcast_shapes(x1.shape, x2.shape)) for one in (x1, x2))
    lengths = [pen.each("max", norm(pen, one, 2, dim, True), float(eps)) for one in (x1, x2)]
    return _sum(pen, (x1 / lengths[0]) * (x2 / lengths[1]), dim)


def _pairwise_distance(
    pen: Pen, x1: Drawn, x2: Drawn, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Drawn:
    return norm(pen, x1 - x2 + float(eps), p, -1, keepdim)


def _bincount_like(pen: Pen, input: Drawn, dim: Any = None) -> Drawn:
    return _sum(pen, pen.op("ne", input, 0), dim)


ROWS: list[Lowering] = [
    *rows(
        "tm",
        {
            "sum": _sum,
            "mean": _mean,
            "nansum": _nansum,
            "nanmean": _nanmean,
            "prod": _prod,
            "amax": _over("amax"),
            "amin": _over("amin"),
            "all": _over("all"),
            "any": _over("any"),
            "argmax": _places("argmax"),
            "argmin": _places("argmin"),
            "max": _extreme("max", "amax"),
            "min": _extreme("min", "amin"),
            "median nanmedian": _median,
            "std": _std,
            "var": _var,
            "norm": norm,
            "cumsum": _along("cumsum"),
            "cumprod": _along("cumprod"),
            "logcumsumexp": _along("cumlogsumexp"),
            "cummax": _cumextreme("cummax"),
            "cummin": _cumextreme("cummin"),
            "sort": _sort,
            "argsort": _argsort,
            "topk": _topk,
            "diff": _diff,
            "count_nonzero": _bincount_like,
        },
    ),
    *rows("tms", {"logsumexp": _logsumexp}),
    *rows("t", {"var_mean": _var_mean, "std_mean": _std_mean}),
    *rows("l", {"norm vector_norm": _vector_norm}),
    *rows("f", {"normalize": _normalize, "pairwise_distance": _pairwise_distance}),
    *rows("tf", {"cosine_similarity": _cosine_similarity}),
]
