"""Tensors put together: one behind the other, side by side, or each as wide as all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.operations.shapes import unbind
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS", "stack"]


def _tensors(pen: Pen, given: Any) -> list[Drawn]:
    if isinstance(given, Drawn):
        return list(unbind(pen, given))
    return [pen.tensor(one) for one in given]


def _cat(pen: Pen, tensors: Any, dim: Any = 0) -> Drawn:
    parts = [one for one in _tensors(pen, tensors) if one.shape != (0,)] or _tensors(pen, tensors)[:1]
    return pen.concat(parts, parts[0].axis(pen.whole(dim)))


def stack(pen: Pen, tensors: Any, dim: int = 0) -> Drawn:
    """Return tensors side by side, along a new axis."""
    parts = _tensors(pen, tensors)
    place = dim % (parts[0].rank + 1)
    return pen.concat([pen.insert(one, place) for one in parts], place)


def _atleast(rank: int) -> Any:
    """Return what gives a tensor so many axes; of three, the new ones stand around the others."""

    def run(pen: Pen, *tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 else tensors
        if isinstance(given, list | tuple):
            return tuple(run(pen, one) for one in given)
        if given.rank >= rank:
            return given
        if rank < 3:
            return pen.insert(given, *range(rank - given.rank))
        return pen.insert(given, *((0, 1, 2), (0, 2), (2,))[given.rank])

    return run


def _hstack(pen: Pen, tensors: Any) -> Drawn:
    parts = [_atleast(1)(pen, one) for one in _tensors(pen, tensors)]
    return pen.concat(parts, 0 if parts[0].rank == 1 else 1)


def _column_stack(pen: Pen, tensors: Any) -> Drawn:
    parts = _tensors(pen, tensors)
    return pen.concat(
        [pen.reshape(one, (math.prod(one.shape), 1)) if one.rank < 2 else one for one in parts], 1
    )


def _vstack(pen: Pen, tensors: Any) -> Drawn:
    return pen.concat([_atleast(2)(pen, one) for one in _tensors(pen, tensors)], 0)


def _dstack(pen: Pen, tensors: Any) -> Drawn:
    parts = [_atleast(2)(pen, one) for one in _tensors(pen, tensors)]
    return pen.concat([pen.insert(one, 2) if one.rank == 2 else one for one in parts], 2)


def _block_diag(pen: Pen, *tensors: Any) -> Drawn:
    parts = [_atleast(2)(pen, one) for one in tensors]
    width, before, found = sum(one.shape[1] for one in parts), 0, []
    for one in parts:
        found.append(pen.pad(one, (0, before), (0, width - before - one.shape[1])))
        before += one.shape[1]
    return pen.concat(found, 0)


def _meshgrid(pen: Pen, *tensors: Any, indexing: str = "ij") -> tuple[Drawn, ...]:
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    parts = [pen.reshape(one, (math.prod(one.shape),)) for one in given]
    shape = [one.shape[0] for one in parts]
    axes = [1, 0, *range(2, len(parts))] if indexing == "xy" and len(parts) > 1 else list(range(len(parts)))
    found = []
    for place, one in enumerate(parts):
        whole = pen.broadcast(pen.insert(one, *(axis for axis in range(len(parts)) if axis != place)), shape)
        found.append(pen.transpose(whole, axes))
    return tuple(found)


def _broadcast_tensors(pen: Pen, *tensors: Any) -> tuple[Drawn, ...]:
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    shape = np.broadcast_shapes(*(one.shape for one in given))
    return tuple(pen.broadcast(one, shape) for one in given)


ROWS: list[Lowering] = [
    *rows(
        "t",
        {
            "cat concat concatenate": _cat,
            "stack": stack,
            "hstack": _hstack,
            "column_stack": _column_stack,
            "vstack row_stack": _vstack,
            "dstack": _dstack,
            "block_diag": _block_diag,
            "meshgrid": _meshgrid,
            "broadcast_tensors": _broadcast_tensors,
            "atleast_1d": _atleast(1),
            "atleast_2d": _atleast(2),
            "atleast_3d": _atleast(3),
        },
    )
]
