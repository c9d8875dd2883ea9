"""Flax NNX: attribute paths, ``blocks.0.fc1.kernel``.

Source: https://flax.readthedocs.io/en/stable/api_reference/flax.nnx/.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ml_switcheroo.computed.live import computed_in
from ml_switcheroo.errors import UsageError
from ml_switcheroo.ops import Array, Sum
from ml_switcheroo.recipes import (
    Compared,
    Difference,
    Entry,
    Files,
    Form,
    Live,
    Mapper,
    Naming,
    Padding,
    Part,
    Recipe,
    Target,
    Wrapper,
    part,
)
from ml_switcheroo.targets.constructors.nnx import CONSTRUCTORS
from ml_switcheroo.targets.constructors.spelled import compared, compared_norms
from ml_switcheroo.targets.flax_kinds import KINDS, MHA, NO_PROJECTION, ONCE_MORE, POOLS
from ml_switcheroo.targets.jax_arrays import placed
from ml_switcheroo.targets.live_layers import Layers
from ml_switcheroo.tensors import TensorSpec, spec_of
from ml_switcheroo.tree import Template

__all__ = ["CLASSES", "TARGET", "held_by", "written"]

CLASSES: Mapping[str, str] = {
    "Linear": "linear",
    "LinearGeneral": "linear",
    "Conv": "conv",
    "ConvTranspose": "conv_transpose",
    "BatchNorm": "batch_norm",
    "InstanceNorm": "instance_norm",
    "LayerNorm": "layer_norm",
    "GroupNorm": "group_norm",
    "RMSNorm": "rms_norm",
    "Embed": "embedding",
    "MultiHeadAttention": "mha",
    "SimpleCell": "rnn_cell",
    "OptimizedLSTMCell": "lstm_cell",
    "LSTMCell": "lstm_cell",
    "GRUCell": "gru_cell",
    "PReLU": "prelu",
}
_LAYERS = Layers("flax.nnx", CLASSES)

# A layer of several is an item of a list, a direction is a child of nnx.Bidirectional; each is an nnx.RNN.
_RNN = "{layer}.{way:forward_rnn|backward_rnn}.cell."
_LAYERED = "_l{layer}{way}"


def _kernels(suffix: str, at: str) -> tuple[Part, ...]:
    return (
        part(f"weight_ih{suffix}", f"{at}dense_i.kernel", "in (gate hidden)"),
        part(f"weight_hh{suffix}", f"{at}dense_h.kernel", "state (gate hidden)"),
    )


def _summed(suffix: str, leaf: str) -> Part:
    return part((f"bias_ih{suffix}", f"bias_hh{suffix}"), leaf, None, Sum(), absent=0.0)


def _rnn(suffix: str, at: str) -> Recipe:
    return (*_kernels(suffix, at), _summed(suffix, f"{at}dense_i.bias"))


def _lstm(suffix: str, at: str) -> Recipe:
    gates = ("i", "f", "g", "o")
    written = {"if": "if_"}
    inputs = tuple(f"{at}{written.get(f'i{gate}', f'i{gate}')}.kernel" for gate in gates)
    states = tuple(f"{at}h{gate}" for gate in gates)
    biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    return (
        Form((*_kernels(suffix, at), _summed(suffix, f"{at}dense_h.bias"), NO_PROJECTION)),
        # nnx.LSTMCell has a Linear for each gate.
        Form(
            (
                part(f"weight_ih{suffix}", inputs, "gate in hidden"),
                part(f"weight_hh{suffix}", tuple(f"{state}.kernel" for state in states), "gate state hidden"),
                part(biases, tuple(f"{state}.bias" for state in states), "gate hidden", Sum(), absent=0.0),
                NO_PROJECTION,
            )
        ),
    )


# What is added to the candidate is scaled by the reset gate, so it cannot be added to the other bias.
_NO_STATE_BIAS = (
    "nnx.GRUCell as Flax makes it has no bias of the state; give it one:"
    " `cell = nnx.GRUCell(inputs, hidden, rngs=rngs)`,"
    " `cell.dense_h = nnx.Linear(hidden, 3 * hidden, rngs=rngs)`"
)
_ONE_SIZE = (
    "nnx.MultiHeadAttention as Flax makes it has one size for keys and values; give the values theirs:"
    " `attention = nnx.MultiHeadAttention(heads, embed, in_kv_features=kdim, rngs=rngs)`,"
    " `attention.value = nnx.LinearGeneral(vdim, (heads, embed // heads), rngs=rngs)`"
)


def _gru(suffix: str, at: str) -> Recipe:
    return (
        *_kernels(suffix, at),
        part(f"bias_ih{suffix}", f"{at}dense_i.bias", absent=0.0),
        part(f"bias_hh{suffix}", f"{at}dense_h.bias", prepared=_NO_STATE_BIAS),
    )


# A norm over several axes is one over their product: nnx.LayerNorm has one axis of features.
_OVER_ALL = (part("weight", "scale", "(*channel)"), part("bias", "bias", "(*channel)"))
NORMS: Mapping[str, Recipe] = {
    "layer_norm": (Form(_OVER_ALL), Form((part("weight", "scale"), part("bias", "bias")))),
    "rms_norm": (Form(_OVER_ALL[:1]), Form((part("weight", "scale"),))),
}

_CONVOLUTIONS: Mapping[str, tuple[Compared, ...]] = {
    "conv": (
        *compared(CONSTRUCTORS["conv"], "stride", "dilation", "groups"),
        Padding("strides", "kernel_dilation"),
    ),
    "conv_transpose": (
        *compared(CONSTRUCTORS["conv_transpose"], "stride", "dilation"),
        Padding("strides", "kernel_dilation", transposed="spread"),
    ),
}
_GATES = (Difference.always("activation_fn", "tanh"), Difference.always("gate_fn", "sigmoid"))
DIFFERENCES: Mapping[str, tuple[Compared, ...]] = {
    **_CONVOLUTIONS,
    **POOLS,
    **compared_norms(CONSTRUCTORS),
    "instance_norm": compared(CONSTRUCTORS["instance_norm"], "eps"),
    "mha": compared(CONSTRUCTORS["mha"], "num_heads"),
    "rnn": (Difference("nonlinearity", "activation_fn"),),
    "rnn_cell": (Difference("nonlinearity", "activation_fn"),),
    **dict.fromkeys(("lstm", "lstm_cell", "gru", "gru_cell"), _GATES),
}

_OF_VALUES = ("v_proj_weight",)
_MHA: tuple[Entry, ...] = tuple(
    replace(entry, prepared=_ONE_SIZE) if isinstance(entry, Part) and entry.slots == _OF_VALUES else entry
    for entry in MHA
)

RECURRENT: Mapping[str, Recipe] = {
    "rnn": _rnn(_LAYERED, _RNN),
    "lstm": _lstm(_LAYERED, _RNN),
    "gru": _gru(_LAYERED, _RNN),
    "rnn_cell": _rnn("", ""),
    "lstm_cell": _lstm("", ""),
    "gru_cell": _gru("", ""),
}


def _owns(model: Any) -> bool:
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(model, nnx.Module)


class _Length:
    """The lengths of a WeightNorm, which it keeps as a bare array, as if they were a Variable."""

    def __init__(self, scales: Any, key: Any) -> None:
        self._scales, self._key = scales, key

    def get_value(self) -> Any:
        return self._scales[self._key]

    def set_value(self, value: Any) -> None:
        self._scales[self._key] = value


def _variables(nodes: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the path and the Variable of each leaf of a graph that is no random state.

    Raises:
        UsageError: A WeightNorm has no lengths: no weights of PyTorch's give the same there.
    """
    from flax import nnx

    for path, node in nodes:
        if isinstance(node, nnx.Variable) and not isinstance(node, nnx.RngState):
            yield written(path), node
        elif isinstance(node, nnx.WeightNorm):
            if not node.use_scale:
                raise UsageError(
                    f"{written(path) or 'the model'} is a WeightNorm(use_scale=False), which has no place"
                    " for the lengths of the weight: make it with use_scale=True, or without the wrapper"
                )
            for key in node.scales:
                yield written((*path, "scales", key)), _Length(node.scales, key)


def written(path: Sequence[Any]) -> str:
    """Write a path; some wrappers of Flax have keys that are paths themselves."""
    return ".".join(str(part) for key in path for part in (key if isinstance(key, tuple) else (key,)))


def _template(model: Any) -> Template:
    from flax import nnx

    nodes = list(nnx.iter_graph(model))
    modules = [(written(path), node) for path, node in nodes if isinstance(node, nnx.Module)]
    shown = _LAYERS.shown(modules, nnx.Sequential)
    for path, node in modules:
        if isinstance(node, nnx.WeightNorm):
            shown["attributes"][path] = {"feature_axes": node.feature_axes}
    held = dict(_variables(nodes))
    return Template(
        {path: _spec(variable) for path, variable in held.items()},
        computed=computed_in(modules),
        held=held,
        **shown,
    )


def _spec(variable: Any) -> TensorSpec:
    return spec_of(variable.get_value())


def held_by(model: Any) -> dict[str, Any]:
    """Return what holds the leaves of a module, by path."""
    from flax import nnx

    return dict(_variables(nnx.iter_graph(model)))


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    _fill(held_by(model), leaves)
    return model


def _fill(held: Mapping[str, Any], leaves: Mapping[str, Array]) -> None:
    old = {path: variable.get_value() for path, variable in held.items()}
    for path, array in placed(old, leaves).items():
        held[path].set_value(array)


def _read(model: Any) -> Mapping[str, Array]:
    return {path: np.asarray(variable.get_value()) for path, variable in held_by(model).items()}


TARGET = Target(
    name="nnx",
    summary="Flax NNX modules",
    kinds={**KINDS, **RECURRENT, **NORMS, "mha": _MHA},
    naming=Naming(sequential="layers"),
    channels="last",
    aliases=("flax",),
    differences=DIFFERENCES,
    wrappers={
        "weight_norm": Wrapper("layer_instance", {"g": "scales.{leaf}"}, "feature_axes"),
        "spectral_norm": Wrapper(
            "layer_instance",
            {"u": "batch_stats.{leaf}.u", "sigma": "batch_stats.{leaf}.sigma"},
            note=ONCE_MORE,
        ),
    },
    constructors=CONSTRUCTORS,
    live=Live(_owns, _template, _write, _read, fill=_fill),
    mapper=Mapper("ml_switcheroo.runtime.key_mapper", "ml_switcheroo.runtime.live_nnx"),
    observer="ml_switcheroo.verification.observers.nnx",
    drawer="ml_switcheroo.graph.drawers.nnx",
    files=Files(("orbax",)),
)
