"""How the source keeps its matrices: ``out in`` as torch's Linear, or ``in out`` as others do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ml_switcheroo.match.paths.repeats import Token
from ml_switcheroo.match.units.unit import Unit

__all__ = ["Order", "nearest", "order_by_bias", "orders"]

Order = str


def orders(found: Sequence[Unit], known: Mapping[tuple[Token, ...], Order]) -> list[Order]:
    """Return for each unit whether its matrix is ``oi`` or ``io``.

    A bias is as long as the outputs: a matrix that is not square shows the order of its module. The
    others are kept like the nearest one that shows it; where none does, like torch's Linear.

    Args:
        found: The units of the source.
        known: By pattern of the unit, or of a tensor that is placed already, what is sure.
    """
    shown = {unit.pattern: known.get(unit.pattern) or order_by_bias(unit) for unit in found}
    witnesses = {**known, **{pattern: order for pattern, order in shown.items() if order}}
    result = []
    for unit in found:
        mine = shown[unit.pattern]
        near = None if mine else nearest(unit.pattern, witnesses)
        result.append(mine or (next(iter(near)) if near and len(near) == 1 else "oi"))
    return result


def order_by_bias(unit: Unit) -> Order | None:
    """Return how a unit keeps its matrix, where its bias shows it."""
    weight, bias = unit.slots.get("weight"), unit.slots.get("bias")
    if weight is None or bias is None or weight.rank != 2 or bias.rank != 1:
        return None
    seen = set()
    for index, spec in weight.specs.items():
        if index not in bias.specs:
            continue
        (size,) = bias.specs[index].shape
        rows, columns = spec.shape
        if rows != columns:
            seen.add("oi" if size == rows else "io" if size == columns else "")
    return seen.pop() or None if len(seen) == 1 else None


def nearest(pattern: tuple[Token, ...], witnesses: Mapping[tuple[Token, ...], str]) -> set[str]:
    """Return what the nearest witnesses say: those with the longest common beginning."""
    best, found = -1, set[str]()
    for other, value in witnesses.items():
        shared = 0
        for mine, theirs in zip(pattern, other, strict=False):
            if mine != theirs:
                break
            shared += 1
        if shared > best:
            best, found = shared, {value}
        elif shared == best:
            found.add(value)
    return found
