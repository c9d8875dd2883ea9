"""The sizes of axes, as values of the program: what is worked out of them, and what they are unpacked to."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.counted import number, whole_numbers
from ml_switcheroo.sources.static.python.values import Repeat, Value
from ml_switcheroo.sources.static.torch.atoms import Atom
from ml_switcheroo.sources.static.torch.uses import count_of
from ml_switcheroo.sources.static.torch.values import Size, Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["nth", "operate", "unpacked"]


def operate(machine: Machine, op: type, left: Value, right: Value) -> Value:
    """Return what is worked out of the sizes of axes."""
    if isinstance(left, str | list | tuple | dict) or isinstance(right, Tensor):
        return NotImplemented
    if op is ast.Mult and isinstance(left, Size) and isinstance(right, Size):
        return Size(left.atoms + right.atoms)
    if op in (ast.Mult, ast.FloorDiv) and (counted := _counted(op, left, right)) is not None:
        return counted
    if op is ast.FloorDiv and isinstance(left, Size) and isinstance(right, int) and right > 0:
        return Size((Atom("quotient", place=right, parts=(left.atoms,)),))
    return number()


def _counted(op: type, left: Value, right: Value) -> int | None:
    """Return a product or quotient of the size of axes that are known to be so long."""
    numbers = []
    for side in (left, right):
        counts: list[Value] = [count_of(atom) for atom in side.atoms] if isinstance(side, Size) else [side]
        told = whole_numbers(counts) if not any(isinstance(count, bool) for count in counts) else None
        if told is None:
            return None
        numbers.append(math.prod(told))
    if not isinstance(left, Size) and not isinstance(right, Size):
        return None
    if op is ast.Mult:
        return None if isinstance(left, Size) and isinstance(right, Size) else numbers[0] * numbers[1]
    return numbers[0] // numbers[1] if numbers[1] and numbers[0] % numbers[1] == 0 else None


def nth(size: Size, place: int) -> Size:
    """Return one size of a shape whose rank is unknown: it stands for any number of them."""
    return Size((Atom("lead", None, place),))


def unpacked(shape: tuple[Value, ...], count: int) -> list[Value] | None:
    """Return the sizes of a shape whose rank is unknown, when it is unpacked; None for any other tuple."""
    if shape and isinstance(shape[0], Repeat) and isinstance(shape[-1], Size):
        return [*(nth(shape[-1], place) for place in range(count - 1)), shape[-1]]
    return None
