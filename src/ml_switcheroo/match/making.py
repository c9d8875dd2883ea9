"""Make the moves of matches whose layouts are chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ml_switcheroo.match.choosing import Chosen
from ml_switcheroo.match.layouts import Way
from ml_switcheroo.match.links import Join
from ml_switcheroo.match.pairing import Match
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes, Concat, Op, Split, Stack, Unstack, trace
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec

__all__ = ["fused_moves", "mixed", "moves_of"]

Known = Mapping[str, Sequence[Finding]]


def moves_of(
    match: Match, role: str, choice: Chosen, specs: Mapping[str, TensorSpec], known: Known
) -> Iterator[Move]:
    """Yield a move for each repetition of a slot."""
    have, want = match.source.slots[match.link.slots[role]], match.target.slots[role]
    for join in match.link.joins:
        way = way_of(match, role, choice, join)
        sources = tuple(have.paths[index] for index in join.sources)
        leaves = tuple(want.paths[index] for index in join.leaves)
        ops = _ops(way, join, match.link.sizes)
        yield _move(sources, leaves, ops, specs, known, match, choice.why)


def way_of(match: Match, role: str, choice: Chosen, join: Join) -> Way:
    """Return the way of one repetition."""
    have, want = match.source.slots[match.link.slots[role]], match.target.slots[role]
    options = match.link.options[role][str(choice.layout)]
    return options[have.specs[join.sources[0]].shape, want.specs[join.leaves[0]].shape]


def fused_moves(
    parts: Sequence[tuple[Match, Chosen]], role: str, specs: Mapping[str, TensorSpec], known: Known
) -> Iterator[Move]:
    """Yield the moves of a fused slot, whose parts were matched one by one, in their order.

    Nothing is yielded for a repetition whose parts do not make up the whole, or differ in what is done.
    """
    first = parts[0][0]
    cut = first.source.piece is not None
    for place in range(len(first.link.joins)):
        rows = [(match, choice, match.link.joins[place]) for match, choice in parts]
        found = [way_of(match, role, choice, join) for match, choice, join in rows]
        sources, leaves = [], []
        for match, _, join in rows:
            sources.append(match.source.slots[match.link.slots[role]].paths[join.sources[0]])
            leaves.append(match.target.slots[role].paths[join.leaves[0]])
        ops = _fuse(found, [specs[name] for name in sources], rows[0], role, cut=cut)
        if ops is not None:
            names = tuple(dict.fromkeys(sources)), tuple(dict.fromkeys(leaves))
            yield _move(*names, ops, specs, known, first, "its parts one after another")


def mixed(move: Move, parts: int) -> Move:
    """Return the move for parts that do not lie one after another, but in turns.

    Heads take turns where the leaves are split into heads, single rows where they are not.
    """
    cut = isinstance(move.ops[0], Split)
    step = move.ops[0] if cut else move.ops[-1]
    shape = (move.inputs if cut else move.outputs)[0].shape
    axis = step.axis if isinstance(step, Split | Concat) else 0
    heads = [size for op in move.ops if isinstance(op, Axes) for name, size in op.sizes if name == "dim"]
    inner = heads[0] if heads else 1
    names = [f"x{number}" for number in range(len(shape))]
    turns, rows = list(names), list(names)
    turns[axis], rows[axis] = "(turn part row)", "(part turn row)"
    sizes = (("part", parts), ("row", inner))
    if cut:
        ops = (Axes(f"{' '.join(turns)} -> {' '.join(rows)}", sizes), *move.ops)
    else:
        ops = (*move.ops, Axes(f"{' '.join(rows)} -> {' '.join(turns)}", sizes))
    return replace(move, ops=ops)


def _fuse(
    found: Sequence[Way],
    inputs: Sequence[TensorSpec],
    row: tuple[Match, Chosen, Join],
    role: str,
    *,
    cut: bool,
) -> tuple[Op, ...] | None:
    match, _, join = row
    axis = found[0].axis
    if axis is None or any((way.axis, way.ops) != (axis, found[0].ops) for way in found):
        return None
    if not cut:
        shapes = [trace(found[0].ops, (spec,))[-1][0].shape for spec in inputs]
        whole = match.target.slots[role].specs[join.leaves[0]].shape
        return (*found[0].ops, Concat(axis)) if sum(shape[axis] for shape in shapes) == whole[axis] else None
    sizes = tuple(way.size for way in found)
    return (Split(axis, sizes), *found[0].ops) if sum(sizes) == inputs[0].shape[axis] else None


def _move(
    sources: tuple[str, ...],
    leaves: tuple[str, ...],
    ops: tuple[Op, ...],
    specs: Mapping[str, TensorSpec],
    known: Known,
    match: Match,
    why: str,
) -> Move:
    inputs = tuple(specs[name] for name in sources)
    findings = known.get(sources[0], ())
    certain = findings[0] if len(findings) == 1 else None
    read = "parameter" if match.link.kind == "norm" else match.link.kind
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
