"""The shapes that a layer's constructor arguments ask for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.sources.static.python.values import UNKNOWN, Instance, Maybe, Repeat, Value

__all__ = ["contradicts", "expected", "mentions"]

_SIZES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("linear", "in"): "in_features",
        ("linear", "out"): "out_features",
        ("conv", "out"): "out_channels",
        ("conv_transpose", "in"): "in_channels",
        ("batch_norm", "channel"): "num_features",
        ("group_norm", "channel"): "num_channels",
        ("embedding", "vocab"): "num_embeddings",
        ("embedding", "dim"): "embedding_dim",
    }
)
"""The constructor argument that is the size of an axis, as it stands."""

_AXES = re.compile(r"\([^)]*\)|\S+")

_SWITCHES: Mapping[str, str] = MappingProxyType(
    {
        "running_mean": "track_running_stats",
        "running_var": "track_running_stats",
        "num_batches_tracked": "track_running_stats",
    }
)


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
    if kind == "mha" and "out_proj" not in slot:
        return _attends(made, slot)
    if pattern.startswith("weight_hr"):
        size = made.args.get("proj_size", None if unsure else 0)
        return bool(size) if isinstance(size, int) else None
    switches = [
        _SWITCHES.get(slot),
        *(name for name in ("affine", "elementwise_affine") if slot in ("weight", "bias")),
    ]
    if slot in ("bias", "out_proj.bias") or pattern.startswith(("bias_ih", "bias_hh")):
        switches.append("bias")
    for name in switches:
        if name is None or name not in layer.args:
            continue
        value = made.args.get(name, None if unsure else layer.defaults.get(name, True))
        if value is False or (value is None and name in made.args):
            return False
        if value is not True:
            return None
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
            space = _space(made, kind)
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
    if kind == "mha":
        size, times = made.args.get("embed_dim"), 3 if "qkv" in axes else 1
        return size * times if isinstance(size, int) and _counted(size) else None
    sizes = [LAYERS[kind].size(axis, made.args) for axis in axes]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def _counted(size: Value) -> bool:
    return isinstance(size, int) and not isinstance(size, bool)


def _size(made: Instance, kind: str, axis: str) -> Value:
    if kind == "conv" and axis == "in":
        channels, groups = made.args.get("in_channels"), made.args.get("groups", 1)
        if not isinstance(channels, int) or not isinstance(groups, int) or not groups or made.args_open:
            return None
        return channels // groups
    return made.args.get(_SIZES.get((kind, axis), ""))


def _space(made: Instance, kind: str) -> tuple[Value, ...] | None:
    if kind == "layer_norm":
        shape = made.args.get("normalized_shape")
        if isinstance(shape, int):
            return (shape,)
        return tuple(shape) if isinstance(shape, tuple | list) else None
    rank = made.torch[-2:-1]
    if not rank.isdigit():
        return None
    size = made.args.get("kernel_size")
    if isinstance(size, int):
        return (size,) * int(rank)
    return tuple(size) if isinstance(size, tuple | list) and len(size) == int(rank) else (None,) * int(rank)
