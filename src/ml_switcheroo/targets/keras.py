"""Keras 3 on any backend: ``block/conv/kernel``, channels last.

A path goes from attribute to attribute, as in PyTorch, because Keras numbers the names it gives
(``dense_3``) by what was made before in the same program. Where there is no public attribute it takes
the layer's own name: in a functional model, and in the layers of Keras itself. In a Sequential a layer
has the name that it was given, else its place. Source: https://keras.io/api/layers/.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from ml_switcheroo.computed import pools_in
from ml_switcheroo.computed.live import computed_in
from ml_switcheroo.formats.owned import owned
from ml_switcheroo.ops import Array, Gates, Sum
from ml_switcheroo.recipes import (
    REFUSED,
    Compared,
    Difference,
    Dropped,
    Entry,
    Files,
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
from ml_switcheroo.targets.constructors.keras import CONSTRUCTORS
from ml_switcheroo.targets.constructors.spelled import compared, compared_norms
from ml_switcheroo.targets.jax_arrays import placed
from ml_switcheroo.targets.keras_nodes import check_built, computing, nodes, variables_of
from ml_switcheroo.targets.live_layers import Layers
from ml_switcheroo.tensors import spec_of
from ml_switcheroo.tree import Template

__all__ = ["CLASSES", "TARGET"]

_AFFINE = (part("weight", "gamma"), part("bias", "beta"))
_BATCH_NORM = (
    *_AFFINE,
    part("running_mean", "moving_mean"),
    part("running_var", "moving_variance"),
    Dropped("num_batches_tracked", "Keras's BatchNormalization has a fixed momentum and keeps no counter"),
)
_QKV = ("query", "key", "value")
_BIAS = part("bias", "bias")
_NO_GROUPS = Unsupported("Keras's ConvTranspose has no groups", needs={"groups": 1})

# A layer of several is an item of a list, a direction is a child of Bidirectional; each has a cell.
_LAYERED = "_l{layer}{way}"
_PLACE = "{layer}.{way:forward_layer|backward_layer}.cell."


def _rnn(suffix: str, at: str) -> Recipe:
    """Gates i f g o, which Keras calls i f c o."""
    return (
        part(f"weight_ih{suffix}", f"{at}kernel", "in (gate hidden)"),
        part(f"weight_hh{suffix}", f"{at}recurrent_kernel", "state (gate hidden)"),
        part((f"bias_ih{suffix}", f"bias_hh{suffix}"), f"{at}bias", None, Sum()),
        Unsupported("Keras's LSTM does not project its state (proj_size)", slot=f"weight_hr{suffix}"),
    )


def _gru(suffix: str, at: str) -> Recipe:
    """Gates r z n become z r h; reset_after=True, Keras's default, is the only one that PyTorch has."""
    gates = Gates((1, 0, 2))
    return (
        part(f"weight_ih{suffix}", f"{at}kernel", "in (gate hidden)", gates),
        part(f"weight_hh{suffix}", f"{at}recurrent_kernel", "state (gate hidden)", gates),
        part((f"bias_ih{suffix}", f"bias_hh{suffix}"), f"{at}bias", "two (gate hidden)", gates),
    )


_MHA: tuple[Entry, ...] = (
    part("in_proj_weight", tuple(f"{name}.kernel" for name in _QKV), "qkv in heads dim"),
    *(part(f"{name[0]}_proj_weight", f"{name}.kernel", "in heads dim") for name in _QKV),
    part("in_proj_bias", tuple(f"{name}.bias" for name in _QKV), "qkv heads dim"),
    part("out_proj.weight", "attention_output.kernel", "heads dim out"),
    part("out_proj.bias", "attention_output.bias"),
    Unsupported("Keras's attention has no bias_k and bias_v", slot="bias_k"),
)

_SLOPES = (
    "Keras's PReLU has a slope for every position of its input, PyTorch's one or one for each channel: make"
    " it with shared_axes, all axes but that of channels (for images [1, 2]), or all of them for one slope"
)

KINDS: Mapping[str, Recipe] = {
    **REFUSED,
    # A projection to or from heads is an EinsumDense, with the heads as an axis.
    "linear": (
        Form((part("weight", "kernel", "in out"), _BIAS)),
        Form(
            (
                part("weight", "kernel", "(heads dim) in -> in heads dim"),
                part("bias", "bias", "(heads dim) -> heads dim"),
            )
        ),
        Form((part("weight", "kernel", "out (heads dim) -> heads dim out"), _BIAS)),
    ),
    "linear_in_out": (part("weight", "kernel"), _BIAS),
    "bilinear": Unsupported(
        'Keras has no bilinear layer (a port that keeps the tensors: Kind(..., "parameter"))'
    ),
    "conv": (
        Form((part("weight", "kernel", "*space in out"), _BIAS)),
        Form(
            (part("weight", "kernel", "(groups multiplier) 1 *space -> *space groups multiplier"), _BIAS),
            note="the kernel is laid out for a DepthwiseConv",
        ),
    ),
    # Keras convolves as PyTorch does: with the kernel of the gradient.
    "conv_transpose": (part("weight", "kernel", "*space out in"), _BIAS, _NO_GROUPS),
    "batch_norm": _BATCH_NORM,
    # GroupNormalization(groups=-1) is Keras's InstanceNorm.
    "instance_norm": (
        Form(
            (
                *_AFFINE,
                Unsupported("Keras's GroupNormalization has no running statistics", slot="running_mean"),
            )
        ),
        Form(
            _BATCH_NORM,
            note="an InstanceNorm with running statistics is a BatchNormalization outside training",
        ),
    ),
    "layer_norm": _AFFINE,
    "group_norm": _AFFINE,
    "rms_norm": (part("weight", "scale"),),
    "embedding": (part("weight", "embeddings"),),
    "rnn": _rnn(_LAYERED, _PLACE),
    "lstm": _rnn(_LAYERED, _PLACE),
    "gru": _gru(_LAYERED, _PLACE),
    "rnn_cell": _rnn("", ""),
    "lstm_cell": _rnn("", ""),
    "gru_cell": _gru("", ""),
    "mha": _MHA,
    # A slope for all is shared over every axis: shape (1, ..., 1).
    "prelu": (
        Form((part("weight", "alpha", "1 -> *1"),), misfit=_SLOPES),
        Form((part("weight", "alpha", "channel -> *1 channel"),), misfit=_SLOPES),
    ),
    "class_weights": (part("weight", "weight"), part("pos_weight", "pos_weight")),
    "parameter": (part("", ""),),
    "buffer": (part("", ""),),
}

CLASSES: Mapping[str, str] = {
    "Dense": "linear",
    "EinsumDense": "linear",
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D"), "conv"),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), "conv_transpose"),
    "BatchNormalization": "batch_norm",
    "LayerNormalization": "layer_norm",
    "GroupNormalization": "group_norm",
    "RMSNormalization": "rms_norm",
    "Embedding": "embedding",
    "SimpleRNNCell": "rnn_cell",
    "LSTMCell": "lstm_cell",
    "GRUCell": "gru_cell",
    "MultiHeadAttention": "mha",
    "PReLU": "prelu",
}
_LAYERS = Layers("keras.", CLASSES)


def _owns(model: Any) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Layer)


def _template(model: Any) -> Template:
    import keras

    found = nodes(model)
    check_built(found)
    variables = variables_of(model, found)
    return Template(
        {path: spec_of(variable) for path, variable in variables.items()},
        computed=computed_in(computing(found)),
        pools=pools_in(found, "keras"),
        held=variables,
        **_LAYERS.shown(found, keras.Sequential),
    )


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    _fill(variables_of(model), leaves)
    return model


def _fill(variables: Mapping[str, Any], leaves: Mapping[str, Array]) -> None:
    import keras

    made, backend = owned(leaves), keras.backend.backend()
    found = [path for path in made if path in variables]
    new: Iterable[tuple[str, Any]] = ((path, made[path]) for path in found)
    if backend == "jax":
        new = placed({path: variables[path].value for path in found}, made).items()
    elif backend == "tensorflow":
        new = made.hand_over(found, _as_tensor, copied=True)
    with ExitStack() as undo:
        for path, array in new:
            if backend == "jax":
                undo.callback(variables[path].assign, variables[path].value)
            variables[path].assign(array)
        undo.pop_all()


def _as_tensor(_: str, array: Array, order: tuple[int, ...]) -> Any:
    """Return a tensor of TensorFlow's, which copies the array; it turns axes faster than NumPy does."""
    from keras import ops

    tensor = ops.convert_to_tensor(array)
    return ops.transpose(tensor, order) if order else tensor


def _read(model: Any) -> Mapping[str, Array]:
    import keras

    return {path: keras.ops.convert_to_numpy(leaf.value) for path, leaf in variables_of(model).items()}


_CONVOLUTIONS: Mapping[str, tuple[Compared, ...]] = {
    "conv": (
        *compared(CONSTRUCTORS["conv"], "stride", "dilation", "groups"),
        Padding("strides", "dilation_rate"),
    ),
    "conv_transpose": (
        *compared(CONSTRUCTORS["conv_transpose"], "stride", "dilation"),
        Padding("strides", "dilation_rate", transposed="cut"),
    ),
}
_GATES = (Difference.always("activation", "tanh"), Difference.always("recurrent_activation", "sigmoid"))

# Source: https://keras.io/api/layers/pooling_layers/
_POOLS: tuple[Compared, ...] = (
    Difference("kernel_size", "pool_size"),
    Difference("stride", "strides"),
    Padding("strides", "dilation_rate"),
    Lack("ceil_mode", False),
    Lack("dilation", 1),
    Lack("count_include_pad", False, beside="padding"),
    Lack("divisor_override", None),
)

TARGET = Target(
    name="keras",
    summary="Keras 3 models",
    kinds=KINDS,
    naming=Naming("/"),
    channels="last",
    aliases=("tensorflow",),
    differences={
        **_CONVOLUTIONS,
        **compared_norms(CONSTRUCTORS),
        **dict.fromkeys(("max_pool", "avg_pool"), _POOLS),
        "mha": (Difference("num_heads", "_num_heads"),),
        **{kind: compared(CONSTRUCTORS[kind], "nonlinearity") for kind in ("rnn", "rnn_cell")},
        **dict.fromkeys(("lstm", "lstm_cell"), _GATES),
        **dict.fromkeys(("gru", "gru_cell"), (*_GATES, Difference.always("reset_after", True))),
    },
    wrappers={
        "spectral_norm": Wrapper(
            "layer",
            {"u": "vector_u"},
            folded=True,
            note="Keras's SpectralNormalization keeps the normalised weight and normalises it in training",
        ),
    },
    constructors=CONSTRUCTORS,
    live=Live(_owns, _template, _write, _read, fill=_fill),
    mapper=Mapper("ml_switcheroo.runtime.into_keras", "ml_switcheroo.runtime.live_keras"),
    observer="ml_switcheroo.verification.observers.keras",
    drawer="ml_switcheroo.graph.drawers.keras",
    files=Files(("keras",), words=("tf", "keras")),
)
