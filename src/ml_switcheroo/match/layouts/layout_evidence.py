"""How a tree keeps its matrices: leaves with shapes that allow one layout show it for leaves like them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache

from ml_switcheroo.match.assignment.field import Field
from ml_switcheroo.match.assignment.pairing import Match
from ml_switcheroo.match.candidates.candidate import Candidate
from ml_switcheroo.match.paths.repeats import Position, Token
from ml_switcheroo.match.units.orders import order_by_bias
from ml_switcheroo.match.units.unit import Unit
from ml_switcheroo.match.weights import WEIGHTS
from ml_switcheroo.moves import Move
from ml_switcheroo.recipes import Target, parts_of

__all__ = [
    "Key",
    "LayoutEvidence",
    "Witness",
    "agreed",
    "bare",
    "contradicted",
    "conventions",
    "is_square",
    "leaf_key",
    "leaf_name",
    "may_be_table",
    "narrowed",
    "relative",
    "shown_before",
    "shown_by",
    "unlike",
]

# What the axes of a recipe are called here.
_LAYOUTS: Mapping[str, str] = {
    "out in": "oi",
    "in out": "io",
    "out in *space": "oi",
    "*space in out": "io",
    "out *space in": "osi",
    "row col": "same",
}

Key = tuple[str, str, bool]
"""What leaves are compared by: their kind, their name, and whether they are stacks."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What a leaf shows.

    Attributes:
        layout: Its layout.
        relative: What is done to the tensor for it.
        rank: Its number of dimensions.
        square: Whether it is made of a square matrix: its layout then rests on how the source keeps that.
    """

    layout: str
    relative: str
    rank: int
    square: bool = False


LayoutEvidence = Mapping[Key, Mapping[tuple[Token, ...], Witness]]


def conventions(target: Target) -> dict[tuple[str, str], str]:
    """Return the layout that a framework's own layers give a leaf: (kind, name of the leaf) -> layout."""
    found: dict[tuple[str, str], str] = {}
    for kind, own in (("linear", "out in"), ("conv", "out in *space"), ("embedding", "row col")):
        for part in parts_of(target.kinds[kind]) if kind in target.kinds else ():
            layout = _LAYOUTS.get(part.axes or own) if part.slots == ("weight",) and not part.ops else None
            if layout:
                found.setdefault((kind, part.leaves[0]), layout)
    return found


def relative(layout: str, order: str) -> str:
    """Say what a layout does to a tensor that is kept as torch's Linear keeps it.

    >>> relative("io", "oi"), relative("0:io", "io")
    ('io', '0:oi')
    """
    return layout if order == "oi" else _ORDER.sub(lambda found: found[0][::-1], layout)


_ORDER = re.compile(r"\b(oi|io)\b")


def agreed(witnesses: Iterable[Witness], options: Mapping[str, str]) -> set[str]:
    """Return the layouts that witnesses speak for: one where all agree.

    They agree where all leaves are kept in one way, whatever the tensors are; or where the same is done to
    all tensors, whatever the leaves are then.

    Args:
        witnesses: The witnesses.
        options: What is done to the tensor in question for each layout.
    """
    found = list(witnesses)
    layouts = {witness.layout for witness in found}
    done = {witness.relative for witness in found}
    if len(layouts) > 1 and len(done) == 1:
        return {layout for layout, way in options.items() if way in done}
    return layouts


def shown_before(
    targets: Sequence[Unit],
    moves: Sequence[Move],
    usual: Mapping[tuple[str, str], str],
    where: Mapping[str, Position],
) -> dict[Key, dict[tuple[Token, ...], Witness]]:
    """Return what leaves show before anything is matched.

    A bias is as long as the outputs: it shows how a matrix is kept that is not square. What is filled
    already, is kept as the framework keeps it.

    Args:
        targets: The units that are to be filled.
        moves: The moves that fill the others.
        usual: The framework's conventions.
        where: The places of all leaves.
    """
    found: dict[Key, dict[tuple[Token, ...], Witness]] = {}
    for unit in targets:
        layout = order_by_bias(unit)
        if layout is not None:
            key = "linear", leaf_name(unit, "weight"), False
            found.setdefault(key, {})[unit.pattern] = Witness(layout, layout, 2)
    for move in moves:
        path, shape = move.leaves[0], move.inputs[0].shape
        known = move.kind, path.replace(".", "/").rpartition("/")[2]
        square = len(set(shape)) < len(shape)
        if len(move.leaves) == len(move.sources) == 1 and known in usual and not square and path in where:
            shown = Witness(usual[known], usual[known], len(shape))
            found.setdefault((*known, False), {})[where[path].pattern] = shown
    return found


def shown_by(matches: Sequence[Match], shown: LayoutEvidence) -> dict[Key, dict[tuple[Token, ...], Witness]]:
    """Return what all leaves show that have shapes with one layout only.

    Args:
        matches: The matches.
        shown: What other leaves show.
    """
    found = {key: dict(witnesses) for key, witnesses in shown.items()}
    for match in matches:
        for key, witness in _shows(match):
            found.setdefault(key, {})[match.target.pattern] = witness
    return found


def _shows(match: Match) -> Iterator[tuple[Key, Witness]]:
    if not may_be_table(match.source, match.target, match.candidate):
        for slot, options in match.candidate.options.items():
            rank = match.source.slots[match.candidate.slots[slot]].rank
            # A part with more axes than its fused leaf may be no part of it, and then shows nothing.
            part = match.target.piece is None or match.target.slots[slot].rank == rank
            if len(options) == 1 and part:
                (layout,) = options
                done = relative(layout, match.candidate.order)
                witness = Witness(layout, done, match.target.slots[slot].rank, is_square(match, slot))
                yield leaf_key(match.candidate, match.target, slot), witness


def is_square(match: Match, slot: str) -> bool:
    """Tell whether a leaf is made of a square matrix."""
    shapes = (spec.shape for spec in match.source.slots[match.candidate.slots[slot]].specs.values())
    return any(len(shape) == 2 and shape[0] == shape[1] for shape in shapes)


def unlike(found: LayoutEvidence, usual: Mapping[tuple[str, str], str]) -> set[tuple[str, str]]:
    """Return the conventions that some leaf contradicts."""
    return {
        (kind, name)
        for (kind, name, _), witnesses in found.items()
        if (kind, name) in usual
        and any(bare(one.layout) != usual[kind, name] and not one.square for one in witnesses.values())
    }


def narrowed(field: Field, found: LayoutEvidence) -> dict[tuple[int, int], Candidate]:
    """Leave out the layouts that contradict all leaves which show theirs, and candidates without any left."""
    seen: dict[tuple[Key, int], list[Witness]] = {}
    for key, witnesses in found.items():
        for witness in witnesses.values():
            seen.setdefault((key, witness.rank), []).append(witness)
    clear = {
        key: {witness.layout for witness in witnesses}
        for key, witnesses in seen.items()
        if len(witnesses) >= WEIGHTS.witnesses
    }
    names = [_leaf_names(target) for target in field.targets]
    # Units of the same shapes share their candidates.
    made: dict[tuple[int, object], Candidate | None] = {}
    result: dict[tuple[int, int], Candidate] = {}
    for (i, j), candidate in field.candidates.items():
        alike = id(candidate), names[j]
        if alike not in made:
            made[alike] = _narrowed(field.sources[i], field.targets[j], candidate, clear)
        narrow = made[alike]
        if narrow is not None:
            result[i, j] = narrow
    return result


def _narrowed(
    source: Unit, target: Unit, candidate: Candidate, clear: Mapping[tuple[Key, int], Set[str]]
) -> Candidate | None:
    if may_be_table(source, target, candidate):
        return candidate
    options = {}
    for slot, layouts in candidate.options.items():
        only = clear.get((leaf_key(candidate, target, slot), target.slots[slot].rank), set())
        options[slot] = {name: ways for name, ways in layouts.items() if len(only) != 1 or name in only}
    if options == candidate.options:
        return candidate
    return replace(candidate, options=options) if all(options.values()) else None


def _leaf_names(target: Unit) -> tuple[object, ...]:
    return tuple((name, leaf_name(target, name), one.rank) for name, one in target.slots.items())


def contradicted(field: Field, usual: Mapping[tuple[str, str], str]) -> set[tuple[str, str]]:
    """Return the conventions that leave some leaf unfilled which another layout would fill."""
    fits: dict[tuple[str, str, int], bool] = {}
    seen: set[tuple[int, int]] = set()
    for (i, j), candidate in field.candidates.items():
        # Units of the same shapes share their candidates.
        if (id(candidate), j) in seen or may_be_table(field.sources[i], field.targets[j], candidate):
            continue
        seen.add((id(candidate), j))
        for slot, options in candidate.options.items():
            kind, name, _ = leaf_key(candidate, field.targets[j], slot)
            if slot == "weight" and (kind, name) in usual:
                ends = {bare(layout) for layout in options}
                key = kind, name, j
                fits[key] = fits.get(key, False) or usual[kind, name] in ends
    return {(kind, name) for (kind, name, _), fit in fits.items() if not fit}


def bare(layout: str) -> str:
    """Return the layout of one block of a stack.

    >>> bare("0:io"), bare("io")
    ('io', 'io')
    """
    return layout.partition(":")[2] or layout


def may_be_table(source: Unit, target: Unit, candidate: Candidate) -> bool:
    """Tell whether a linear could be an embedding: then it shows nothing of how linears are kept."""
    both = source.kinds & target.kinds
    return (
        candidate.kind == "linear" and "embedding" in both and not source.role and "bias" not in source.slots
    )


def leaf_key(candidate: Candidate, target: Unit, slot: str) -> Key:
    """Return what leaves are compared by."""
    return candidate.kind, leaf_name(target, slot), bool(candidate.sizes)


def leaf_name(target: Unit, slot: str) -> str:
    """Return what the leaf of a slot is called; all parameters with names of their own are called alike."""
    return slot if slot == "parameter" else _last(next(iter(target.slots[slot].paths.values())))


@cache
def _last(path: str) -> str:
    return path.replace(".", "/").rpartition("/")[2]
