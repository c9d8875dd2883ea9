"""How the activations of two layers correspond: the axes of their kind tell, sizes never do."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.axes import equation
from ml_switcheroo.errors import AxesError, UsageError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.ops import Array, Axes
from ml_switcheroo.verification.pairs import Pair

__all__ = ["AS_IT_IS", "Reading", "channels_last", "fitted", "readings", "readings_of_output", "stated"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How an activation of PyTorch is changed before it is compared.

    Attributes:
        text: The axis equation; empty if the activation lies the same way.
        apply: Makes the target's activation of PyTorch's.
    """

    text: str
    apply: Callable[[Array], Array]


AS_IT_IS = Reading("", lambda array: array)
_MOVED = "n c *space -> n *space c"
_TURNED = "t n f -> n t f"


def _channels(kind: str) -> str:
    """Return where the activations of a kind have their channels; nothing for what is no layer."""
    return LAYERS[kind].channels if kind in LAYERS else ""


def stated(text: str) -> Reading:
    """Return the reading that a user wrote, such as ``"n c h w -> n h w c"``.

    Raises:
        AxesError: It is no axis equation.
    """
    source, arrow, target = text.partition("->")
    if not arrow:
        raise UsageError(f'"{text}" is no axis equation such as "n c h w -> n h w c"')
    rule = equation(source.strip(), target.strip())
    return Reading(text, lambda array: rule.bind(array.shape)(array))


def channels_last(kind: str) -> Reading | None:
    """Return how the input of a layer lies in a channels-last target; None where it lies as in PyTorch."""
    return stated(_MOVED) if _channels(kind) == "first" else None


def readings(
    pair: Pair, channels: str, args: Mapping[str, Any], *, images: bool, of_input: bool
) -> list[Reading]:
    """Return the ways an activation can lie in the target; only one if the kind decides it.

    Args:
        pair: The modules.
        channels: Where the target has its channels: ``first`` or ``last``.
        args: Known constructor arguments of the layer in PyTorch.
        images: Whether any layer of the model has channels before axes of space.
        of_input: Whether it is what the layer takes; otherwise what it gives.
    """
    if args.get("batch_first") is False:
        return [AS_IT_IS, stated(_TURNED)]
    if channels == "first":
        return [AS_IT_IS]
    if _channels(pair.kind) == "first":
        return [stated(_MOVED)]
    flattened = _flattened(pair) if of_input else None
    if flattened is not None:
        return [flattened]
    if _channels(pair.kind) == "last" or not images:
        return [AS_IT_IS]
    # A norm of one axis has it last. A block, or a class of the user's own, does not say what its axes are.
    return [AS_IT_IS, stated(_MOVED)]


def readings_of_output(kind: str, channels: str, *, images: bool) -> list[Reading]:
    """Return the ways an output of the model can lie in the target.

    Args:
        kind: Kind of the layer whose output is the output of the model; empty if there is none.
        channels: Where the target has its channels.
        images: Whether any layer of the model has channels before axes of space.
    """
    if channels == "first" or _channels(kind) == "last" or not images:
        return [AS_IT_IS]
    return [stated(_MOVED)] if _channels(kind) == "first" else [AS_IT_IS, stated(_MOVED)]


def _flattened(pair: Pair) -> Reading | None:
    """Return how the inputs of a Linear behind a Flatten are permuted, as its weight's move says."""
    for move in pair.moves:
        for op in move.ops:
            found = re.search(r"\(c (\*?\w+)\)", op.equation) if isinstance(op, Axes) else None
            if isinstance(op, Axes) and found and f"({found[1]} c)" in op.equation:
                return _permuted(found[1], dict(op.sizes))
    return None


def _permuted(space: str, sizes: Mapping[str, int]) -> Reading:
    rule = equation(f"n (c {space})", f"n ({space} c)")

    def apply(array: Array) -> Array:
        rows = array.reshape(-1, array.shape[-1])
        known = {axis: size for axis, size in sizes.items() if axis == "c"}
        return rule.bind(rows.shape, known)(rows).reshape(array.shape)

    return Reading(f"(c {space}) -> ({space} c)", apply)


def fitted(reading: Reading, mine: Array, other: Array) -> Array | None:
    """Return PyTorch's activation as the target has it; None if their shapes cannot agree.

    The target may divide the last axis (into heads and what is in one), or leave out axes of size 1.
    """
    if reading.text == _MOVED and mine.ndim < 3:
        reading = AS_IT_IS
    try:
        found = reading.apply(mine)
    except AxesError:
        return None
    if found.shape == other.shape:
        return found
    if found.size == other.size and (_joined(found.shape, other.shape) or _same_but_ones(found, other)):
        return found.reshape(other.shape)
    return None


def _joined(mine: Sequence[int], other: Sequence[int]) -> bool:
    """Tell whether one shape divides the last axis of the other."""
    short, long = sorted((tuple(mine), tuple(other)), key=len)
    head = len(short) - 1
    return short[:head] == long[:head] and math.prod(long[head:]) == short[head]


def _same_but_ones(mine: Array, other: Array) -> bool:
    return np.squeeze(mine).shape == np.squeeze(other).shape
