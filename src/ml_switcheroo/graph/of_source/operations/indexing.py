"""Elements chosen by others: ``x[...]``, and what is set there; gathering and scattering."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.operations.shapes import flatten
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS", "at", "is_plain", "put"]


def _parts(index: Any) -> list[Any]:
    """Return the parts of an index; a list of numbers is one part."""
    return list(index) if isinstance(index, tuple) else [index]


def is_plain(index: Any) -> bool:
    """Tell whether an index only cuts: what it gives looks at the same storage."""
    return not any(
        isinstance(one, Drawn | list | bool) and getattr(one, "shape", (1,)) for one in _parts(index)
    )


def _spread(pen: Pen, x: Drawn, index: Any) -> list[Any]:
    """Return a part for each axis, with the dots written out."""
    parts = [_part(pen, one) for one in _parts(index)]
    taken = sum(_axes(one) for one in parts)
    if taken > x.rank:
        raise Unlowered(f"{taken} indices of {x.rank} axes")
    rest: list[Any] = [slice(None)] * (x.rank - taken)
    place = next((i for i, one in enumerate(parts) if one is Ellipsis), None)
    return [*parts, *rest] if place is None else [*parts[:place], *rest, *parts[place + 1 :]]


def _part(pen: Pen, part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, int):
        return part
    if isinstance(part, slice):
        return slice(*(None if one is None else pen.whole(one) for one in (part.start, part.stop, part.step)))
    if isinstance(part, list | tuple | range):
        part = pen.tensor(list(part), "" if part else "int64")
    if not isinstance(part, Drawn):
        raise Unlowered(f"an index of {type(part).__name__}")
    if part.rank == 0 and part.dtype != "bool" and part.node in pen.fixed:
        return pen.whole(part)
    return part


def _axes(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return part.rank if isinstance(part, Drawn) and part.dtype == "bool" else 1


def at(pen: Pen, x: Drawn, index: Any) -> Drawn:
    """Return ``x[index]``."""
    parts = _spread(pen, x, index)
    start, stop, step, chosen = [], [], [], list[tuple[int, int, Drawn]]()
    flips, axis, before = list[int](), 0, list[Any]()
    for part in parts:
        if part is None:
            before.append(1)
            continue
        if isinstance(part, bool):
            raise Unlowered("a truth as an index")
        count = _axes(part)
        for size in x.shape[axis : axis + count]:
            cut = _cut(part, size)
            flips += [axis] if cut.step < 0 else []
            start.append(min(cut.start, cut[-1]) if len(cut) else 0)
            stop.append((max(cut.start, cut[-1]) + 1) if len(cut) else 0)
            step.append(abs(cut.step))
            if not isinstance(part, int):
                before.append(len(cut))
        if isinstance(part, Drawn):
            chosen.append((len(before) - count, count, part))
        axis += count
    found = pen.reshape(pen.flip(pen.slices(x, start, stop, step), flips), before)
    return _chosen(pen, found, chosen) if chosen else found


def _cut(part: Any, size: int) -> range:
    if isinstance(part, int):
        if not -size <= part < size:
            raise Unlowered(f"place {part} of {size}")
        return range(part % size, part % size + 1)
    return range(*part.indices(size)) if isinstance(part, slice) else range(size)


def _chosen(pen: Pen, x: Drawn, chosen: Sequence[tuple[int, int, Drawn]]) -> Drawn:
    """Return the elements that tensors choose: as NumPy does where there are several."""
    places = list[tuple[int, Drawn]]()
    for axis, count, part in chosen:
        if part.dtype == "bool":
            if part.shape != x.shape[axis : axis + count]:
                raise Unlowered(f"a mask of {part.shape} for {x.shape}")
            kept = np.nonzero(pen.known(part, "a mask that chooses elements"))
            places += [(axis + i, pen.constant(one)) for i, one in enumerate(kept)]
        else:
            places.append((axis, part))
    if len(places) == 1:
        ((axis, index),) = places
        return pen.op("take", x, _forward(pen, index, x.shape[axis]), axis=axis, dtype=x.dtype)
    axes = [axis for axis, _ in places]
    shape = np.broadcast_shapes(*(index.shape for _, index in places))
    together = all(two == one + 1 for one, two in itertools.pairwise(axes))
    rest = [axis for axis in range(x.rank) if axis not in axes]
    moved = pen.transpose(x, [*axes, *rest])
    whole: Drawn | None = None
    for axis, index in places:
        one = pen.broadcast(_forward(pen, index, x.shape[axis]), shape)
        whole = one if whole is None else whole * x.shape[axis] + one
    assert whole is not None
    found = pen.op("take", flatten(pen, moved, 0, len(axes) - 1), whole, axis=0, dtype=x.dtype)
    if not together:
        return found
    lead = len(shape)
    order = [*range(lead, lead + axes[0]), *range(lead), *range(lead + axes[0], found.rank)]
    return pen.transpose(found, order)


def _forward(pen: Pen, index: Drawn, size: int) -> Drawn:
    """Return places counted from the front, where it is known which are not."""
    known = pen.value(index)
    if known is None:
        return index  # as models give them: counted from the front
    if known.size and (known.min() < -size or known.max() >= size):
        raise Unlowered(f"places {known.min()} to {known.max()} of {size}")
    return pen.constant(np.where(known < 0, known + size, known), "int64") if (known < 0).any() else index


def put(pen: Pen, x: Drawn, index: Any, value: Any) -> Drawn:
    """Return a tensor that has other elements at an index."""
    parts = _parts(index)
    mask = parts[0] if len(parts) == 1 and isinstance(parts[0], Drawn) and parts[0].dtype == "bool" else None
    new = value if isinstance(value, Drawn) else pen.constant(value, x.dtype)
    if mask is not None and not new.shape:
        mask = pen.reshape(mask, (*mask.shape, *(1,) * (x.rank - mask.rank)))
        return pen.op("where", mask, pen.cast(new, x.dtype), x, dtype=x.dtype)
    if not is_plain(index):
        return _put_chosen(pen, x, index, new)
    places = np.arange(int(np.prod(x.shape))).reshape(x.shape)
    inner = [_part(pen, one) for one in parts]
    cuts = tuple(slice(one, one + 1 or None) if isinstance(one, int) else one for one in inner)
    taken = places[tuple(inner)]
    low, high, interior, size = [], [], [], []
    spread = [part for part in _spread(pen, x, tuple(cuts)) if part is not None]
    for part, whole in zip(spread, x.shape, strict=True):
        cut = range(*part.indices(whole))
        if cut.step < 0 or not len(cut):
            raise Unlowered("elements set backwards, or none")
        low.append(cut.start)
        high.append(whole - 1 - cut[-1])
        interior.append(cut.step - 1)
        size.append(len(cut))
    body = pen.reshape(pen.broadcast(pen.cast(_trimmed(pen, new, taken.ndim), x.dtype), taken.shape), size)
    there = np.isin(places, taken)
    if there.all():
        return body
    padded = pen.pad(body, low, high, False if x.dtype == "bool" else 0, interior)
    return pen.op("where", pen.constant(_narrow(there)), padded, x, dtype=x.dtype)


def _trimmed(pen: Pen, x: Drawn, rank: int) -> Drawn:
    """Return a tensor without axes of size 1 in front that are too many."""
    extra = x.rank - rank
    return pen.reshape(x, x.shape[extra:]) if extra > 0 and set(x.shape[:extra]) == {1} else x


def _narrow(mask: Any) -> Any:
    """Return a mask with the axes of size 1 along which it does not change."""
    for axis in range(mask.ndim):
        first = np.take(mask, [0], axis=axis)
        mask = first if (mask == first).all() else mask
    return mask


def _put_chosen(pen: Pen, x: Drawn, index: Any, new: Drawn) -> Drawn:
    """Set elements that tensors choose that are known: each element comes from one place."""
    known = tuple(
        pen.known(one, "a place that is set") if isinstance(one, Drawn) else one for one in _parts(index)
    )
    places = np.arange(int(np.prod(x.shape))).reshape(x.shape)
    taken = places[known]
    from_new = np.full(x.shape, -1).ravel()
    from_new[taken.ravel()] = np.arange(taken.size)
    body = flatten(pen, pen.broadcast(pen.cast(new, x.dtype), taken.shape))
    source = np.where(from_new < 0, 0, from_new).reshape(x.shape)
    spread = pen.op("take", body, pen.constant(source), axis=0, dtype=x.dtype)
    there = (from_new >= 0).reshape(x.shape)
    return pen.op("where", pen.constant(there), spread, x, dtype=x.dtype)


# ---- as functions


def _index_select(pen: Pen, input: Drawn, dim: int, index: Drawn) -> Drawn:
    axis = input.axis(dim)
    return pen.op(
        "take", input, pen.reshape(index, (int(np.prod(index.shape)),)), axis=axis, dtype=input.dtype
    )


def _gather(pen: Pen, input: Drawn, dim: int, index: Drawn, sparse_grad: bool = False) -> Drawn:
    axis = input.axis(dim)
    for other, size in enumerate(index.shape):
        if other != axis and size != input.shape[other]:
            input = pen.slice(input, other, 0, size)
    return pen.op("take_along", input, index, axis=axis, dtype=input.dtype)


def _take_along_dim(pen: Pen, input: Drawn, indices: Drawn, dim: Any = None) -> Drawn:
    if dim is None:
        return pen.op("take", flatten(pen, input), flatten(pen, indices), axis=0, dtype=input.dtype)
    axis = input.axis(dim)
    shape = list(
        np.broadcast_shapes(*([s for i, s in enumerate(x.shape) if i != axis] for x in (input, indices)))
    )
    wide = [[*shape[:axis], x.shape[axis], *shape[axis:]] for x in (input, indices)]
    return _gather(pen, pen.broadcast(input, wide[0]), axis, pen.broadcast(indices, wide[1]))


def _take(pen: Pen, input: Drawn, index: Drawn) -> Drawn:
    return pen.op("take", flatten(pen, input), index, axis=0, dtype=input.dtype)


def _scatter(
    pen: Pen, input: Drawn, dim: int, index: Drawn, src: Any = None, value: Any = None, reduce: Any = None
) -> Drawn:
    """Set elements; where several go to one place, nobody knows which one stays."""
    if reduce is not None:
        raise Unlowered(f"scatter with {reduce}")
    return _scattered(pen, input, dim, index, src if value is None else value, add=False)


def _scatter_add(pen: Pen, input: Drawn, dim: int, index: Drawn, src: Drawn) -> Drawn:
    return _scattered(pen, input, dim, index, src, add=True)


def _scattered(pen: Pen, input: Drawn, dim: int, index: Drawn, src: Any, *, add: bool) -> Drawn:
    axis, size = input.axis(dim), input.shape[input.axis(dim)]
    if any(a != b for i, (a, b) in enumerate(zip(index.shape, input.shape, strict=True)) if i != axis):
        raise Unlowered("scatter into a part of a tensor")
    if not add and index.shape[axis] != 1 and isinstance(src, Drawn):
        raise Unlowered("scatter of several elements along an axis")
    hot = _compared(pen, index, axis, size)  # index axes, with the places of the input behind
    source = src if isinstance(src, Drawn) else pen.constant(src, input.dtype)
    if source.shape:
        for other, length in enumerate(index.shape):
            source = pen.slice(source, other, 0, length)
        source = pen.insert(source, source.rank)
    nothing = pen.constant(False if input.dtype == "bool" else 0, input.dtype)
    placed = pen.op("where", hot, pen.cast(source, input.dtype), nothing, dtype=input.dtype)
    rest = [other for other in range(index.rank) if other != axis]
    back = [*rest[:axis], index.rank - 1, *rest[axis:]]
    order = [one if one == index.rank - 1 else rest.index(one) for one in back]
    if add:
        return input + pen.transpose(pen.reduce("sum", placed, [axis]), order)
    there = pen.transpose(pen.reduce("any", hot, [axis]), order)
    value = pen.transpose(pen.reduce("any" if input.dtype == "bool" else "sum", placed, [axis]), order)
    if not source.shape:
        value = pen.cast(source, input.dtype)
    return pen.op("where", there, value, input, dtype=input.dtype)


def _compared(pen: Pen, index: Drawn, axis: int, size: int) -> Drawn:
    return pen.op("eq", pen.insert(index, index.rank), pen.constant(np.arange(size)))


def _one_hot(pen: Pen, input: Drawn, num_classes: int = -1) -> Drawn:
    if num_classes < 0:
        num_classes = (
            int(pen.known(pen.reduce("amax", input, range(input.rank)), "how many classes there are")) + 1
        )
    return pen.cast(_compared(pen, input, -1, pen.whole(num_classes)), "int64")


def _index_add(pen: Pen, input: Drawn, dim: int, index: Drawn, source: Drawn, alpha: Any = 1) -> Drawn:
    axis = input.axis(dim)
    hot = pen.cast(_compared(pen, index, 0, input.shape[axis]), input.dtype)  # source place, input place
    moved = pen.dot(source * alpha if alpha != 1 else source, hot, ((axis,), (0,)))
    order = list(range(input.rank - 1))
    return input + pen.transpose(moved, [*order[:axis], input.rank - 1, *order[axis:]])


def _index_copy(pen: Pen, input: Drawn, dim: int, index: Drawn, source: Drawn) -> Drawn:
    return put(pen, input, (*(slice(None),) * input.axis(dim), index), source)


def _index_fill(pen: Pen, input: Drawn, dim: int, index: Drawn, value: Any) -> Drawn:
    return put(pen, input, (*(slice(None),) * input.axis(dim), index), value)


def _slid(pen: Pen, input: Drawn, dimension: int, size: int, step: int) -> Drawn:
    axis = input.axis(dimension)
    count = (input.shape[axis] - size) // step + 1
    places = np.arange(count)[:, None] * step + np.arange(size)
    found = pen.op("take", input, pen.constant(places), axis=axis, dtype=input.dtype)
    return pen.transpose(found, [*range(axis + 1), *range(axis + 2, found.rank), axis + 1])


def _diagonal(pen: Pen, input: Drawn, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Drawn:
    one, other = input.axis(dim1), input.axis(dim2)
    rest = [axis for axis in range(input.rank) if axis not in (one, other)]
    moved = pen.transpose(input, [*rest, one, other])
    rows, columns = moved.shape[-2:]
    length = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    places = (np.arange(length) + max(-offset, 0)) * columns + np.arange(length) + max(offset, 0)
    flat = flatten(pen, moved, -2, -1)
    return pen.op("take", flat, pen.constant(places), axis=flat.rank - 1, dtype=input.dtype)


def _diag_embed(pen: Pen, input: Drawn, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Drawn:
    if (offset, dim1, dim2) != (0, -2, -1):
        raise Unlowered("diag_embed off the diagonal")
    eye = np.eye(input.shape[-1], dtype=bool)
    nothing = pen.constant(0, input.dtype)
    return pen.op(
        "where", pen.constant(eye), pen.insert(input, input.rank - 1 + 0), nothing, dtype=input.dtype
    )


def _diag(pen: Pen, input: Drawn, diagonal: int = 0) -> Drawn:
    return _diag_embed(pen, input, diagonal) if input.rank == 1 else _diagonal(pen, input, diagonal)


def _trace(pen: Pen, input: Drawn) -> Drawn:
    return pen.reduce("sum", _diagonal(pen, input), [0])


def _fixed_only(word: str, run: Any) -> Any:
    """Return an operation whose result has as many elements as the values say."""

    def lowered(pen: Pen, input: Drawn, *args: Any, **words: Any) -> Any:
        return run(pen, pen.known(input, f"what {word} finds"), *args, **words)

    return lowered


def _nonzero(pen: Pen, known: Any, as_tuple: bool = False) -> Any:
    found = np.nonzero(known)
    return tuple(map(pen.constant, found)) if as_tuple else pen.constant(np.stack(found, -1))


def _searchsorted(
    pen: Pen, sorted_sequence: Drawn, input: Any, right: bool = False, side: Any = None
) -> Drawn:
    if sorted_sequence.rank != 1:
        raise Unlowered("searchsorted in rows")
    x = pen.tensor(input)
    beyond = pen.op("le" if right or side == "right" else "lt", sorted_sequence, pen.insert(x, x.rank))
    return pen.reduce("sum", pen.cast(beyond, "int64"), [x.rank])


def _bucketize(pen: Pen, input: Any, boundaries: Drawn, right: bool = False) -> Drawn:
    return _searchsorted(pen, boundaries, input, right)


ROWS: list[Lowering] = [
    *rows(
        "tm",
        {
            "index_select": _index_select,
            "gather": _gather,
            "take_along_dim": _take_along_dim,
            "take": _take,
            "scatter": _scatter,
            "scatter_add": _scatter_add,
            "index_add": _index_add,
            "index_copy": _index_copy,
            "index_fill": _index_fill,
            "diagonal": _diagonal,
            "diag": _diag,
            "diag_embed": _diag_embed,
            "trace": _trace,
            "nonzero": _fixed_only("nonzero", _nonzero),
            "masked_select": lambda pen, input, mask: at(pen, input, mask),
        },
    ),
    *rows("t", {"searchsorted": _searchsorted, "bucketize": _bucketize}),
    *rows("f", {"one_hot": _one_hot}),
    *rows("m", {"unfold": _slid}),
]
