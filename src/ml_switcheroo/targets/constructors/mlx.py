"""How MLX makes its layers.

Source: https://ml-explore.github.io/mlx/build/html/python/nn/layers.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_switcheroo.recipes import (
    LEFT_OUT,
    Aside,
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

__all__ = ["CONSTRUCTORS"]

_EPSILON = say.spelled(eps="eps")
_BIAS = Difference("bias", "bias")


def _numbers(value: Any) -> Any:
    """Write a number for each axis, but one number where there is one axis: MLX takes no tuple there."""
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def _first(shape: Any) -> Any:
    return shape if isinstance(shape, int) else shape[0]


_WINDOW: tuple[Spelled, ...] = (
    *say.spelled(in_channels="in_channels", out_channels="out_channels"),
    *(Difference(name, name, _numbers) for name in ("kernel_size", "stride", "padding", "dilation")),
    _BIAS,
    say.ZEROS,
    Needs(("padding",), lambda padding: not isinstance(padding, str), "MLX pads by numbers alone"),
)
_AFFINE: tuple[Spelled, ...] = (
    Difference("affine", "affine"),
    Needs(
        say.AFFINE_BIAS,
        lambda affine, bias: bias or not affine,
        "its norms have both weight and bias or neither",
    ),
)
_AXIS: tuple[Spelled, ...] = (say.ONE_AXIS, Difference("normalized_shape", "dims", _first), *_EPSILON)
_CELL: tuple[Spelled, ...] = (*say.spelled(input_size="input_size", hidden_size="hidden_size"), _BIAS)
_ONE_STEP = "it runs over a sequence: of one step, with the state as an argument, where PyTorch has a cell"
_ACTIVATION = Difference(
    "nonlinearity", "nonlinearity", lambda word: Name({"tanh": "mlx.core.tanh", "relu": "mlx.nn.relu"}[word])
)


def _run(name: str, *more: Difference | Lack) -> Constructor:
    return Constructor(f"mlx.nn.{name}", (*_CELL, *say.CELL, *more))


def _cell(name: str, *more: Difference) -> Constructor:
    return Constructor(f"mlx.nn.{name}", (*_CELL, *more), returns=_ONE_STEP)


CONSTRUCTORS: Mapping[str, Constructor | Unsupported] = {
    **say.NOT_MADE,
    "linear": Constructor(
        "mlx.nn.Linear", (*say.spelled(in_features="input_dims", out_features="output_dims"), _BIAS)
    ),
    "linear_in_out": Constructor("mlx.nn.Linear", say.spelled(nx="input_dims", nf="output_dims")),
    "bilinear": Constructor(
        "mlx.nn.Bilinear",
        (
            *say.spelled(in1_features="input1_dims", in2_features="input2_dims", out_features="output_dims"),
            _BIAS,
        ),
    ),
    "conv": Constructor(
        "mlx.nn.Conv{rank}d",
        (
            *_WINDOW,
            Joint(("groups", "rank"), "groups", lambda groups, rank: groups if rank < 3 else LEFT_OUT),
            Needs(
                ("groups", "rank"), lambda groups, rank: groups == 1 or rank < 3, "MLX's Conv3d has no groups"
            ),
        ),
    ),
    "conv_transpose": Constructor(
        "mlx.nn.ConvTranspose{rank}d",
        (*_WINDOW, Lack("groups", 1), Difference("output_padding", "output_padding", _numbers)),
    ),
    "batch_norm": Constructor(
        "mlx.nn.BatchNorm",
        (
            *say.spelled(num_features="num_features", momentum="momentum"),
            *_EPSILON,
            *_AFFINE,
            *say.BATCH_NORM,
        ),
        returns="of an image of three dimensions join two of them before it",
    ),
    "instance_norm": Constructor(
        "mlx.nn.InstanceNorm", (*say.spelled(num_features="dims"), *_EPSILON, *_AFFINE, *say.INSTANCE_NORM)
    ),
    "layer_norm": Constructor("mlx.nn.LayerNorm", (*_AXIS, *say.spelled(elementwise_affine="affine"), _BIAS)),
    "group_norm": Constructor(
        "mlx.nn.GroupNorm",
        (
            *say.spelled(num_groups="num_groups", num_channels="dims"),
            *_EPSILON,
            *_AFFINE,
            Difference.always("pytorch_compatible", True),
        ),
    ),
    "rms_norm": Constructor("mlx.nn.RMSNorm", (*_AXIS, Lack("elementwise_affine", True))),
    "embedding": Constructor(
        "mlx.nn.Embedding",
        (*say.spelled(num_embeddings="num_embeddings", embedding_dim="dims"), *say.EMBEDDING),
    ),
    "rnn": _run("RNN", _ACTIVATION),
    "lstm": _run("LSTM", Lack("proj_size", 0)),
    "gru": _run("GRU"),
    "rnn_cell": _cell("RNN", _ACTIVATION),
    "lstm_cell": _cell("LSTM"),
    "gru_cell": _cell("GRU"),
    "mha": Constructor(
        "mlx.nn.MultiHeadAttention",
        (
            *say.spelled(embed_dim="dims", num_heads="num_heads"),
            *say.spelled(kdim="key_input_dims", vdim="value_input_dims"),
            _BIAS,
            *say.MHA,
            Aside(("dropout",), "it has no dropout of the attention weights", lambda share: not share),
        ),
    ),
    "prelu": Constructor("mlx.nn.PReLU", say.spelled(num_parameters="num_parameters", init="init")),
}
