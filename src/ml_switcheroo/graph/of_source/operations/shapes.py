"""Operations that put the same elements on other axes, cut tensors into parts, and put them together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.dtypes import by_name
from ml_switcheroo.graph.of_source.lowering import Lowering, rows, view_rows
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS", "flatten", "unbind", "unflatten"]


def _view(pen: Pen, input: Drawn, *size: Any) -> Drawn:
    if len(size) == 1 and by_name(size[0]) is not None:
        if by_name(size[0]) != input.dtype:
            raise Unlowered("a view of the bits as another dtype")
        return input
    return pen.reshape(input, _filled(pen, input.shape, pen.sizes(size)))


def _filled(pen: Pen, shape: Sequence[int], sizes: Sequence[int]) -> tuple[int, ...]:
    """Return sizes with the one that is -1 worked out."""
    if -1 not in sizes:
        return tuple(sizes)
    rest = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or not rest or math.prod(shape) % rest:
        raise Unlowered(f"{tuple(shape)} as {tuple(sizes)}")
    return tuple(math.prod(shape) // rest if size == -1 else size for size in sizes)


def flatten(pen: Pen, input: Drawn, start_dim: int = 0, end_dim: int = -1) -> Drawn:
    """Return a tensor with several axes as one."""
    if not input.rank:
        return pen.reshape(input, (1,))
    first, last = input.axis(start_dim), input.axis(end_dim)
    middle = math.prod(input.shape[first : last + 1])
    return pen.reshape(input, (*input.shape[:first], middle, *input.shape[last + 1 :]))


def unflatten(pen: Pen, input: Drawn, dim: int, sizes: Any) -> Drawn:
    """Return a tensor with one axis as several."""
    axis = input.axis(dim)
    parts = _filled(pen, (input.shape[axis],), pen.sizes(sizes))
    return pen.reshape(input, (*input.shape[:axis], *parts, *input.shape[axis + 1 :]))


def _squeeze(pen: Pen, input: Drawn, dim: Any = None) -> Drawn:
    axes = range(input.rank) if dim is None else [input.axis(one) for one in pen.sizes(dim)]
    gone = {axis for axis in axes if input.rank and input.shape[axis] == 1}
    return pen.reshape(input, [size for axis, size in enumerate(input.shape) if axis not in gone])


def _unsqueeze(pen: Pen, input: Drawn, dim: int) -> Drawn:
    place = pen.whole(dim)
    if not -input.rank - 1 <= place <= input.rank:
        raise Unlowered(f"axis {dim} of {input.rank + 1}")
    return pen.insert(input, place)


def _expand(pen: Pen, input: Drawn, *size: Any) -> Drawn:
    sizes = pen.sizes(size)
    own = (1,) * (len(sizes) - input.rank) + input.shape
    return pen.broadcast(
        input, [mine if wanted == -1 else wanted for mine, wanted in zip(own, sizes, strict=True)]
    )


def _expand_as(pen: Pen, input: Drawn, other: Drawn) -> Drawn:
    return pen.broadcast(input, other.shape)


def _repeat(pen: Pen, input: Drawn, *repeats: Any) -> Drawn:
    times = pen.sizes(repeats)
    own = (1,) * (len(times) - input.rank) + input.shape
    times = (1,) * (len(own) - len(times)) + times
    x = pen.reshape(input, own)
    if all(count == 1 or size == 1 for count, size in zip(times, own, strict=True)):
        return pen.broadcast(x, [count * size for count, size in zip(times, own, strict=True)])
    pairs = [part for size in own for part in (1, size)]
    wide = [part for count, size in zip(times, own, strict=True) for part in (count, size)]
    spread = pen.broadcast(pen.reshape(x, pairs), wide)
    return pen.reshape(spread, [count * size for count, size in zip(times, own, strict=True)])


def _tile(pen: Pen, input: Drawn, *dims: Any) -> Drawn:
    times = pen.sizes(dims)
    return _repeat(pen, input, *((1,) * (input.rank - len(times)) + times))


def _interleave(pen: Pen, input: Drawn, repeats: Any, dim: Any = None, output_size: Any = None) -> Drawn:
    x = flatten(pen, input) if dim is None else input
    axis = x.axis(0 if dim is None else dim)
    times = pen.known(repeats, "how often each is repeated")
    if isinstance(times, np.ndarray):
        places = np.repeat(np.arange(x.shape[axis]), times)
        return pen.op("take", x, pen.constant(places), axis=axis, dtype=x.dtype)
    spread = pen.insert(x, axis + 1)
    wide = pen.broadcast(spread, (*x.shape[: axis + 1], times, *x.shape[axis + 1 :]))
    return pen.reshape(wide, (*x.shape[:axis], x.shape[axis] * times, *x.shape[axis + 1 :]))


def _permute(pen: Pen, input: Drawn, *dims: Any) -> Drawn:
    return pen.transpose(input, [input.axis(one) for one in pen.sizes(dims)])


def _transpose(pen: Pen, input: Drawn, dim0: int, dim1: int) -> Drawn:
    axes = list(range(input.rank))
    one, other = input.axis(dim0), input.axis(dim1)
    axes[one], axes[other] = axes[other], axes[one]
    return pen.transpose(input, axes)


def _movedim(pen: Pen, input: Drawn, source: Any, destination: Any) -> Drawn:
    sources = [input.axis(one) for one in pen.sizes(source)]
    places = [input.axis(one) for one in pen.sizes(destination)]
    rest = iter(axis for axis in range(input.rank) if axis not in sources)
    moved = dict(zip(places, sources, strict=True))
    return pen.transpose(input, [moved[axis] if axis in moved else next(rest) for axis in range(input.rank)])


def _turned(pen: Pen, input: Drawn) -> Drawn:
    return input if input.rank < 2 else _transpose(pen, input, -2, -1)


def _reversed(pen: Pen, input: Drawn) -> Drawn:
    return pen.transpose(input, range(input.rank)[::-1])


def _roll(pen: Pen, input: Drawn, shifts: Any, dims: Any = None) -> Drawn:
    if dims is None:
        return pen.reshape(_roll(pen, flatten(pen, input), shifts, 0), input.shape)
    for shift, dim in zip(pen.sizes(shifts), pen.sizes(dims), strict=True):
        axis = input.axis(dim)
        size = input.shape[axis]
        if size and (cut := -shift % size):
            parts = [pen.slice(input, axis, cut, size), pen.slice(input, axis, 0, cut)]
            input = pen.concat(parts, axis)
    return input


def _flip(pen: Pen, input: Drawn, *dims: Any) -> Drawn:
    return pen.flip(input, [input.axis(one) for one in pen.sizes(dims)])


def _rot90(pen: Pen, input: Drawn, k: int = 1, dims: Any = (0, 1)) -> Drawn:
    one, other = (input.axis(dim) for dim in pen.sizes(dims))
    if k % 4 == 2:
        return pen.flip(input, (one, other))
    if k % 4 == 1:
        return _transpose(pen, pen.flip(input, (other,)), one, other)
    return input if not k % 4 else pen.flip(_transpose(pen, input, one, other), (other,))


# ---- parts


def _lengths(pen: Pen, x: Drawn, axis: int, lengths: Sequence[int]) -> tuple[Drawn, ...]:
    ends = list(itertools.accumulate(lengths))
    if (ends[-1] if ends else 0) != x.shape[axis]:
        raise Unlowered(f"parts of {tuple(lengths)} out of {x.shape[axis]}")
    return tuple(pen.slice(x, axis, end - length, end) for end, length in zip(ends, lengths, strict=True))


def _split(pen: Pen, input: Drawn, split_size_or_sections: Any, dim: int = 0) -> tuple[Drawn, ...]:
    axis, given = input.axis(pen.whole(dim)), split_size_or_sections
    if isinstance(given, list | tuple):
        return _lengths(pen, input, axis, pen.sizes(given))
    size, whole = pen.whole(given), input.shape[axis]
    return _lengths(pen, input, axis, [min(size, whole - start) for start in range(0, whole, size)])


def _split_sections(
    pen: Pen, input: Drawn, split_size: Any = None, dim: int = 0, split_sizes: Any = None
) -> tuple[Drawn, ...]:
    return _split(pen, input, split_sizes if split_size is None else split_size, dim)


def _chunk(pen: Pen, input: Drawn, chunks: int, dim: int = 0) -> tuple[Drawn, ...]:
    size = input.shape[input.axis(pen.whole(dim))]
    return _split(pen, input, max(-(-size // pen.whole(chunks)), 1), dim)


def _tensor_split(
    pen: Pen,
    input: Drawn,
    indices_or_sections: Any = None,
    dim: int = 0,
    sections: Any = None,
    indices: Any = None,
) -> tuple[Drawn, ...]:
    axis = input.axis(dim)
    given = next(one for one in (indices_or_sections, sections, indices) if one is not None)
    whole = input.shape[axis]
    if isinstance(given, list | tuple):
        cuts = [0, *(slice(0, one).indices(whole)[1] for one in pen.sizes(given)), whole]
        return tuple(pen.slice(input, axis, low, max(low, high)) for low, high in itertools.pairwise(cuts))
    least, more = divmod(whole, pen.whole(given))
    return _lengths(pen, input, axis, [least + (part < more) for part in range(pen.whole(given))])


def unbind(pen: Pen, input: Drawn, dim: int = 0) -> tuple[Drawn, ...]:
    """Return a tensor for each place along an axis."""
    axis = input.axis(dim)
    return tuple(_select(pen, input, axis, place) for place in range(input.shape[axis]))


def _select(pen: Pen, input: Drawn, dim: int, index: Any) -> Drawn:
    axis = input.axis(dim)
    place, size = pen.whole(index), input.shape[axis]
    if not -size <= place < size:
        raise Unlowered(f"place {place} of {size}")
    part = pen.slice(input, axis, place % size, place % size + 1)
    return pen.reshape(part, (*input.shape[:axis], *input.shape[axis + 1 :]))


def _narrow(pen: Pen, input: Drawn, dim: int, start: Any, length: Any) -> Drawn:
    axis, first = input.axis(dim), pen.whole(start)
    first += input.shape[axis] if first < 0 else 0
    return pen.slice(input, axis, first, first + pen.whole(length))


def _view_as_complex(pen: Pen, input: Drawn) -> Drawn:
    real, imag = unbind(pen, input, -1)
    return pen.op("complex", real, imag, dtype="complex64")


def _view_as_real(pen: Pen, input: Drawn) -> Drawn:
    parts = [pen.op(op, input, dtype="float32") for op in ("real", "imag")]
    return pen.concat([pen.insert(one, one.rank) for one in parts], input.rank)


def _pixel_shuffle(pen: Pen, input: Drawn, upscale_factor: int) -> Drawn:
    by, (*lead, channels, height, width) = upscale_factor, input.shape
    x = pen.reshape(input, (*lead, channels // by**2, by, by, height, width))
    n = len(lead)
    x = pen.transpose(x, [*range(n), n, n + 3, n + 1, n + 4, n + 2])
    return pen.reshape(x, (*lead, channels // by**2, height * by, width * by))


def _pixel_unshuffle(pen: Pen, input: Drawn, downscale_factor: int) -> Drawn:
    by, (*lead, channels, height, width) = downscale_factor, input.shape
    x = pen.reshape(input, (*lead, channels, height // by, by, width // by, by))
    n = len(lead)
    x = pen.transpose(x, [*range(n), n, n + 2, n + 4, n + 1, n + 3])
    return pen.reshape(x, (*lead, channels * by**2, height // by, width // by))


def _channel_shuffle(pen: Pen, input: Drawn, groups: int) -> Drawn:
    n, channels, *space = input.shape
    x = pen.reshape(input, (n, groups, channels // groups, *space))
    x = pen.transpose(x, [0, 2, 1, *range(3, x.rank)])
    return pen.reshape(x, input.shape)


def _itself(pen: Pen, input: Drawn, *rest: Any) -> Drawn:
    return input


def _clone(pen: Pen, input: Drawn) -> Drawn:
    return Drawn(pen, input.node)


ROWS: list[Lowering] = [
    *view_rows(
        "tm",
        {
            "reshape view": _view,
            "view_as reshape_as": lambda pen, input, other: pen.reshape(input, other.shape),
            "expand_as": _expand_as,
            "flatten": flatten,
            "ravel": lambda pen, input: flatten(pen, input),
            "unflatten": unflatten,
            "squeeze": _squeeze,
            "unsqueeze": _unsqueeze,
            "expand broadcast_to": _expand,
            "permute": _permute,
            "transpose swapaxes swapdims": _transpose,
            "movedim moveaxis": _movedim,
            "t adjoint mT matrix_H": _turned,
            "chunk": _chunk,
            "split split_with_sizes": _split,
            "tensor_split": _tensor_split,
            "unbind": unbind,
            "narrow": _narrow,
            "select": _select,
            "detach": _itself,
            "contiguous": _clone,  # perhaps the tensor itself, perhaps a copy
        },
    ),
    *rows(
        "tm",
        {
            "clone": _clone,
            "tile": _tile,
            "repeat_interleave": _interleave,
            "roll": _roll,
            "flip": _flip,
            "fliplr": lambda pen, input: pen.flip(input, (1,)),
            "flipud": lambda pen, input: pen.flip(input, (0,)),
            "rot90": _rot90,
        },
    ),
    *rows(
        "m",
        {
            "repeat": _repeat,
            "pin_memory coalesce to_dense cuda cpu": _itself,
            "requires_grad_ share_memory_ as_subclass": _itself,
        },
    ),
    *rows("", {"cast to_local full_tensor": _itself}),
    *rows(
        "t",
        {
            "view_as_complex": _view_as_complex,
            "view_as_real": _view_as_real,
            "channel_shuffle": _channel_shuffle,
        },
    ),
    *rows("tf", {"pixel_shuffle": _pixel_shuffle, "pixel_unshuffle": _pixel_unshuffle}),
]
