"""What each kind of layer is, and how PyTorch stores it: the table.

One row a kind. ``slots`` gives each tensor of the module with its axes in PyTorch's order, in
einops' words (``*space`` stands for any number of spatial axes). ``args`` gives the constructor
arguments that decide a size or the meaning of an axis. Sources: the "Variables" sections of the
torch.nn reference, https://docs.pytorch.org/docs/stable/nn.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["KIND_OF_CLASS", "LAYERS", "STATELESS", "Layer"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One kind of layer.

    Attributes:
        kind: The word for it, such as ``conv``.
        classes: The classes of ``torch.nn`` that are of this kind.
        slots: For each tensor the axes, such as ``{"weight": "out in"}``; ``""`` is a scalar.
            A dotted slot (``out_proj.weight``) lies in a child module that the kind owns.
        args: Constructor arguments, in order, with what each one means.
        optional: Slots that a constructor argument can switch off.
    """

    kind: str
    classes: tuple[str, ...]
    slots: Mapping[str, str]
    args: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    optional: frozenset[str] = frozenset({"bias"})


_NORM = {"weight": "channel", "bias": "channel"}
_RUNNING = {"running_mean": "channel", "running_var": "channel", "num_batches_tracked": ""}
_CONV_ARGS = {
    "in_channels": "size of axis in, times groups",
    "out_channels": "size of axis out",
    "kernel_size": "sizes of *space",
    "stride": "step of the window",
    "padding": "zeros added on each side",
    "dilation": "distance between taps",
    "groups": "blocks of channels that do not see each other",
    "bias": "whether there is a bias",
    "padding_mode": "what is padded with",
}

LAYERS: Mapping[str, Layer] = {
    layer.kind: layer
    for layer in (
        Layer(
            "linear",
            ("Linear", "LazyLinear", "NonDynamicallyQuantizableLinear"),
            {"weight": "out in", "bias": "out"},
            {"in_features": "size of axis in", "out_features": "size of axis out", "bias": ""},
        ),
        Layer(
            "conv",
            ("Conv1d", "Conv2d", "Conv3d", "LazyConv1d", "LazyConv2d", "LazyConv3d"),
            {"weight": "out in *space", "bias": "out"},
            _CONV_ARGS,
        ),
        Layer(
            "batch_norm",
            (
                *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"),
                *("LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d"),
            ),
            {**_NORM, **_RUNNING},
            {
                "num_features": "size of axis channel",
                "eps": "added to the variance",
                "momentum": "weight of the new batch in the running statistics",
                "affine": "whether there are weight and bias",
                "track_running_stats": "whether there are running statistics",
            },
            frozenset({*_NORM, *_RUNNING}),
        ),
        Layer(
            "layer_norm",
            ("LayerNorm",),
            {"weight": "*channel", "bias": "*channel"},
            {
                "normalized_shape": "sizes of *channel",
                "eps": "added to the variance",
                "elementwise_affine": "whether there are weight and bias",
                "bias": "whether there is a bias",
            },
            frozenset(_NORM),
        ),
        Layer(
            "group_norm",
            ("GroupNorm",),
            dict(_NORM),
            {
                "num_groups": "groups that are normalised together",
                "num_channels": "size of axis channel",
                "eps": "added to the variance",
                "affine": "whether there are weight and bias",
            },
            frozenset(_NORM),
        ),
        Layer(
            "embedding",
            ("Embedding",),
            {"weight": "vocab dim"},
            {
                "num_embeddings": "size of axis vocab",
                "embedding_dim": "size of axis dim",
                "padding_idx": "row that stays zero",
            },
        ),
        # What a class of the user's own keeps: moved as it lies, whatever its name.
        Layer("parameter", ("Parameter",), {"": "*shape"}),
        Layer("buffer", ("Buffer",), {"": "*shape"}),
    )
}

KIND_OF_CLASS: Mapping[str, str] = {name: layer.kind for layer in LAYERS.values() for name in layer.classes}

STATELESS: frozenset[str] = frozenset(
    """
    Identity Flatten Unflatten Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout
    ReLU ReLU6 LeakyReLU RReLU ELU SELU CELU GELU SiLU Mish Sigmoid LogSigmoid Tanh Tanhshrink
    Softplus Softshrink Hardshrink Hardsigmoid Hardswish Hardtanh Softsign Softmax Softmax2d Softmin
    LogSoftmax GLU Threshold
    MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d LPPool1d LPPool2d LPPool3d
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d
    AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d FractionalMaxPool2d FractionalMaxPool3d
    MaxUnpool1d MaxUnpool2d MaxUnpool3d
    ConstantPad1d ConstantPad2d ConstantPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d
    ReplicationPad1d ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d
    CircularPad1d CircularPad2d CircularPad3d
    Upsample UpsamplingNearest2d UpsamplingBilinear2d PixelShuffle PixelUnshuffle ChannelShuffle
    Fold Unfold CosineSimilarity PairwiseDistance
    """.split()
)
