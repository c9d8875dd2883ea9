"""In how many ways the axes of a tensor can become the axes of a leaf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ml_switcheroo.axes import equation
from ml_switcheroo.errors import AxesError
from ml_switcheroo.ops import Axes, Op

__all__ = ["Way", "stacked", "ways"]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """One way from a tensor to a leaf.

    Attributes:
        layout: What it makes of the leaf, in words that can be compared between leaves: ``io`` for a
            leaf with the inputs first, ``oi`` with the outputs first, ``same`` for a tensor as it is.
        ops: The operations.
    """

    layout: str
    ops: tuple[Op, ...]


# How a linear's matrix can lie in a leaf: (layout, axes, whether the outputs are split into heads).
_FLAT = (("oi", "out in"), ("io", "in out"))
_OUT_HEADS = (("oi", "heads dim in"), ("io", "in heads dim"), ("hid", "heads in dim"))
_IN_HEADS = (("io", "heads dim out"), ("oi", "out heads dim"), ("hod", "heads out dim"))
_CONV = (
    ("oi", "out in *space"),
    ("io", "*space in out"),
    ("osi", "out *space in"),
    ("soi", "*space out in"),
)


def ways(kind: str, source: str, shape: Shape, wanted: Shape, heads: str = "") -> tuple[Way, ...]:
    """Return all ways that give the wanted shape.

    Args:
        kind: ``linear``, ``conv``, ``embedding``, ``norm`` or ``parameter``.
        source: For a linear, ``oi`` or ``io``: whether its matrix is ``out in`` or ``in out``.
        shape: Shape of the tensor.
        wanted: Shape of the leaf.
        heads: ``out`` or ``in`` where only these can be split into heads.

    >>> [way.layout for way in ways("linear", "oi", (24, 24), (24, 4, 6), "out")]
    ['io']
    >>> [way.layout for way in ways("linear", "oi", (24, 24), (24, 24))]
    ['oi', 'io']
    """
    if kind == "conv" and len(shape) >= 3:
        # Only a kernel with one input is ever stored as (out, in): a depthwise one.
        found = _matching("out in *space", _CONV if shape[1] == 1 else _CONV[:3], shape, wanted)
    elif kind == "linear" and len(shape) == 2:
        found = _linear(source, shape, wanted, heads)
    elif kind == "embedding" and len(shape) == 2 and wanted == shape[::-1] != shape:
        found = _matching("vocab dim", (("turned", "dim vocab"),), shape, wanted)
    else:
        found = ()
    return (*found,) or tuple(_plain(kind, shape, wanted))


def _linear(source: str, shape: Shape, wanted: Shape, heads: str) -> tuple[Way, ...]:
    found: list[Way] = []
    if len(wanted) == 2:
        found += _matching({"oi": "out in", "io": "in out"}[source], _FLAT, shape, wanted)
    if len(wanted) == 3 and heads != "in":
        axes = {"oi": "(heads dim) in", "io": "in (heads dim)"}[source]
        found += _matching(axes, _OUT_HEADS, shape, wanted)
    if len(wanted) == 3 and heads != "out":
        axes = {"oi": "out (heads dim)", "io": "(heads dim) out"}[source]
        found += _matching(axes, _IN_HEADS, shape, wanted)
    return tuple(found)


def _matching(
    source: str, targets: Sequence[tuple[str, str]], shape: Shape, wanted: Shape
) -> tuple[Way, ...]:
    found: list[Way] = []
    for layout, target in targets:
        if source == target:
            if shape == wanted:
                found.append(Way(layout, ()))
            continue
        rule = equation(source, target)
        try:
            view = rule.bind(shape, result=wanted)
        except AxesError:
            continue
        grouped = {axis for group in rule.source.groups if len(group) > 1 for axis in group}
        # The size of a head suffices, so that one operation does for queries and for fewer keys.
        sizes = tuple((axis, size) for axis, size in view.sizes.items() if axis in grouped and axis == "dim")
        found.append(Way(layout, (Axes(str(rule), sizes),)))
    return tuple(found)


_NAMES = "abcdefgh"


def _plain(kind: str, shape: Shape, wanted: Shape) -> Iterator[Way]:
    """Leave the axes in their order: as it is, with axes of size 1 more or less, a vector as heads."""
    if shape == wanted:
        yield Way("same", ())
        return
    if tuple(n for n in shape if n != 1) == tuple(n for n in wanted if n != 1):
        names = iter(_NAMES)
        kept = [next(names) if n != 1 else "1" for n in shape]
        names = iter(_NAMES)
        made = [next(names) if n != 1 else "1" for n in wanted]
        yield Way("same", (Axes(f"{' '.join(kept)} -> {' '.join(made)}"),))
    elif len(shape) == 1 and len(wanted) == 2 and shape[0] == wanted[0] * wanted[1] and kind != "parameter":
        yield Way("same", (Axes("(heads dim) -> heads dim", (("dim", wanted[1]),)),))
    elif kind == "parameter" and len(shape) >= 2 and wanted == (*shape[:-2], shape[-1], shape[-2]):
        names_of = " ".join(_NAMES[: len(shape) - 2])
        yield Way("turned", (Axes(f"{names_of} y x -> {names_of} x y".strip()),))


def stacked(sizes: Sequence[int], wanted: Shape) -> Iterator[tuple[int, Shape]]:
    """Yield each axis a stack of blocks can lie on, and the shape of one block.

    >>> list(stacked([3], (3, 8, 3)))
    [(0, (8, 3)), (2, (3, 8))]
    """
    count = len(sizes)
    for axis in range(len(wanted) - count + 1):
        if wanted[axis : axis + count] == tuple(sizes) and axis in (0, len(wanted) - count):
            yield axis, wanted[:axis] + wanted[axis + count :]
