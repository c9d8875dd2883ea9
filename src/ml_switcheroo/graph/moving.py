"""Moves that bring tensors where a match of two graphs says that they belong."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ml_switcheroo.graph.matching.matched import KernelMatch, Matched
from ml_switcheroo.graph.parameters import Kernel, Parameters, Plain
from ml_switcheroo.graph.views import digits_of
from ml_switcheroo.ops import Axes, Branch, Concat, Copy, Flip, Gates, Op, Shift, Split, Sum, Unstack

__all__ = ["Drawn", "Refused", "moves_of"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Drawn:
    """What becomes of some tensors.

    Attributes:
        sources: Their names.
        leaves: The leaves that they become.
        ops: What is done to them.
        tied: Whether a symmetry of both programs left a choice.
        likely: Whether it is behind a difference, and only the sizes say so.
    """

    sources: tuple[str, ...]
    leaves: tuple[str, ...]
    ops: tuple[Op, ...]
    tied: bool = False
    likely: bool = False


@dataclass(frozen=True)
class Refused:
    """A leaf that is known to come from some tensors, in a way that no operation has.

    Attributes:
        leaf: The leaf.
        sources: The tensors.
        why: What has no operation.
    """

    leaf: str
    sources: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class _Digit:
    """Some elements that lie equally far apart on both sides.

    Attributes:
        name: What a person calls them.
        size: How many there are.
        here: How far apart they lie in the tensor.
        there: How far apart they lie in the leaf.
    """

    name: str
    size: int
    here: int
    there: int


@dataclass(frozen=True)
class _Piece:
    """A part of a leaf that is a part of a tensor.

    Attributes:
        sources: The tensor; several are added to each other.
        leaf: The leaf.
        digits: The elements.
        here: Where the first lies in the tensor.
        there: Where the first lies in the leaf.
        shift: What is added.
        tied: Whether a symmetry of both programs left a choice.
    """

    sources: tuple[str, ...]
    leaf: str
    digits: tuple[_Digit, ...]
    here: int
    there: int
    shift: float = 0.0
    tied: bool = False

    @property
    def count(self) -> int:
        """How many elements it has."""
        return math.prod(digit.size for digit in self.digits)


class _NoOperationError(Exception):
    """What is known has no operation."""


def moves_of(
    matched: Matched, shapes: Mapping[str, Shape], leaves: Mapping[str, Shape]
) -> tuple[list[Drawn], list[Refused]]:
    """Return the moves of a match, and what no operation does.

    Args:
        matched: The match.
        shapes: The shapes of the tensors, by name.
        leaves: The shapes of the leaves, by path.
    """
    found: list[_Piece] = []
    refused: list[Refused] = []
    for sources, leaf, lies, here, there, shift, tied in _lying(matched):
        digits = _digits(lies)
        if digits is None:
            refused.append(Refused(leaf, sources, "its elements lie in an order that follows no rule"))
        else:
            found.append(_Piece(sources, leaf, digits, here, there, shift, tied))
    likely = {match.target.kernel.leaf for match in matched.kernels if match.likely}
    made: list[Drawn] = []
    for group in _together(_merged(found)):
        try:
            drawn = _move(group, shapes, leaves)
            made.append(replace(drawn, likely=not likely.isdisjoint(drawn.leaves)))
        except _NoOperationError as why:
            names = tuple(dict.fromkeys(name for piece in group for name in piece.sources))
            refused += [Refused(leaf, names, str(why)) for leaf in dict.fromkeys(one.leaf for one in group)]
    return made, refused


_Lying = tuple[tuple[str, ...], str, Mapping[str, tuple[Array, Array]], int, int, float, bool]


def _lying(matched: Matched) -> Iterator[_Lying]:
    """Yield tensors, leaf, where the elements of each axis lie in both, where the first does, the shift."""
    biases = _by_kernel(matched.source.parameters), _by_kernel(matched.target.parameters)
    for match in matched.kernels:
        one, other = match.source.kernel, match.target.kernel
        if not one.leaf or not other.leaf:
            continue
        outer = one.outer[match.source.where][match.order], other.outer[match.target.where]
        inner = one.inner if match.columns is None else one.inner[match.columns], other.inner
        lies = {"batch": (one.batch, other.batch), "out": outer, "in": inner, "tap": (one.taps, other.taps)}
        apart = {name: pair for name, pair in lies.items() if len(pair[0]) > 1}
        first = [sum(int(pair[side][0]) for pair in lies.values() if len(pair[side])) for side in (0, 1)]
        here, there = one.offset + first[0], other.offset + first[1]
        yield (one.leaf,), other.leaf, apart, here, there, 0.0, match.tied
        yield from _biases(match, biases)
    for plain in matched.plains:
        size = np.arange(len(plain.order))
        lies = {"channel": (plain.order, size)} if len(size) > 1 else {}
        shift = plain.source.shift - plain.target.shift
        (leaf, *more) = plain.target.leaves
        if not more:
            first_of = int(plain.order[0]) if len(size) else 0
            yield plain.source.leaves, leaf, lies, first_of, 0, shift, plain.tied


_Biases = Mapping[Kernel, Sequence[tuple[Plain, Array]]]


def _by_kernel(parameters: Parameters) -> _Biases:
    found: dict[Kernel, list[tuple[Plain, Array]]] = defaultdict(list)
    for root, (kernels, lies) in parameters.biases.items():
        for kernel in kernels:
            found[kernel].append((parameters.plains[root], lies))
    return found


def _biases(match: KernelMatch, biases: tuple[_Biases, _Biases]) -> Iterator[_Lying]:
    """Yield what is added to what two kernels give."""
    mine = biases[0].get(match.source.kernel, ())
    theirs = biases[1].get(match.target.kernel, ())
    for (other, lies), (plain, places) in itertools.product(theirs, mine):
        here, there = places[match.source.where][match.order], lies[match.target.where]
        pair = {"out": (here, there)} if len(here) > 1 else {}
        shift = plain.shift - other.shift
        if len(other.leaves) == 1:
            yield plain.leaves, other.leaves[0], pair, int(here[0]), int(there[0]), shift, match.tied


def _digits(lies: Mapping[str, tuple[Array, Array]]) -> tuple[_Digit, ...] | None:
    made: list[_Digit] = []
    for name, (here, there) in lies.items():
        found = digits_of(here, there)
        if found is None:
            return None
        for place, (size, (one, other)) in enumerate(found):
            label = name if len(found) == 1 else f"{name}{place + 1}"
            made.append(_Digit(label, size, one, other))
    return tuple(made)


def _merged(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Join the pieces of one tensor and one leaf that lie equally far apart on both sides."""
    grouped: dict[Any, list[_Piece]] = defaultdict(list)
    for piece in {(p.sources, p.leaf, _bare(p), p.here, p.there): p for p in pieces}.values():
        grouped[(piece.sources, piece.leaf, piece.digits, piece.shift)].append(piece)
    made: list[_Piece] = []
    for group in grouped.values():
        group.sort(key=lambda piece: piece.there)
        here = {two.here - one.here for one, two in itertools.pairwise(group)}
        there = {two.there - one.there for one, two in itertools.pairwise(group)}
        if len(group) > 1 and len(here) == len(there) == 1:
            digit = _Digit("part", len(group), here.pop(), there.pop())
            first = group[0]
            tied = any(piece.tied for piece in group)
            made.append(replace(first, digits=_simplest((digit, *first.digits)), tied=tied))
        else:
            made += group
    return made


def _bare(piece: _Piece) -> tuple[tuple[int, int, int], ...]:
    """Return where the elements of a piece lie, whatever they are called."""
    found = ((digit.there, digit.here, digit.size) for digit in _simplest(piece.digits))
    return tuple(sorted(found))


def _simplest(digits: tuple[_Digit, ...]) -> tuple[_Digit, ...]:
    """Join digits that follow each other on both sides."""
    found = list(digits)
    for one in digits:
        for other in found:
            if one is other or one not in found:
                continue
            if one.here == other.size * other.here and one.there == other.size * other.there:
                joined = _Digit(other.name, one.size * other.size, other.here, other.there)
                found = [joined if two is other else two for two in found if two is not one]
                return _simplest(tuple(found))
    return tuple(found)


def _together(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    """Return the pieces that share a tensor or a leaf, together."""
    groups: list[list[_Piece]] = []
    of: dict[tuple[str, str], list[_Piece]] = {}
    for piece in pieces:
        ends = [("leaf", piece.leaf), *(("tensor", name) for name in piece.sources)]
        touched = {id(of[end]): of[end] for end in ends if end in of}
        joined = [*(one for group in touched.values() for one in group), piece]
        groups = [group for group in groups if id(group) not in touched] if touched else groups
        groups.append(joined)
        for one in joined:
            of.update(dict.fromkeys([("leaf", one.leaf), *(("tensor", n) for n in one.sources)], joined))
    return groups


# ---- one move


def _move(group: Sequence[_Piece], shapes: Mapping[str, Shape], leaves: Mapping[str, Shape]) -> Drawn:
    names = list(dict.fromkeys(name for piece in group for name in piece.sources))
    paths = list(dict.fromkeys(piece.leaf for piece in group))
    tied = any(piece.tied for piece in group)
    if len(group) == 1:
        (piece,) = group
        lead: tuple[Op, ...] = (Sum(),) if len(piece.sources) > 1 else ()
        ops = (*lead, *_whole(piece, shapes[names[0]], leaves[paths[0]]))
        return Drawn(tuple(names), tuple(paths), ops, tied)
    if any(len(piece.sources) > 1 for piece in group):
        raise _NoOperationError("tensors are added to each other and taken apart at once")
    if len(names) == 1 and len(paths) == 1:
        return Drawn((names[0],), (paths[0],), _blocks(group, shapes[names[0]], leaves[paths[0]]), tied)
    if len(names) == 1:
        ordered = sorted(group, key=lambda piece: piece.here)
        if len(paths) == len(group):
            return _parted(ordered, names[0], shapes[names[0]], leaves, tied)
    elif len(paths) == 1 and len(names) == len(group):
        ordered = sorted(group, key=lambda piece: piece.there)
        return _joined(ordered, paths[0], shapes, leaves[paths[0]], tied)
    raise _NoOperationError("several tensors become several leaves, cut in different places")


def _whole(piece: _Piece, shape: Shape, leaf: Shape) -> tuple[Op, ...]:
    """Return what brings a whole tensor into a whole leaf."""
    if piece.count != math.prod(shape) or piece.count != math.prod(leaf):
        return _partly(piece, shape, leaf)
    ops = _rearranged(piece, shape, leaf)
    return (*ops, Shift(piece.shift)) if piece.shift else ops


def _partly(piece: _Piece, shape: Shape, leaf: Shape) -> tuple[Op, ...]:
    raise _NoOperationError(
        f"the programs use {piece.count} elements of a tensor {list(shape)} and a leaf {list(leaf)}"
    )


def _rearranged(piece: _Piece, shape: Shape, leaf: Shape) -> tuple[Op, ...]:
    """Return the axis equation, and the flip before it."""
    own = _fitting(_fitting(piece.digits, shape, "here"), leaf, "there")
    back = [digit for digit in own if digit.here < 0]
    turned = [digit for digit in own if digit.there < 0]
    digits = [replace(digit, here=abs(digit.here), there=abs(digit.there)) for digit in own]
    source, target = _axes(digits, shape, "here"), _axes(digits, leaf, "there")
    flipped = {digit.name for digit in back} ^ {digit.name for digit in turned}
    ops: list[Op] = []
    if flipped:
        plain = {name for group in source if len(group) == 1 for name in group}
        if not flipped <= plain:
            raise _NoOperationError("a part of an axis lies from its end")
        ops.append(Flip(_written(source), " ".join(sorted(flipped))))
    if _written(source) != _written(target):
        sizes = {digit.name: digit.size for digit in digits}
        grouped = [name for group in (*source, *target) if len(group) > 1 for name in group]
        told = tuple((name, sizes[name]) for name in dict.fromkeys(grouped))
        ops.append(Axes(f"{_written(source)} -> {_written(target)}", told))
    return tuple(ops)


def _fitting(digits: Sequence[_Digit], shape: Shape, side: str) -> tuple[_Digit, ...]:
    """Return digits of which none goes on beyond an axis of a shape."""
    made: list[_Digit] = []
    for digit in digits:
        pieces, rest = [], digit
        for axis in reversed(range(len(shape))):
            apart, behind = abs(getattr(rest, side)), math.prod(shape[axis:])
            room = behind // apart if apart and behind % apart == 0 else 0
            if 1 < room < rest.size and rest.size % room == 0:
                inner = replace(rest, size=room)
                pieces.append(inner)
                rest = _Digit(rest.name, rest.size // room, rest.here * room, rest.there * room)
        pieces.append(rest)
        if len(pieces) > 1:
            pieces = [replace(one, name=f"{digit.name}_{n}") for n, one in enumerate(reversed(pieces), 1)]
        made += pieces
    return tuple(made)


def _axes(digits: Sequence[_Digit], shape: Shape, side: str) -> list[list[str]]:
    """Return the names of the digits that make up each axis of a shape."""
    left = sorted(digits, key=lambda digit: -getattr(digit, side))
    found: list[list[str]] = []
    for axis, size in enumerate(shape):
        names, behind = [], math.prod(shape[axis + 1 :])
        while size > 1:
            if not left or getattr(left[0], side) * left[0].size != size * behind:
                raise _NoOperationError("its elements do not lie along the axes")
            digit = left.pop(0)
            names.append(digit.name)
            size //= digit.size
        found.append(names)
    if left:
        raise _NoOperationError("its elements do not lie along the axes")
    return found


def _written(axes: Sequence[Sequence[str]]) -> str:
    texts = ["1" if not group else group[0] if len(group) == 1 else f"({' '.join(group)})" for group in axes]
    return " ".join(texts)


def _blocks(group: Sequence[_Piece], shape: Shape, leaf: Shape) -> tuple[Op, ...]:
    """Return what brings equal blocks of a tensor into another order of blocks in one leaf."""
    ordered = sorted(group, key=lambda piece: piece.here)
    cuts = [_cut(piece, shape, "here") for piece in ordered]
    axis = cuts[0][0]
    sizes = {stop - start for _, start, stop in cuts}
    if (
        len(sizes) != 1
        or any(one[0] != axis for one in cuts)
        or shape[axis] != sizes.copy().pop() * len(cuts)
    ):
        raise _NoOperationError("parts of a tensor come in another order, and are not equally large")
    turned = sorted(range(len(group)), key=lambda place: ordered[place].there)
    step = ordered[1].here - ordered[0].here
    first = ordered[turned[0]]
    apart = {ordered[two].there - ordered[one].there for one, two in itertools.pairwise(turned)}
    if len(apart) != 1 or any(piece.digits != first.digits for piece in group):
        raise _NoOperationError("parts of a tensor come in another order, and are not laid out alike")
    digit = _Digit("part", len(group), step, apart.pop())
    whole = replace(first, digits=_simplest((digit, *first.digits)), here=0)
    return (Gates(tuple(turned), axis), *_whole(whole, shape, leaf))


def _cut(piece: _Piece, shape: Shape, side: str) -> tuple[int, int, int]:
    """Return the axis along which a piece is a part of a tensor, its start and its stop there."""
    reached = [1] * len(shape)
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    for digit in piece.digits:
        apart = abs(getattr(digit, side))
        axis = next(place for place, stride in enumerate(strides) if apart >= stride and shape[place] > 1)
        reached[axis] += (digit.size - 1) * (apart // strides[axis])
    partial = [axis for axis, size in enumerate(shape) if reached[axis] != size]
    if len(partial) != 1 or piece.count != math.prod(reached):
        raise _NoOperationError("a part of a tensor that is no part of one axis")
    (axis,) = partial
    start = getattr(piece, side) // strides[axis] % shape[axis]
    return axis, start, start + reached[axis]


def _within(piece: _Piece, shape: Shape, axis: int, size: int, side: str) -> tuple[_Piece, Shape]:
    """Return a piece as the whole of its part of a tensor, and the shape of that part."""
    inner = (*shape[:axis], size, *shape[axis + 1 :])
    reach = math.prod(shape[axis:])

    def moved(digit: _Digit) -> _Digit:
        apart = digit.here if side == "here" else digit.there
        if abs(apart) < reach:
            return digit
        nearer = apart * size // shape[axis]
        return replace(digit, here=nearer) if side == "here" else replace(digit, there=nearer)

    own = tuple(map(moved, piece.digits))
    if side == "here":
        return replace(piece, digits=own, here=0), inner
    return replace(piece, digits=own, there=0), inner


def _parted(
    pieces: Sequence[_Piece], name: str, shape: Shape, leaves: Mapping[str, Shape], tied: bool
) -> Drawn:
    """Return the move that takes a tensor apart, or copies it to leaves that are each the whole of it."""
    paths = tuple(piece.leaf for piece in pieces)
    if all(piece.count == math.prod(shape) for piece in pieces):
        branches = tuple(_whole(piece, shape, leaves[piece.leaf]) for piece in pieces)
        ops: tuple[Op, ...] = (Copy(len(pieces)), Branch(branches)) if any(branches) else (Copy(len(pieces)),)
        return Drawn((name,), paths, ops, tied)
    try:
        cuts = [_cut(piece, shape, "here") for piece in pieces]
    except _NoOperationError:
        return _unstacked(pieces, name, shape, leaves, tied)
    axis, sizes = cuts[0][0], [stop - start for _, start, stop in cuts]
    if any(cut[0] != axis for cut in cuts) or sum(sizes) != shape[axis]:
        raise _NoOperationError("a tensor is only used in part")
    branches = tuple(
        _whole(*_within(piece, shape, axis, size, "here"), leaves[piece.leaf])
        for piece, size in zip(pieces, sizes, strict=True)
    )
    split = Split(axis, tuple(sizes))
    return Drawn((name,), paths, (split, Branch(branches)) if any(branches) else (split,), tied)


def _unstacked(
    pieces: Sequence[_Piece], name: str, shape: Shape, leaves: Mapping[str, Shape], tied: bool
) -> Drawn:
    """Return the move that takes a tensor apart whose parts lie between each other."""
    first = pieces[0]
    steps = {two.here - one.here for one, two in itertools.pairwise(pieces)}
    alike = {tuple((digit.size, digit.here) for digit in piece.digits) for piece in pieces}
    if len(steps) != 1 or len(alike) != 1:
        raise _NoOperationError("a tensor is taken apart in an order that follows no rule")
    part = _Digit("part", len(pieces), steps.pop(), 0)
    digits = (part, *first.digits)
    source = _axes(digits, shape, "here")
    behind = sorted(first.digits, key=lambda digit: -digit.here)
    axis = next(place for place, group in enumerate(source) if "part" in group)
    inner = [[one for one in group if one != "part"] for group in source]
    sizes = {digit.name: digit.size for digit in digits}
    told = tuple((name_, sizes[name_]) for group in source if len(group) > 1 for name_ in group)
    apart = Axes(f"{_written(source)} -> part {_written(inner)}", told)
    part_shape = (*shape[:axis], shape[axis] // len(pieces), *shape[axis + 1 :])
    branches = []
    for piece in pieces:
        own, stride = [], 1
        for digit in sorted(piece.digits, key=lambda digit: digit.here):
            own.append(replace(digit, here=stride))
            stride *= digit.size
        branches.append(_whole(replace(piece, digits=tuple(own), here=0), part_shape, leaves[piece.leaf]))
    del behind
    ops = (apart, Unstack(0), *((Branch(tuple(branches)),) if any(branches) else ()))
    return Drawn((name,), tuple(piece.leaf for piece in pieces), ops, tied)


def _joined(
    pieces: Sequence[_Piece], path: str, shapes: Mapping[str, Shape], leaf: Shape, tied: bool
) -> Drawn:
    """Return the move that joins tensors to one leaf."""
    cuts = [_cut(piece, leaf, "there") for piece in pieces]
    axis, sizes = cuts[0][0], [stop - start for _, start, stop in cuts]
    if any(cut[0] != axis for cut in cuts) or sum(sizes) != leaf[axis]:
        raise _NoOperationError("a leaf is filled in part")
    branches = []
    for piece, size in zip(pieces, sizes, strict=True):
        own, inner = _within(piece, leaf, axis, size, "there")
        branches.append(_whole(own, shapes[piece.sources[0]], inner))
    ops: tuple[Op, ...] = (Branch(tuple(branches)), Concat(axis)) if any(branches) else (Concat(axis),)
    return Drawn(tuple(piece.sources[0] for piece in pieces), (path,), ops, tied)
