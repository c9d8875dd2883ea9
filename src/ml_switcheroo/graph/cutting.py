"""Tensors that are taken apart and joined: where the pieces lie, and the operations that do it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ml_switcheroo.graph.laying import Digit, NoOperationError, Piece, rearranged, simplest, whole
from ml_switcheroo.graph.views import places
from ml_switcheroo.ops import Branch, Concat, Copy, Gates, GateSum, Op, Order, Split, Sum, trace
from ml_switcheroo.tensors import TensorSpec

__all__ = ["ops_of"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Cut:
    """How the pieces of a tensor follow each other.

    Attributes:
        before: What brings the tensor into the shape in which they do.
        after: What brings it back.
        shape: That shape.
        axis: The axis along which they follow each other.
        order: Which piece comes where.
        sizes: How much of the axis each has, in that order.
    """

    before: tuple[Op, ...]
    after: tuple[Op, ...]
    shape: Shape
    axis: int
    order: tuple[int, ...]
    sizes: tuple[int, ...]

    def within(self, piece: Piece, place: int, side: str) -> tuple[Piece, Shape]:
        """Return a piece that is, or is in, the part at a place, as it lies there, and the shape of that."""
        size, whole_size = self.sizes[place], self.shape[self.axis]
        shape = (*self.shape[: self.axis], size, *self.shape[self.axis + 1 :])
        reach = math.prod(self.shape[self.axis :])

        def moved(digit: Digit) -> Digit:
            apart = getattr(digit, side)
            return _with(digit, side, apart * size // whole_size) if abs(apart) >= reach else digit

        own = tuple(map(moved, _split_at(piece.digits, reach, side)))
        outer, inner = divmod(getattr(piece, side), reach)
        first = sum(self.sizes[:place]) * reach // whole_size
        start = outer * (reach * size // whole_size) + inner - first
        return _with(replace(piece, digits=own), side, start), shape


Laid = TypeVar("Laid", Digit, Piece)


def _with(one: Laid, side: str, value: int) -> Laid:
    """Return a digit or piece that lies elsewhere on one side."""
    return replace(one, here=value) if side == "here" else replace(one, there=value)


def ops_of(
    pieces: Sequence[Piece], shapes: Mapping[str, Shape], leaves: Mapping[str, Shape]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Op, ...]]:
    """Return the tensors that become some leaves, those leaves, and what is done.

    Raises:
        NoOperationError: No operation does it.
    """
    if summed := _gate_sum(pieces, shapes):
        names, paths, ops = ops_of(summed, shapes, leaves)
        concat, *rest = ops[1:]
        apart = (
            rest
            and isinstance(concat, Concat)
            and rest[0] == concat.inverse(ops[0].specs(_specs(names, shapes)))
        )
        return names, paths, (ops[0], *rest[1:]) if apart else ops
    names = tuple(dict.fromkeys(name for piece in pieces for name in piece.sources))
    paths = tuple(dict.fromkeys(piece.leaf for piece in pieces))
    if len(pieces) == 1:
        (piece,) = pieces
        return names, paths, (*piece.lead, *whole(piece, _shape(piece, shapes), leaves[paths[0]]))
    sources = {(piece.sources, piece.lead): _shape(piece, shapes) for piece in pieces}
    if len(sources) == 1:
        ((_, lead), shape), *_ = sources.items()
        if len(paths) == 1:
            return names, paths, (*lead, *_within_one(pieces, shape, leaves[paths[0]]))
        turned, ops = _parted(pieces, paths, shape, leaves)
        return names, turned, (*lead, *ops)
    if any(piece.lead for piece in pieces):
        raise NoOperationError("several tensors make up one that is taken apart")
    if len(paths) == 1:
        return _joined(pieces, paths[0], shapes, leaves[paths[0]])
    raise NoOperationError("several tensors become several leaves, cut in different places")


def _shape(piece: Piece, shapes: Mapping[str, Shape]) -> Shape:
    """Return the shape of the tensor that a piece is a part of, once it is one."""
    return trace(piece.lead, _specs(piece.sources, shapes))[-1][0].shape


def _specs(names: Sequence[str], shapes: Mapping[str, Shape]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(shapes[name], "float32") for name in names)


def _gate_sum(pieces: Sequence[Piece], shapes: Mapping[str, Shape]) -> list[Piece]:
    """Return the pieces of two tensors whose first parts alone are added to each other, as those of one."""
    both = {piece.sources for piece in pieces if piece.lead == (Sum(),)}
    alone = {piece.sources for piece in pieces if not piece.lead}
    if len(both) != 1 or not alone:
        return []
    (names,) = both
    if len(names) != 2 or not alone <= {(name,) for name in names} or len(shapes[names[0]]) != 1:
        return []
    (size,) = shapes[names[0]]
    summed = [_reached(piece) for piece in pieces if piece.lead]
    count = sum(map(len, summed))
    if not np.array_equal(np.sort(np.concatenate(summed)), np.arange(count)):
        return []
    behind = {names[0]: 0, names[1]: size - count}
    block = math.gcd(size, count)
    lead = (GateSum(size // block, count // block), Concat(0))
    made = [
        replace(
            piece, sources=names, lead=lead, here=piece.here + (0 if piece.lead else behind[piece.sources[0]])
        )
        for piece in pieces
    ]
    return _in_a_row(sorted(made, key=lambda piece: piece.here))


def _in_a_row(pieces: Sequence[Piece]) -> list[Piece]:
    """Join pieces of one digit each that follow each other on both sides."""
    made: list[Piece] = []
    for piece in pieces:
        before = made[-1] if made else None
        if before is not None and len(before.digits) == len(piece.digits) == 1:
            (first,), (digit,) = before.digits, piece.digits
            here, there = before.here + first.size * first.here, before.there + first.size * first.there
            alike = (before.leaf, before.shift, first.here, first.there)
            if (piece.here, piece.there) == (here, there) and alike == (
                piece.leaf,
                piece.shift,
                digit.here,
                digit.there,
            ):
                made[-1] = replace(before, digits=(replace(first, size=first.size + digit.size),))
                continue
        made.append(piece)
    return made


def _reached(piece: Piece) -> Array:
    """Return where the elements of a piece lie in its tensor."""
    return places([(digit.size, digit.here) for digit in piece.digits]) + piece.here


def _parted(
    pieces: Sequence[Piece], paths: Sequence[str], shape: Shape, leaves: Mapping[str, Shape]
) -> tuple[tuple[str, ...], tuple[Op, ...]]:
    """Take a tensor apart, or copy it to leaves that are each the whole of it."""
    if len(paths) == len(pieces) and all(piece.count == math.prod(shape) for piece in pieces):
        branches = tuple(whole(piece, shape, leaves[piece.leaf]) for piece in pieces)
        return tuple(piece.leaf for piece in pieces), (Copy(len(pieces)), *_branch(branches))
    cut = _cut(pieces, shape, "here", [paths.index(piece.leaf) for piece in pieces])
    parts = []
    for place, one in enumerate(cut.order):
        own = [cut.within(piece, place, "here") for piece in pieces if piece.leaf == paths[one]]
        made, ((_, inner), *_) = [piece for piece, _ in own], own
        leaf = leaves[paths[one]]
        parts.append(whole(made[0], inner, leaf) if len(own) == 1 else _within_one(made, inner, leaf))
    turned = tuple(paths[one] for one in cut.order)
    return turned, (*cut.before, Split(cut.axis, cut.sizes), *_branch(parts))


def _joined(
    pieces: Sequence[Piece], path: str, shapes: Mapping[str, Shape], leaf: Shape
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Op, ...]]:
    """Join tensors to one leaf; the parts of each may come there in another order."""
    names = tuple(dict.fromkeys(piece.sources[0] for piece in pieces))
    cut = _cut(pieces, leaf, "there", [names.index(piece.sources[0]) for piece in pieces])
    branches = []
    for place, one in enumerate(cut.order):
        own = [cut.within(piece, place, "there") for piece in pieces if piece.sources[0] == names[one]]
        shape, ((_, inner), *_) = shapes[names[one]], own
        parts = [piece for piece, _ in own]
        branches.append(whole(parts[0], shape, inner) if len(own) == 1 else _within_one(parts, shape, inner))
    turned = tuple(names[one] for one in cut.order)
    return turned, (path,), (*_branch(branches), Concat(cut.axis), *cut.after)


def _within_one(pieces: Sequence[Piece], shape: Shape, leaf: Shape) -> tuple[Op, ...]:
    """Bring the pieces of a tensor into another order in one leaf."""
    mine, theirs = _cut(pieces, shape, "here"), _cut(pieces, leaf, "there")
    if simple := _blocks(pieces, mine, shape, leaf):
        return simple
    turned = tuple(mine.order.index(one) for one in theirs.order)
    branches = []
    for place, one in enumerate(theirs.order):
        own, part = mine.within(pieces[one], mine.order.index(one), "here")
        own, inner = theirs.within(own, place, "there")
        branches.append(whole(own, part, inner))
    order = (Order(turned),) if turned != tuple(range(len(turned))) else ()
    split = Split(mine.axis, mine.sizes)
    return (*mine.before, split, *order, *_branch(branches), Concat(theirs.axis), *theirs.after)


def _blocks(pieces: Sequence[Piece], cut: _Cut, shape: Shape, leaf: Shape) -> tuple[Op, ...]:
    """Return what brings equal blocks along an axis into another order; nothing where they are not equal."""
    ordered = [pieces[one] for one in cut.order]
    turned = sorted(range(len(ordered)), key=lambda place: ordered[place].there)
    apart = {ordered[two].there - ordered[one].there for one, two in itertools.pairwise(turned)}
    step = ordered[1].here - ordered[0].here
    first = ordered[turned[0]]
    alike = all((piece.digits, piece.shift) == (first.digits, first.shift) for piece in pieces)
    if cut.before or len(set(cut.sizes)) > 1 or len(apart) > 1 or not alike:
        return ()
    digit = Digit("part", len(pieces), step, apart.pop())
    joined = replace(first, digits=simplest((digit, *first.digits)), here=0)
    return (Gates(tuple(turned), cut.axis), *whole(joined, shape, leaf))


def _branch(branches: Sequence[tuple[Op, ...]]) -> tuple[Op, ...]:
    return (Branch(tuple(branches)),) if any(branches) else ()


def _cut(pieces: Sequence[Piece], shape: Shape, side: str, groups: Sequence[int] = ()) -> _Cut:
    """Return how the pieces of a tensor follow each other, along one of its axes or a part of one.

    Args:
        pieces: The pieces.
        shape: The shape of the tensor.
        side: Whether it is ``here`` or ``there``.
        groups: Of each piece the part that it belongs to; each is one by itself if not said.
    """
    owners = groups or range(len(pieces))
    outer, order, counts, inner = _runs(pieces, math.prod(shape), side, owners)
    for axis in range(len(shape)):
        unit = math.prod(shape[axis + 1 :])
        if math.prod(shape[:axis]) == outer and inner % unit == 0 and shape[axis] > 1:
            return _Cut((), (), shape, axis, order, tuple(count * inner // unit for count in counts))
    view = (outer, sum(counts), inner)
    all_of_it = Piece((), "", (Digit("all", math.prod(shape), 1, 1),), 0, 0)
    return _Cut(
        rearranged(all_of_it, shape, view), rearranged(all_of_it, view, shape), view, 1, order, counts
    )


def _runs(
    pieces: Sequence[Piece], size: int, side: str, owners: Sequence[int]
) -> tuple[int, tuple[int, ...], tuple[int, ...], int]:
    """Return how often pieces follow each other, in which order, how long they are, of how many each.

    Elements that lie alike in all pieces are left out before: what remains is as long as one axis.
    """
    digits = [[(digit.size, getattr(digit, side)) for digit in piece.digits] for piece in pieces]
    starts = [
        getattr(piece, side) + sum((count - 1) * min(apart, 0) for count, apart in own)
        for piece, own in zip(pieces, digits, strict=True)
    ]
    own = [[(count, abs(apart)) for count, apart in each if count > 1] for each in digits]
    outer = inner = 1
    while (common := _last(own, starts)) > 1:
        own = [_without(each, 1, common) for each in own]
        own = [[(count, apart // common) for count, apart in each] for each in own]
        starts, size, inner = [start // common for start in starts], size // common, inner * common
    while (common := _first(own, size)) > 1:
        own = [_without_first(each, size, common) for each in own]
        size, outer = size // common, outer * common
    owner = np.full(size, -1, np.int32)
    for place, start, each in zip(owners, starts, own, strict=True):
        lies = places(each) + start
        if lies.max() >= size or (owner[lies] >= 0).any():
            raise NoOperationError("its parts overlap")
        owner[lies] = place
    if (owner < 0).any():
        raise NoOperationError("it is only used, or filled, in part")
    ends = np.flatnonzero(np.diff(owner)) + 1
    unit = math.gcd(size, *(int(end) for end in ends))
    line = owner[::unit]
    period = next(n for n in range(1, len(line) + 1) if _repeats(line, n))
    runs = [(int(key), len(list(found))) for key, found in itertools.groupby(line[:period])]
    if len(runs) != len(set(owners)):
        raise NoOperationError("its parts lie between each other in an order that follows no rule")
    order, counts = zip(*runs, strict=True)
    return outer * len(line) // period, order, counts, inner * unit


def _repeats(line: Array, count: int) -> bool:
    return len(line) % count == 0 and bool((line.reshape(-1, count) == line[:count]).all())


def _last(digits: Sequence[Sequence[tuple[int, int]]], starts: Sequence[int]) -> int:
    """Return how many elements at a time lie next to each other in all pieces."""
    sizes = [next((count for count, apart in each if apart == 1), 1) for each in digits]
    others = [apart for each in digits for _, apart in each if apart != 1]
    return math.gcd(*sizes, *others, *starts)


def _first(digits: Sequence[Sequence[tuple[int, int]]], size: int) -> int:
    """Return into how many equal parts a tensor falls that are alike in all pieces."""
    return math.gcd(*(next((count for count, apart in each if count * apart == size), 1) for each in digits))


def _without(digits: Sequence[tuple[int, int]], apart: int, common: int) -> list[tuple[int, int]]:
    found = []
    for count, stride in digits:
        if stride != apart:
            found.append((count, stride))
        elif count > common:
            found.append((count // common, stride * common))
    return found


def _without_first(digits: Sequence[tuple[int, int]], size: int, common: int) -> list[tuple[int, int]]:
    found = [(count // common if count * apart == size else count, apart) for count, apart in digits]
    return [(count, apart) for count, apart in found if count > 1]


def _split_at(digits: Sequence[Digit], reach: int, side: str) -> list[Digit]:
    """Cut digits so that none goes on beyond a number of elements."""
    found = []
    for digit in digits:
        apart = abs(getattr(digit, side))
        room = reach // apart if apart and reach % apart == 0 else 0
        if 1 < room < digit.size and digit.size % room == 0:
            outer = Digit(f"{digit.name}_1", digit.size // room, digit.here * room, digit.there * room)
            found += [outer, replace(digit, name=f"{digit.name}_2", size=room)]
        else:
            found.append(digit)
    return found
