"""The functions and stateless layers of the frameworks by their names, and what they compute by default.

Sources: the reference pages of torch.nn.functional, jax.nn, keras.activations, keras.ops, tf.nn and mlx.nn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "LIBRARIES",
    "MARKS",
    "PAD",
    "Computed",
    "attention_scale",
    "is_attention",
    "named",
    "parameters",
    "scale_of",
]


@dataclass(frozen=True, slots=True, order=True)
class Computed:
    """Something that is computed without weights.

    Attributes:
        what: ``gelu``, ``relu``, ``avg_pool``, ``attention scale`` ...
        how: Which variant of it: ``by erf``; empty where there is one only.
    """

    what: str
    how: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.how}".strip()


_PLAIN = {
    "relu": "relu",
    "relu6": "relu6",
    "elu": "elu",
    "celu": "celu",
    "selu": "selu",
    "silu": "silu",
    "swish": "silu",
    "mish": "mish",
    "sigmoid": "sigmoid",
    "logistic": "sigmoid",
    "logsigmoid": "log_sigmoid",
    "tanh": "tanh",
    "softplus": "softplus",
    "softsign": "softsign",
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "hardsilu": "hard_swish",
    "hardtanh": "hard_tanh",
}
_ERF, _TANH, _SIGMOID = (Computed("gelu", f"by {way}") for way in ("erf", "tanh", "sigmoid"))
_GELUS = {"geluapprox": _TANH, "gelufastapprox": _SIGMOID, "quickgelu": _SIGMOID}
_WAYS: Mapping[Any, Computed] = {
    **dict.fromkeys((False, "none"), _ERF),
    **dict.fromkeys((True, "tanh", "precise"), _TANH),
    "fast": _SIGMOID,
}

# The first package that the qualified name starts with has the say.
_APPROXIMATE: Mapping[str, Any] = {
    "torch": "none",
    **dict.fromkeys(("jax", "flax", "haiku", "equinox"), True),
    "keras.src.ops": True,
    "keras.ops": True,
    "keras": False,
    "tensorflow": False,
    "mlx": "none",
}
_SLOPE: Mapping[str, float] = {
    "torch": 0.01,
    **dict.fromkeys(("jax", "flax", "haiku", "equinox"), 0.01),
    "keras.src.layers": 0.3,
    "keras.layers": 0.3,
    "keras": 0.2,
    "tensorflow": 0.2,
    "mlx": 0.01,
}

LIBRARIES = frozenset(name for name in _APPROXIMATE if "." not in name)
"""Packages whose functions are known by name; what a class of another one does is read in its source."""

MARKS: Mapping[Any, Computed] = {0.044715: _TANH, 1.702: _SIGMOID, "erf": _ERF}
"""Constants and functions that a GELU written out as a formula has in it, and nothing else has."""

PAD = Computed("pad")
_PADS = re.compile(r"pad|(zero|constant|reflection|replication|circular)pad(ding)?([123]d)?")

_SCALES = frozenset({"scale", "scaling", "softmax_scale", "attn_scale", "attention_scale"})
_COUNTED, _LEFT_OUT = (Computed("avg_pool", f"with the padding {word}") for word in ("counted", "left out"))


def parameters(name: str) -> tuple[str, ...]:
    """Return the parameters of a function that matter here, in order, the input first.

    >>> parameters("torch.nn.functional.avg_pool2d")[3]
    'padding'
    """
    last = _bare(name)
    if last.startswith("avgpool"):
        if name.startswith("torch"):
            return ("x", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
        return ("x", "window_shape", "strides", "padding", "count_include_pad")
    if last == "averagepool":
        return ("x", "pool_size", "strides", "padding")
    return ("x", "approximate") if last == "gelu" else ("x", "negative_slope")


def named(name: str, args: Mapping[str, Any]) -> Computed | None:
    """Return what a function or stateless layer of a framework computes; None where that is not known.

    Args:
        name: Its qualified name, as the framework has it.
        args: Its arguments, or the attributes of the layer; those that are not there have the default.

    >>> named("jax.nn.gelu", {}), named("torch.nn.GELU", {})
    (Computed(what='gelu', how='by tanh'), Computed(what='gelu', how='by erf'))
    """
    if name.partition(".")[0] not in LIBRARIES:
        return None
    last = _bare(name)
    if last in _GELUS:
        return _GELUS[last]
    if last == "gelu":
        way = args.get("approximate", args.get("approx", _first(_APPROXIMATE, name)))
        return _WAYS.get(way) if isinstance(way, bool | str) else None
    if last == "leakyrelu":
        slope = args.get("negative_slope", args.get("alpha", _first(_SLOPE, name)))
        return Computed("leaky_relu", f"{slope:g}") if isinstance(slope, int | float) else None
    if last.startswith(("avgpool", "averagepool")):
        return _pool(name, args)
    if last == "relu" and not _usual(args):
        return None
    if _PADS.fullmatch(last):
        return PAD
    return Computed(_PLAIN[last]) if last in _PLAIN else None


def scale_of(size: int | None) -> tuple[Computed, ...]:
    """Return the scale that an attention of this head size has in every framework.

    >>> scale_of(16)
    (Computed(what='attention scale', how='0.25'),)
    """
    return (Computed("attention scale", f"{size**-0.5:.6g}"),) if size else ()


def is_attention(name: str) -> bool:
    """Tell whether the name of a class says that it is an attention."""
    return "attention" in name.lower() or "attn" in name.lower()


def attention_scale(attributes: Mapping[str, Any]) -> Iterator[Computed]:
    """Yield the scale that an attention of the user's own has as an attribute."""
    for name, value in attributes.items():
        if name.lstrip("_") in _SCALES and isinstance(value, float):
            yield Computed("attention scale", f"{value:.6g}")


def _usual(args: Mapping[str, Any]) -> bool:
    """Tell whether a ReLU has neither slope nor bounds: Keras's layer can have them."""
    return not args.get("negative_slope") and not args.get("threshold") and args.get("max_value") is None


def _bare(name: str) -> str:
    last = name.rpartition(".")[2].lower().replace("_", "")
    return last.rstrip("123d") if last.startswith(("avgpool", "averagepool")) else last


def _first(table: Mapping[str, Any], name: str) -> Any:
    return next(value for start, value in table.items() if name.startswith(f"{start}."))


def _pool(name: str, args: Mapping[str, Any]) -> Computed | None:
    """Say whether an average pool counts what it pads with; where it pads nothing, nothing is to be said."""
    padding = args.get("padding", "valid")
    if not isinstance(padding, str | int | list | tuple) or _is_zero(padding):
        return None
    if name.startswith(("keras", "tensorflow", "haiku")):
        return _LEFT_OUT
    counted = args.get("count_include_pad", True)
    return {True: _COUNTED, False: _LEFT_OUT}.get(counted) if isinstance(counted, bool) else None


def _is_zero(padding: Any) -> bool:
    if isinstance(padding, list | tuple):
        return all(map(_is_zero, padding))
    return padding.lower() == "valid" if isinstance(padding, str) else not padding
