"""A fused tensor that stays one leaf, whose parts and heads become axes of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from ml_switcheroo.axes import equation
from ml_switcheroo.match.assignment.pairing import Match
from ml_switcheroo.match.making.parting import rows_of
from ml_switcheroo.match.units.fused import FUSED
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes
from ml_switcheroo.sources.findings import Part

__all__ = ["is_spread", "spread_as", "spreads"]


def is_spread(match: Match, moves: Sequence[Move]) -> bool:
    """Tell whether the rows of a fused tensor are divided, by axes that its name alone says it has."""
    return match.source.role in FUSED and all(_group(move) for move in moves) and bool(moves)


def spread_as(moves: Sequence[Move], parts: Sequence[Part], why: str) -> list[Move] | None:
    """Return the moves for rows that are known; None where the leaf has other axes than they."""
    found = []
    for move in moves:
        sizes = _sizes(move)
        if "part" not in _group(move):
            rows = rows_of(parts, [part.heads or 1 for part in parts])
            wanted = tuple(sizes[name] for name in _group(move))
            if rows is None or rows.names[0] != "part" or not _begins(rows.sizes, wanted):
                return None
            found.append(replace(move, reason=f"{move.reason}; {why}: its rows are {rows}"))
            continue
        heads = sizes.get("heads", 1)
        if sizes.get("part", len(parts)) != len(parts) or any(p.heads not in (None, heads) for p in parts):
            return None
        rows = rows_of(parts, [heads] * len(parts))
        names = [name.replace("head", "heads") for name in rows.names] if rows is not None else []
        if names[:1] == list(_group(move)[:1]) and len(_group(move)) == 2 < len(names):
            names = list(_group(move))  # the rest of the rows is one axis
        if sorted(names) != sorted(_group(move)):
            return None
        turned = _with_order(move, names)
        found.append(replace(turned, reason=f"{move.reason}; {why}: its rows are {rows}"))
    return found


def spreads(moves: Sequence[Move]) -> Iterator[tuple[str, list[Move]]]:
    """Yield the orders in which the rows may have these axes, in words, and the moves."""
    for order in permutations(_group(moves[0])):
        yield f"its rows are ({' '.join(order)})", [_with_order(move, order) for move in moves]


def _begins(rows: Sequence[int], wanted: Sequence[int]) -> bool:
    """Tell whether axes begin as those of the rows do; the last one may hold all the rest."""
    return tuple(rows[: len(wanted) - 1]) == tuple(wanted[:-1])


def _group(move: Move) -> tuple[str, ...]:
    """Return the axes that the rows are divided into; none where they stay one axis."""
    step = move.ops[0] if len(move.ops) == 1 else None
    if not isinstance(step, Axes):
        return ()
    source, target = (side.strip() for side in step.equation.split("->"))
    groups = [group for group in equation(source, target).source.groups if len(group) > 1]
    return groups[0] if len(groups) == 1 and _AXES.issuperset(groups[0]) else ()


_AXES = frozenset({"part", "groups", "heads", "dim"})


def _sizes(move: Move) -> dict[str, int]:
    step = move.ops[0]
    if not isinstance(step, Axes):
        return {}
    source, target = (side.strip() for side in step.equation.split("->"))
    return dict(equation(source, target).bind(move.inputs[0].shape, dict(step.sizes)).sizes)


def _with_order(move: Move, order: Sequence[str]) -> Move:
    """Return the move for rows whose axes have another order."""
    step, sizes = move.ops[0], _sizes(move)
    if not isinstance(step, Axes):
        return move
    source, target = step.equation.split("->")
    turned = source.replace(f"({' '.join(_group(move))})", f"({' '.join(order)})")
    return replace(move, ops=(Axes(f"{turned}->{target}", tuple((name, sizes[name]) for name in order[1:])),))
