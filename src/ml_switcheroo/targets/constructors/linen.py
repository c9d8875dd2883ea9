"""How Flax Linen makes its layers, which learn the sizes of their input when they first see one.

Source: https://flax.readthedocs.io/en/stable/api_reference/flax.linen/layers.html.
"""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.recipes import Aside, Both, Constructor, Difference, Joint, Lack, Spelled, Unsupported
from ml_switcheroo.targets.constructors import spelled as say
from ml_switcheroo.targets.constructors.nnx import activation

__all__ = ["CONSTRUCTORS"]

_EPSILON = say.spelled(eps="epsilon")
_WINDOW = say.spelled(
    out_channels="features", kernel_size="kernel_size", stride="strides", dilation="kernel_dilation"
)
_SCALE = Difference("affine", "use_scale")
_BIAS = Difference("bias", "use_bias")
_CHANNELS = Aside(("in_channels", "num_features", "num_channels"))
_CELL: tuple[Spelled, ...] = (*say.spelled(hidden_size="features"), Aside(("input_size", "bias")))
_SIMPLE = Constructor(
    "flax.linen.SimpleCell", (*_CELL, Difference("nonlinearity", "activation_fn", activation))
)
_LSTM = Constructor("flax.linen.OptimizedLSTMCell", (*_CELL, Lack("proj_size", 0)))
_GRU = Constructor("flax.linen.GRUCell", _CELL)
_AXES: tuple[Spelled, ...] = (
    Difference("normalized_shape", "reduction_axes", say.behind_each_other),
    Difference("normalized_shape", "feature_axes", say.behind_each_other),
    *_EPSILON,
    Difference("elementwise_affine", "use_scale"),
)


def _run(cell: Constructor) -> Constructor:
    both = Both("flax.linen.Bidirectional", ("forward_rnn", "backward_rnn"))
    return Constructor("flax.linen.RNN", say.CELL, inner={"cell": cell}, both=both)


CONSTRUCTORS: Mapping[str, Constructor | Unsupported] = {
    **say.NOT_MADE,
    "linear": Constructor(
        "flax.linen.Dense", (*say.spelled(out_features="features"), _BIAS, Aside(("in_features",)))
    ),
    "linear_in_out": Constructor("flax.linen.Dense", (*say.spelled(nf="features"), Aside(("nx",)))),
    "conv": Constructor(
        "flax.linen.Conv",
        (
            *_WINDOW,
            Difference("padding", "padding", say.pairs),
            say.ZEROS,
            _BIAS,
            _CHANNELS,
            Difference("groups", "feature_group_count"),
        ),
    ),
    "conv_transpose": Constructor(
        "flax.linen.ConvTranspose",
        (
            *_WINDOW,
            Lack("groups", 1),
            say.ZEROS,
            _BIAS,
            _CHANNELS,
            Joint(("kernel_size", "dilation", "padding", "output_padding"), "padding", say.spread),
        ),
    ),
    "batch_norm": Constructor(
        "flax.linen.BatchNorm",
        (*(*_EPSILON, say.KEEPS, _SCALE, say.affine_bias("use_bias"), *say.BATCH_NORM, _CHANNELS),),
        returns="say use_running_average=True where the model is not trained",
    ),
    "instance_norm": Constructor(
        "flax.linen.InstanceNorm",
        (*_EPSILON, _SCALE, say.affine_bias("use_bias"), *say.INSTANCE_NORM, _CHANNELS),
    ),
    "layer_norm": Constructor("flax.linen.LayerNorm", (*_AXES, say.elementwise_bias("use_bias"))),
    "group_norm": Constructor(
        "flax.linen.GroupNorm",
        (*say.spelled(num_groups="num_groups"), *_EPSILON, _SCALE, say.affine_bias("use_bias"), _CHANNELS),
    ),
    "rms_norm": Constructor("flax.linen.RMSNorm", _AXES),
    "embedding": Constructor(
        "flax.linen.Embed",
        (*say.spelled(num_embeddings="num_embeddings", embedding_dim="features"), *say.EMBEDDING),
    ),
    "rnn": _run(_SIMPLE),
    "lstm": _run(_LSTM),
    "gru": _run(_GRU),
    "rnn_cell": _SIMPLE,
    "lstm_cell": _LSTM,
    "gru_cell": _GRU,
    "mha": Constructor(
        "flax.linen.MultiHeadDotProductAttention",
        (
            *say.spelled(num_heads="num_heads", embed_dim="qkv_features", dropout="dropout_rate"),
            Difference("embed_dim", "out_features"),
            _BIAS,
            *say.MHA,
            Aside(("kdim", "vdim")),
        ),
    ),
    "prelu": Constructor("flax.linen.PReLU", say.NO_SLOPE),
}
