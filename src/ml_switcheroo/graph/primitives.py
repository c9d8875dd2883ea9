"""The primitives that programs are drawn with: the shape of what each gives, and what it computes.

There are few, and what frameworks call differently is the same one: a linear layer is ``dot`` and ``add``, an
activation its formula. Axes are numbered as they lie; the operands of one that works element by element are
broadcast as NumPy does it. Floats are float64 here: what is computed shows whether two programs compute the
same, and not what a framework rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.windows import conv, convolved, dot, pad, padded, pooled, product, window

__all__ = ["PRIMITIVES", "Primitive"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Primitive:
    """What a primitive is.

    Attributes:
        shape: Returns its shape, from those of its operands and its parameters.
        run: Returns what it computes, from arrays and its parameters.
        elementwise: Whether each element depends on those at the same place alone.
        dtype: The dtype of its result: ``bool``, ``int64``; empty where it is that of its operands.
    """

    shape: Callable[[Sequence[Shape], Params], Shape]
    run: Callable[[Sequence[Array], Params], Array]
    elementwise: bool = False
    dtype: str = ""


def _together(shapes: Sequence[Shape], _: Params) -> Shape:
    return np.broadcast_shapes(*shapes)


def _each(run: Callable[..., Any], dtype: str = "") -> Primitive:
    return Primitive(_together, lambda arrays, _: np.asarray(run(*arrays)), True, dtype)


def _float(array: Array) -> Array:
    return array if array.dtype.kind in "fc" else array.astype(np.float64)


def _of_floats(run: Callable[..., Any]) -> Primitive:
    return _each(lambda *arrays: run(*map(_float, arrays)))


def _scipy(name: str) -> Primitive:
    def run(*arrays: Array) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(*map(_float, arrays))

    return _each(run)


def _cast(arrays: Sequence[Array], params: Params) -> Array:
    kind = params["to"]
    if kind == "bool":
        return np.asarray(arrays[0] != 0)
    if kind.startswith(("int", "uint")):
        return np.nan_to_num(arrays[0]).astype(np.int64)
    return arrays[0] if arrays[0].dtype.kind == "c" or kind.startswith("complex") else _float(arrays[0])


# ---- the same elements on other axes


def _sliced(_: Sequence[Shape], params: Params) -> Shape:
    return tuple(
        len(range(start, stop, step))
        for start, stop, step in zip(params["start"], params["stop"], params["step"], strict=True)
    )


def _slice(arrays: Sequence[Array], params: Params) -> Array:
    cuts = zip(params["start"], params["stop"], params["step"], strict=True)
    return arrays[0][tuple(slice(start, stop, step) for start, stop, step in cuts)]


def _joined(shapes: Sequence[Shape], params: Params) -> Shape:
    axis = params["axis"]
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


# ---- fewer elements


def _reduced(shapes: Sequence[Shape], params: Params) -> Shape:
    return tuple(size for axis, size in enumerate(shapes[0]) if axis not in params["axes"])


def _over(run: Callable[..., Any], dtype: str = "") -> Primitive:
    return Primitive(
        _reduced, lambda arrays, params: np.asarray(run(arrays[0], axis=tuple(params["axes"]))), dtype=dtype
    )


def _first(run: Callable[..., Any]) -> Primitive:
    """Return one that gives the place of an extreme along a single axis."""
    return Primitive(
        _reduced, lambda arrays, params: np.asarray(run(arrays[0], axis=params["axes"][0])), dtype="int64"
    )


def _same(shapes: Sequence[Shape], _: Params) -> Shape:
    return shapes[0]


def _along(run: Callable[..., Any], dtype: str = "") -> Primitive:
    def along(arrays: Sequence[Array], params: Params) -> Array:
        axis, turned = params["axis"], params.get("reverse", False)
        array = np.flip(arrays[0], axis) if turned else arrays[0]
        found = np.asarray(run(array, axis=axis))
        return np.flip(found, axis) if turned else found

    return Primitive(_same, along, dtype=dtype)


def _sorted_places(array: Array, axis: int) -> Array:
    return np.argsort(array, axis=axis, kind="stable")


# ---- elements chosen by others


def _taken(shapes: Sequence[Shape], params: Params) -> Shape:
    axis = params["axis"]
    return (*shapes[0][:axis], *shapes[1], *shapes[0][axis + 1 :])


def _take(arrays: Sequence[Array], params: Params) -> Array:
    return np.take(arrays[0], arrays[1].astype(np.int64), axis=params["axis"], mode="clip")


def _call(arrays: Sequence[Array], params: Params) -> Array:
    """Compute what has no primitive by the framework's own function."""
    return np.asarray(params["run"](*arrays))


def _nowhere(_: Sequence[Array], __: Params) -> Array:
    raise ValueError("what is given to a program is not computed by it")


def _given(_: Sequence[Shape], params: Params) -> Shape:
    shape: Shape = params["shape"]
    return shape


def _power(base: Array, exponent: Array) -> Any:
    with np.errstate(invalid="ignore"):
        return np.power(_float(base), _float(exponent))


PRIMITIVES: Mapping[str, Primitive] = MappingProxyType(
    {
        # What is given: of any shape, and of no operands.
        "input": Primitive(_given, _nowhere),
        "leaf": Primitive(_given, _nowhere),
        "constant": Primitive(lambda _, params: params["value"].shape, lambda _, params: params["value"]),
        # Element by element.
        **{
            name: _of_floats(getattr(np, name))
            for name in """exp exp2 expm1 log log1p log2 sqrt cbrt sin cos tan sinh cosh tanh floor ceil
            arcsin arccos arctan arcsinh arccosh arctanh""".split()
        },
        "round": _of_floats(np.rint),
        "logistic": _scipy("expit"),
        "erf": _scipy("erf"),
        "erfc": _scipy("erfc"),
        "erf_inv": _scipy("erfinv"),
        "lgamma": _scipy("gammaln"),
        "digamma": _scipy("digamma"),
        "neg": _each(np.negative),
        "abs": _each(np.abs),
        "sign": _each(np.sign),
        "not": _each(np.logical_not, "bool"),
        "is_finite": _each(np.isfinite, "bool"),
        "real": _each(np.real),
        "imag": _each(np.imag),
        "complex": _each(lambda real, imag: real + 1j * imag),
        "add": _each(np.add),
        "sub": _each(np.subtract),
        "mul": _each(np.multiply),
        "div": _of_floats(np.divide),
        "floordiv": _each(np.floor_divide),
        "mod": _each(np.mod),
        "rem": _each(np.fmod),
        "pow": _each(_power),
        "max": _each(np.maximum),
        "min": _each(np.minimum),
        "arctan2": _of_floats(np.arctan2),
        "and": _each(np.logical_and, "bool"),
        "or": _each(np.logical_or, "bool"),
        "xor": _each(np.logical_xor, "bool"),
        "eq": _each(np.equal, "bool"),
        "ne": _each(np.not_equal, "bool"),
        "lt": _each(np.less, "bool"),
        "le": _each(np.less_equal, "bool"),
        "gt": _each(np.greater, "bool"),
        "ge": _each(np.greater_equal, "bool"),
        "where": _each(lambda condition, yes, no: np.where(condition != 0, yes, no)),
        "cast": Primitive(_same, _cast, True),
        # The same elements on other axes.
        "reshape": Primitive(
            lambda _, params: tuple(params["shape"]),
            lambda arrays, params: arrays[0].reshape(params["shape"]),
        ),
        "transpose": Primitive(
            lambda shapes, params: tuple(shapes[0][axis] for axis in params["axes"]),
            lambda arrays, params: arrays[0].transpose(params["axes"]),
        ),
        "broadcast": Primitive(
            lambda _, params: tuple(params["shape"]),
            lambda arrays, params: np.broadcast_to(arrays[0], params["shape"]),
        ),
        "flip": Primitive(_same, lambda arrays, params: np.flip(arrays[0], params["axes"])),
        "slice": Primitive(_sliced, _slice),
        "pad": Primitive(padded, pad),
        "concat": Primitive(_joined, lambda arrays, params: np.concatenate(arrays, params["axis"])),
        # Fewer.
        "sum": _over(np.sum),
        "prod": _over(np.prod),
        "amax": _over(np.max),
        "amin": _over(np.min),
        "any": _over(lambda array, axis: np.any(array != 0, axis=axis), "bool"),
        "all": _over(lambda array, axis: np.all(array != 0, axis=axis), "bool"),
        "argmax": _first(np.argmax),
        "argmin": _first(np.argmin),
        # Along an axis.
        "cumsum": _along(np.cumsum),
        "cumprod": _along(np.cumprod),
        "cummax": _along(np.maximum.accumulate),
        "cummin": _along(np.minimum.accumulate),
        "cumlogsumexp": _along(np.logaddexp.accumulate),
        "sort": _along(np.sort),
        "argsort": _along(_sorted_places, "int64"),
        # Sums of products, and windows.
        "dot": Primitive(product, dot),
        "conv": Primitive(convolved, conv),
        "window": Primitive(pooled, window),
        # Elements chosen by others.
        "take": Primitive(_taken, _take),
        "take_along": Primitive(
            lambda shapes, _: shapes[1],
            lambda arrays, params: np.take_along_axis(arrays[0], arrays[1].astype(np.int64), params["axis"]),
        ),
        "call": Primitive(_given, _call),
    }
)
"""By name."""
