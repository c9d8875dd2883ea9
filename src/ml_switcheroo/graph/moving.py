"""Moves that bring tensors where a match of two graphs says that they belong."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ml_switcheroo.graph.adding import Added, added_of
from ml_switcheroo.graph.cutting import ops_of
from ml_switcheroo.graph.folding import folded
from ml_switcheroo.graph.laying import Digit, NoOperationError, Piece, simplest
from ml_switcheroo.graph.making import alike
from ml_switcheroo.graph.matching.matched import Matched
from ml_switcheroo.graph.views import digits_of
from ml_switcheroo.ops import Op, Sum

_MOST_BLOCKS = 64

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
        open: Whether several answers are right.
    """

    leaf: str
    sources: tuple[str, ...]
    why: str
    open: bool = False


def moves_of(
    matched: Matched, shapes: Mapping[str, Shape], leaves: Mapping[str, Shape]
) -> tuple[list[Drawn], list[Refused]]:
    """Return the moves of a match, and what no operation does.

    Args:
        matched: The match.
        shapes: The shapes of the tensors, by name.
        leaves: The shapes of the leaves, by path.
    """
    found: list[Piece] = []
    refused: list[Refused] = []
    added, unequal = added_of(matched)
    barred = {end: one.why for one in unequal for end in _ends_of(one.sources, one.leaves)}
    for one in (*_lying(matched), *map(_summed, added)):
        pieces = list(_pieces(one))
        found += pieces
        if not pieces:
            refused.append(
                Refused(one.leaf, one.sources, "its elements lie in an order that follows no rule")
            )
    likely = {match.target.kernel.leaf for match in matched.kernels if match.likely}
    likely |= {one.leaf for one in added if one.likely}
    made: list[Drawn] = []
    for group in _together(_merged(found)):
        try:
            if why := next((barred[end] for one in group for end in _ends(one) if end in barred), ""):
                raise NoOperationError(why)
            names, paths, ops = ops_of(group, shapes, leaves)
            tied = any(piece.tied for piece in group)
            made.append(Drawn(names, paths, ops, tied, not likely.isdisjoint(paths)))
        except NoOperationError as why:
            names = tuple(dict.fromkeys(name for piece in group for name in piece.sources))
            refused += [Refused(leaf, names, str(why)) for leaf in dict.fromkeys(one.leaf for one in group)]
    said = {one.leaf for one in refused}
    refused += [
        Refused(leaf, one.sources, one.why, open=not one.differs)
        for one in unequal
        for leaf in one.leaves
        if leaf not in said
    ]
    places = {name: place for place, name in enumerate(matched.source.graph.leaves)}
    return sorted(made, key=lambda one: min(places[name] for name in one.sources)), refused


@dataclass(frozen=True)
class _Lying:
    """Where elements lie in a tensor and in a leaf: for each axis, in both; and what is done first."""

    sources: tuple[str, ...]
    leaf: str
    axes: Mapping[str, tuple[Array, Array]]
    here: int
    there: int
    shift: float
    tied: bool
    lead: tuple[Op, ...] = ()


def _lying(matched: Matched) -> Iterator[_Lying]:
    for match in matched.kernels:
        one, other = match.source.kernel, match.target.kernel
        made = ((one.leaf,), ()) if one.leaf else folded(matched.source.graph, one.root)
        if made is not None and other.leaf:
            outer = one.outer[match.source.where][match.order], other.outer[match.target.where]
            inner = one.inner if match.columns is None else one.inner[match.columns], other.inner
            axes = {
                "batch": (one.batch, other.batch),
                "out": outer,
                "in": inner,
                "tap": (one.taps, other.taps),
            }
            first = [sum(int(pair[side][0]) for pair in axes.values() if len(pair[side])) for side in (0, 1)]
            here, there = one.offset + first[0], other.offset + first[1]
            apart = {name: pair for name, pair in axes.items() if len(pair[0]) > 1}
            yield _Lying(made[0], other.leaf, apart, here, there, 0.0, match.tied, made[1])
        elif not other.leaf:
            for pair in alike(matched.source.graph, matched.target.graph, match) or ():
                yield _Lying((pair.source,), pair.target, pair.axes, 0, 0, 0.0, match.tied)
    for plain in matched.plains:
        mine, theirs = plain.source.lies[plain.order], plain.target.lies
        shift = plain.source.shift - plain.target.shift
        (leaf, *more) = plain.target.leaves
        if not more and len(mine):
            yield _summed(Added(plain.source.leaves, leaf, mine, theirs, shift, plain.tied))


def _summed(added: Added) -> _Lying:
    lies = {added.axis: (added.here, added.there)} if len(added.here) > 1 else {}
    lead = (Sum(),) if len(added.sources) > 1 else ()
    here, there = int(added.here[0]), int(added.there[0])
    return _Lying(added.sources, added.leaf, lies, here, there, added.shift, added.tied, lead)


def _pieces(one: _Lying) -> Iterator[Piece]:
    """Yield the piece that some elements are; several where blocks of an axis lie in another order."""
    digits = _digits(one.axes)
    if digits is not None and all(digit.here > 0 or _alone(digit, digits) for digit in digits):
        yield Piece(one.sources, one.leaf, digits, one.here, one.there, one.shift, one.tied, one.lead)
        return
    for name, (here, there) in one.axes.items():
        parts = _blocks(here, there)
        rest = {key: pair for key, pair in one.axes.items() if key != name}
        if len(parts) == 1 or _digits(rest) is None:
            continue
        for part in parts:
            own = {name: (here[part], there[part])} if len(here[part]) > 1 else {}
            digits = _digits({**own, **rest})
            if digits is None:
                return
            at = one.here + int(here[part][0] - here[0]), one.there + int(there[part][0] - there[0])
            yield Piece(one.sources, one.leaf, digits, *at, one.shift, one.tied, one.lead)
        return
    if digits is not None:
        yield Piece(one.sources, one.leaf, digits, one.here, one.there, one.shift, one.tied, one.lead)


def _alone(digit: Digit, digits: Sequence[Digit]) -> bool:
    """Tell whether elements that lie from the end are a whole axis, or the places of a window."""
    axes = [other.name.rstrip("0123456789") for other in digits]
    own = digit.name.rstrip("0123456789")
    return own == "tap" or axes.count(own) == 1


def _blocks(here: Array, there: Array) -> list[slice]:
    """Return the parts of an axis in each of which the elements lie equally far apart on both sides."""
    steps = np.stack([np.diff(here), np.diff(there)], axis=1)
    kinds, counts = np.unique(steps, axis=0, return_counts=True)
    common = kinds[np.argmax(counts)]
    ends = np.flatnonzero((steps != common).any(axis=1)) + 1
    if len(ends) > _MOST_BLOCKS:
        return [slice(0, len(here))]
    return [slice(*pair) for pair in itertools.pairwise([0, *(int(end) for end in ends), len(here)])]


def _digits(lies: Mapping[str, tuple[Array, Array]]) -> tuple[Digit, ...] | None:
    made: list[Digit] = []
    for name, (here, there) in lies.items():
        found = digits_of(here, there)
        if found is None:
            return None
        for place, (size, (one, other)) in enumerate(found):
            label = name if len(found) == 1 else f"{name}{place + 1}"
            made.append(Digit(label, size, one, other))
    return tuple(made)


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Join the pieces of one tensor and one leaf that lie equally far apart on both sides."""
    grouped: dict[Any, list[Piece]] = defaultdict(list)
    for piece in {(p.sources, p.leaf, _bare(p), p.here, p.there): p for p in pieces}.values():
        grouped[(piece.sources, piece.leaf, piece.digits, piece.shift, piece.lead)].append(piece)
    made: list[Piece] = []
    for group in grouped.values():
        group.sort(key=lambda piece: piece.there)
        here = {two.here - one.here for one, two in itertools.pairwise(group)}
        there = {two.there - one.there for one, two in itertools.pairwise(group)}
        if len(group) > 1 and len(here) == len(there) == 1 and min(*here, *there) > 0:
            digit = Digit("part", len(group), here.pop(), there.pop())
            first = group[0]
            tied = any(piece.tied for piece in group)
            made.append(replace(first, digits=simplest((digit, *first.digits)), tied=tied))
        else:
            made += group
    return made


def _bare(piece: Piece) -> tuple[tuple[int, int, int], ...]:
    """Return where the elements of a piece lie, whatever they are called."""
    found = ((digit.there, digit.here, digit.size) for digit in simplest(piece.digits))
    return tuple(sorted(found))


def _together(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Return the pieces that share a tensor or a leaf, together."""
    groups: list[list[Piece]] = []
    of: dict[tuple[str, str], list[Piece]] = {}
    for piece in pieces:
        touched = {id(of[end]): of[end] for end in _ends(piece) if end in of}
        joined = [*(one for group in touched.values() for one in group), piece]
        groups = [group for group in groups if id(group) not in touched] if touched else groups
        groups.append(joined)
        for one in joined:
            of.update(dict.fromkeys(_ends(one), joined))
    return groups


def _ends(piece: Piece) -> list[tuple[str, str]]:
    """Return the leaf and the tensors of a piece."""
    return _ends_of(piece.sources, (piece.leaf,))


def _ends_of(names: Sequence[str], paths: Sequence[str]) -> list[tuple[str, str]]:
    return [*(("leaf", path) for path in paths), *(("tensor", name) for name in names)]
