"""Where the elements of a tensor lie in a leaf, and the operations that bring them there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ml_switcheroo.ops import Axes, Flip, Op, Shift

__all__ = ["Digit", "NoOperationError", "Piece", "rearranged", "simplest", "whole"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Digit:
    """Some elements that lie equally far apart on both sides.

    Attributes:
        name: What a person calls them.
        size: How many there are.
        here: How far apart they lie in the tensor.
        there: How far apart they lie in the leaf.
    """

    name: str
    size: int
    here: int
    there: int


@dataclass(frozen=True)
class Piece:
    """A part of a leaf that is a part of a tensor.

    Attributes:
        sources: The tensor, or the several that are made one.
        leaf: The leaf.
        digits: The elements.
        here: Where the first lies in the tensor.
        there: Where the first lies in the leaf.
        shift: What is added.
        tied: Whether a symmetry of both programs left a choice.
        lead: What makes one tensor of several.
    """

    sources: tuple[str, ...]
    leaf: str
    digits: tuple[Digit, ...]
    here: int
    there: int
    shift: float = 0.0
    tied: bool = False
    lead: tuple[Op, ...] = ()

    @property
    def count(self) -> int:
        """How many elements it has."""
        return math.prod(digit.size for digit in self.digits)


class NoOperationError(Exception):
    """What is known has no operation."""


def simplest(digits: tuple[Digit, ...]) -> tuple[Digit, ...]:
    """Join digits that follow each other on both sides."""
    found = list(digits)
    for one in digits:
        for other in found:
            if one is other or one not in found:
                continue
            if one.here == other.size * other.here and one.there == other.size * other.there:
                joined = Digit(other.name, one.size * other.size, other.here, other.there)
                found = [joined if two is other else two for two in found if two is not one]
                return simplest(tuple(found))
    return tuple(found)


def whole(piece: Piece, shape: Shape, leaf: Shape) -> tuple[Op, ...]:
    """Return what brings a whole tensor into a whole leaf."""
    if piece.count != math.prod(shape) or piece.count != math.prod(leaf):
        return _partly(piece, shape, leaf)
    ops = rearranged(piece, shape, leaf)
    return (*ops, Shift(piece.shift)) if piece.shift else ops


def _partly(piece: Piece, shape: Shape, leaf: Shape) -> tuple[Op, ...]:
    raise NoOperationError(
        f"the programs use {piece.count} elements of a tensor {list(shape)} and a leaf {list(leaf)}"
    )


def rearranged(piece: Piece, shape: Shape, leaf: Shape) -> tuple[Op, ...]:
    """Return the axis equation, and the flip before it."""
    own = _fitting(_fitting(piece.digits, shape, "here"), leaf, "there")
    back = [digit for digit in own if digit.here < 0]
    turned = [digit for digit in own if digit.there < 0]
    digits = [replace(digit, here=abs(digit.here), there=abs(digit.there)) for digit in own]
    source, target = _axes(digits, shape, "here"), _axes(digits, leaf, "there")
    flipped = {digit.name for digit in back} ^ {digit.name for digit in turned}
    ops: list[Op] = []
    if flipped:
        plain = {name for group in source if len(group) == 1 for name in group}
        if not flipped <= plain:
            raise NoOperationError("a part of an axis lies from its end")
        ops.append(Flip(_written(source), " ".join(sorted(flipped))))
    if _written(source) != _written(target):
        sizes = {digit.name: digit.size for digit in digits}
        grouped = [name for group in (*source, *target) if len(group) > 1 for name in group]
        told = tuple((name, sizes[name]) for name in dict.fromkeys(grouped))
        ops.append(Axes(f"{_written(source)} -> {_written(target)}", told))
    return tuple(ops)


def _fitting(digits: Sequence[Digit], shape: Shape, side: str) -> tuple[Digit, ...]:
    """Cut digits so that none goes on beyond an axis of a shape."""
    made: list[Digit] = []
    for digit in digits:
        pieces, rest = [], digit
        for axis in reversed(range(len(shape))):
            apart, behind = abs(getattr(rest, side)), math.prod(shape[axis:])
            room = behind // apart if apart and behind % apart == 0 else 0
            if 1 < room < rest.size and rest.size % room == 0:
                inner = replace(rest, size=room)
                pieces.append(inner)
                rest = Digit(rest.name, rest.size // room, rest.here * room, rest.there * room)
        pieces.append(rest)
        if len(pieces) > 1:
            pieces = [replace(one, name=f"{digit.name}_{n}") for n, one in enumerate(reversed(pieces), 1)]
        made += pieces
    return tuple(made)


def _axes(digits: Sequence[Digit], shape: Shape, side: str) -> list[list[str]]:
    """Return the names of the digits that make up each axis of a shape."""
    left = sorted(digits, key=lambda digit: -getattr(digit, side))
    found: list[list[str]] = []
    for axis, size in enumerate(shape):
        names, behind = [], math.prod(shape[axis + 1 :])
        while size > 1:
            if not left or getattr(left[0], side) * left[0].size != size * behind:
                raise NoOperationError("its elements do not lie along the axes")
            digit = left.pop(0)
            names.append(digit.name)
            size //= digit.size
        found.append(names)
    if left:
        raise NoOperationError("its elements do not lie along the axes")
    return found


def _written(axes: Sequence[Sequence[str]]) -> str:
    texts = ["1" if not group else group[0] if len(group) == 1 else f"({' '.join(group)})" for group in axes]
    return " ".join(texts)
