"""Haiku: ``params[module][leaf]``, with the paths ``net/~/linear/w``; channels last.

Haiku's models are plain dictionaries: the params, or the pair (params, state) that
``hk.transform_with_state`` works on. Its module names hold a ``~`` for what was made in a
constructor; it counts for nothing when names are compared. Source:
https://dm-haiku.readthedocs.io/en/latest/api.html.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.errors import UsageError
from ml_switcheroo.ops import Array, Concat, Flip, Gates, Shift, Sum
from ml_switcheroo.recipes import (
    REFUSED,
    Compared,
    Dropped,
    Entry,
    Form,
    Lack,
    Live,
    Mapper,
    Naming,
    Recipe,
    Target,
    Unsupported,
    part,
)
from ml_switcheroo.targets.constructors.haiku import CONSTRUCTORS
from ml_switcheroo.targets.jax_arrays import in_place_of, placed
from ml_switcheroo.tensors import spec_of
from ml_switcheroo.tree import Template

__all__ = ["NO_CALL", "TARGET"]

NO_CALL = (
    "params do not run by themselves: pass target_call=transformed.apply (of hk.without_apply_rng),"
    " or a function of (params, state) and the inputs"
)
"""What is said where a model is to run, and nothing says how."""

_AFFINE = (part("weight", "scale"), part("bias", "offset"))
_BATCH_NORM = (
    part("weight", "scale", "*1 channel"),
    part("bias", "offset", "*1 channel"),
    part("running_mean", "~.mean_ema.average", "*1 channel", collection="state"),
    part("running_var", "~.var_ema.average", "*1 channel", collection="state"),
    Dropped("num_batches_tracked", "Haiku's BatchNorm has a fixed decay and needs no count"),
)
_QKV = ("query", "key", "value")
_NO_GRU = Unsupported(
    "Haiku's GRU resets the state before it is multiplied, PyTorch's after: no weights agree"
)
_NO_GROUPS = Unsupported("Haiku's ConvTranspose has no groups", needs={"groups": 1})

# Cores are run by hk.dynamic_unroll; a layer of several has its number in its name, a direction its word.
_LAYERED = "_l{layer}{way}"
_PLACE = "{layer}.{way:forward|backward}."


def _no(name: str) -> Unsupported:
    return Unsupported(f'Haiku has no {name} layer (a port that keeps the tensors: Kind(..., "parameter"))')


def _rnn(suffix: str, at: str) -> Recipe:
    relu = Unsupported("Haiku's VanillaRNN has relu, not tanh", needs={"nonlinearity": "relu"})
    return (
        part(f"weight_ih{suffix}", f"{at}linear.w", "in (gate hidden)"),
        part(f"weight_hh{suffix}", f"{at}linear_1.w", "state (gate hidden)"),
        part(f"bias_ih{suffix}", f"{at}linear.b"),
        part(f"bias_hh{suffix}", f"{at}linear_1.b"),
        relu,
    )


def _lstm(suffix: str, at: str) -> Recipe:
    """Join both kernels; the gates i f g o become i g f o, and the forget gate adds 1 by itself."""
    weights = (f"weight_ih{suffix}", f"weight_hh{suffix}")
    biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    gates = Gates((0, 2, 1, 3))
    return (
        part(weights, f"{at}linear.w", "out in -> in out", Concat(1), gates),
        part(biases, f"{at}linear.b", None, Sum(), gates, Shift(-1.0, 4, 2)),
        Unsupported("Haiku's LSTM does not project its state (proj_size)", slot=f"weight_hr{suffix}"),
        Unsupported("Haiku's LSTM always has a bias, which is no zero here", needs={"bias": True}),
    )


_MHA: tuple[Entry, ...] = (
    part("in_proj_weight", tuple(f"{name}.w" for name in _QKV), "(qkv out) in -> qkv in out"),
    *(part(f"{name[0]}_proj_weight", f"{name}.w", "out in -> in out") for name in _QKV),
    part("in_proj_bias", tuple(f"{name}.b" for name in _QKV), "(qkv out) -> qkv out"),
    part("out_proj.weight", "linear.w", "out in -> in out"),
    part("out_proj.bias", "linear.b"),
    Unsupported("Haiku's attention has no bias_k and bias_v", slot="bias_k"),
)

KINDS: Mapping[str, Recipe] = {
    **REFUSED,
    "linear": (part("weight", "w", "in out"), part("bias", "b")),
    "linear_in_out": (part("weight", "w"), part("bias", "b")),
    "bilinear": _no("bilinear"),
    "conv": (part("weight", "w", "*space in out"), part("bias", "b")),
    # lax.conv_transpose convolves with the kernel as it lies; PyTorch's is that of the gradient.
    "conv_transpose": (
        part("weight", "w", "*space out in", Flip("in out *space")),
        part("bias", "b"),
        _NO_GROUPS,
    ),
    "batch_norm": _BATCH_NORM,
    "instance_norm": (
        Form((*_AFFINE, Unsupported("Haiku's InstanceNorm has no running statistics", slot="running_mean"))),
        Form(
            _BATCH_NORM,
            note="an InstanceNorm with running statistics is, outside training, a BatchNorm in Haiku",
        ),
    ),
    # Over several axes a LayerNorm keeps the rank of its input: its scale is (1, 5, 6) or (1, 1, 5, 6).
    "layer_norm": tuple(
        Form((part("weight", "scale", ones + "*channel"), part("bias", "offset", ones + "*channel")))
        for ones in ("", "1 ", "1 1 ", "1 1 1 ")
    ),
    "group_norm": _AFFINE,
    "rms_norm": (part("weight", "scale"),),
    "embedding": (part("weight", "embeddings"),),
    "rnn": _rnn(_LAYERED, _PLACE),
    "lstm": _lstm(_LAYERED, _PLACE),
    "gru": _NO_GRU,
    "rnn_cell": _rnn("", ""),
    "lstm_cell": _lstm("", ""),
    "gru_cell": _NO_GRU,
    "mha": _MHA,
    "prelu": _no("PReLU"),
    "class_weights": (
        part("weight", "weight", collection="state"),
        part("pos_weight", "pos_weight", collection="state"),
    ),
    "parameter": (part("", ""),),
    "buffer": (part("", "", collection="state"),),
}

# Leaves that no other framework's trees have; a "/" in a module's name is as good.
_WORDS = frozenset({"w", "offset", "embeddings", "w_i", "w_h"})

# An ExponentialMovingAverage keeps its average, and beside it what it computes the next one from.
# An average that came from elsewhere stays as it is when it is also the hidden one, and the counter
# is so high that the bias correction, 1 - decay**counter, is 1.
_AVERAGE = frozenset({"average", "hidden", "counter"})
_SEEN = 2**30


def _owns(model: Any) -> bool:
    if "haiku" not in sys.modules:
        return False
    return _accepts(model) and any(
        "/" in module or _WORDS & set(leaves)
        for tree in (model if _is_pair(model) else (model,))
        for module, leaves in tree.items()
    )


def _accepts(model: Any) -> bool:
    return all(map(_is_tree, model if _is_pair(model) else (model,)))


def _is_pair(model: Any) -> bool:
    return isinstance(model, tuple | list) and len(model) == 2


def _is_tree(tree: Any) -> bool:
    return isinstance(tree, Mapping) and all(
        isinstance(module, str)
        and isinstance(leaves, Mapping)
        and all(hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in leaves.values())
        for module, leaves in tree.items()
    )


def _leaves(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each leaf, of the params first.

    Raises:
        UsageError: The params and the state both have a leaf of that path.
    """
    seen = set()
    for tree in model if _is_pair(model) else (model,):
        for module, leaves in tree.items():
            for name, leaf in leaves.items():
                path = f"{module}/{name}"
                if path in seen:
                    raise UsageError(f"the params and the state of this Haiku model both have {path}")
                seen.add(path)
                if not (set(leaves) == _AVERAGE and name != "average"):
                    yield path, leaf


def _template(model: Any) -> Template:
    return Template({path: spec_of(leaf) for path, leaf in _leaves(model)})


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    new = placed(dict(_leaves(model)), leaves)
    if _is_pair(model):
        return tuple(_filled(tree, new) for tree in model)
    return _filled(model, new)


def _filled(tree: Any, new: Mapping[str, Any]) -> Any:
    return {
        module: {name: _value(module, name, leaf, set(own), new) for name, leaf in own.items()}
        for module, own in tree.items()
    }


def _value(module: str, name: str, leaf: Any, beside: set[str], new: Mapping[str, Any]) -> Any:
    path = f"{module}/{name}"
    if path in new:
        return new[path]
    if beside == _AVERAGE and f"{module}/average" in new:
        return in_place_of(leaf, np.array(_SEEN if name == "counter" else new[f"{module}/average"]))
    return leaf


def _read(model: Any) -> Mapping[str, Array]:
    return {path: np.asarray(leaf) for path, leaf in _leaves(model)}


# Its pools are functions, padded by words. Source: https://dm-haiku.readthedocs.io/en/latest/api.html
_POOLS: tuple[Compared, ...] = (
    Lack("ceil_mode", False),
    Lack("dilation", 1),
    Lack("count_include_pad", False, beside="padding"),
    Lack("divisor_override", None),
)

TARGET = Target(
    name="haiku",
    summary="Haiku params and state",
    kinds=KINDS,
    naming=Naming("/", join_digits=True),
    channels="last",
    differences=dict.fromkeys(("max_pool", "avg_pool"), _POOLS),
    constructors=CONSTRUCTORS,
    live=Live(_owns, _template, _write, _read, immutable=True, tree=True, accepts=_accepts),
    mapper=Mapper("ml_switcheroo.runtime.into_haiku", "ml_switcheroo.runtime.live_haiku"),
    observer="ml_switcheroo.verification.observers.haiku",
    drawer="ml_switcheroo.graph.drawers.haiku",
)
