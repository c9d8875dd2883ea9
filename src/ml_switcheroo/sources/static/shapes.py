"""The shapes that a layer's constructor arguments ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from ml_switcheroo.axes import parse
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.sources.static.values import Instance, Maybe, Repeat, Value

__all__ = ["contradicts", "expected", "mentions"]

_SIZES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("linear", "in"): "in_features",
        ("linear", "out"): "out_features",
        ("conv", "out"): "out_channels",
        ("batch_norm", "channel"): "num_features",
        ("group_norm", "channel"): "num_channels",
        ("embedding", "vocab"): "num_embeddings",
        ("embedding", "dim"): "embedding_dim",
    }
)
"""The constructor argument that is the size of an axis, as it stands."""

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
    if found is None or found.pattern not in layer.optional:
        return True
    if slot.startswith("weight_hr"):
        size = made.args.get("proj_size", 0)
        return size > 0 if isinstance(size, int) else None
    unsure = bool(made.marks.get("open"))
    switches = [
        _SWITCHES.get(slot),
        *(name for name in ("affine", "elementwise_affine") if slot in ("weight", "bias")),
    ]
    if slot == "bias" or slot.startswith(("bias_ih", "bias_hh")):
        switches.append("bias")
    for name in switches:
        if name is None or name not in layer.args:
            continue
        value = made.args.get(name, True if not unsure else None)
        if value is False or (value is None and name in made.args):
            return False
        if value is not True:
            return None
    return None if unsure or slot.startswith("running") else True


def expected(made: Instance, kind: str, slot: str) -> tuple[Value, ...] | None:
    """Return the shape of a slot, None for sizes that are unknown; None where the rank is unknown."""
    found = LAYERS[kind].slot(slot)
    shape: list[Value] = []
    for group in parse(found.axes if found is not None else "").groups:
        axis = group[0] if len(group) == 1 else ""
        if len(group) != 1:
            shape.append(_product(made, kind, group))
        elif axis.startswith("*"):
            space = _space(made, kind)
            if space is None:
                return None
            shape.extend(space)
        else:
            shape.append(_size(made, kind, axis))
    return tuple(shape)


def _product(made: Instance, kind: str, group: tuple[str, ...]) -> Value:
    """Return the size of an axis that several make up, such as ``(gate hidden)``."""
    sizes = [LAYERS[kind].size(axis, made.args) for axis in group]
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) and not made.marks.get("open") else None


def _size(made: Instance, kind: str, axis: str) -> Value:
    if kind == "conv" and axis == "in":
        channels, groups = made.args.get("in_channels"), made.args.get("groups", 1)
        plain = (
            isinstance(channels, int) and isinstance(groups, int) and groups and not made.marks.get("open")
        )
        return channels // groups if plain else None
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
