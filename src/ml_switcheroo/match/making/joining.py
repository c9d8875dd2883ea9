"""The moves of fused tensors, whose parts were matched one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ml_switcheroo.match.assignment.pairing import Match
from ml_switcheroo.match.candidates.candidate import Join
from ml_switcheroo.match.candidates.ways import Shape, Way
from ml_switcheroo.match.layouts.choosing import Chosen
from ml_switcheroo.match.making.arrangements import arrangements, head_sizes
from ml_switcheroo.match.making.moves import made_move, way_of
from ml_switcheroo.match.making.parting import Rows, in_blocks, parted
from ml_switcheroo.match.units.parts_read import Findings
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes, Op, trace
from ml_switcheroo.sources.findings import Part, Parts
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Fused", "certain", "possible"]


@dataclass(frozen=True)
class Fused:
    """One slot of a fused unit, with the matches of its parts.

    Attributes:
        slot: ``weight`` or ``bias``.
        parts: The match of each part, and the layout that was chosen for it.
    """

    slot: str
    parts: Sequence[tuple[Match, Chosen]]

    @property
    def cut(self) -> bool:
        """Whether the source is the fused one."""
        return self.parts[0][0].source.piece is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The roles of the parts."""
        return tuple(match.source.role if self.cut else match.target.role for match, _ in self.parts)

    @property
    def read(self) -> tuple[Part, ...] | None:
        """The parts as they are known to lie; None where they are not."""
        pieces = [match.source.piece or match.target.piece for match, _ in self.parts]
        parts = [piece.part for piece in pieces if piece is not None and piece.part is not None]
        return tuple(parts) if len(parts) == len(pieces) else None

    @property
    def why(self) -> str:
        """What shows how they lie."""
        piece = self.parts[0][0].source.piece
        return piece.why if piece is not None else ""


@dataclass(frozen=True, slots=True)
class _Repetition:
    """One repetition of a fused slot: its tensors and leaves, and what is done to each part."""

    sources: tuple[str, ...]
    leaves: tuple[str, ...]
    ways: tuple[Way, ...]
    whole: TensorSpec
    shapes: tuple[Shape, ...]


def certain(fused: Fused, specs: Mapping[str, TensorSpec], known: Findings) -> list[Move]:
    """Return the moves of a slot whose parts are known; none where they do not fit the leaves.

    A leaf without heads does not say which of its axes comes first, the heads or their rows: nothing is
    certain where the fused tensor has them the other way round. Nor is it where forward was not followed to
    where the heads are divided.
    """
    if fused.read is None:
        return []
    made: list[Move] = []
    for repetition in _repetitions(fused):
        said = [
            finding.parts for finding in known.get(repetition.sources[0], ()) if finding.parts is not None
        ]
        parts = said[0].parts if said else fused.read
        heads = [len(shape) == _WITH_HEADS[fused.slot] for shape in repetition.shapes]
        undivided = any(part.heads is None and part.role in "qkv" for part in parts)
        if (not any(heads) and not all(map(_rising, parts))) or (said and undivided):
            return []
        why = _why(said[0]) if said else fused.why
        found = list(_moves(fused, parts, why, specs, known, [repetition]))
        if not found:
            return []
        made += found
    return made


def _why(parts: Parts) -> str:
    return f"cut as forward says, {parts.where}" if parts.where else "cut as forward says"


def possible(
    fused: Fused, specs: Mapping[str, TensorSpec], known: Findings
) -> list[tuple[str, tuple[Part, ...], list[Move]]]:
    """Return the ways in which the parts may lie: in words, as parts, and with their moves."""
    repetitions = list(_repetitions(fused))
    sizes = _sizes(repetitions)
    if not repetitions or sizes is None:
        return []
    inner = _inner(repetitions[0], sizes)
    dims = [inner] if inner else head_sizes(sizes) if fused.names[0] in "qkv" else []
    found = []
    seen: set[object] = set()
    for words, parts in (*_kept(fused), *arrangements(fused.names, sizes, dims, heads=bool(inner))):
        moves = list(_moves(fused, parts, words, specs, known, repetitions))
        effect = (moves[0].sources, moves[0].leaves, moves[0].ops) if moves else None
        if effect is not None and effect not in seen:
            seen.add(effect)
            found.append((words, parts, moves))
    return found


def _kept(fused: Fused) -> Iterator[tuple[str, tuple[Part, ...]]]:
    """Yield the two orders that a leaf without an axis of heads can have, where forward reads dims first."""
    if (parts := fused.read) is None:
        return
    yield f"{fused.why}: head by head", parts
    rising = []
    for part in parts:
        axes = tuple(sorted(part.axes, key=lambda axis: -axis[1]))
        rising.append(Part(part.role, part.start, axes))
    yield f"{fused.why}: each in the order of the rows", tuple(rising)


_WITH_HEADS = {"weight": 3, "bias": 2, "parameter": 3}


def _rising(part: Part) -> bool:
    return all(a[1] >= b[1] for a, b in zip(part.axes, part.axes[1:], strict=False))


def _sizes(repetitions: Sequence[_Repetition]) -> list[int] | None:
    """Return how many rows each part has, where they make up the whole in every repetition."""
    found = None
    for repetition in repetitions:
        axis = repetition.ways[0].axis or 0
        sizes = [way.size for way in repetition.ways]
        if sum(sizes) != repetition.whole.shape[axis] or (found is not None and sizes != found):
            return None
        found = sizes
    return found


def _inner(repetition: _Repetition, sizes: Sequence[int]) -> int:
    """Return how many rows a head has, where the leaves say so; 0 where they do not."""
    dims = {dict(op.sizes).get("dim") for way in repetition.ways for op in way.ops if hasattr(op, "sizes")}
    inner = dims.pop() if len(dims) == 1 else None
    return inner if inner and all(size % inner == 0 for size in sizes) else 0


def _repetitions(fused: Fused) -> Iterator[_Repetition]:
    first = fused.parts[0][0]
    for number in range(len(first.candidate.joins)):
        rows: list[tuple[Match, Chosen, Join]] = [
            (match, choice, match.candidate.joins[number]) for match, choice in fused.parts
        ]
        found = [way_of(match, fused.slot, choice, join) for match, choice, join in rows]
        have = [match.source.slots[match.candidate.slots[fused.slot]] for match, _, _ in rows]
        want = [match.target.slots[fused.slot] for match, _, _ in rows]
        sources = [slot.paths[join.sources[0]] for slot, (_, _, join) in zip(have, rows, strict=True)]
        leaves = [slot.paths[join.leaves[0]] for slot, (_, _, join) in zip(want, rows, strict=True)]
        own = [slot.specs[join.sources[0]] for slot, (_, _, join) in zip(have, rows, strict=True)]
        other = [slot.specs[join.leaves[0]] for slot, (_, _, join) in zip(want, rows, strict=True)]
        whole, ends = (own[0], other) if fused.cut else (other[0], own)
        yield _Repetition(
            tuple(dict.fromkeys(sources)),
            tuple(dict.fromkeys(leaves)),
            tuple(found),
            whole,
            tuple(spec.shape for spec in ends),
        )


def _moves(
    fused: Fused,
    parts: Sequence[Part],
    why: str,
    specs: Mapping[str, TensorSpec],
    known: Findings,
    repetitions: Sequence[_Repetition],
) -> Iterator[Move]:
    """Yield the moves of a slot for one way its parts may lie; none where some repetition does not fit."""
    names = fused.names
    if sorted(names) != sorted(part.role for part in parts):
        return
    order = [names.index(part.role) for part in parts]
    first = fused.parts[0][0]
    made = []
    for repetition in repetitions:
        found = _ops(fused, repetition, parts, order)
        if found is None:
            return
        rows, ops = found
        one_by_one = "its parts one after another" if in_blocks(parts) else f"its rows are {rows}"
        reason = why if "after another" in why or "turns" in why else f"{why}: {one_by_one}"
        ends = repetition.leaves if fused.cut else repetition.sources
        sorted_ends = tuple(ends[number] for number in order)
        sources, leaves = (repetition.sources, sorted_ends) if fused.cut else (sorted_ends, repetition.leaves)
        made.append(made_move(sources, leaves, ops, specs, known, first, reason))
    yield from made


def _ops(
    fused: Fused, repetition: _Repetition, parts: Sequence[Part], order: Sequence[int]
) -> tuple[Rows | None, tuple[Op, ...]] | None:
    candidate = fused.parts[0][0].candidate
    kind = candidate.kind if fused.slot in ("weight", "parameter") else "vector"
    sizes = [repetition.ways[number].size for number in order]
    if fused.cut and sizes != [part.size for part in parts]:
        return None
    if sum(part.size for part in parts) != repetition.whole.shape[repetition.ways[0].axis or 0]:
        return None
    shapes = [repetition.shapes[number] for number in order]
    if fused.cut:
        ways = tuple(repetition.ways[number] for number in order)
        return parted(tuple(parts), ways, tuple(shapes), _kept_as(kind, candidate.order))
    way = repetition.ways[0]
    there = "oi" if kind == "linear" and way.axis == 0 else "io"
    kept = _kept_as(kind, there)
    back = _reversed(way, kept)
    if back is None:
        return None
    found = parted(tuple(parts), (back,) * len(parts), tuple(shapes), kept)
    if found is None:
        return None
    stations = trace(found[1], (repetition.whole,))
    inverse = [op.inverse(at) for op, at in zip(found[1], stations, strict=False)][::-1]
    if any(op is None for op in inverse):
        return None
    return found[0], tuple(op for op in inverse if op is not None)


def _reversed(way: Way, kept: str) -> Way | None:
    """Return the way back from a part of a fused leaf to a tensor, spelled with the axes of the leaf."""
    if not way.ops:
        return Way(way.layout, ())
    if kept == "out" or len(way.ops) != 1:
        return None
    axes = kept.split()
    return Way(way.layout, (Axes(f"{kept} -> {axes[1]} {axes[0]}"),)) if len(axes) == 2 else None


def _kept_as(kind: str, order: str) -> str:
    if kind == "vector":
        return "out"
    if kind == "conv":
        return "out in *space"
    return "out in" if order == "oi" else "in out"
