"""The ways in which the axes of a tensor can become the axes of a leaf."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from ml_switcheroo.axes import NO_SIZES, equation
from ml_switcheroo.errors import AxesError
from ml_switcheroo.ops import Axes, Op, Skip

__all__ = ["Shape", "Way", "cuts", "joins", "later_rows", "stacked", "ways"]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """One way from a tensor to a leaf.

    Attributes:
        layout: What it makes of the leaf, in words that can be compared between leaves: ``io`` for a
            leaf with the inputs first, ``oi`` with the outputs first, ``same`` for a tensor as it is.
        ops: The operations.
        axis: For a part of a fused tensor the axis along which it is fused.
        size: Its size there.
    """

    layout: str
    ops: tuple[Op, ...]
    axis: int | None = None
    size: int = 0


# How a matrix can lie in a leaf, by the rank of the leaf and by which axis is split into heads. Queries
# of grouped attention are split twice.
_FLAT = (("oi", "out in"), ("io", "in out"))
_SPLIT: Mapping[tuple[str, int], tuple[str, tuple[tuple[str, str], ...]]] = {
    ("out", 3): ("heads dim", (("oi", "heads dim in"), ("io", "in heads dim"), ("hid", "heads in dim"))),
    ("in", 3): ("heads dim", (("io", "heads dim out"), ("oi", "out heads dim"), ("hod", "heads out dim"))),
    ("out", 4): ("groups heads dim", (("oi", "groups heads dim in"), ("io", "in groups heads dim"))),
    ("in", 4): ("groups heads dim", (("io", "groups heads dim out"), ("oi", "out groups heads dim"))),
    ("qkv", 3): ("part dim", (("oi", "part dim in"), ("io", "in part dim"))),
    ("qkv", 4): ("part heads dim", (("oi", "part heads dim in"), ("io", "in part heads dim"))),
    ("mixed", 3): ("heads dim", (("oi", "heads dim in"), ("io", "in heads dim"))),
    ("mixed", 4): ("heads part dim", (("oi", "heads part dim in"), ("io", "in heads part dim"))),
}
_CONV = (("oi", "out in *space"), ("io", "*space in out"), ("osi", "out *space in"))
# Only a kernel with one input is ever stored as (out, in): a depthwise one.
_DEPTHWISE = (*_CONV, ("soi", "*space out in"))
# With as many inputs as outputs, a kernel with the two the wrong way round has the same shape.
_SQUARE = (*_DEPTHWISE, ("ios", "in out *space"), ("iso", "in *space out"))
_PARTS = 3


@cache
def ways(kind: str, order: str, shape: Shape, wanted: Shape, heads: str = "") -> tuple[Way, ...]:
    """Return all ways that give the wanted shape.

    Args:
        kind: ``linear``, ``conv``, ``embedding``, ``norm``, ``parameter``; ``vector`` for a bias.
        order: For a linear, ``oi`` or ``io``: whether its matrix is ``out in`` or ``in out``.
        shape: Shape of the tensor.
        wanted: Shape of the leaf.
        heads: Which axis can be split, where that is known: ``out`` or ``in``; ``qkv`` for fused
            outputs whose parts lie one after another, ``mixed`` for parts in each head.

    >>> [way.layout for way in ways("linear", "oi", (24, 24), (24, 4, 6), "out")]
    ['io']
    >>> [way.layout for way in ways("linear", "oi", (24, 24), (24, 24))]
    ['oi', 'io']
    """
    if kind == "linear":
        return tuple(_linear(order, shape, wanted, heads))
    if kind == "conv":
        return tuple(_conv(shape, wanted))
    if kind == "vector":
        return tuple(_vector(shape, wanted, heads))
    return tuple(_kept(kind, shape, wanted))


def _linear(order: str, shape: Shape, wanted: Shape, heads: str) -> Iterator[Way]:
    if len(shape) != 2:
        # A matrix for each expert: nothing shows which of its last two axes has the outputs.
        yield from _kept("parameter", shape, wanted)
        return
    if len(wanted) == 2:
        yield from _matching({"oi": "out in", "io": "in out"}[order], _FLAT, shape, wanted)
    elif len(wanted) == 4 and wanted[:2] == (1, 1):
        axes = {"oi": "out in", "io": "in out"}[order]
        yield from _matching(axes, (("io", "1 1 in out"),), shape, wanted)
    for split in (heads,) if heads else ("out", "in"):
        if (split, len(wanted)) not in _SPLIT:
            continue
        group, targets = _SPLIT[split, len(wanted)]
        out, into = ("out", f"({group})") if split == "in" else (f"({group})", "in")
        source = f"{out} {into}" if order == "oi" else f"{into} {out}"
        sizes = {"part": _PARTS} if "part" in group else {}
        yield from _matching(source, targets, shape, wanted, sizes)


def _conv(shape: Shape, wanted: Shape) -> Iterator[Way]:
    if len(wanted) == 2 < len(shape) and set(shape[2:]) == {1}:
        ones = " 1" * (len(shape) - 2)
        yield from _matching(f"out in{ones}", _FLAT, shape, wanted)
    elif len(shape) > 2 and len(wanted) == len(shape):
        kept = _SQUARE if shape[0] == shape[1] else _DEPTHWISE if shape[1] == 1 else _CONV
        yield from _matching("out in *space", kept, shape, wanted)


def _matching(
    source: str,
    targets: Sequence[tuple[str, str]],
    shape: Shape,
    wanted: Shape,
    sizes: Mapping[str, int] = NO_SIZES,
) -> Iterator[Way]:
    for layout, target in targets:
        if source == target:
            if shape == wanted:
                yield Way(layout, ())
            continue
        rule = equation(source, target)
        try:
            view = rule.bind(shape, sizes, wanted)
        except AxesError:
            continue
        # All but the first suffice, so that one operation does for queries and for fewer keys.
        grouped = [axis for group in rule.source.groups if len(group) > 1 for axis in group[1:]]
        yield Way(layout, (Axes(str(rule), tuple((axis, view.sizes[axis]) for axis in grouped)),))


def _vector(shape: Shape, wanted: Shape, heads: str) -> Iterator[Way]:
    yield from _kept("vector", shape, wanted)
    if len(shape) != 1 or not 2 <= len(wanted) <= 3 or 1 in wanted or math.prod(wanted) != shape[0]:
        return
    if (heads == "qkv" and wanted[0] != _PARTS) or (heads == "mixed" and wanted[1:-1] not in ((), (_PARTS,))):
        return
    fused = {"qkv": ("part", "heads", "dim"), "mixed": ("heads", "part", "dim")}.get(heads)
    names = ("groups", "heads", "dim")[-len(wanted) :]
    if fused is not None:
        names = fused if len(wanted) == len(fused) else (fused[0], "dim")
    text = " ".join(names)
    yield Way("same", (Axes(f"({text}) -> {text}", tuple(zip(names, wanted, strict=True))[1:]),))


_NAMES = "abcdefgh"
_IMAGE = 3


def _kept(kind: str, shape: Shape, wanted: Shape) -> Iterator[Way]:
    """Leave the axes in their order, with axes of size 1 more or less; or turn a matrix that fits."""
    turned = len(shape) > 1 and kind in ("parameter", "embedding")
    if shape == wanted:
        yield Way("same", ())
    elif tuple(n for n in shape if n != 1) == tuple(n for n in wanted if n != 1):
        yield Way("same", (Axes(f"{_without_ones(shape)} -> {_without_ones(wanted)}"),))
        return
    if kind == "norm" and len(shape) >= _IMAGE and wanted == (*shape[1:], shape[0]):
        yield Way("channels last", (Axes("channel *space -> *space channel"),))
    if turned and wanted == (*shape[:-2], shape[-1], shape[-2]):
        rest = "".join(f"{name} " for name in _NAMES[: len(shape) - 2])
        yield Way("turned", (Axes(f"{rest}y x -> {rest}x y"),))


def _without_ones(shape: Shape) -> str:
    names = iter(_NAMES)
    return " ".join(next(names) if size != 1 else "1" for size in shape)


def later_rows(shape: Shape, wanted: Shape) -> Iterator[Way]:
    """Leave out the first two rows of a position table, which stand for padding.

    Tables of the fairseq family (BART, OPT, RoBERTa) count positions from ``padding_idx + 1 = 2``; see
    https://github.com/facebookresearch/fairseq, ``learned_positional_embedding.py``.
    """
    if len(shape) == len(wanted) == 2 and shape == (wanted[0] + _PADDING_ROWS, wanted[1]):
        yield Way("later rows", (Skip(_PADDING_ROWS),))


_PADDING_ROWS = 2


def stacked(sizes: Sequence[int], wanted: Shape) -> Iterator[tuple[int, Shape]]:
    """Yield each axis a stack of blocks can lie on, and the shape of one block.

    >>> list(stacked([3], (3, 8, 3)))
    [(0, (8, 3)), (2, (3, 8))]
    """
    count = len(sizes)
    for axis in range(len(wanted) - count + 1):
        if wanted[axis : axis + count] == tuple(sizes) and axis in (0, len(wanted) - count):
            yield axis, wanted[:axis] + wanted[axis + count :]


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
                # Of a tensor of unknown kind, the axis that it is fused along is part of the layout.
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
