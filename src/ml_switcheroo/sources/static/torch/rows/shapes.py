"""Changes of a traced tensor's shape: what torch and einops do to the places of elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ml_switcheroo.axes import equation
from ml_switcheroo.errors import AxesError
from ml_switcheroo.operations import Axes
from ml_switcheroo.sources.static.python.values import Value
from ml_switcheroo.sources.static.torch.given import Given, given
from ml_switcheroo.sources.static.torch.rows.traces import Trace, Untold

__all__ = [
    "COMPLEX",
    "MANY",
    "ONE",
    "apply",
    "cut",
    "indexed",
    "joined",
    "rearranged",
    "size",
    "turned",
    "whole",
]

Array = np.ndarray[Any, Any]


def whole(value: Value) -> int:
    """Return a value that must be a whole number.

    Raises:
        Untold: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise Untold
    return value


def _places(value: Value) -> int | tuple[int, ...]:
    """Return one whole number, or several.

    Raises:
        Untold: It is something else.
    """
    return tuple(map(whole, value)) if isinstance(value, tuple | list) else whole(value)


def size(trace: Trace, given: Given) -> Value:
    """Return ``tensor.size()`` or ``tensor.size(dim)``."""
    dim = given["dim"]
    return trace.shape if dim is None else trace.shape[whole(dim)]


def _reshape(trace: Trace, given: Given) -> Trace:
    sizes = given.many(given.row.parameters[-1].name)
    return trace.moved(lambda array: array.reshape(_filled(sizes, trace.shape)))


def _filled(sizes: Sequence[Value], shape: tuple[int, ...]) -> list[int]:
    """Put in the one size that is left out, or that nobody knows."""
    plain = [size if isinstance(size, int) and not isinstance(size, bool) else -1 for size in sizes]
    if plain.count(-1) > 1 or not plain:
        raise Untold
    rest = math.prod(size for size in plain if size != -1)
    if -1 in plain and (rest == 0 or math.prod(shape) % rest):
        raise Untold
    return plain


def _permute(trace: Trace, given: Given) -> Trace:
    order = [whole(one) for one in given.many("dims")]
    return trace.moved(lambda array: array.transpose(order))


def _transpose(trace: Trace, given: Given) -> Trace:
    a, b = whole(given["dim0"]), whole(given["dim1"])
    return trace.moved(lambda array: array.swapaxes(a, b))


def _movedim(trace: Trace, given: Given) -> Trace:
    a, b = _places(given["source"]), _places(given["destination"])
    return trace.moved(lambda array: np.moveaxis(array, a, b))


def _flatten(trace: Trace, given: Given) -> Trace:
    rank, whole_of_it = len(trace.shape), given.row.name == "ravel"
    first, last = (0, -1) if whole_of_it else (whole(given["start_dim"]), whole(given["end_dim"]))
    first, last = first % rank, last % rank
    shape = (*trace.shape[:first], math.prod(trace.shape[first : last + 1]), *trace.shape[last + 1 :])
    return trace.moved(lambda array: array.reshape(shape))


def _unflatten(trace: Trace, given: Given) -> Trace:
    place, sizes = whole(given["dim"]) % len(trace.shape), given["sizes"]
    if not isinstance(sizes, tuple | list):
        raise Untold
    inner = _filled(sizes, trace.shape[place : place + 1])
    shape = (*trace.shape[:place], *inner, *trace.shape[place + 1 :])
    return trace.moved(lambda array: array.reshape(shape))


def _squeeze(trace: Trace, given: Given) -> Trace:
    dim = given["dim"]
    if dim is None:
        return trace.moved(np.squeeze)
    place = whole(dim) % len(trace.shape)
    return trace if trace.shape[place] != 1 else trace.moved(lambda array: array.squeeze(place))


def _unsqueeze(trace: Trace, given: Given) -> Trace:
    dim = whole(given["dim"])
    return trace.moved(lambda array: np.expand_dims(array, dim))


def _turned(trace: Trace, given: Given) -> Trace:
    return turned(trace)


def _expand(trace: Trace, given: Given) -> Trace:
    sizes = [whole(one) for one in given.many(given.row.parameters[-1].name)]
    old = (1,) * (len(sizes) - len(trace.shape)) + trace.shape
    shape = [mine if size == -1 else size for size, mine in zip(sizes, old, strict=True)]
    return trace.moved(lambda array: np.broadcast_to(array, shape))


def _repeat(trace: Trace, given: Given) -> Trace:
    times = [whole(one) for one in given.many(given.row.parameters[-1].name)]
    return trace.moved(lambda array: np.tile(array, times))


def _repeat_interleave(trace: Trace, given: Given) -> Trace:
    times, dim = whole(given["repeats"]), None if given["dim"] is None else whole(given["dim"])
    return trace.moved(lambda array: np.repeat(array, times, dim))


def _rolled(trace: Trace, given: Given) -> Trace:
    if given.row.name == "flip":
        axes = tuple(whole(one) for one in given.many("dims"))
        return trace.moved(lambda array: np.flip(array, axes))
    shifts, dims = _places(given["shifts"]), None if given["dims"] is None else _places(given["dims"])
    return trace.moved(lambda array: np.roll(array, shifts, dims))


def _narrow(trace: Trace, given: Given) -> Trace:
    dim, start, length = (whole(given[name]) for name in ("dim", "start", "length"))
    place = dim % len(trace.shape)
    cut = (slice(None),) * place + (slice(start, start + length),)
    return trace.moved(lambda array: array[cut])


def _select(trace: Trace, given: Given) -> Trace:
    place, at = whole(given["dim"]) % len(trace.shape), whole(given["index"])
    return trace.moved(lambda array: array[(slice(None),) * place + (at,)])


def _reduced(trace: Trace, given: Given) -> Trace:
    """Sum or average: rows stay where they do not change along what is summed."""
    if given.row.name not in ("sum", "mean", "amax", "amin"):
        raise Untold
    dims, keep = given["dim"], given["keepdim"]
    listed = [dims] if isinstance(dims, int) else list(dims) if isinstance(dims, tuple | list) else None
    if listed is None:
        raise Untold
    places = {whole(one) % len(trace.shape) for one in listed}
    cut = tuple(
        (slice(0, 1) if keep is True else 0) if i in places else slice(None) for i in range(len(trace.shape))
    )
    held = {
        key: numbers
        for key, numbers in trace.rows.items()
        if all((numbers == numbers.take([0], place)).all() for place in places)
    }
    return trace.changed(rows=held).moved(lambda array: array[cut])


def _as_complex(trace: Trace) -> Trace:
    rows = {
        key: trace.unions[key].mixed(numbers[..., 0], numbers[..., 1])
        for key, numbers in trace.rows.items()
        if key in trace.unions
    }
    return trace.changed(rows=rows, shape=trace.shape[:-1])


def _as_real(trace: Trace) -> Trace:
    return trace.moved(lambda array: np.stack([array, array], -1))


def _chunk(trace: Trace, given: Given) -> list[Trace]:
    count, dim = whole(given["chunks"]), whole(given["dim"])
    size = -(-trace.shape[dim] // count)
    return _cut(trace, dim, [*range(size, trace.shape[dim], size)])


def _split(trace: Trace, given: Given) -> list[Trace]:
    if given.row.name == "tensor_split":
        return _tensor_split(trace, given)
    sizes = given["split_size_or_sections"]
    dim = whole(given["dim"])
    if not isinstance(sizes, tuple | list):
        size = whole(sizes)
        return _cut(trace, dim, [*range(size, trace.shape[dim], size)] if size > 0 else [])
    parts = [one if isinstance(one, int) else None for one in sizes]
    if parts.count(None) > 1:
        raise Untold
    rest = trace.shape[dim] - sum(size for size in parts if size is not None)
    plain = [rest if size is None else size for size in parts]
    if sum(plain) != trace.shape[dim] or min(plain) < 0:
        raise Untold
    return _cut(trace, dim, [int(one) for one in np.cumsum(plain)[:-1]])


def _tensor_split(trace: Trace, given: Given) -> list[Trace]:
    by, dim = given["indices_or_sections"], whole(given["dim"])
    if isinstance(by, tuple | list):
        return _cut(trace, dim, [whole(one) for one in by])
    edges = np.cumsum([len(one) for one in np.array_split(np.arange(trace.shape[dim]), whole(by))])
    return _cut(trace, dim, [int(one) for one in edges[:-1]])


def _cut(trace: Trace, dim: int, edges: Sequence[int]) -> list[Trace]:
    place = dim % len(trace.shape)
    bounds = [0, *edges, trace.shape[place]]
    lead = (slice(None),) * place
    cuts = [(*lead, slice(a, b)) for a, b in pairwise(bounds)]
    return [trace.moved(lambda array, cut=cut: array[cut]) for cut in cuts]  # type: ignore[misc]


def _unbind(trace: Trace, given: Given) -> list[Trace]:
    place = whole(given["dim"]) % len(trace.shape)
    lead = (slice(None),) * place
    return [trace.moved(lambda array, at=at: array[(*lead, at)]) for at in range(trace.shape[place])]  # type: ignore[misc]


ONE: Mapping[Axes, Callable[[Trace, Given], Trace]] = {
    Axes.RESHAPED: _reshape,
    Axes.PERMUTED: _permute,
    Axes.TRANSPOSED: _transpose,
    Axes.MOVED: _movedim,
    Axes.FLATTENED: _flatten,
    Axes.UNFLATTENED: _unflatten,
    Axes.SQUEEZED: _squeeze,
    Axes.UNSQUEEZED: _unsqueeze,
    Axes.TURNED: _turned,
    Axes.EXPANDED: _expand,
    Axes.REPEATED: _repeat,
    Axes.INTERLEAVED: _repeat_interleave,
    Axes.ROLLED: _rolled,
    Axes.NARROWED: _narrow,
    Axes.SELECTED: _select,
    Axes.REDUCED: _reduced,
}
"""What gives one tensor, by what becomes of the axes."""

COMPLEX: Mapping[str, Callable[[Trace], Trace]] = {"view_as_complex": _as_complex, "view_as_real": _as_real}
"""What makes complex numbers of pairs, and pairs of complex numbers."""

MANY: Mapping[Axes, Callable[[Trace, Given], list[Trace]]] = {
    Axes.CHUNKED: _chunk,
    Axes.SPLIT: _split,
    Axes.UNBOUND: _unbind,
}
"""What gives several."""


def turned(trace: Trace) -> Trace:
    """Return a matrix the other way round."""
    return trace.moved(lambda array: array.swapaxes(-1, -2) if array.ndim > 1 else array)


def apply(word: str, trace: Trace, *args: Value) -> Trace:
    """Return what an operation that moves elements gives, by its name.

    Raises:
        Untold: What it does to rows is not known.
    """
    asked = given(word, *args)
    return ONE[asked.row.axes](trace, asked)


def cut(word: str, trace: Trace, *args: Value) -> list[Trace]:
    """Return what an operation gives that takes a tensor apart, by its name.

    Raises:
        Untold: What it does to rows is not known.
    """
    asked = given(word, *args)
    return MANY[asked.row.axes](trace, asked)


def indexed(trace: Trace, index: Value) -> Trace:
    """Return ``trace[index]`` for numbers, slices, lists of numbers, None and Ellipsis."""
    places = index if isinstance(index, tuple) else (index,)
    for one in places:
        parts = (one.start, one.stop, one.step) if isinstance(one, slice) else one
        listed = parts if isinstance(parts, tuple | list) else (parts,)
        if not all(part is None or part is Ellipsis or type(part) is int for part in listed):
            raise Untold
    if any(isinstance(one, slice) and one.step is not None and one.step < 1 for one in places):
        raise Untold
    key = tuple(list(one) if isinstance(one, tuple) else one for one in places)
    return trace.moved(lambda array: array[key])


def joined(traces: Sequence[Trace], dim: int, *, new: bool) -> Trace:
    """Return ``torch.cat``, or ``torch.stack`` where the axis is a new one."""
    if any(trace.vague or trace.product is not None for trace in traces):
        raise Untold
    join = np.stack if new else np.concatenate
    keys = dict.fromkeys(key for trace in traces for key in trace.rows)
    try:
        shape = join([np.broadcast_to(np.int8(0), trace.shape) for trace in traces], axis=dim).shape
    except ValueError as error:
        raise Untold from error
    rows = {
        key: join([trace.rows.get(key, np.full(trace.shape, -1, np.int32)) for trace in traces], axis=dim)
        for key in keys
    }
    unions = {key: one for trace in traces for key, one in trace.unions.items()}
    first = traces[0]
    same = all(
        (one.active, one.spent, one.result) == (first.active, first.spent, first.result) for one in traces
    )
    if not same:
        raise Untold
    return Trace(
        shape,
        rows,
        unions,
        active=first.active,
        spent=first.spent,
        result=first.result,
        of=tuple(traces),
        weight=all(trace.weight for trace in traces),
    )


def rearranged(trace: Trace, pattern: Value, sizes: Mapping[str, Value]) -> Trace:
    """Return ``einops.rearrange`` or ``einops.repeat``."""
    if not isinstance(pattern, str) or pattern.count("->") != 1:
        raise Untold
    source, target = (side.strip() for side in pattern.split("->"))
    known = {name: size for name, size in sizes.items() if isinstance(size, int)}
    words = source.replace("(", " ").replace(")", " ").split()
    wanted = target.replace("(", " ").replace(")", " ").split()
    added = [word for word in wanted if word not in words and word.isidentifier()]
    if any(word not in known for word in added):
        raise Untold
    shape = tuple(known[word] for word in added)
    both = f"{source} {' '.join(added)}".strip() if added else source
    inner = {name: size for name, size in known.items() if name in words}

    def change(array: Array) -> Array:
        wide = np.broadcast_to(array.reshape(*array.shape, *(1 for _ in added)), (*array.shape, *shape))
        told = equation(both, target).bind(wide.shape, inner)
        return np.asarray(told(wide))

    try:
        return trace.moved(change)
    except AxesError as error:
        raise Untold from error
