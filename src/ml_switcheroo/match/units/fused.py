"""Fused projections: one tensor that holds several parts, on either side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ml_switcheroo.match.units.unit import Piece, Unit
from ml_switcheroo.sources.findings import Parts

__all__ = ["FUSED", "cut"]

FUSED: Mapping[str, tuple[str, ...]] = {
    "qkv": ("q", "k", "v"),
    "kv": ("k", "v"),
    "mixed": ("q", "k", "v"),
    "gate_up": ("gate", "up"),
}
"""The parts of a fused projection, as its name says them."""


def cut(
    units: Sequence[Unit],
    others: Sequence[Unit],
    read: Callable[[Unit], tuple[Parts, str] | None] | None = None,
) -> list[Unit]:
    """Take fused units apart, where the other tree has their parts one by one.

    A name says which parts there are, but neither their order nor how their rows lie.

    Args:
        units: The units of one tree.
        others: The units of the other tree.
        read: Gives the parts of a unit where they are known, and what shows them.
    """
    roles = {unit.role for unit in others}
    found: list[Unit] = []
    for unit in units:
        known = read(unit) if read is not None else None
        if known is not None and (len(known[0].parts) > 1 or _turned(known[0], others)):
            names = tuple(part.role for part in known[0].parts)
            pieces = [
                Piece(number, len(names), part, known[1], known[0].axis)
                for number, part in enumerate(known[0].parts)
            ]
            unit = replace(unit, kinds=frozenset({"linear"})) if unit.kinds == {"parameter"} else unit
        else:
            names = FUSED.get(unit.role, ())
            pieces = [Piece(number, len(names)) for number in range(len(names))]
        if not names or (unit.role and unit.role in roles - set(names)) or not roles.issuperset(names):
            found.append(unit)
            continue
        for name, piece in zip(names, pieces, strict=True):
            words = tuple(word for word in unit.words if word not in (unit.role, *names))
            found.append(replace(unit, role=name, words=(*words, name), piece=piece))
    return found


def _turned(parts: Parts, others: Sequence[Unit]) -> bool:
    """Tell whether a single projection has its heads in turns, and the other tree an axis for them."""
    (part,) = parts.parts
    strides = [stride for _, stride in part.axes]
    heads = [unit for unit in others if unit.role == part.role and "weight" in unit.slots]
    return strides != sorted(strides, reverse=True) and any(
        unit.slots["weight"].rank == _WITH_HEADS for unit in heads
    )


_WITH_HEADS = 3
