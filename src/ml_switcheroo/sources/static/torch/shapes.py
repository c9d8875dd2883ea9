"""The shapes that a layer's constructor arguments ask for."""

from __future__ import annotations

import math
import re

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.sources.static.python.values import UNKNOWN, Instance, Maybe, Repeat, Value

__all__ = ["contradicts", "expected", "mentions"]

_AXES = re.compile(r"\([^)]*\)|\S+")


def contradicts(wanted: tuple[Value, ...] | None, found: tuple[int, ...]) -> bool:
    """Tell whether a shape (with unknown sizes) rules out another.

    >>> contradicts((3, None), (3, 4)), contradicts((3,), (4,)), contradicts(None, (4,))
    (False, True, False)
    """
    if wanted is None or any(isinstance(size, Repeat | Maybe) for size in wanted):
        return False
    if len(wanted) != len(found):
        return True
    pairs = zip(wanted, found, strict=True)
    return any(isinstance(size, int) and not isinstance(size, bool) and size != real for size, real in pairs)


def mentions(made: Instance, kind: str, slot: str) -> bool | None:
    """Tell whether the constructor switches a slot on or off; None where nobody knows."""
    layer = LAYERS[kind]
    found = layer.slot(slot)
    pattern = found.pattern if found is not None and found.whole else slot
    if pattern not in layer.optional:
        return True
    unsure = made.args_open
    if layer.attends and "out_proj" not in slot:
        return _attends(made, slot)
    for name, one in layer.of_class(made.base).items():
        if pattern in one.switches:
            value = made.args.get(name, None if unsure else one.default)
            if value is None:
                return False if name in made.args else None
            if not isinstance(value, int):
                return None
            if not value:
                return False
    return None if unsure or slot.startswith("running") else True


def _attends(made: Instance, slot: str) -> bool | None:
    """Tell whether a MultiheadAttention has a slot: one projection or three, and what it may add."""
    args, unsure = made.args, made.args_open
    if slot in ("bias_k", "bias_v", "in_proj_bias"):
        name, default = ("bias", True) if slot == "in_proj_bias" else ("add_bias_kv", False)
        value = args.get(name, None if unsure else default)
        return value if isinstance(value, bool) else None
    whole = args.get("embed_dim")
    sizes = [args.get(name, UNKNOWN if unsure else None) for name in ("kdim", "vdim")]
    if all(size is None for size in sizes):
        return slot == "in_proj_weight"
    plain = isinstance(whole, int) and all(size is None or _counted(size) for size in sizes)
    return (all(size in (None, whole) for size in sizes) == (slot == "in_proj_weight")) if plain else None


def expected(made: Instance, kind: str, slot: str) -> tuple[Value, ...] | None:
    """Return the shape of a slot, None for sizes that are unknown; None where the rank is unknown."""
    found = LAYERS[kind].slot(slot)
    axes = _AXES.findall(found.axes if found is not None else LAYERS[kind].slots[slot])
    shape: list[Value] = []
    for axis in axes:
        if axis.startswith("*"):
            space = _space(made, kind, axis)
            if space is None:
                return None
            shape.extend(space)
        elif axis.startswith("("):
            shape.append(_product(made, kind, axis[1:-1].split()))
        else:
            shape.append(1 if axis == "1" else _size(made, kind, axis))
    return tuple(shape)


def _product(made: Instance, kind: str, axes: list[str]) -> Value:
    """Return the size of an axis that several make up, such as ``(gate hidden)``."""
    if LAYERS[kind].attends:
        size, times = made.args.get("embed_dim"), 3 if "qkv" in axes else 1
        return size * times if isinstance(size, int) and _counted(size) else None
    sizes = [LAYERS[kind].size(axis, made.args) for axis in axes]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def _counted(size: Value) -> bool:
    return isinstance(size, int) and not isinstance(size, bool)


def _size(made: Instance, kind: str, axis: str) -> Value:
    layer = LAYERS[kind]
    rule = layer.sizes.get(axis)
    if not isinstance(rule, str):
        return rule
    if "/" not in rule:
        return made.args.get(rule)
    return layer.size(axis, made.args if made.args_open else {**layer.defaults, **made.args})


def _space(made: Instance, kind: str, axes: str) -> tuple[Value, ...] | None:
    size = next((made.args.get(one.name) for one in LAYERS[kind].arguments if one.size == axes), None)
    rank = made.base[-2:-1]
    if not rank.isdigit():
        if isinstance(size, int):
            return (size,)
        return tuple(size) if isinstance(size, tuple | list) else None
    if isinstance(size, int):
        return (size,) * int(rank)
    return tuple(size) if isinstance(size, tuple | list) and len(size) == int(rank) else (None,) * int(rank)
