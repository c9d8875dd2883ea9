"""How Haiku makes its layers, which learn the sizes of their input when they first see one.

Source: https://dm-haiku.readthedocs.io/en/latest/api.html.
"""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.recipes import Aside, Constructor, Difference, Joint, Lack, Made, Spelled, Unsupported
from ml_switcheroo.targets.constructors import spelled as say
from ml_switcheroo.targets.constructors.nnx import heads_dim

__all__ = ["CONSTRUCTORS"]

_EPSILON = say.spelled(eps="eps")
_BIAS = Difference("bias", "with_bias")
_WINDOW: tuple[Spelled, ...] = (
    *say.spelled(out_channels="output_channels", kernel_size="kernel_shape", stride="stride"),
    _BIAS,
    say.ZEROS,
    Aside(("in_channels",)),
)
_AFFINE: tuple[Spelled, ...] = (Difference("affine", "create_scale"), say.affine_bias("create_offset"))
_CHANNELS = Aside(("num_features", "num_channels"))
_AXES: tuple[Spelled, ...] = (
    Difference("normalized_shape", "axis", say.behind_each_other),
    Difference("normalized_shape", "param_axis", say.behind_each_other),
    *_EPSILON,
    Difference("elementwise_affine", "create_scale"),
)
# Its core adds a bias by itself, and has no switch for it.
_CELL: tuple[Spelled, ...] = (
    *say.spelled(hidden_size="hidden_size"),
    Lack("bias", True),
    Aside(("input_size",)),
)
_RELU = Lack("nonlinearity", "relu")
_UNROLLED = "it is the core: run it over the steps with haiku.dynamic_unroll"


def _run(name: str, more: Lack) -> Constructor:
    return Constructor(f"haiku.{name}", (*_CELL, *say.CELL, more), returns=_UNROLLED)


CONSTRUCTORS: Mapping[str, Constructor | Unsupported] = {
    **say.NOT_MADE,
    "linear": Constructor(
        "haiku.Linear", (*say.spelled(out_features="output_size"), _BIAS, Aside(("in_features",)))
    ),
    "linear_in_out": Constructor("haiku.Linear", (*say.spelled(nf="output_size"), Aside(("nx",)))),
    "conv": Constructor(
        "haiku.Conv{rank}D",
        (
            *_WINDOW,
            *say.spelled(dilation="rate", groups="feature_group_count"),
            Difference("padding", "padding", say.pairs),
        ),
    ),
    "conv_transpose": Constructor(
        "haiku.Conv{rank}DTranspose",
        (
            *_WINDOW,
            Lack("groups", 1),
            Lack("dilation", 1),
            Joint(("kernel_size", "dilation", "padding", "output_padding"), "padding", say.spread),
        ),
    ),
    "batch_norm": Constructor(
        "haiku.BatchNorm",
        (
            *_AFFINE,
            *_EPSILON,
            Difference("momentum", "decay_rate", lambda share: 1 - share),
            *say.BATCH_NORM,
            _CHANNELS,
        ),
        returns="call it with is_training=False where the model is not trained",
    ),
    "instance_norm": Constructor("haiku.InstanceNorm", (*_AFFINE, *_EPSILON, *say.INSTANCE_NORM, _CHANNELS)),
    "layer_norm": Constructor("haiku.LayerNorm", (*_AXES, say.elementwise_bias("create_offset"))),
    "group_norm": Constructor(
        "haiku.GroupNorm", (*say.spelled(num_groups="groups"), *_AFFINE, *_EPSILON, _CHANNELS)
    ),
    "rms_norm": Constructor("haiku.RMSNorm", _AXES),
    "embedding": Constructor(
        "haiku.Embed",
        (*say.spelled(num_embeddings="vocab_size", embedding_dim="embed_dim"), *say.EMBEDDING),
    ),
    "rnn": _run("VanillaRNN", _RELU),
    "lstm": _run("LSTM", Lack("proj_size", 0)),
    "rnn_cell": Constructor("haiku.VanillaRNN", (*_CELL, _RELU)),
    "lstm_cell": Constructor("haiku.LSTM", _CELL),
    "mha": Constructor(
        "haiku.MultiHeadAttention",
        (
            *say.spelled(num_heads="num_heads", embed_dim="model_size"),
            Joint(("embed_dim", "num_heads"), "key_size", heads_dim),
            Difference.always("w_init", Made("haiku.initializers.VarianceScaling", {"scale": 1.0})),
            _BIAS,
            *say.MHA,
            Aside(("kdim", "vdim")),
            Aside(("dropout",), "it has no dropout of the attention weights", lambda share: not share),
        ),
    ),
}
