"""Whether a port that keeps channels last has the axes of a tensor in the order that PyTorch has them in.

What is no image lies the same way on both sides: tokens, steps and features, whatever is done to them. An
image does not, nor does what nobody has followed that was made of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ml_switcheroo.sources.static.python.values import Maybe, OneOf, Repeat, Unknown, Value, options
from ml_switcheroo.sources.static.torch.atoms import REST, Axis
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = [
    "ALIKE",
    "FOLDED",
    "INPUT",
    "LOST",
    "OWN",
    "RAW",
    "ROWS",
    "TURNED",
    "agreeing",
    "behind_features",
    "followed",
    "layout_of",
    "tensors_in",
]

ALIKE = "alike"
"""The axes lie as in a port, the features last."""

TURNED = "turned"
"""As alike, but something else than the features may be last: a flatten puts those first."""

OWN = "own"
"""Made by the model itself: a parameter, a mask, positions. It lies as whatever it meets does."""

INPUT = "input"
"""What the model is given, as it came."""

LOST = ""
"""Nobody knows."""

ROWS = "rows"
"""Nobody knows, but an image that was flattened is in it."""

RAW = "raw"
"""Nobody knows, but axes of what the model is given were merged or divided."""

FOLDED = "folded"
"""Nobody knows, and axes were merged or divided: channels may have become others."""

_FEATURES = frozenset({"out", "hidden", "factor", "channel", "part", "any", "joined", "input"})


def layout_of(value: Value) -> str:
    """Return how a port has the axes of a tensor."""
    if isinstance(value, OneOf):
        return agreeing(map(layout_of, value.choices))
    if isinstance(value, Unknown):
        return OWN if value.symbol else LOST
    if not isinstance(value, Tensor):
        return LOST if value is None else OWN  # a number
    if value.role and value.axes is None:
        return OWN
    axes: tuple[Axis, ...] | None = value.axes
    if axes is None or axes[0] == (REST,):
        return value.layout
    roles = [atom.role for axis in axes for atom in axis]
    if "lost" in roles or "mixed" in roles:
        return LOST
    channels = [place for place, role in enumerate(roles) if role in ("channel", "group")]
    spaces = [place for place, role in enumerate(roles) if role == "space"]
    if channels and spaces and min(channels) < max(spaces):
        return LOST
    if any(atom.role == "joined" for axis in axes for atom in axis):
        return LOST if any(_image(part) for axis in axes for atom in axis for part in atom.parts) else ALIKE
    return ALIKE if not roles or roles[-1] in _FEATURES else TURNED


def _image(axis: Axis) -> bool:
    roles = [atom.role for atom in axis]
    return "channel" in roles and "space" in roles


def agreeing(layouts: Iterable[str]) -> str:
    """Return how a port has what is made of several tensors."""
    found = set(layouts)
    for one in (ROWS, RAW, FOLDED, LOST, INPUT, TURNED, ALIKE):
        if one in found:
            return one
    return OWN


def behind_features(layout: str) -> str:
    """Return how a port has the output of a layer that works along the last axis: that of the features."""
    return ALIKE if layout in (INPUT, OWN) else layout


def followed(
    values: Iterable[Value], *, turns: bool = False, flattens: bool = False, folds: bool = False
) -> Tensor:
    """Return what an operation gives whose axes nobody has followed.

    Args:
        values: What it is given.
        turns: Whether it may change the order of axes.
        flattens: Whether it makes one axis of all but the first.
        folds: Whether it may merge or divide axes.
    """
    held = [one for value in values for one in _held(value)]
    found = agreeing(map(layout_of, held))
    if any(_is_row(one) for one in held):
        return Tensor(layout=ROWS)
    if found == INPUT and folds:
        return Tensor(layout=RAW)
    if found == INPUT or (flattens and found == TURNED):
        found = LOST
    if found == LOST and folds:
        found = FOLDED
    return Tensor(layout=TURNED if turns and found == ALIKE else found)


def _is_row(value: Value) -> bool:
    """Tell whether the last axis of a tensor is an image that was flattened, or holds one."""
    axes: tuple[Axis, ...] = (value.axes or ()) if isinstance(value, Tensor) else ()
    return bool(axes) and any(_image(part) for part in (axes[-1], *(p for a in axes[-1] for p in a.parts)))


def _held(value: Value) -> Iterator[Value]:
    """Yield the tensors and unknowns in a value."""
    for one in options(value):
        if isinstance(one, list | tuple):
            for item in one:
                yield from _held(item.value if isinstance(item, Maybe | Repeat) else item)
        elif isinstance(one, Tensor | Unknown):
            yield one


def tensors_in(value: Value) -> list[Tensor]:
    """Return the tensors in a value."""
    return [one for one in _held(value) if isinstance(one, Tensor)]
