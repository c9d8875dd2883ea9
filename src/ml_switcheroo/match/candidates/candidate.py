"""Which units can belong together: those with kinds, roles, repetitions and shapes that agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ml_switcheroo.match.candidates.grids import Axis, corresponding, crossed, kept_axes
from ml_switcheroo.match.candidates.ways import Way, cuts, later_rows, stacked, ways
from ml_switcheroo.match.candidates.ways import joins as joins_of
from ml_switcheroo.match.paths.vocabulary import apart, contradict
from ml_switcheroo.match.units.norms import agree, elsewhere
from ml_switcheroo.match.units.roles import NORM
from ml_switcheroo.match.units.unit import Index, Unit, UnitSlot

__all__ = ["Candidate", "Join", "Shared", "candidate_of", "misfit", "veto"]


@dataclass(frozen=True, slots=True)
class Join:
    """The tensors that become one leaf, or the leaves that one tensor becomes.

    Attributes:
        sources: Indices of the source's repetitions.
        leaves: Indices of the target's repetitions.
    """

    sources: tuple[Index, ...]
    leaves: tuple[Index, ...]


@dataclass(frozen=True)
class Candidate:
    """A source unit and a target unit that can belong together.

    Attributes:
        kind: As what the tensors are read.
        joins: Which repetitions go together.
        sizes: Sizes of the axes that are stacked or unstacked; empty for none.
        slots: Slot of the target -> slot of the source.
        options: For each slot of the target every layout that fits all repetitions, with the ways by shapes.
        order: How the source keeps its matrix: ``oi`` or ``io``.
    """

    kind: str
    joins: tuple[Join, ...]
    sizes: tuple[int, ...]
    slots: Mapping[str, str]
    options: Mapping[str, Mapping[str, Mapping[tuple[object, object], Way]]]
    order: str


Shared = dict[tuple[object, ...], Candidate | None]
"""Candidates that were found already, by all that they depend on."""


def candidate_of(source: Unit, target: Unit, order: str, known: Shared) -> Candidate | None:
    """Return how two units can belong together; None where they cannot.

    Args:
        source: A unit of the source.
        target: A unit of the target.
        order: How the source keeps matrices: ``oi`` or ``io``.
        known: The candidates between units of the same shapes; a new one is added.
    """
    if veto(source, target):
        return None
    alike, same = source.unknown == target.unknown, source.pattern == target.pattern
    axes = corresponding(source, target)
    key = (_outline(source), _outline(target), order, alike, same, axes)
    if key not in known:
        known[key] = _made(source, target, order, axes)
    return known[key]


def veto(source: Unit, target: Unit) -> str:
    """Say what in their names keeps two units apart, whatever their shapes; empty for nothing."""
    # Every pair of units comes here: the texts are constants, and what is cheap is asked first.
    if source.role and target.role and source.role != target.role:
        return "another part of the network"
    if NORM in (source.role, target.role) and agree(source, target) is False:
        return "a norm of another place in the block"
    if contradict(source.said, target.said):
        return "a word contradicts it"
    if elsewhere(source, target):
        return "a norm of another end of the network"
    if crossed(source, target):
        return "what counts blocks in one is a name in the other"
    if not source.inside and not target.inside and _apart(source, target):
        return "a word of its own name contradicts it"
    # extra_q_proj beside a q_proj is something else than q_proj, whatever the other tree calls that.
    if not (source.more <= target.said and target.more <= source.said):
        return "an unknown word tells it from another module of its tree"
    return ""


def misfit(source: Unit, target: Unit) -> str:
    """Say what in their tensors keeps two units apart, where their names do not."""
    if _slots(source, target) is None:
        return "one has a weight, the other none"
    if not any(_alignments(source, target, corresponding(source, target))):
        return "repeated in other blocks"
    if not _readings(source, target):
        return "another kind"
    return "no layout gives its shape"


def _apart(source: Unit, target: Unit) -> bool:
    """Tell whether the names of two modules outside of blocks exclude each other: a head and an aux_head."""
    heads = "head" in source.tail & target.tail and source.unknown != target.unknown
    return heads or apart(source.tail, target.tail)


_TELLING = frozenset({"embed", "tok", "pos", "seg", "dense", "head"})


def _outline(unit: Unit) -> tuple[object, ...]:
    """Return all of a unit that its candidates depend on, its name aside."""
    return unit.outline, unit.tail & _TELLING, "pos" in unit.words, not unit.unknown


def _made(source: Unit, target: Unit, order: str, axes: tuple[Axis, ...]) -> Candidate | None:
    slots = _slots(source, target)
    if slots is None:
        return None
    for joins, sizes in _alignments(source, target, axes):
        for kind in _readings(source, target):
            options = {}
            for slot, mine in slots.items():
                options[slot] = _fitting(source, target, slot, mine, joins, sizes, kind, order)
            if all(options.values()):
                return Candidate(kind, joins, sizes, slots, options, order)
    return None


def _readings(source: Unit, target: Unit) -> Sequence[str]:
    both = source.kinds & target.kinds
    if not both and "parameter" in source.kinds | target.kinds:
        both = frozenset({"parameter"}) if "parameter" in source.kinds else source.kinds
    words = source.tail | target.tail
    table = words & _TABLES and not words & {"dense", "head"}
    return [kind for kind in (_TABLE_FIRST if table else _TABLE_LAST) if kind in both]


_TABLES = frozenset({"embed", "tok", "pos", "seg"})
_TABLE_LAST = ("norm", "conv", "linear", "embedding", "parameter")
_TABLE_FIRST = ("norm", "conv", "embedding", "linear", "parameter")


def _slots(source: Unit, target: Unit) -> dict[str, str] | None:
    """Pair the slots; None where the weights have no partner."""
    found = {}
    for slot in target.slots:
        if slot in source.slots:
            found[slot] = slot
        elif slot in ("weight", "parameter"):
            other = "parameter" if slot == "weight" else "weight"
            if other in source.slots and (slot == "parameter" or len(target.slots) == 1):
                found[slot] = other
    if not found or not {"weight", "parameter"} & set(target.slots) <= set(found):
        return None
    # A tied head leaves its bias alone: its weight is the embedding's.
    known = source.pattern == target.pattern or (not target.containers and not target.unknown)
    alone = known and target.slots.keys() == {"bias"}
    if not alone and not {"weight", "parameter"} & set(source.slots) <= set(found.values()):
        return None
    return found


def _alignments(
    source: Unit, target: Unit, axes: tuple[Axis, ...]
) -> Iterator[tuple[tuple[Join, ...], tuple[int, ...]]]:
    here, there = source.indices, target.indices
    counts = len(source.containers), len(target.containers)
    more = counts[0] - counts[1]
    if more and (source.piece or target.piece) and (here != source.span or there != target.span):
        return
    if more == 0:
        # Every third block may have a cross attention: as both trees have all blocks, it is in the same ones.
        alike = source.unknown == target.unknown and not (source.piece or target.piece)
        kept = next(kept_axes(len(source.containers), len(target.containers), axes))
        place = {index: tuple(index[axis] for axis in kept) for index in sorted(here)}
        span = {tuple(index[axis] for axis in kept) for index in source.span}
        turned = frozenset(place.values())
        nested = alike and (turned <= there or there <= turned)
        if turned == there or (nested and span == target.span and len(span) > 1):
            yield tuple(Join((index,), (at,)) for index, at in place.items() if at in there), ()
    elif more > 0:
        for groups, sizes in _groups(here, there, kept_axes(*counts, axes)):
            yield tuple(Join(many, (one,)) for one, many in groups), sizes
            if set(sizes) == {1}:
                yield tuple(Join(many, (one,)) for one, many in groups), ()
    else:
        back = tuple((other, mine) for mine, other in axes)
        for groups, sizes in _groups(there, here, kept_axes(*counts[::-1], back)):
            yield tuple(Join((one,), many) for one, many in groups), sizes
            if set(sizes) == {1}:
                yield tuple(Join((one,), many) for one, many in groups), ()


def _groups(
    many: frozenset[Index], few: frozenset[Index], orders: Iterator[tuple[int, ...]]
) -> Iterator[tuple[list[tuple[Index, tuple[Index, ...]]], tuple[int, ...]]]:
    """Group the longer indices by the axes that the shorter ones have."""
    longer = len(next(iter(many)))
    for kept in orders:
        groups: dict[Index, list[Index]] = {}
        for index in sorted(many):
            groups.setdefault(tuple(index[i] for i in kept), []).append(index)
        if groups.keys() != few:
            continue
        gone = [i for i in range(longer) if i not in kept]
        grids = {tuple(tuple(index[i] for i in gone) for index in group) for group in groups.values()}
        if len(grids) != 1:
            continue
        (grid,) = grids
        axes = [sorted({index[i] for index in grid}) for i in range(len(gone))]
        if tuple(product(*axes)) == grid:
            yield [(one, tuple(group)) for one, group in groups.items()], tuple(map(len, axes))


def _fitting(
    source: Unit,
    target: Unit,
    slot: str,
    mine: str,
    joins: Sequence[Join],
    sizes: tuple[int, ...],
    kind: str,
    order: str,
) -> dict[str, dict[tuple[object, object], Way]]:
    """Return every layout that fits all repetitions of one slot."""
    have, want = source.slots[mine], target.slots[slot]
    pairs = set()
    for join in joins:
        if join.sources[0] not in have.specs or join.leaves[0] not in want.specs:
            return {}
        pairs.add((have.specs[join.sources[0]].shape, want.specs[join.leaves[0]].shape))
    if _uneven(have, joins) or _uneven(want, joins, leaves=True):
        return {}
    if sizes and (source.piece or target.piece):
        return {}
    several = len(joins[0].sources) > 1
    heads = _heads(source, target, slot)
    found: dict[str, dict[tuple[object, object], Way]] = {}
    for shape, wanted in pairs:
        reading = kind if slot in ("weight", "parameter", "direction") or kind == "norm" else "vector"
        if source.piece:
            size = source.piece.part.size if source.piece.part is not None else 0
            cut = cuts(reading, order, shape, wanted, heads, whole=source.piece.count == 1)
            here = {way.layout: way for way in cut if size in (0, way.size)}
        elif target.piece:
            here = {way.layout: way for way in joins_of(reading, order, shape, wanted)}
        else:
            here = dict(_between(reading, order, shape, wanted, sizes, heads, several=several))
            if not here and "pos" in (*source.words, *target.words):
                here = {way.layout: way for way in later_rows(shape, wanted)}
        found = {
            layout: {**found.get(layout, {}), (shape, wanted): way}
            for layout, way in here.items()
            if not found or layout in found
        }
        if not found:
            return {}
    return found


def _uneven(held: UnitSlot, joins: Sequence[Join], *, leaves: bool = False) -> bool:
    """Tell whether tensors cannot be stacked: their shapes differ, or some are not there."""
    for join in joins:
        indices = join.leaves if leaves else join.sources
        if any(index not in held.specs for index in indices):
            return True
        if len({held.specs[index].shape for index in indices}) != 1:
            return True
    return False


def _between(
    kind: str,
    order: str,
    shape: tuple[int, ...],
    wanted: tuple[int, ...],
    sizes: tuple[int, ...],
    heads: str,
    *,
    several: bool,
) -> Iterator[tuple[str, Way]]:
    if not sizes:
        for way in ways(kind, order, shape, wanted, heads):
            yield way.layout, way
        return
    for axis, one in stacked(sizes, wanted if several else shape):
        pair = (shape, one) if several else (one, wanted)
        for way in ways(kind, order, *pair, heads):
            yield f"{axis}:{way.layout}", Way(f"{axis}:{way.layout}", way.ops)


def _heads(source: Unit, target: Unit, slot: str) -> str:
    """Tell which axis of a linear has the heads: by the part it is, or by its bias."""
    part = source.role or target.role
    if part in ("q", "k", "v", "kv"):
        return "out"
    if part in ("qkv", "mixed"):
        return part
    if part == "o":
        return "in"
    bias, weight = target.slots.get("bias"), target.slots.get(slot)
    if bias is not None and weight is not None and weight.rank - bias.rank in (1, 2):
        return "out" if weight.rank - bias.rank == 1 and bias.rank > 1 else "in"
    return ""
