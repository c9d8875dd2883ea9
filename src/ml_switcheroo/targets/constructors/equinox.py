"""How Equinox makes its layers, which take one example without a batch axis.

Source: https://docs.kidger.site/equinox/api/nn/linear/ and the pages beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.recipes import Aside, Constructor, Difference, Lack, Needs, Spelled, Unsupported
from ml_switcheroo.targets.constructors import spelled as say

__all__ = ["CONSTRUCTORS"]

_KEY = ("key",)
_BIAS = Difference("bias", "use_bias")
_EPSILON = say.spelled(eps="eps")
_WINDOW: tuple[Spelled, ...] = (
    *say.spelled(in_channels="in_channels", out_channels="out_channels", kernel_size="kernel_size"),
    *say.spelled(stride="stride", dilation="dilation", groups="groups"),
    Difference("padding", "padding", say.words),
    Difference("padding_mode", "padding_mode", say.words),
    _BIAS,
)
_AFFINE: tuple[Spelled, ...] = (
    Difference("affine", "channelwise_affine"),
    Needs(
        say.AFFINE_BIAS,
        lambda affine, bias: bias or not affine,
        "its norms have both weight and bias or neither",
    ),
)
_CELL: tuple[Spelled, ...] = (*say.spelled(input_size="input_size", hidden_size="hidden_size"), _BIAS)
_SCANNED = "it is the cell: run it over the steps with jax.lax.scan"
_EXAMPLE = "it takes one example: map it over the batch with jax.vmap"


def _cell(name: str, *more: Lack) -> Constructor:
    return Constructor(f"equinox.nn.{name}", (*_CELL, *more), _KEY)


def _run(name: str, *more: Lack) -> Constructor:
    return Constructor(f"equinox.nn.{name}", (*_CELL, *say.CELL, *more), _KEY, returns=_SCANNED)


_ONE_SLOPE = Needs(
    ("num_parameters",),
    lambda slopes: slopes == 1,
    "it does not say how many axes are behind the channels: for an image, write equinox.nn.PReLU(jnp.full("
    "(channels, 1, 1), 0.25))",
)


CONSTRUCTORS: Mapping[str, Constructor | Unsupported] = {
    **say.NOT_MADE,
    "linear": Constructor(
        "equinox.nn.Linear",
        (*say.spelled(in_features="in_features", out_features="out_features"), _BIAS),
        _KEY,
    ),
    "linear_in_out": Constructor("equinox.nn.Linear", say.spelled(nx="in_features", nf="out_features"), _KEY),
    "conv": Constructor("equinox.nn.Conv{rank}d", _WINDOW, _KEY, returns=_EXAMPLE),
    "conv_transpose": Constructor(
        "equinox.nn.ConvTranspose{rank}d",
        (*_WINDOW, *say.spelled(output_padding="output_padding")),
        _KEY,
        returns=_EXAMPLE,
    ),
    "batch_norm": Constructor(
        "equinox.nn.BatchNorm",
        (
            *say.spelled(num_features="input_size"),
            Difference.always("axis_name", "batch"),
            Difference.always("mode", "batch"),
            *_EPSILON,
            say.KEEPS,
            *_AFFINE,
            *say.BATCH_NORM,
        ),
        returns="it has a state: make the model with equinox.nn.make_with_state; jax.vmap names its axis",
    ),
    "instance_norm": Constructor(
        "equinox.nn.GroupNorm",
        (
            *say.spelled(num_features="channels"),
            Difference("num_features", "groups"),
            *_EPSILON,
            *_AFFINE,
            *say.INSTANCE_NORM,
        ),
        returns=_EXAMPLE,
    ),
    "layer_norm": Constructor(
        "equinox.nn.LayerNorm",
        (
            *say.spelled(normalized_shape="shape", elementwise_affine="use_weight"),
            *_EPSILON,
            say.elementwise_bias("use_bias"),
        ),
        returns="it is over all axes of its input: map it over the others with jax.vmap",
    ),
    "group_norm": Constructor(
        "equinox.nn.GroupNorm",
        (*say.spelled(num_groups="groups", num_channels="channels"), *_EPSILON, *_AFFINE),
        returns=_EXAMPLE,
    ),
    "rms_norm": Constructor(
        "equinox.nn.RMSNorm",
        (
            *say.spelled(normalized_shape="shape", elementwise_affine="use_weight"),
            Difference.always("use_bias", False),
            *_EPSILON,
        ),
        returns="it is over all axes of its input: map it over the others with jax.vmap",
    ),
    "embedding": Constructor(
        "equinox.nn.Embedding",
        (*say.spelled(num_embeddings="num_embeddings", embedding_dim="embedding_size"), *say.EMBEDDING),
        _KEY,
        returns="it takes one number: map it over the others with jax.vmap",
    ),
    "lstm": _run("LSTMCell", Lack("proj_size", 0)),
    "gru": _run("GRUCell"),
    "lstm_cell": _cell("LSTMCell"),
    "gru_cell": _cell("GRUCell"),
    "mha": Constructor(
        "equinox.nn.MultiheadAttention",
        (
            *say.spelled(num_heads="num_heads", embed_dim="query_size", dropout="dropout_p"),
            *say.spelled(kdim="key_size", vdim="value_size"),
            *(Difference("bias", f"use_{name}_bias") for name in ("query", "key", "value", "output")),
            *say.MHA,
        ),
        _KEY,
        returns=_EXAMPLE,
    ),
    "prelu": Constructor("equinox.nn.PReLU", (_ONE_SLOPE, Aside(("init",)))),
}
