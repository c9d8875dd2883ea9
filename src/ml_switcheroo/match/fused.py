"""Fused projections: one tensor that holds several parts, on either side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ml_switcheroo.match.layouts import Shape, Way, ways
from ml_switcheroo.match.units import Piece, Unit

__all__ = ["FUSED", "cut", "cuts", "joins"]

FUSED: Mapping[str, tuple[str, ...]] = {
    "qkv": ("q", "k", "v"),
    "kv": ("k", "v"),
    "mixed": ("q", "k", "v"),
    "gate_up": ("gate", "up"),
}
"""The parts of a fused projection, in the order in which its name says them."""


def cut(units: Sequence[Unit], others: Sequence[Unit]) -> list[Unit]:
    """Take the fused units apart whose parts the other tree has one by one.

    Args:
        units: The units of one tree.
        others: The units of the other tree.
    """
    roles = {unit.role for unit in others}
    found: list[Unit] = []
    for unit in units:
        parts = FUSED.get(unit.role, ())
        if not parts or unit.role in roles or not roles.issuperset(parts):
            found.append(unit)
            continue
        doubtful = unit.role == "mixed" or (unit.role == "gate_up" and unit.kinds == {"parameter"})
        for number, part in enumerate(parts):
            words = tuple(word for word in unit.words if word not in (unit.role, *parts))
            piece = Piece(number, len(parts), doubtful)
            found.append(replace(unit, role=part, words=(*words, part), piece=piece))
    return found


def cuts(kind: str, order: str, shape: Shape, wanted: Shape, heads: str) -> Iterator[Way]:
    """Yield every way from a part of a fused tensor to a leaf.

    Args:
        kind: As what the tensor is read; ``vector`` for a bias.
        order: For a linear, how its matrix is kept: ``oi`` or ``io``.
        shape: Shape of the fused tensor.
        wanted: Shape of the leaf.
        heads: Which axis can be split into heads.
    """
    for axis in _axes(kind, order, shape):
        part = _part(shape, axis, wanted)
        if part is not None:
            for way in ways(kind, order, part, wanted, heads):
                # Along which axis a tensor of unknown make is fused, is part of the layout.
                layout = way.layout if len(_axes(kind, order, shape)) == 1 else f"{way.layout}, cut on {axis}"
                yield replace(way, layout=layout, axis=axis, size=part[axis])


def joins(kind: str, order: str, shape: Shape, wanted: Shape) -> Iterator[Way]:
    """Yield every way from a tensor to its part of a fused leaf."""
    for axis in range(len(wanted)):
        part = _part(wanted, axis, shape)
        for way in ways(kind, order, shape, part) if part is not None else ():
            if kind != "linear":
                yield replace(way, layout=f"{way.layout}, joined on {axis}", axis=axis)
            elif (way.layout, axis) in (("oi", 0), ("io", 1)):
                yield replace(way, axis=axis)


def _axes(kind: str, order: str, shape: Shape) -> tuple[int, ...]:
    if len(shape) == 1:
        return (0,)
    if kind == "linear":
        return (0,) if order == "oi" else (1,)
    return (len(shape) - 2, len(shape) - 1)


def _part(whole: Shape, axis: int, part: Shape) -> Shape | None:
    """Return the shape of the part of a tensor that has as many elements as another."""
    rest = math.prod(whole) // max(1, whole[axis])
    size = math.prod(part)
    if rest == 0 or size % rest or not 0 < size // rest < whole[axis]:
        return None
    return (*whole[:axis], size // rest, *whole[axis + 1 :])
