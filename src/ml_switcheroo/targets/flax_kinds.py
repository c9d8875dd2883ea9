"""What the Flax targets share: leaves by Flax's names, channels last.

Source: the parameter sections of https://flax.readthedocs.io/en/latest/api_reference/.
"""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.ops import Flip
from ml_switcheroo.recipes import REFUSED, Compared, Dropped, Entry, Form, Lack, Recipe, Unsupported, part

__all__ = ["KINDS", "MHA", "NO_PROJECTION", "ONCE_MORE", "POOLS"]

_AFFINE = (part("weight", "scale"), part("bias", "bias"))
_BATCH_NORM = (
    *_AFFINE,
    part("running_mean", "mean", collection="batch_stats"),
    part("running_var", "var", collection="batch_stats"),
    Dropped("num_batches_tracked", "Flax's BatchNorm has a fixed momentum and keeps no counter"),
)
# A Linear of PyTorch that is a projection to or from heads: Flax's LinearGeneral (DenseGeneral).
_GENERAL = (
    Form(
        (
            part("weight", "kernel", "(heads dim) in -> in heads dim"),
            part("bias", "bias", "(heads dim) -> heads dim"),
        )
    ),
    Form((part("weight", "kernel", "out (heads dim) -> heads dim out"), part("bias", "bias"))),
)
_NO_BIAS_KV = "Flax's attention has no bias_k and bias_v, which are a key and a value of their own"

_NO_GROUPS = Unsupported("Flax's ConvTranspose has no groups", needs={"groups": 1})

MHA: tuple[Entry, ...] = (
    part("in_proj_weight", ("query.kernel", "key.kernel", "value.kernel"), "qkv in heads dim"),
    part("q_proj_weight", "query.kernel", "in heads dim"),
    part("k_proj_weight", "key.kernel", "in heads dim"),
    part("v_proj_weight", "value.kernel", "in heads dim"),
    part("in_proj_bias", ("query.bias", "key.bias", "value.bias"), "qkv heads dim"),
    part("out_proj.weight", "out.kernel", "heads dim out"),
    part("out_proj.bias", "out.bias"),
    Unsupported(_NO_BIAS_KV, slot="bias_k"),
)

NO_PROJECTION = Unsupported(
    "Flax's LSTM cells do not project their state (proj_size)", slot="weight_hr_l{layer}{way}"
)

# Source: flax.linen.SpectralNorm, which also in evaluation computes sigma anew from the stored u.
ONCE_MORE = (
    "Flax's SpectralNorm iterates once more at every call: the same output as far as the iteration has"
    " converged"
)

KINDS: Mapping[str, Recipe] = {
    **REFUSED,
    "linear": (
        Form((part("weight", "kernel", "in out"), part("bias", "bias"))),
        *_GENERAL,
    ),
    "linear_in_out": (part("weight", "kernel"), part("bias", "bias")),
    "bilinear": Unsupported(
        'Flax has no bilinear layer (a port that keeps the tensors: Kind(..., "parameter"))'
    ),
    "conv": (part("weight", "kernel", "*space in out"), part("bias", "bias")),
    # lax.conv_transpose convolves with the kernel as it lies; PyTorch's is that of the gradient.
    "conv_transpose": (
        Form(
            (
                part("weight", "kernel", "*space in out", Flip("in out *space")),
                part("bias", "bias"),
                _NO_GROUPS,
            ),
            when={"transpose_kernel": False},
        ),
        Form(
            (part("weight", "kernel", "*space out in"), part("bias", "bias"), _NO_GROUPS),
            when={"transpose_kernel": True},
            note="the kernel is laid out for ConvTranspose(transpose_kernel=True)",
        ),
    ),
    "batch_norm": _BATCH_NORM,
    "instance_norm": (
        Form(
            (*_AFFINE, Unsupported("Flax's InstanceNorm has no running statistics", slot="running_mean")),
        ),
        Form(
            _BATCH_NORM,
            note="an InstanceNorm with running statistics is, outside training, a BatchNorm in Flax",
        ),
    ),
    "layer_norm": _AFFINE,
    "group_norm": _AFFINE,
    "rms_norm": (part("weight", "scale"),),
    "embedding": (part("weight", "embedding"),),
    "mha": MHA,
    "prelu": (
        part("weight", "negative_slope", "1 -> "),
        Unsupported("Flax's PReLU has one slope for all channels", needs={"num_parameters": 1}),
    ),
    "class_weights": (
        part("weight", "weight", collection="buffers"),
        part("pos_weight", "pos_weight", collection="buffers"),
    ),
    "parameter": (part("", ""),),
    "buffer": (part("", "", collection="buffers"),),
}

# Flax's pools are functions. Source: https://flax.readthedocs.io/en/stable/api_reference/flax.linen/layers.html#pooling
POOLS: Mapping[str, tuple[Compared, ...]] = dict.fromkeys(
    ("max_pool", "avg_pool"), (Lack("ceil_mode", False), Lack("dilation", 1), Lack("divisor_override", None))
)
