"""Make the moves of matches whose layouts are chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ml_switcheroo.match.assignment.pairing import Match
from ml_switcheroo.match.candidates.candidate import Join
from ml_switcheroo.match.candidates.ways import Way
from ml_switcheroo.match.layouts.choosing import Chosen
from ml_switcheroo.match.units.parts_read import Findings
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes, Op, Stack, Unstack, trace
from ml_switcheroo.tensors import TensorSpec

__all__ = ["made_move", "moves_of", "way_of"]


def moves_of(
    match: Match, slot: str, choice: Chosen, specs: Mapping[str, TensorSpec], known: Findings
) -> Iterator[Move]:
    """Yield a move for each repetition of a slot."""
    have, want = match.source.slots[match.candidate.slots[slot]], match.target.slots[slot]
    for join in match.candidate.joins:
        way = way_of(match, slot, choice, join)
        sources = tuple(have.paths[index] for index in join.sources)
        leaves = tuple(want.paths[index] for index in join.leaves)
        ops = _ops(way, join, match.candidate.sizes)
        yield made_move(sources, leaves, ops, specs, known, match, choice.why)


def way_of(match: Match, slot: str, choice: Chosen, join: Join) -> Way:
    """Return the way of one repetition."""
    have, want = match.source.slots[match.candidate.slots[slot]], match.target.slots[slot]
    options = match.candidate.options[slot][str(choice.layout)]
    return options[have.specs[join.sources[0]].shape, want.specs[join.leaves[0]].shape]


def made_move(
    sources: tuple[str, ...],
    leaves: tuple[str, ...],
    ops: tuple[Op, ...],
    specs: Mapping[str, TensorSpec],
    known: Findings,
    match: Match,
    why: str,
) -> Move:
    """Make one move, with what is known of its tensors."""
    inputs = tuple(specs[name] for name in sources)
    findings = known.get(sources[0], ())
    certain = findings[0] if len(findings) == 1 else None
    read = "parameter" if match.candidate.kind == "norm" else match.candidate.kind
    reasons = (certain.reason if certain else "", match.why, why)
    return Move(
        sources=sources,
        leaves=leaves,
        ops=ops,
        inputs=inputs,
        outputs=trace(ops, inputs)[-1],
        kind=certain.kind if certain else read,
        origin="target",
        reason="; ".join(reason for reason in reasons if reason),
        where=certain.where if certain else "",
    )


def _ops(way: Way, join: Join, sizes: tuple[int, ...]) -> tuple[Op, ...]:
    axis = int(way.layout.partition(":")[0]) if sizes else 0
    if not sizes:
        return way.ops
    if len(join.leaves) == 1:
        return (*way.ops, Stack(axis), *_grid(axis, sizes, apart=True))
    return (*_grid(axis, sizes, apart=False), Unstack(axis), *way.ops)


def _grid(axis: int, sizes: tuple[int, ...], *, apart: bool) -> tuple[Op, ...]:
    """Take the one axis of several stacks apart, or put them together."""
    if len(sizes) < 2:
        return ()
    stacks = [f"s{i}" for i in range(len(sizes))]
    before = [f"b{i}" for i in range(axis)]
    one, many = " ".join([*before, f"({' '.join(stacks)})", "*rest"]), " ".join([*before, *stacks, "*rest"])
    if apart:
        return (Axes(f"{one} -> {many}", tuple(zip(stacks, sizes, strict=True))),)
    return (Axes(f"{many} -> {one}"),)
