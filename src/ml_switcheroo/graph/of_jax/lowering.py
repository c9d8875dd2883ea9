"""What each primitive of JAX is drawn as.

Source of their parameters: https://docs.jax.dev/en/latest/jax.lax.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Draft

__all__ = ["LOWERED"]

Params = Mapping[str, Any]
Drawn = Sequence[int]
Lowered = Callable[[Draft, Drawn, Params], int | list[int] | None]


def _same(op: str) -> Lowered:
    return lambda draft, operands, _: draft.add(op, *operands)


def _over(op: str) -> Lowered:
    return lambda draft, operands, params: draft.add(op, operands[0], axes=tuple(params["axes"]))


def _itself(_: Draft, operands: Drawn, __: Params) -> int:
    return operands[0]


def _cast(draft: Draft, operands: Drawn, params: Params) -> int:
    return draft.cast(operands[0], str(np.dtype(params["new_dtype"])))


def _logical(op: str) -> Lowered:
    """Return ``and`` of truths; of whole numbers it works on bits, which has no primitive."""

    def lowered(draft: Draft, operands: Drawn, _: Params) -> int | None:
        return draft.add(op, *operands) if draft.dtype(operands[0]) == "bool" else None

    return lowered


def _div(draft: Draft, operands: Drawn, _: Params) -> int | None:
    if draft.dtype(operands[0]).startswith(("float", "bfloat", "complex")):
        return draft.add("div", *operands)
    if all(np.all(value >= 0) for one in operands if (value := draft.known(one)) is not None):
        return draft.add("floordiv", *operands)
    return None


def _rsqrt(draft: Draft, operands: Drawn, _: Params) -> int:
    root = draft.add("sqrt", *operands)
    return draft.add("div", draft.constant(1.0, draft.dtype(root)), root)


def _integer_pow(draft: Draft, operands: Drawn, params: Params) -> int:
    exponent = draft.constant(params["y"], draft.dtype(operands[0]))
    return draft.add("pow", operands[0], exponent)


def _square(draft: Draft, operands: Drawn, _: Params) -> int:
    return draft.add("mul", operands[0], operands[0])


def _exp2(draft: Draft, operands: Drawn, _: Params) -> int:
    return draft.add("exp2", operands[0])


def _select(draft: Draft, operands: Drawn, _: Params) -> int | None:
    if len(operands) != 3:
        return None
    which, other, chosen = operands
    shape = draft.shape(chosen)
    if not draft.shape(which) and shape:
        which = draft.add("reshape", which, shape=(1,) * len(shape))
    return draft.add("where", which, chosen, other)


def _clamp(draft: Draft, operands: Drawn, _: Params) -> int:
    low, value, high = operands
    return draft.add("min", draft.add("max", value, low), high)


def _stack(draft: Draft, operands: Drawn, params: Params) -> int:
    axis, shape = params["axis"], draft.shape(operands[0])
    apart = [draft.add("reshape", one, shape=(*shape[:axis], 1, *shape[axis:])) for one in operands]
    return draft.add("concat", *apart, axis=axis)


def _broadcast(draft: Draft, operands: Drawn, params: Params) -> int:
    shape, places = tuple(params["shape"]), params["broadcast_dimensions"]
    mine = draft.shape(operands[0])
    spread = tuple(mine[places.index(axis)] if axis in places else 1 for axis in range(len(shape)))
    made = draft.add("reshape", operands[0], shape=spread) if spread != mine else operands[0]
    return draft.add("broadcast", made, shape=shape) if spread != shape else made


def _reshape(draft: Draft, operands: Drawn, params: Params) -> int | None:
    if params.get("dimensions") is not None:
        return None
    return draft.add("reshape", operands[0], shape=tuple(params["new_sizes"]))


def _squeeze(draft: Draft, operands: Drawn, params: Params) -> int:
    gone = params["dimensions"]
    shape = tuple(size for axis, size in enumerate(draft.shape(operands[0])) if axis not in gone)
    return draft.add("reshape", operands[0], shape=shape)


def _slice(draft: Draft, operands: Drawn, params: Params) -> int:
    start, stop = tuple(params["start_indices"]), tuple(params["limit_indices"])
    step = tuple(params["strides"] or (1,) * len(start))
    return draft.add("slice", operands[0], start=start, stop=stop, step=step)


def _dynamic_slice(draft: Draft, operands: Drawn, params: Params) -> int | None:
    places = [draft.known(one) for one in operands[1:]]
    if any(place is None for place in places):
        return None
    sizes, shape = params["slice_sizes"], draft.shape(operands[0])
    limits = zip(places, sizes, shape, strict=True)
    start = tuple(int(np.clip(place, 0, whole - size)) for place, size, whole in limits)  # type: ignore[arg-type]
    stop = tuple(first + size for first, size in zip(start, sizes, strict=True))
    return draft.add("slice", operands[0], start=start, stop=stop, step=(1,) * len(shape))


def _split(draft: Draft, operands: Drawn, params: Params) -> list[int]:
    (one,), axis = operands, params["axis"]
    shape, found, first = draft.shape(one), [], 0
    for size in params["sizes"]:
        start = tuple(first if place == axis else 0 for place in range(len(shape)))
        first += int(size)
        stop = tuple(first if place == axis else whole for place, whole in enumerate(shape))
        found.append(draft.add("slice", one, start=start, stop=stop, step=(1,) * len(shape)))
    return found


def _pad(draft: Draft, operands: Drawn, params: Params) -> int:
    low, high, interior = (
        zip(*params["padding_config"], strict=True) if params["padding_config"] else ((),) * 3
    )
    return draft.add("pad", *operands, low=tuple(low), high=tuple(high), interior=tuple(interior))


def _flip(draft: Draft, operands: Drawn, params: Params) -> int:
    return draft.add("flip", operands[0], axes=tuple(params["dimensions"]))


def _concat(draft: Draft, operands: Drawn, params: Params) -> int:
    return draft.add("concat", *operands, axis=params["dimension"])


def _iota(draft: Draft, _: Drawn, params: Params) -> int:
    shape, axis = tuple(params["shape"]), params["dimension"]
    line = np.arange(shape[axis]).reshape([-1 if one == axis else 1 for one in range(len(shape))])
    return draft.constant(np.broadcast_to(line, shape), str(np.dtype(params["dtype"])))


def _along(op: str) -> Lowered:
    def lowered(draft: Draft, operands: Drawn, params: Params) -> int:
        return draft.add(op, operands[0], axis=params["axis"], reverse=bool(params.get("reverse")))

    return lowered


def _sort(draft: Draft, operands: Drawn, params: Params) -> int | None:
    return draft.add("sort", operands[0], axis=params["dimension"]) if len(operands) == 1 else None


def _dot(draft: Draft, operands: Drawn, params: Params) -> int:
    contract, batch = params["dimension_numbers"]
    name = str(params.get("preferred_element_type") or draft.dtype(operands[0]))
    return draft.add(
        "dot",
        *operands,
        dtype=name,
        contract=tuple(map(tuple, contract)),
        batch=tuple(map(tuple, batch)),
    )


def _conv(draft: Draft, operands: Drawn, params: Params) -> int | None:
    """Draw a convolution with its data as ``n c *space`` and its kernel as ``out in *space``."""
    if params["batch_group_count"] != 1:
        return None
    data, kernel, out = params["dimension_numbers"]
    made = draft.add(
        "conv",
        _turned(draft, operands[0], data),
        _turned(draft, operands[1], kernel),
        stride=tuple(params["window_strides"]),
        padding=tuple(map(tuple, params["padding"])),
        dilation=tuple(params["rhs_dilation"]),
        spread=tuple(params["lhs_dilation"]),
        groups=params["feature_group_count"],
    )
    return _turned(draft, made, tuple(int(axis) for axis in np.argsort(out)))


def _turned(draft: Draft, number: int, axes: Sequence[int]) -> int:
    axes = tuple(axes)
    return number if axes == tuple(range(len(axes))) else draft.add("transpose", number, axes=axes)


def _window(kind: str) -> Lowered:
    def lowered(draft: Draft, operands: Drawn, params: Params) -> int | None:
        if any(step != 1 for step in params["base_dilation"]):
            return None
        return draft.add(
            "window",
            operands[0],
            kind=kind,
            size=tuple(params["window_dimensions"]),
            stride=tuple(params["window_strides"]),
            padding=tuple(map(tuple, params["padding"])),
            dilation=tuple(params["window_dilation"]),
        )

    return lowered


def _gather(draft: Draft, operands: Drawn, params: Params) -> int | None:
    """Draw the rows that an index picks along one axis, or along the first ones; else it is a call."""
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    table, indices = operands
    several = len(numbers.start_index_map)
    if several > 1 and numbers.start_index_map == numbers.collapsed_slice_dims == tuple(range(several)):
        return _gather_flat(draft, table, indices, params)
    shape, places = draft.shape(table), draft.shape(indices)
    if len(numbers.start_index_map) != 1 or places[-1] != 1 or numbers.operand_batching_dims:
        return None
    (axis,) = numbers.start_index_map
    whole = all(
        size == full for one, (size, full) in enumerate(zip(sizes, shape, strict=True)) if one != axis
    )
    if numbers.collapsed_slice_dims != (axis,) or sizes[axis] != 1 or not whole:
        return None
    lead = len(places) - 1
    made = draft.add("take", table, draft.add("reshape", indices, shape=places[:-1]), axis=axis)
    # The result of ``take`` has the axes before, those of the index, those behind.
    now = [*(("slice", one) for one in range(axis)), *(("index", one) for one in range(lead))]
    now += [("slice", one) for one in range(axis, len(shape) - 1)]
    offsets, wanted, picked = iter(range(len(shape) - 1)), [], iter(range(lead))
    for place in range(lead + len(shape) - 1):
        kind = "slice" if place in numbers.offset_dims else "index"
        wanted.append((kind, next(offsets if kind == "slice" else picked)))
    return _turned(draft, made, [now.index(one) for one in wanted])


def _gather_flat(draft: Draft, table: int, indices: int, params: Params) -> int | None:
    """Draw what picks along several first axes as what picks along all of them as one."""
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    shape, places, several = draft.shape(table), draft.shape(indices), len(numbers.start_index_map)
    lead = places[:-1]
    whole = tuple(sizes) == (1,) * several + shape[several:]
    behind = numbers.offset_dims == tuple(range(len(lead), len(lead) + len(shape) - several))
    if numbers.operand_batching_dims or not whole or not behind or places[-1] != several:
        return None
    flat = draft.add("reshape", table, shape=(math.prod(shape[:several]), *shape[several:]))
    strides = np.array([math.prod(shape[axis + 1 : several]) for axis in range(several)])
    scaled = draft.add("mul", indices, draft.constant(strides, draft.dtype(indices)))
    index = draft.add("sum", scaled, axes=(len(lead),))
    return draft.add("take", flat, index, axis=0)


LOWERED: Mapping[str, Lowered] = MappingProxyType(
    {
        **{
            name: _same(name)
            for name in """exp expm1 log log1p sqrt cbrt sin cos tan sinh cosh tanh floor ceil round
            logistic erf erfc erf_inv lgamma digamma neg abs sign is_finite real imag complex
            add sub mul rem pow max min eq ne lt le gt ge""".split()
        },
        **{name: _same(f"arc{name[1:]}") for name in "asin acos atan asinh acosh atanh".split()},
        "atan2": _same("arctan2"),
        "add_any": _same("add"),
        **{name: _logical(name) for name in ("and", "or", "xor", "not")},
        "div": _div,
        "rsqrt": _rsqrt,
        "integer_pow": _integer_pow,
        "square": _square,
        "exp2": _exp2,
        "select_n": _select,
        "clamp": _clamp,
        "convert_element_type": _cast,
        **dict.fromkeys(
            ("stop_gradient", "copy", "copy_p", "reduce_precision", "optimization_barrier", "pvary"), _itself
        ),
        "broadcast_in_dim": _broadcast,
        "reshape": _reshape,
        "squeeze": _squeeze,
        "expand_dims": _broadcast,
        "transpose": lambda draft, operands, params: _turned(draft, operands[0], params["permutation"]),
        "rev": lambda draft, operands, params: draft.add(
            "flip", operands[0], axes=tuple(params["dimensions"])
        ),
        "slice": _slice,
        "dynamic_slice": _dynamic_slice,
        "split": _split,
        "pad": _pad,
        "concatenate": lambda draft, operands, params: draft.add(
            "concat", *operands, axis=params["dimension"]
        ),
        "stack": _stack,
        "iota": _iota,
        "reduce_sum": _over("sum"),
        "reduce_max": _over("amax"),
        "reduce_min": _over("amin"),
        "reduce_prod": _over("prod"),
        "reduce_and": _over("all"),
        "reduce_or": _over("any"),
        "argmax": _over("argmax"),
        "argmin": _over("argmin"),
        **{name: _along(name) for name in ("cumsum", "cumprod", "cummax", "cummin")},
        "cumlogsumexp": _along("cumlogsumexp"),
        "sort": _sort,
        "dot_general": _dot,
        "conv_general_dilated": _conv,
        "reduce_window_sum": _window("sum"),
        "reduce_window_max": _window("max"),
        "reduce_window_min": _window("min"),
        "gather": _gather,
    }
)
"""By the name of the primitive; what is not here, or gives None, is a call of JAX itself."""
