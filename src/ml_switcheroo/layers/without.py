"""The classes of ``torch.nn`` that hold nothing themselves: stateless ones, and those made of children."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["COMPOSITES", "STATELESS"]

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

# What a composite makes in its constructor: path of the child -> its class, and which argument of the
# composite gives which of the child's. What comes in as an argument (an encoder's layers) is not here.
_ATTENTION = ("MultiheadAttention", {"embed_dim": "d_model", "num_heads": "nhead", "bias": "bias"})
_NORM = ("LayerNorm", {"normalized_shape": "d_model", "eps": "layer_norm_eps", "bias": "bias"})
_FEED_FORWARD: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "linear1": ("Linear", {"in_features": "d_model", "out_features": "dim_feedforward", "bias": "bias"}),
    "linear2": ("Linear", {"in_features": "dim_feedforward", "out_features": "d_model", "bias": "bias"}),
}

COMPOSITES: Mapping[str, Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "TransformerEncoderLayer": {"self_attn": _ATTENTION, **_FEED_FORWARD, "norm1": _NORM, "norm2": _NORM},
    "TransformerDecoderLayer": {
        "self_attn": _ATTENTION,
        "multihead_attn": _ATTENTION,
        **_FEED_FORWARD,
        "norm1": _NORM,
        "norm2": _NORM,
        "norm3": _NORM,
    },
}
