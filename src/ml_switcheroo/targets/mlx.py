"""MLX: dotted names, PyTorch's words, channels last.

Source: https://ml-explore.github.io/mlx/build/html/python/nn/layers.html.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ml_switcheroo.computed import pools_in
from ml_switcheroo.computed.live import computed_in
from ml_switcheroo.formats.owned import owned
from ml_switcheroo.ops import Array, GateSum, Sum
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
    part,
)
from ml_switcheroo.targets.constructors.mlx import CONSTRUCTORS
from ml_switcheroo.targets.constructors.spelled import compared, compared_norms
from ml_switcheroo.targets.live_layers import Layers
from ml_switcheroo.targets.mlx_arrays import Reader, from_mlx
from ml_switcheroo.tensors import spec_of
from ml_switcheroo.tree import Template

__all__ = ["CLASSES", "TARGET", "evaluating"]

_AFFINE = (part("weight", "weight"), part("bias", "bias"))
_BATCH_NORM = (
    *_AFFINE,
    part("running_mean", "running_mean"),
    part("running_var", "running_var"),
    Dropped("num_batches_tracked", "MLX's BatchNorm has a fixed momentum and keeps no counter"),
)
_QKV = ("query_proj", "key_proj", "value_proj")

# A layer of several is an item of a list, a direction is an attribute beside the other.
_LAYERED = "_l{layer}{way}"
_PLACE = "{layer}.{way:forward|backward}."


def _rnn(suffix: str, at: str) -> Recipe:
    biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    return (
        part(f"weight_ih{suffix}", f"{at}Wxh"),
        part(f"weight_hh{suffix}", f"{at}Whh"),
        part(biases, f"{at}bias", None, Sum()),
    )


def _lstm(suffix: str, at: str) -> Recipe:
    biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    return (
        part(f"weight_ih{suffix}", f"{at}Wx"),
        part(f"weight_hh{suffix}", f"{at}Wh"),
        part(biases, f"{at}bias", None, Sum()),
        Unsupported("MLX's LSTM does not project its state (proj_size)", slot=f"weight_hr{suffix}"),
    )


def _gru(suffix: str, at: str) -> Recipe:
    biases = (f"bias_ih{suffix}", f"bias_hh{suffix}")
    return (
        part(f"weight_ih{suffix}", f"{at}Wx"),
        part(f"weight_hh{suffix}", f"{at}Wh"),
        part(biases, (f"{at}b", f"{at}bhn"), None, GateSum(3, 2)),
    )


_MHA: tuple[Entry, ...] = (
    part("in_proj_weight", tuple(f"{name}.weight" for name in _QKV), "(qkv out) in -> qkv out in"),
    *(part(f"{name[0]}_proj_weight", f"{name}.weight") for name in _QKV),
    part("in_proj_bias", tuple(f"{name}.bias" for name in _QKV), "(qkv out) -> qkv out"),
    part("out_proj.weight", "out_proj.weight"),
    part("out_proj.bias", "out_proj.bias"),
    Unsupported("MLX's attention has no bias_k and bias_v", slot="bias_k"),
)

KINDS: Mapping[str, Recipe] = {
    **REFUSED,
    "linear": (part("weight", "weight"), part("bias", "bias")),
    "linear_in_out": (part("weight", "weight", "out in"), part("bias", "bias")),
    "bilinear": (part("weight", "weight", "out in2 in1"), part("bias", "bias")),
    "conv": (part("weight", "weight", "out *space in"), part("bias", "bias")),
    "conv_transpose": (
        part("weight", "weight", "out *space in"),
        part("bias", "bias"),
        Unsupported("MLX's ConvTranspose has no groups", needs={"groups": 1}),
    ),
    "batch_norm": _BATCH_NORM,
    "instance_norm": (
        Form((*_AFFINE, Unsupported("MLX's InstanceNorm has no running statistics", slot="running_mean"))),
        Form(
            _BATCH_NORM,
            note="an InstanceNorm with running statistics is, outside training, a BatchNorm in MLX",
        ),
    ),
    "layer_norm": _AFFINE,
    "group_norm": _AFFINE,
    "rms_norm": (part("weight", "weight"),),
    "embedding": (part("weight", "weight"),),
    "rnn": _rnn(_LAYERED, _PLACE),
    "lstm": _lstm(_LAYERED, _PLACE),
    "gru": _gru(_LAYERED, _PLACE),
    # MLX has no cells: its layers run on a sequence of one step, with the state as an argument.
    "rnn_cell": _rnn("", ""),
    "lstm_cell": _lstm("", ""),
    "gru_cell": _gru("", ""),
    "mha": _MHA,
    "prelu": (
        Form(
            (part("weight", "weight"),),
            misfit="MLX's PReLU has as many slopes as it is made with: PReLU(1), or PReLU(channels)",
        ),
    ),
    "class_weights": (part("weight", "weight"), part("pos_weight", "pos_weight")),
    "parameter": (part("", ""),),
    "buffer": (part("", ""),),
}

CLASSES: Mapping[str, str] = {
    "Linear": "linear",
    "Bilinear": "bilinear",
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), "conv"),
    **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"), "conv_transpose"),
    "BatchNorm": "batch_norm",
    "InstanceNorm": "instance_norm",
    "LayerNorm": "layer_norm",
    "GroupNorm": "group_norm",
    "RMSNorm": "rms_norm",
    "Embedding": "embedding",
    "MultiHeadAttention": "mha",
    "PReLU": "prelu",
    "RNN": "rnn",
}
_LAYERS = Layers("mlx.nn.", CLASSES)


def _owns(model: Any) -> bool:
    nn = sys.modules.get("mlx.nn")
    return nn is not None and isinstance(model, nn.Module)


def _leaves(model: Any) -> Mapping[str, Any]:
    from mlx.utils import tree_flatten

    return dict(tree_flatten(model.parameters()))


def _template(model: Any) -> Template:
    from mlx import nn

    modules = model.named_modules()
    specs = {path: spec_of(leaf) for path, leaf in _leaves(model).items()}
    return Template(
        specs,
        unasked=frozenset(path for path, spec in specs.items() if spec.dtype == "float32"),
        computed=computed_in(modules),
        pools=pools_in(reversed(modules), "mlx"),  # MLX names the last first
        **_LAYERS.shown(modules, nn.Sequential),
    )


def _write(model: Any, leaves: Mapping[str, Array]) -> Any:
    made = owned(leaves)
    for ready in Reader(made).read({path: leaf for path, leaf in _leaves(model).items() if path in made}):
        for path, array in ready.items():
            *parents, name = path.split(".")
            holder: Any = model
            for parent in parents:
                holder = holder[int(parent)] if isinstance(holder, list) else holder[parent]
            holder[int(name) if isinstance(holder, list) else name] = array
    return model


def _read(model: Any) -> Mapping[str, Array]:
    return {path: from_mlx(leaf) for path, leaf in _leaves(model).items()}


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Hold a module in evaluation mode; afterwards each of its modules is in its own."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module._training = training


_CONVOLUTIONS: Mapping[str, tuple[Compared, ...]] = {
    "conv": (
        *compared(CONSTRUCTORS["conv"], "stride", "dilation"),
        Difference("groups", "groups"),
        Padding("stride", "dilation"),
    ),
    "conv_transpose": (
        *compared(CONSTRUCTORS["conv_transpose"], "stride", "dilation"),
        Padding("stride", "dilation", transposed="numbers"),
    ),
}

_NORMS = compared_norms(CONSTRUCTORS)
_POOLS: tuple[Compared, ...] = (
    Difference("kernel_size", "kernel_size"),
    Difference("stride", "stride"),
    Padding("stride", "dilation"),
    Lack("ceil_mode", False),
    Lack("dilation", 1),
    Lack("count_include_pad", True, beside="padding"),
    Lack("divisor_override", None),
)

# mlx/io/safetensors.cpp, mlx/io/load.cpp
_UNREADABLE: Mapping[str, tuple[str, ...]] = {
    "safetensors": ("float64", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
    "npz": (
        "complex128",
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3fnuz",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
    ),
}

TARGET = Target(
    name="mlx",
    summary="MLX modules",
    kinds=KINDS,
    naming=Naming(sequential="layers"),
    channels="last",
    differences={
        **_CONVOLUTIONS,
        **_NORMS,
        # Without it MLX groups the channels in turns.
        "group_norm": (*_NORMS["group_norm"], Difference.always("pytorch_compatible", True)),
        **dict.fromkeys(("max_pool", "avg_pool"), _POOLS),
        "mha": compared(CONSTRUCTORS["mha"], "num_heads"),
        "rnn": (Difference("nonlinearity", "nonlinearity"),),
    },
    constructors=CONSTRUCTORS,
    live=Live(_owns, _template, _write, _read),
    mapper=Mapper("ml_switcheroo.runtime.into_mlx", "ml_switcheroo.runtime.live_mlx"),
    observer="ml_switcheroo.verification.observers.mlx",
    drawer="ml_switcheroo.graph.drawers.mlx",
    files=Files(loader="mlx.core.load", unreadable=_UNREADABLE, words=("mlx",)),
)
