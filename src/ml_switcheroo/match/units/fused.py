"""Fused projections: one tensor that holds several parts, on either side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ml_switcheroo.match.candidates.ways import Shape, Way, ways
from ml_switcheroo.match.units.unit import Piece, Unit
from ml_switcheroo.sources.findings import Parts

__all__ = ["FUSED", "cut", "cuts", "joins"]

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
    """Take the fused units apart whose parts the other tree has one by one.

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


def cuts(
    kind: str, order: str, shape: Shape, wanted: Shape, heads: str, *, whole: bool = False
) -> Iterator[Way]:
    """Yield every way from a part of a fused tensor to a leaf.

    Args:
        kind: As what the tensor is read; ``vector`` for a bias.
        order: For a linear, how its matrix is kept: ``oi`` or ``io``.
        shape: Shape of the fused tensor.
        wanted: Shape of the leaf.
        heads: Which axis can be split into heads.
        whole: Whether the part is all of the tensor, in another order.
    """
    for axis in _axes(kind, order, shape):
        part = shape if whole else _part(shape, axis, wanted)
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
            size = part[axis] if part is not None else 0
            if kind != "linear":
                yield replace(way, layout=f"{way.layout}, joined on {axis}", axis=axis, size=size)
            elif (way.layout, axis) in (("oi", 0), ("io", 1)):
                yield replace(way, axis=axis, size=size)


def _axes(kind: str, order: str, shape: Shape) -> tuple[int, ...]:
    if len(shape) == 1:
        return (0,)
    if kind == "linear":
        return (0,) if order == "oi" else (1,)
    if kind == "conv":
        return (0,)
    return (len(shape) - 2, len(shape) - 1)


def _part(whole: Shape, axis: int, part: Shape) -> Shape | None:
    """Return the shape of the part of a tensor that has as many elements as another."""
    rest = math.prod(whole) // max(1, whole[axis])
    size = math.prod(part)
    if rest == 0 or size % rest or not 0 < size // rest < whole[axis]:
        return None
    return (*whole[:axis], size // rest, *whole[axis + 1 :])
