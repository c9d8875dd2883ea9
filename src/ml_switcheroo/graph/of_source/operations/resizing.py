"""Maps of another size: between two places, each element is a mean of those around it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.operations.windows import adapted, spread_over
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS", "interpolate"]


def interpolate(
    pen: Pen,
    input: Drawn,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
    antialias: bool = False,
) -> Drawn:
    """Return a map of another size."""
    rank = input.rank - 2
    goal, factors = _goal(pen, input, rank, size, scale_factor)
    if antialias:
        raise Unlowered("interpolate with antialias")
    if recompute_scale_factor or factors is None:
        factors = [one / whole for one, whole in zip(goal, input.shape[2:], strict=True)]
    if mode == "area":
        found: Drawn = adapted("avg", rank)(pen, input, goal)
        return found
    for axis, (one, factor) in enumerate(zip(goal, factors, strict=True), 2):
        if mode.startswith("nearest"):
            input = _nearest(pen, input, axis, one, factor, 0.5 if mode == "nearest-exact" else 0.0)
        elif mode in _WEIGHTS:
            table = _WEIGHTS[mode](input.shape[axis], one, factor, bool(align_corners))
            input = _weighed(pen, input, axis, table)
        else:
            raise Unlowered(f"interpolate with mode={mode!r}")
    return input


def _goal(
    pen: Pen, input: Drawn, rank: int, size: Any, scale: Any
) -> tuple[tuple[int, ...], list[float] | None]:
    if size is not None:
        return spread_over(pen, size, rank), None
    given = pen.known(scale, "a scale")
    factors = [float(one) for one in (given if isinstance(given, list | tuple) else [given] * rank)]
    whole = zip(input.shape[2:], factors, strict=True)
    return tuple(math.floor(length * factor) for length, factor in whole), factors


def _nearest(pen: Pen, x: Drawn, axis: int, goal: int, factor: float, off: float) -> Drawn:
    size = x.shape[axis]
    if goal == size and factor == 1:
        return x
    if goal % size == 0 and factor == goal // size:
        wide = pen.broadcast(
            pen.insert(x, axis + 1), (*x.shape[: axis + 1], goal // size, *x.shape[axis + 1 :])
        )
        return pen.reshape(wide, (*x.shape[:axis], goal, *x.shape[axis + 1 :]))
    places = np.minimum(np.floor((np.arange(goal) + off) / factor).astype(int), size - 1)
    return pen.op("take", x, pen.constant(places), axis=axis, dtype=x.dtype)


def _weighed(pen: Pen, x: Drawn, axis: int, table: Any) -> Drawn:
    found = pen.dot(x, pen.constant(table, x.dtype), ((axis,), (1,)))
    return pen.transpose(found, [*range(axis), x.rank - 1, *range(axis, x.rank - 1)])


def _sources(size: int, goal: int, factor: float, align: bool) -> Any:
    if align:
        return np.arange(goal) * ((size - 1) / (goal - 1) if goal > 1 else 0.0)
    return (np.arange(goal) + 0.5) / factor - 0.5


def _linear(size: int, goal: int, factor: float, align: bool) -> Any:
    places = np.maximum(_sources(size, goal, factor, align), 0.0)
    low = np.minimum(np.floor(places).astype(int), size - 1)
    high = np.minimum(low + 1, size - 1)
    table = np.zeros((goal, size))
    np.add.at(table, (np.arange(goal), low), 1.0 - (places - low))
    np.add.at(table, (np.arange(goal), high), places - low)
    return table


def _cubic(size: int, goal: int, factor: float, align: bool) -> Any:
    places = _sources(size, goal, factor, align)
    low = np.floor(places).astype(int)
    table = np.zeros((goal, size))
    for step in (-1, 0, 1, 2):
        distance = np.abs(places - (low + step))
        np.add.at(table, (np.arange(goal), np.clip(low + step, 0, size - 1)), _kernel(distance))
    return table


def _kernel(distance: Any, a: float = -0.75) -> Any:
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


_WEIGHTS: dict[str, Any] = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), _linear),
    "bicubic": _cubic,
}

ROWS: list[Lowering] = [
    *rows(
        "f",
        {
            "interpolate upsample": interpolate,
            "upsample_nearest": lambda pen, input, size=None, scale_factor=None: interpolate(
                pen, input, size, scale_factor
            ),
            "upsample_bilinear": lambda pen, input, size=None, scale_factor=None: interpolate(
                pen, input, size, scale_factor, "bilinear", True
            ),
        },
    )
]
