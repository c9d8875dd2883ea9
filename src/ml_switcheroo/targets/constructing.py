"""A layer of PyTorch in another framework: its class and arguments there, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS, load_offered_layers, own_class
from ml_switcheroo.layers.argument import Argument
from ml_switcheroo.layers.layer import Layer
from ml_switcheroo.recipes import Made, Target, Unsupported, recipe_of
from ml_switcheroo.recipes.constructor import made, made_recurrent

__all__ = ["construct"]


def construct(target: Target, name: str, args: Mapping[str, Any]) -> Made | Unsupported:
    """Return how a layer is made in a target, or why it cannot be.

    Args:
        target: The target.
        name: The class in PyTorch, such as ``Conv2d``.
        args: Its arguments by name; those that are left out have their defaults.

    Raises:
        UsageError: No kind has such a class, an argument is lacking, or one that it has not is there; or the
            row of the target does not say how the kind is made.

    >>> from ml_switcheroo.targets import find_target
    >>> construct(find_target("nnx"), "LayerNorm", {"normalized_shape": 8}).arguments["epsilon"]
    1e-05
    """
    load_offered_layers()
    if name not in KIND_OF_CLASS:
        module, _, bare = name.rpartition(".")
        name = own_class(module, bare) or name
    if name not in KIND_OF_CLASS:
        raise UsageError(f"{name} is no class of a kind: known are {', '.join(sorted(KIND_OF_CLASS))}")
    layer = LAYERS[KIND_OF_CLASS[name]]
    constructor = target.constructors.get(layer.base)
    recipe = recipe_of(target, layer.kind)
    if layer.own and not layer.like:
        return Unsupported(
            f"{layer.kind} is a kind of your own, which no framework has a layer for: port {name}"
        )
    if isinstance(recipe, Unsupported):
        return recipe
    if constructor is None:
        raise target.lacking(f"constructors[{layer.kind!r}]", f"no {name} is made there")
    if isinstance(constructor, Unsupported):
        return constructor
    rank = int(name[-2]) if name[-1:] == "d" and name[-2:-1].isdigit() else 0
    values = {**_values(layer, name, args, rank), "rank": rank}
    return made_recurrent(constructor, values) if layer.recurrent else made(constructor, values, rank)


def _values(layer: Layer, name: str, args: Mapping[str, Any], rank: int) -> dict[str, Any]:
    """Return the value of each argument; of the spatial ones a number for each axis.

    Raises:
        UsageError: One is lacking, or is none of the class.
    """
    known = layer.of_class(name)
    lacking = sorted(one.name for one in known.values() if one.required and one.name not in args)
    strange = sorted(set(args) - set(known))
    if lacking or strange:
        said = [
            f"{what} {', '.join(names)}" for what, names in (("needs", lacking), ("has no", strange)) if names
        ]
        raise UsageError(f"{name} {' and '.join(said)}")
    return {one.name: _value(one, args.get(one.name, one.default), rank or 1) for one in known.values()}


def _value(one: Argument, value: Any, rank: int) -> Any:
    if value is None and one.default is None:
        return one.counts_as
    spatial = one.size.startswith("*") or one.decides == "window"
    if spatial and isinstance(value, int):
        return (value,) * rank
    return tuple(value) if spatial and isinstance(value, list) else value
