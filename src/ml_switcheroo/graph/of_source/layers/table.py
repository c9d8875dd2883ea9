"""All layers, and what a call of one gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.graph.of_source.calling import SURPRISES, leaves
from ml_switcheroo.graph.of_source.drawn import Drawn, Lost, Unlowered, inside
from ml_switcheroo.graph.of_source.layers.called import Called
from ml_switcheroo.graph.of_source.layers.holding import HOLDING
from ml_switcheroo.graph.of_source.layers.recurrent import RECURRENT
from ml_switcheroo.graph.of_source.layers.stateless import STATELESS
from ml_switcheroo.graph.of_source.layers.transformers import ATTENTION, TRANSFORMERS
from ml_switcheroo.layers import KIND_OF_CLASS
from ml_switcheroo.sources.static.python.containers import expand
from ml_switcheroo.sources.static.python.values import (
    Arguments,
    Instance,
    Maybe,
    OneOf,
    Repeat,
    Unknown,
    Value,
)
from ml_switcheroo.sources.static.torch.packages import OUTSIDE

__all__ = ["LAYER_ROWS", "forward"]

LAYER_ROWS: Mapping[str, Callable[[Called], Any]] = {
    **STATELESS,
    **TRANSFORMERS,
    **{
        name: run
        for name, kind in KIND_OF_CLASS.items()
        if (run := {**HOLDING, **RECURRENT, **ATTENTION}.get(kind)) is not None
    },
}
"""By the name of the class."""


def forward(machine: Any, layer: Instance, args: Arguments) -> Value:
    """Return what an instance gives whose class is not read."""
    if not machine.strict:
        return OUTSIDE.call_instance(machine, layer, args)
    args = leaves(machine, args)
    given = list(inside([args.positional, args.keyword]))
    if (lost := next((one for one in given if isinstance(one, Lost)), None)) is not None:
        return lost
    operands = [one.node for one in given if isinstance(one, Drawn)]
    path = machine.state.paths.get(id(layer), "")
    word = path or layer.base or getattr(layer.cls, "name", "a module")
    if layer.base == "Sequential":
        return _chained(machine, layer, args)
    run = LAYER_ROWS.get(layer.base)
    if run is None:
        return machine.lost(f"{word}: what {layer.base or 'it'} computes is not known", *operands)
    if any(isinstance(one, Unknown | OneOf | Maybe | Repeat) for one in given):
        return machine.lost(f"{word}: what it is given is not known", *operands)
    if any(isinstance(one, Drawn) and one.stale for one in given):
        return machine.lost(f"{word} of what was changed through another tensor", *operands)
    try:
        with machine.drawing(word):
            return run(Called(machine, layer, args))
    except Unlowered as error:
        return machine.lost(f"{word}: {error}", *operands)
    except SURPRISES as error:
        return machine.lost(f"{word}: {type(error).__name__}: {error}", *operands)


def _chained(machine: Any, layer: Instance, args: Arguments) -> Value:
    children = expand(machine, layer)
    if children is None or any(isinstance(one, Maybe | Repeat) for one in children):
        return machine.lost("which layers a Sequential has is not known")
    value = args.get(0, "input")
    for child in children:
        value = machine.call(machine.state.chosen(child), Arguments([value]))
    return value
