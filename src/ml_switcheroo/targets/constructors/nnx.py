"""How Flax NNX makes its layers.

Source: https://flax.readthedocs.io/en/stable/api_reference/flax.nnx/nn/index.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ml_switcheroo.recipes import (
    Also,
    Aside,
    Both,
    Constructor,
    Difference,
    Joint,
    Lack,
    Name,
    Needs,
    Spelled,
    Unsupported,
)
from ml_switcheroo.targets.constructors import spelled as say

__all__ = ["CONSTRUCTORS", "activation", "heads_dim"]

_RNGS = ("rngs",)


def activation(word: str) -> Name:
    """Return the function of JAX that a nonlinearity is."""
    return Name({"tanh": "jax.numpy.tanh", "relu": "jax.nn.relu"}[word])


def heads_dim(embed: int, heads: int) -> int:
    """Return the features of one head."""
    return embed // heads


def _product(shape: Any) -> int:
    return shape if isinstance(shape, int) else math.prod(shape)


_FLATTENED = Aside(
    ("normalized_shape",),
    "it is over one axis here: join the axes of normalized_shape before it, and part them behind it",
    lambda shape: isinstance(shape, int) or len(shape) == 1,
)
_EPSILON = say.spelled(eps="epsilon")
_IN_OUT = say.spelled(in_channels="in_features", out_channels="out_features")
_WINDOW: tuple[Spelled, ...] = (
    Difference("kernel_size", "kernel_size"),
    Difference("stride", "strides", nothing=1),
    Difference("dilation", "kernel_dilation", nothing=1),
)
_SCALE = Difference("affine", "use_scale")
_BIAS = Difference("bias", "use_bias")
# A cell has biases in any case; where PyTorch has none they are 0.
_CELL: tuple[Spelled, ...] = (
    *say.spelled(input_size="in_features", hidden_size="hidden_features"),
    Aside(("bias",)),
)
_SIMPLE = Constructor(
    "flax.nnx.SimpleCell", (*_CELL, Difference("nonlinearity", "activation_fn", activation)), _RNGS
)
_LSTM = Constructor("flax.nnx.OptimizedLSTMCell", (*_CELL, Lack("proj_size", 0)), _RNGS)
_STATE_BIAS = Constructor(
    "flax.nnx.Linear",
    (
        Difference("hidden_size", "in_features"),
        Difference("hidden_size", "out_features", lambda size: 3 * size),
    ),
    _RNGS,
)
_GRU = Constructor(
    "flax.nnx.GRUCell", (*_CELL, Also("dense_h", _STATE_BIAS, ("bias",), lambda bias: bool(bias))), _RNGS
)
_VALUES = Constructor(
    "flax.nnx.LinearGeneral",
    (
        Difference("vdim", "in_features"),
        Joint(("embed_dim", "num_heads"), "out_features", lambda embed, heads: (heads, embed // heads)),
        _BIAS,
    ),
    _RNGS,
)


def _run(cell: Constructor) -> Constructor:
    both = Both("flax.nnx.Bidirectional", ("forward_rnn", "backward_rnn"), _RNGS)
    return Constructor("flax.nnx.RNN", say.CELL, _RNGS, {"cell": cell}, both=both)


CONSTRUCTORS: Mapping[str, Constructor | Unsupported] = {
    **say.NOT_MADE,
    "linear": Constructor(
        "flax.nnx.Linear",
        (*say.spelled(in_features="in_features", out_features="out_features"), _BIAS),
        _RNGS,
    ),
    "linear_in_out": Constructor("flax.nnx.Linear", say.spelled(nx="in_features", nf="out_features"), _RNGS),
    "conv": Constructor(
        "flax.nnx.Conv",
        (
            *_IN_OUT,
            *_WINDOW,
            Difference("padding", "padding", say.pairs),
            say.ZEROS,
            _BIAS,
            Difference("groups", "feature_group_count"),
        ),
        _RNGS,
    ),
    "conv_transpose": Constructor(
        "flax.nnx.ConvTranspose",
        (
            *_IN_OUT,
            *_WINDOW,
            Lack("groups", 1),
            say.ZEROS,
            _BIAS,
            Joint(("kernel_size", "dilation", "padding", "output_padding"), "padding", say.spread),
        ),
        _RNGS,
    ),
    "batch_norm": Constructor(
        "flax.nnx.BatchNorm",
        (
            *say.spelled(num_features="num_features"),
            *_EPSILON,
            say.KEEPS,
            _SCALE,
            say.affine_bias("use_bias"),
            *say.BATCH_NORM,
        ),
        _RNGS,
    ),
    "instance_norm": Constructor(
        "flax.nnx.InstanceNorm",
        (
            *say.spelled(num_features="num_features"),
            *_EPSILON,
            _SCALE,
            say.affine_bias("use_bias"),
            *say.INSTANCE_NORM,
        ),
        _RNGS,
    ),
    "layer_norm": Constructor(
        "flax.nnx.LayerNorm",
        (
            Difference("normalized_shape", "num_features", _product),
            _FLATTENED,
            *_EPSILON,
            Difference("elementwise_affine", "use_scale"),
            say.elementwise_bias("use_bias"),
        ),
        _RNGS,
    ),
    "group_norm": Constructor(
        "flax.nnx.GroupNorm",
        (
            *say.spelled(num_channels="num_features", num_groups="num_groups"),
            *_EPSILON,
            _SCALE,
            say.affine_bias("use_bias"),
        ),
        _RNGS,
    ),
    "rms_norm": Constructor(
        "flax.nnx.RMSNorm",
        (
            Difference("normalized_shape", "num_features", _product),
            _FLATTENED,
            *_EPSILON,
            Difference("elementwise_affine", "use_scale"),
        ),
        _RNGS,
    ),
    "embedding": Constructor(
        "flax.nnx.Embed",
        (*say.spelled(num_embeddings="num_embeddings", embedding_dim="features"), *say.EMBEDDING),
        _RNGS,
    ),
    "rnn": _run(_SIMPLE),
    "lstm": _run(_LSTM),
    "gru": _run(_GRU),
    "rnn_cell": _SIMPLE,
    "lstm_cell": _LSTM,
    "gru_cell": _GRU,
    "mha": Constructor(
        "flax.nnx.MultiHeadAttention",
        (
            *say.spelled(num_heads="num_heads", embed_dim="in_features", dropout="dropout_rate"),
            _BIAS,
            Difference.always("decode", False),
            *say.MHA,
            Joint(("kdim", "embed_dim"), "in_kv_features", lambda kdim, embed: kdim or embed),
            Also("value", _VALUES, ("vdim", "kdim", "embed_dim"), lambda v, k, e: bool(v and v != (k or e))),
            Needs(
                ("vdim", "kdim", "embed_dim"),
                lambda v, k, e: bool(v) or k in (None, e),
                "the values have the size of the queries, and kdim is another: say vdim too",
            ),
        ),
        _RNGS,
    ),
    "prelu": Constructor("flax.nnx.PReLU", say.NO_SLOPE),
}
