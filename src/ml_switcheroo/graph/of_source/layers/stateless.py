"""The layers of torch.nn that hold nothing: each is a function, with arguments of its constructor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.graph.of_source.calling import apply
from ml_switcheroo.graph.of_source.drawn import Drawn
from ml_switcheroo.graph.of_source.layers.called import Called
from ml_switcheroo.graph.of_source.operations.table import FUNCTIONS

__all__ = ["PARAMETERS", "STATELESS"]

_RANKS = (1, 2, 3)
_POOL = "kernel_size stride padding"
_RESIZED = "size scale_factor mode align_corners recompute_scale_factor"

_FUNCTIONS: Mapping[str, tuple[str, str]] = {
    **{
        name: (name.lower(), "inplace")
        for name in ("ReLU", "ReLU6", "SELU", "Mish", "Hardsigmoid", "Hardswish")
    },
    "SiLU": ("silu", "inplace"),
    **{name: (name.lower(), "") for name in ("Sigmoid", "Tanh", "LogSigmoid", "Softsign", "Tanhshrink")},
    "LeakyReLU": ("leaky_relu", "negative_slope inplace"),
    "RReLU": ("rrelu", "lower upper inplace"),
    "ELU": ("elu", "alpha inplace"),
    "CELU": ("celu", "alpha inplace"),
    "GELU": ("gelu", "approximate"),
    "Softplus": ("softplus", "beta threshold"),
    "Softshrink": ("softshrink", "lambd"),
    "Hardshrink": ("hardshrink", "lambd"),
    "Hardtanh": ("hardtanh", "min_val max_val inplace"),
    "Threshold": ("threshold", "threshold value inplace"),
    "Softmax": ("softmax", "dim"),
    "Softmin": ("softmin", "dim"),
    "LogSoftmax": ("log_softmax", "dim"),
    "GLU": ("glu", "dim"),
    **{f"MaxPool{n}d": (f"max_pool{n}d", f"{_POOL} dilation return_indices ceil_mode") for n in _RANKS},
    "AvgPool1d": ("avg_pool1d", f"{_POOL} ceil_mode count_include_pad"),
    **{
        f"AvgPool{n}d": (f"avg_pool{n}d", f"{_POOL} ceil_mode count_include_pad divisor_override")
        for n in (2, 3)
    },
    **{f"LPPool{n}d": (f"lp_pool{n}d", "norm_type kernel_size stride ceil_mode") for n in _RANKS},
    **{f"AdaptiveAvgPool{n}d": (f"adaptive_avg_pool{n}d", "output_size") for n in _RANKS},
    **{f"AdaptiveMaxPool{n}d": (f"adaptive_max_pool{n}d", "output_size return_indices") for n in _RANKS},
    "LocalResponseNorm": ("local_response_norm", "size alpha beta k"),
    "PixelShuffle": ("pixel_shuffle", "upscale_factor"),
    "PixelUnshuffle": ("pixel_unshuffle", "downscale_factor"),
    "Upsample": ("interpolate", _RESIZED),
    "UpsamplingNearest2d": ("upsample_nearest", "size scale_factor"),
    "UpsamplingBilinear2d": ("upsample_bilinear", "size scale_factor"),
    "Fold": ("fold", "output_size kernel_size dilation padding stride"),
    "Unfold": ("unfold", "kernel_size dilation padding stride"),
    "CosineSimilarity": ("cosine_similarity", "dim eps"),
    "PairwiseDistance": ("pairwise_distance", "norm eps keepdim"),
}
"""By class: the function of torch.nn.functional, and the arguments of its constructor that it takes."""

_PADS = {
    "Constant": "constant",
    "Zero": "constant",
    "Reflection": "reflect",
    "Replication": "replicate",
    "Circular": "circular",
}

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    **{name: tuple(words.split()) for name, (_, words) in _FUNCTIONS.items()},
    **{f"{word}Pad{n}d": ("padding", "value") for word in _PADS for n in _RANKS},
    "Flatten": ("start_dim", "end_dim"),
    "Unflatten": ("dim", "unflattened_size"),
    "ChannelShuffle": ("groups",),
    "Softmax2d": (),
    **dict.fromkeys(
        "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout".split(), ("p", "inplace")
    ),
    "Identity": (),
}
"""The arguments of constructors, in order, of layers that hold nothing."""


def _function(name: str, words: tuple[str, ...]) -> Callable[[Called], Any]:
    def run(called: Called) -> Any:
        row = FUNCTIONS[f"torch.nn.functional.{name}"]
        given = {word: called.argument(word, None) for word in words}
        given = {word: value for word, value in given.items() if value is not None}
        if name == "pairwise_distance" and "norm" in given:
            given["p"] = given.pop("norm")
        return apply(called.machine, row, called.args.positional, {**given, **called.args.keyword})

    return run


def _padded(word: str, mode: str) -> Callable[[Called], Any]:
    def run(called: Called) -> Any:
        padding = called.argument("padding")
        sides = [padding] * 2 * called.rank if isinstance(padding, int) else padding
        value = called.argument("value", 0) if word == "Constant" else None
        row = FUNCTIONS["torch.nn.functional.pad"]
        return apply(called.machine, row, [called.input, sides, mode, value], {})

    return run


def _flatten(called: Called) -> Any:
    row = FUNCTIONS["torch.flatten"]
    sides = [called.argument("start_dim", 1), called.argument("end_dim", -1)]
    return apply(called.machine, row, [called.input, *sides], {})


def _unflatten(called: Called) -> Any:
    sizes = called.argument("unflattened_size")
    if sizes and isinstance(sizes[0], list | tuple):  # named axes
        sizes = [size for _, size in sizes]
    return apply(
        called.machine, FUNCTIONS["torch.unflatten"], [called.input, called.argument("dim"), sizes], {}
    )


def _channel_shuffle(called: Called) -> Any:
    return apply(
        called.machine, FUNCTIONS["torch.channel_shuffle"], [called.input, called.argument("groups")], {}
    )


def _softmax2d(called: Called) -> Any:
    return apply(called.machine, FUNCTIONS["torch.softmax"], [called.input, -3], {})


def _itself(called: Called) -> Drawn:
    return called.input


STATELESS: Mapping[str, Callable[[Called], Any]] = {
    **{name: _function(function, tuple(words.split())) for name, (function, words) in _FUNCTIONS.items()},
    **{f"{word}Pad{n}d": _padded(word, mode) for word, mode in _PADS.items() for n in _RANKS},
    "Flatten": _flatten,
    "Unflatten": _unflatten,
    "ChannelShuffle": _channel_shuffle,
    "Softmax2d": _softmax2d,
    **dict.fromkeys(
        "Identity Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout".split(), _itself
    ),
}
