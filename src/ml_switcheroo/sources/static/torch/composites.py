"""The classes of ``torch.nn`` that are made of others: the transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ml_switcheroo.layers import COMPOSITES
from ml_switcheroo.sources.static.python.copies import copied
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    External,
    Instance,
    Repeat,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["MADE_OF", "compose", "composite_parameters"]

_MOST = 1000  # layers of one stack

_SIZES = ("dim_feedforward", "dropout", "activation")
_REST = ("layer_norm_eps", "batch_first", "norm_first", "bias")
_LAYER = ("d_model", "nhead", *_SIZES, *_REST)
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "TransformerEncoderLayer": _LAYER,
    "TransformerDecoderLayer": _LAYER,
    "TransformerEncoder": ("encoder_layer", "num_layers", "norm"),
    "TransformerDecoder": ("decoder_layer", "num_layers", "norm"),
    "Transformer": (
        *("d_model", "nhead", "num_encoder_layers", "num_decoder_layers", *_SIZES),
        *("custom_encoder", "custom_decoder", *_REST),
    ),
}
_DEFAULTS = {
    "d_model": 512,
    "nhead": 8,
    "num_encoder_layers": 6,
    "num_decoder_layers": 6,
    "dim_feedforward": 2048,
    "bias": True,
    "layer_norm_eps": 1e-5,
}


def composite_parameters(name: str) -> tuple[str, ...]:
    """Return the names of a composite's parameters, in order; none for any other class."""
    return _PARAMETERS.get(name, ())


def compose(machine: Machine, made: Instance) -> None:
    """Make the children of a composite whose arguments are set."""
    machine.heap.touch(made.attrs)
    if made.base in COMPOSITES:
        for path, (cls, given) in COMPOSITES[made.base].items():
            made.attrs[path] = _make(machine, cls, {name: _given(made, word) for name, word in given.items()})
    else:
        MADE_OF[made.base](machine, made)


def _given(made: Instance, name: str) -> Value:
    return made.args.get(name, UNKNOWN if made.args_open else _DEFAULTS.get(name))


def _make(machine: Machine, cls: str, given: dict[str, Value]) -> Value:
    return machine.call(External(f"torch.nn.{cls}"), Arguments([], given))


def _stack(machine: Machine, made: Instance) -> None:
    """Make ``layers``, copies of one layer, and ``norm``."""
    layer = made.args.get("encoder_layer", made.args.get("decoder_layer", UNKNOWN))
    count = _given(made, "num_layers")
    if isinstance(count, int) and 0 <= count <= _MOST:
        layers: list[Value] = [copied(machine, layer, {}) for _ in range(count)]
    else:
        layers = [Repeat(layer, count.symbol if isinstance(count, Unknown) else "")]
    made.attrs["layers"] = machine.call(External("torch.nn.ModuleList"), Arguments([layers]))
    made.attrs["norm"] = _given(made, "norm")


def _transformer(machine: Machine, made: Instance) -> None:
    """Make ``encoder`` and ``decoder``, those that were handed in or stacks of torch's own layers."""
    for part, cls in (("encoder", "TransformerEncoder"), ("decoder", "TransformerDecoder")):
        custom = _given(made, f"custom_{part}")
        if custom is not None:
            made.attrs[part] = custom
            continue
        shared = {name: _given(made, name) for name in _LAYER if _given(made, name) is not None}
        norm = {"normalized_shape": shared["d_model"], "eps": shared["layer_norm_eps"]}
        given = {
            f"{part}_layer": _make(machine, f"{cls}Layer", shared),
            "num_layers": _given(made, f"num_{part}_layers"),
            "norm": _make(machine, "LayerNorm", norm | {"bias": shared["bias"]}),
        }
        made.attrs[part] = _make(machine, cls, given)


MADE_OF: dict[str, Callable[[Machine, Instance], None]] = {
    **dict.fromkeys(COMPOSITES, compose),
    "TransformerEncoder": _stack,
    "TransformerDecoder": _stack,
    "Transformer": _transformer,
}
"""How the children of each composite are made."""
