"""How Keras makes its layers, which learn the sizes of their input when they first see one.

Source: https://keras.io/api/layers/.
"""

from __future__ import annotations

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
    Needs,
    Spelled,
    Unsupported,
)
from ml_switcheroo.targets.constructors import spelled as say
from ml_switcheroo.targets.constructors.nnx import heads_dim

__all__ = ["CONSTRUCTORS"]

_EPSILON = say.spelled(eps="epsilon")
_BIAS = Difference("bias", "use_bias")
_CENTER, _SCALE = say.affine_bias("center"), Difference("affine", "scale")
_WINDOW: tuple[Spelled, ...] = (
    *say.spelled(out_channels="filters", kernel_size="kernel_size", stride="strides"),
    *say.spelled(dilation="dilation_rate"),
    _BIAS,
    say.ZEROS,
    Aside(("in_channels",)),
)
_CHANNELS = Aside(("num_features", "num_channels"))


def _numbers(padding: object) -> bool:
    return isinstance(padding, tuple) and any(padding)


def _word(padding: object) -> str:
    return padding if isinstance(padding, str) else "valid"


def _pairs(padding: tuple[int, ...]) -> tuple[Any, ...]:
    """Write numbers before and behind each axis; of one axis the two numbers alone."""
    found = tuple((size, size) for size in padding)
    return found[0] if len(found) == 1 else found


# Keras pads by words alone, and otherwise than PyTorch where there are strides.
_PADDED = Also(
    "before",
    Constructor("keras.layers.ZeroPadding{rank}D", (Difference("padding", "padding", _pairs),)),
    ("padding",),
    _numbers,
)
_CUT = Also(
    "behind",
    Constructor("keras.layers.Cropping{rank}D", (Difference("padding", "cropping", _pairs),)),
    ("padding",),
    _numbers,
)
_CELL: tuple[Spelled, ...] = (*say.spelled(hidden_size="units", bias="use_bias"), Aside(("input_size",)))
_ACTIVATION = say.spelled(nonlinearity="activation")


def _run(name: str, *more: Difference | Lack) -> Constructor:
    spelled = (*_CELL, *say.CELL, Difference.always("return_sequences", True), *more)
    return Constructor(f"keras.layers.{name}", spelled, both=Both("keras.layers.Bidirectional", ("layer",)))


CONSTRUCTORS: Mapping[str, Constructor | Unsupported] = {
    **say.NOT_MADE,
    "linear": Constructor(
        "keras.layers.Dense", (*say.spelled(out_features="units"), _BIAS, Aside(("in_features",)))
    ),
    "linear_in_out": Constructor("keras.layers.Dense", (*say.spelled(nf="units"), Aside(("nx",)))),
    "conv": Constructor(
        "keras.layers.Conv{rank}D",
        (*_WINDOW, *say.spelled(groups="groups"), Difference("padding", "padding", _word), _PADDED),
    ),
    "conv_transpose": Constructor(
        "keras.layers.Conv{rank}DTranspose",
        (*_WINDOW, Lack("groups", 1), Lack("output_padding", 0), Difference.always("padding", "valid"), _CUT),
    ),
    "batch_norm": Constructor(
        "keras.layers.BatchNormalization",
        (*_EPSILON, say.KEEPS, _SCALE, _CENTER, *say.BATCH_NORM, _CHANNELS),
    ),
    "instance_norm": Constructor(
        "keras.layers.GroupNormalization",
        (Difference.always("groups", -1), *_EPSILON, _SCALE, _CENTER, *say.INSTANCE_NORM, _CHANNELS),
    ),
    "layer_norm": Constructor(
        "keras.layers.LayerNormalization",
        (
            Difference("normalized_shape", "axis", lambda shape: list(say.behind_each_other(shape))),
            *_EPSILON,
            Difference("elementwise_affine", "scale"),
            say.elementwise_bias("center"),
        ),
    ),
    "group_norm": Constructor(
        "keras.layers.GroupNormalization",
        (*say.spelled(num_groups="groups"), *_EPSILON, _SCALE, _CENTER, _CHANNELS),
    ),
    "rms_norm": Constructor(
        "keras.layers.RMSNormalization",
        (say.ONE_AXIS, Aside(("normalized_shape",)), *_EPSILON, Lack("elementwise_affine", True)),
    ),
    "embedding": Constructor(
        "keras.layers.Embedding",
        (*say.spelled(num_embeddings="input_dim", embedding_dim="output_dim"), *say.EMBEDDING),
    ),
    "rnn": _run("SimpleRNN", *_ACTIVATION),
    "lstm": _run("LSTM", Lack("proj_size", 0)),
    "gru": _run("GRU", Difference.always("reset_after", True)),
    "rnn_cell": Constructor("keras.layers.SimpleRNNCell", (*_CELL, *_ACTIVATION)),
    "lstm_cell": Constructor("keras.layers.LSTMCell", _CELL),
    "gru_cell": Constructor("keras.layers.GRUCell", (*_CELL, Difference.always("reset_after", True))),
    "mha": Constructor(
        "keras.layers.MultiHeadAttention",
        (
            *say.spelled(num_heads="num_heads", dropout="dropout"),
            Joint(("embed_dim", "num_heads"), "key_dim", heads_dim),
            _BIAS,
            *say.MHA,
            Aside(("kdim", "vdim")),
        ),
        returns="it is called with the query, the value and the key, in this order",
    ),
    "prelu": Constructor(
        "keras.layers.PReLU",
        (
            Needs(
                ("num_parameters",),
                lambda _: False,
                "its slopes go by the axes of its input: make keras.layers.PReLU(shared_axes=...) with all"
                " axes but that of channels, or all of them for one slope",
            ),
            Aside(("init",)),
        ),
    ),
}
