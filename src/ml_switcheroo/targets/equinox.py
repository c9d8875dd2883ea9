"""Equinox: attribute paths, PyTorch's words and layouts, channels first, no batch axis.

A batch norm keeps its statistics in ``eqx.nn.State``: the live model is then the pair that
``eqx.nn.make_with_state`` returns. They have the paths ``bn.running_mean`` and ``bn.running_var``,
whichever mode the layer is in. Source: https://docs.kidger.site/equinox/api/nn/linear/ and the
pages beside it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.computed import pools_in
from ml_switcheroo.computed.live import computed_in
from ml_switcheroo.errors import UsageError
from ml_switcheroo.ops import Array, Flip, GateSum, Sum
from ml_switcheroo.recipes import (
    REFUSED,
    Compared,
    Difference,
    Dropped,
    Entry,
    Form,
    Lack,
    Live,
    Mapper,
    Naming,
    Padding,
    Recipe,
    Target,
    Unsupported,
    Wrapper,
    part,
)
from ml_switcheroo.targets.constructors.equinox import CONSTRUCTORS
from ml_switcheroo.targets.constructors.spelled import compared, compared_norms
from ml_switcheroo.targets.jax_arrays import in_place_of, placed
from ml_switcheroo.targets.live_layers import Layers
from ml_switcheroo.tensors import spec_of
from ml_switcheroo.tree import Template

__all__ = ["CLASSES", "TARGET", "mapped", "nodes", "path_of", "whole"]

_AFFINE = (part("weight", "weight"), part("bias", "bias"))
_BATCH_NORM = (
    *_AFFINE,
    part("running_mean", "running_mean"),
    part("running_var", "running_var"),
    Dropped("num_batches_tracked", "Equinox's BatchNorm has a fixed momentum and needs no count"),
)
_QKV = ("query_proj", "key_proj", "value_proj")
_NO_RNN = Unsupported(
    'Equinox has no plain recurrent cell (a port that keeps the tensors: Kind(..., "parameter"))'
)

# Equinox has cells only, run by jax.lax.scan: a layer of several is an item of a list, a direction an
# attribute beside the other.
_LAYERED = "_l{layer}{way}"
_PLACE = "{layer}.{way:forward|backward}."


def _lstm(suffix: str, at: str) -> Recipe:
    biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    return (
        part(f"weight_ih{suffix}", f"{at}weight_ih"),
        part(f"weight_hh{suffix}", f"{at}weight_hh"),
        part(biases, f"{at}bias", None, Sum()),
        Unsupported("Equinox's LSTMCell does not project its state (proj_size)", slot=f"weight_hr{suffix}"),
    )


def _gru(suffix: str, at: str) -> Recipe:
    biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    return (
        part(f"weight_ih{suffix}", f"{at}weight_ih"),
        part(f"weight_hh{suffix}", f"{at}weight_hh"),
        part(biases, (f"{at}bias", f"{at}bias_n"), None, GateSum(3, 2)),
    )


_MHA: tuple[Entry, ...] = (
    part("in_proj_weight", tuple(f"{name}.weight" for name in _QKV), "(qkv out) in -> qkv out in"),
    *(part(f"{name[0]}_proj_weight", f"{name}.weight") for name in _QKV),
    part("in_proj_bias", tuple(f"{name}.bias" for name in _QKV), "(qkv out) -> qkv out"),
    part("out_proj.weight", "output_proj.weight"),
    part("out_proj.bias", "output_proj.bias"),
    Unsupported("Equinox's attention has no bias_k and bias_v", slot="bias_k"),
)

_SLOPES = (
    "Equinox's PReLU has the slopes it is made with: one is PReLU(), one for each channel of an image is"
    " PReLU(jnp.zeros((channels, 1, 1)))"
)

KINDS: Mapping[str, Recipe] = {
    **REFUSED,
    "linear": (part("weight", "weight"), part("bias", "bias")),
    "linear_in_out": (part("weight", "weight", "out in"), part("bias", "bias")),
    "bilinear": Unsupported(
        'Equinox has no bilinear layer (a port that keeps the tensors: Kind(..., "parameter"))'
    ),
    "conv": (part("weight", "weight"), part("bias", "bias", "out *1")),
    # A convolution of the spread-out input: PyTorch's kernel, turned round.
    "conv_transpose": (
        part(
            "weight",
            "weight",
            "(groups in) out *space -> (groups out) in *space",
            Flip("in out *space"),
        ),
        part("bias", "bias", "channel *1"),
    ),
    "batch_norm": _BATCH_NORM,
    # GroupNorm(groups=channels) is Equinox's InstanceNorm.
    "instance_norm": (
        Form((*_AFFINE, Unsupported("Equinox's GroupNorm has no running statistics", slot="running_mean"))),
        Form(
            _BATCH_NORM,
            note="an InstanceNorm with running statistics is, outside training, a BatchNorm in Equinox",
        ),
    ),
    "layer_norm": _AFFINE,
    "group_norm": _AFFINE,
    "rms_norm": (part("weight", "weight"),),
    "embedding": (part("weight", "weight"),),
    "rnn": _NO_RNN,
    "lstm": _lstm(_LAYERED, _PLACE),
    "gru": _gru(_LAYERED, _PLACE),
    "rnn_cell": _NO_RNN,
    "lstm_cell": _lstm("", ""),
    "gru_cell": _gru("", ""),
    "mha": _MHA,
    # One slope is a scalar; slopes of channels are an array that broadcasts: (channels, 1, 1).
    "prelu": (
        Form((part("weight", "negative_slope", "1 -> "),), misfit=_SLOPES),
        Form((part("weight", "negative_slope", "channel -> channel *1"),), misfit=_SLOPES),
    ),
    "class_weights": (part("weight", "weight"), part("pos_weight", "pos_weight")),
    "parameter": (part("", ""),),
    "buffer": (part("", ""),),
}

CLASSES: Mapping[str, str] = {
    "Linear": "linear",
    "Conv": "conv",
    "ConvTranspose": "conv_transpose",
    "BatchNorm": "batch_norm",
    "LayerNorm": "layer_norm",
    "GroupNorm": "group_norm",
    "RMSNorm": "rms_norm",
    "Embedding": "embedding",
    "LSTMCell": "lstm_cell",
    "GRUCell": "gru_cell",
    "MultiheadAttention": "mha",
    "PReLU": "prelu",
}
_LAYERS = Layers("equinox.nn.", CLASSES)

_STATISTICS = re.compile(r"\b(?:batch|ema)_state_index\.init\.([01])$")

# What a batch norm must hold beside its statistics so that it takes them as they are: "ema" has
# seen a batch, and "batch", which divides by 1 - momentum**count, has seen so many that this is 1.
_SEEN: Mapping[str, Any] = {"ema_first_time_index.init": False, "batch_counter.init": 2**30}


def _owns(model: Any) -> bool:
    equinox = sys.modules.get("equinox")
    return equinox is not None and (isinstance(model, equinox.Module) or _is_pair(model))


def _is_pair(model: Any) -> bool:
    equinox = sys.modules["equinox"]
    return (
        isinstance(model, tuple | list)
        and len(model) == 2
        and isinstance(model[0], equinox.Module)
        and isinstance(model[1], equinox.nn.State)
    )


def whole(model: Any) -> Any:
    """Return the module with its state in it.

    Raises:
        UsageError: The state was taken out of the module and is not given.
    """
    import jax
    from equinox import nn, tree_at

    module, state = model if _is_pair(model) else (model, None)

    def put_back(node: Any) -> Any:
        if not isinstance(node, nn.StateIndex):
            return node
        if state is not None:
            return tree_at(lambda index: index.init, node, state.get(node), is_leaf=lambda x: x is node.init)
        if not jax.tree_util.tree_leaves(node):
            raise UsageError(
                f"{node.marker}: the state of this Equinox model is not in it; pass the pair"
                " (model, state) that eqx.nn.make_with_state returns"
            )
        return node

    return jax.tree_util.tree_map(put_back, module, is_leaf=lambda node: isinstance(node, nn.StateIndex))


def mapped(model: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a module, or the pair (module, state), for each element of the first axis of its inputs."""
    import jax

    if isinstance(model, tuple):
        module, state = model
        axes = (*[0] * len(args), None)
        return jax.vmap(module, axis_name="batch", in_axes=axes, out_axes=(0, None))(*args, state)[0]
    return jax.vmap(lambda args, kwargs: model(*args, **kwargs))(args, kwargs)


def _word(key: Any) -> str:
    return str(next((getattr(key, name) for name in ("name", "idx", "key") if hasattr(key, name)), key))


def path_of(keys: Any) -> str:
    """Write the path of a node of a pytree; the statistics of a batch norm have torch's names."""
    path = ".".join(map(_word, keys))
    return _STATISTICS.sub(lambda found: ("running_mean", "running_var")[int(found[1])], path)


def _children(node: Any) -> list[tuple[Any, Any]]:
    """Return the key and value of all that lies directly below a node of a pytree."""
    import jax

    below = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda child: child is not node)[0]
    return [(keys[0], child) for keys, child in below if keys]


def nodes(node: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the path of each node of a pytree, the root first."""
    yield path_of(keys), node
    for key, child in _children(node):
        yield from nodes(child, (*keys, key))


def _leaves(model: Any) -> Mapping[str, Any]:
    """Return all that is a weight or a statistic: no functions, flags, counters or random keys."""
    return {
        path: node
        for path, node in nodes(whole(model))
        if _holds_numbers(node) and not path.endswith(tuple(_SEEN))
    }


def _holds_numbers(leaf: Any) -> bool:
    import jax

    return (
        hasattr(leaf, "shape")
        and hasattr(leaf, "dtype")
        and not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    )


def _template(model: Any) -> Template:
    from equinox import Module, nn

    found = list(nodes(whole(model)))
    shown = _LAYERS.shown(found, nn.Sequential)
    for path, node in found:
        if isinstance(node, nn.WeightNorm):
            shown["attributes"][path] = {"axis": node.axis}
    modules = [(path, node) for path, node in found if isinstance(node, Module)]
    return Template(
        {path: spec_of(leaf) for path, leaf in _leaves(model).items()},
        computed=computed_in(modules),
        pools=pools_in(modules, "equinox"),
        **shown,
    )


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    import jax
    from equinox import nn

    old, tree = jax.tree_util.tree_flatten_with_path(whole(model))
    paths = [path_of(keys) for keys, _ in old]
    new = placed({path: leaf for path, (_, leaf) in zip(paths, old, strict=True)}, leaves)

    def put(path: str, leaf: Any) -> Any:
        counter = next((name for name in _SEEN if path.endswith(name)), None)
        if path in new:
            return new[path]
        if counter is not None and path.removesuffix(counter) + "running_mean" in new:
            return in_place_of(leaf, np.array(_SEEN[counter]))
        return leaf

    filled = [put(path, leaf) for path, (_, leaf) in zip(paths, old, strict=True)]
    made = jax.tree_util.tree_unflatten(tree, filled)
    return (nn.delete_init_state(made), nn.State(made)) if _is_pair(model) else made


def _read(model: Any) -> Mapping[str, Array]:
    return {path: np.asarray(leaf) for path, leaf in _leaves(model).items()}


_CONVOLUTIONS: Mapping[str, tuple[Compared, ...]] = {
    "conv": (
        *compared(CONSTRUCTORS["conv"], "stride", "dilation", "groups"),
        Padding("stride", "dilation", "padding_mode"),
    ),
    "conv_transpose": (
        *compared(CONSTRUCTORS["conv_transpose"], "stride", "dilation"),
        Padding("stride", "dilation", transposed="numbers"),
    ),
}

# Source: https://docs.kidger.site/equinox/api/nn/pool/
_POOLS: tuple[Compared, ...] = (
    Difference("kernel_size", "kernel_size"),
    Difference("stride", "stride"),
    Difference("ceil_mode", "use_ceil"),
    Padding("stride", "dilation"),
    Lack("dilation", 1),
    Lack("count_include_pad", True, beside="padding"),
    Lack("divisor_override", None),
)

TARGET = Target(
    name="equinox",
    summary="Equinox modules",
    kinds=KINDS,
    naming=Naming(sequential="layers"),
    channels="first",
    differences={
        **_CONVOLUTIONS,
        **compared_norms(CONSTRUCTORS),
        **dict.fromkeys(("max_pool", "avg_pool"), _POOLS),
        "mha": compared(CONSTRUCTORS["mha"], "num_heads"),
    },
    wrappers={
        "weight_norm": Wrapper("layer", {"g": "g"}, "axis", 0, whole=True),
        "spectral_norm": Wrapper("layer", {"u": "uv_index.init.0", "v": "uv_index.init.1"}, default=0),
    },
    constructors=CONSTRUCTORS,
    live=Live(_owns, _template, _write, _read, immutable=True),
    mapper=Mapper("ml_switcheroo.runtime.into_equinox", "ml_switcheroo.runtime.live_equinox"),
    observer="ml_switcheroo.verification.observers.equinox",
    drawer="ml_switcheroo.graph.drawers.equinox",
)
