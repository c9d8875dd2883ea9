"""Tensors that are made of nothing, or look at the shape of another alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn
from ml_switcheroo.graph.of_source.dtypes import FLOAT, by_name, of_number
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS"]


def _filled(value: Any) -> Any:
    def run(pen: Pen, *size: Any, dtype: Any = None) -> Drawn:
        return pen.full(pen.sizes(size), value, by_name(dtype) or FLOAT)

    return run


def _full(pen: Pen, size: Any, fill_value: Any, dtype: Any = None) -> Drawn:
    return pen.full(pen.sizes(size), fill_value, by_name(dtype) or _dtype(fill_value))


def _dtype(value: Any) -> str:
    return value.dtype if isinstance(value, Drawn) else of_number(value)


def _like(value: Any) -> Any:
    def run(pen: Pen, input: Drawn, dtype: Any = None) -> Drawn:
        return pen.full(input.shape, value, by_name(dtype) or input.dtype)

    return run


def _full_like(pen: Pen, input: Drawn, fill_value: Any, dtype: Any = None) -> Drawn:
    return pen.full(input.shape, fill_value, by_name(dtype) or input.dtype)


def _new(value: Any) -> Any:
    def run(pen: Pen, input: Drawn, *size: Any, dtype: Any = None) -> Drawn:
        return pen.full(pen.sizes(size), value, by_name(dtype) or input.dtype)

    return run


def _new_full(pen: Pen, input: Drawn, size: Any, fill_value: Any, dtype: Any = None) -> Drawn:
    return pen.full(pen.sizes(size), fill_value, by_name(dtype) or input.dtype)


def _arange(
    pen: Pen, *bounds: Any, start: Any = None, end: Any = None, step: Any = None, dtype: Any = None
) -> Drawn:
    named = [one for one in (start, end, step) if one is not None]
    given = [pen.known(one, "the end of a range") for one in (*bounds, *named)]
    found = np.arange(*given)
    usual = "float32" if any(isinstance(one, float) for one in given) else "int64"
    return (
        pen.constant(found, by_name(dtype) or usual)
        if by_name(dtype) in (None, usual)
        else pen.cast(pen.constant(found, usual), by_name(dtype) or usual)
    )


def _linspace(pen: Pen, start: Any, end: Any, steps: Any, dtype: Any = None) -> Drawn:
    low, high = (pen.known(one, "the end of a range") for one in (start, end))
    return pen.constant(np.linspace(low, high, pen.whole(steps)), by_name(dtype) or FLOAT)


def _logspace(pen: Pen, start: Any, end: Any, steps: Any, base: float = 10.0, dtype: Any = None) -> Drawn:
    low, high = (pen.known(one, "the end of a range") for one in (start, end))
    return pen.constant(np.logspace(low, high, pen.whole(steps), base=base), by_name(dtype) or FLOAT)


def _eye(pen: Pen, n: Any, m: Any = None, dtype: Any = None) -> Drawn:
    columns = None if m is None else pen.whole(m)
    return pen.cast(pen.constant(np.eye(pen.whole(n), columns), FLOAT), by_name(dtype) or FLOAT)


def _tensor(pen: Pen, input: Any, dtype: Any = None) -> Drawn:
    name = by_name(dtype) or ""
    made = pen.tensor(input, name)
    return pen.cast(made, name) if name else Drawn(pen, made.node)


def _new_tensor(pen: Pen, input: Drawn, data: Any, dtype: Any = None) -> Drawn:
    return _tensor(pen, data, by_name(dtype) or input.dtype)


def _random(word: str) -> Any:
    """Return a row for numbers drawn at random: of known shape, and of no known value."""

    def run(pen: Pen, *size: Any, dtype: Any = None) -> Drawn:
        return pen.gap(f"{word} draws at random", pen.sizes(size), by_name(dtype) or FLOAT)

    return run


def _random_like(word: str) -> Any:
    def run(pen: Pen, input: Drawn, *_: Any, dtype: Any = None) -> Drawn:
        return pen.gap(f"{word} draws at random", input.shape, by_name(dtype) or input.dtype)

    return run


def _randint(
    pen: Pen, *given: Any, low: Any = 0, high: Any = None, size: Any = None, dtype: Any = None
) -> Drawn:
    shape = given[-1] if size is None else size
    return pen.gap("randint draws at random", pen.sizes(shape), by_name(dtype) or "int64")


def _set(value: Any) -> Any:
    return lambda pen, input: pen.full(input.shape, value, input.dtype)


def _fill(pen: Pen, input: Drawn, value: Any) -> Drawn:
    return pen.full(input.shape, value, input.dtype)


def _copied(pen: Pen, input: Drawn, src: Any) -> Drawn:
    return pen.broadcast(pen.cast(pen.tensor(src), input.dtype), input.shape)


def _tri(upper: bool) -> Any:
    def run(pen: Pen, row: int, col: int, offset: int = 0, dtype: Any = None) -> Drawn:
        where = np.triu_indices if upper else np.tril_indices
        return pen.constant(np.stack(where(row, offset, col)), "int64")

    return run


def _empty(pen: Pen, *size: Any, dtype: Any = None) -> Drawn:
    return pen.gap("empty holds anything", pen.sizes(size), by_name(dtype) or FLOAT)


ROWS: list[Lowering] = [
    *rows(
        "t",
        {
            "zeros": _filled(0),
            "ones": _filled(1),
            "empty": _empty,
            "full": _full,
            "zeros_like": _like(0),
            "ones_like": _like(1),
            "full_like": _full_like,
            "empty_like rand_like randn_like randint_like": _random_like("it"),
            "arange range": _arange,
            "linspace": _linspace,
            "logspace": _logspace,
            "eye": _eye,
            "tensor as_tensor asarray from_numpy scalar_tensor": _tensor,
            "randn": _random("randn"),
            "rand": _random("rand"),
            "randperm": _random("randperm"),
            "randint": _randint,
            "tril_indices": _tri(False),
            "triu_indices": _tri(True),
        },
    ),
    *rows("tm", {"bernoulli multinomial poisson": _random_like("it")}),
    *rows("t", {"normal": _random_like("normal")}),
    *rows(
        "m",
        {
            "new_zeros": _new(0),
            "new_ones": _new(1),
            "new_full": _new_full,
            "new_empty": lambda pen, input, *size, dtype=None: _empty(
                pen, *size, dtype=by_name(dtype) or input.dtype
            ),
            "new_tensor": _new_tensor,
            "zero": _set(0),
            "fill": _fill,
            "copy": _copied,
            "normal uniform trunc_normal exponential random": _random_like("it"),
        },
    ),
    *rows("t", {"fill": _fill, "zero": _set(0)}),
]
