"""Activations: functions of one number each, by their formulas; softmax and the like along an axis."""

from __future__ import annotations

import math
from typing import Any

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.dtypes import by_name
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.operations.elementwise import where
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ACTIVATIONS", "ROWS", "log_softmax", "softmax"]


def _relu(pen: Pen, input: Drawn, inplace: bool = False) -> Drawn:
    return pen.each("max", input, 0.0)


def _clipped(pen: Pen, input: Drawn, low: float, high: float) -> Drawn:
    return pen.each("min", pen.each("max", input, low), high)


def _relu6(pen: Pen, input: Drawn, inplace: bool = False) -> Drawn:
    return _clipped(pen, input, 0.0, 6.0)


def _hardtanh(
    pen: Pen, input: Drawn, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Drawn:
    return _clipped(pen, input, float(min_val), float(max_val))


def _silu(pen: Pen, input: Drawn, inplace: bool = False) -> Drawn:
    return input * pen.each("logistic", input)


def _softplus(pen: Pen, input: Drawn, beta: float = 1, threshold: float = 20) -> Drawn:
    scaled = input if beta == 1 else input * float(beta)
    soft = pen.each("log1p", pen.each("exp", scaled))
    soft = soft if beta == 1 else soft / float(beta)
    return where(pen, pen.each("gt", scaled, float(threshold)), input, soft)


def _mish(pen: Pen, input: Drawn, inplace: bool = False) -> Drawn:
    return input * pen.each("tanh", _softplus(pen, input))


def _hardsigmoid(pen: Pen, input: Drawn, inplace: bool = False) -> Drawn:
    return _relu6(pen, input + 3.0) / 6.0


def _hardswish(pen: Pen, input: Drawn, inplace: bool = False) -> Drawn:
    return input * _hardsigmoid(pen, input)


def _gelu(pen: Pen, input: Drawn, approximate: str = "none") -> Drawn:
    if approximate == "tanh":
        inner = math.sqrt(2.0 / math.pi) * (input + 0.044715 * (input * input * input))
        return 0.5 * input * (1.0 + pen.each("tanh", inner))
    if approximate != "none":
        raise Unlowered(f"gelu with approximate={approximate!r}")
    return 0.5 * input * (1.0 + pen.each("erf", input / math.sqrt(2.0)))


def _leaky_relu(pen: Pen, input: Drawn, negative_slope: float = 0.01, inplace: bool = False) -> Drawn:
    return where(pen, pen.each("ge", input, 0.0), input, input * float(negative_slope))


def _elu(pen: Pen, input: Drawn, alpha: float = 1.0, inplace: bool = False) -> Drawn:
    low = pen.each("expm1", input)
    return where(pen, pen.each("gt", input, 0.0), input, low if alpha == 1.0 else low * float(alpha))


def _celu(pen: Pen, input: Drawn, alpha: float = 1.0, inplace: bool = False) -> Drawn:
    low = float(alpha) * pen.each("expm1", input / float(alpha))
    return where(pen, pen.each("gt", input, 0.0), input, low)


_SCALE, _ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def _selu(pen: Pen, input: Drawn, inplace: bool = False) -> Drawn:
    return _SCALE * where(pen, pen.each("gt", input, 0.0), input, _ALPHA * pen.each("expm1", input))


def _logsigmoid(pen: Pen, input: Drawn) -> Drawn:
    return -_softplus(pen, -input)


def _softsign(pen: Pen, input: Drawn) -> Drawn:
    return input / (1.0 + pen.each("abs", input))


def _tanhshrink(pen: Pen, input: Drawn) -> Drawn:
    return input - pen.each("tanh", input)


def _hardshrink(pen: Pen, input: Drawn, lambd: float = 0.5) -> Drawn:
    return where(pen, pen.each("gt", pen.each("abs", input), float(lambd)), input, 0.0)


def _softshrink(pen: Pen, input: Drawn, lambd: float = 0.5) -> Drawn:
    return pen.each("sign", input) * _relu(pen, pen.each("abs", input) - float(lambd))


def _threshold(pen: Pen, input: Drawn, threshold: float, value: float, inplace: bool = False) -> Drawn:
    return where(pen, pen.each("gt", input, float(threshold)), input, float(value))


def _rrelu(
    pen: Pen,
    input: Drawn,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Drawn:
    if training:
        raise Unlowered("rrelu in training draws at random")
    return _leaky_relu(pen, input, (lower + upper) / 2)


def _prelu(pen: Pen, input: Drawn, weight: Drawn) -> Drawn:
    if weight.rank == 1 and weight.shape[0] > 1 and input.rank > 1:
        weight = pen.reshape(weight, (weight.shape[0], *(1,) * (input.rank - 2)))
    return where(pen, pen.each("gt", input, 0.0), input, weight * input)


def softmax(pen: Pen, input: Drawn, dim: Any = None, dtype: Any = None) -> Drawn:
    """Return the exponentials, scaled so that they sum to one."""
    input = pen.cast(input, by_name(dtype) or input.dtype)
    axis = _along(input, dim)
    powers = pen.each("exp", input - pen.reduce("amax", input, [axis], keep=True))
    return powers / pen.reduce("sum", powers, [axis], keep=True)


def log_softmax(pen: Pen, input: Drawn, dim: Any = None, dtype: Any = None) -> Drawn:
    """Return the logarithm of softmax."""
    input = pen.cast(input, by_name(dtype) or input.dtype)
    axis = _along(input, dim)
    shifted = input - pen.reduce("amax", input, [axis], keep=True)
    return shifted - pen.each("log", pen.reduce("sum", pen.each("exp", shifted), [axis], keep=True))


def _along(input: Drawn, dim: Any) -> int:
    """Return the axis; without one torch takes the first or second, by how many there are."""
    return input.axis((0 if input.rank in (0, 1, 3) else 1) if dim is None else dim)


def _softmin(pen: Pen, input: Drawn, dim: Any = None, dtype: Any = None) -> Drawn:
    return softmax(pen, -input, dim, dtype)


def _glu(pen: Pen, input: Drawn, dim: int = -1) -> Drawn:
    axis = input.axis(dim)
    half = input.shape[axis] // 2
    first, second = pen.slice(input, axis, 0, half), pen.slice(input, axis, half, 2 * half)
    return first * pen.each("logistic", second)


def _dropout(
    pen: Pen, input: Drawn, p: float = 0.5, training: Any = True, inplace: bool = False, train: Any = None
) -> Drawn:
    if (training if train is None else train) and p:
        raise Unlowered("dropout in training draws at random")
    return input


def _dropped(pen: Pen, input: Drawn, p: float = 0.5, training: Any = False, inplace: bool = False) -> Drawn:
    return _dropout(pen, input, p, training)


ACTIVATIONS: dict[str, Any] = {
    "relu": _relu,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "silu swish": _silu,
    "mish": _mish,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "celu": _celu,
    "selu": _selu,
    "softplus": _softplus,
    "logsigmoid": _logsigmoid,
    "softsign": _softsign,
    "tanhshrink": _tanhshrink,
    "hardshrink": _hardshrink,
    "softshrink": _softshrink,
    "threshold": _threshold,
    "rrelu": _rrelu,
    "prelu": _prelu,
    "sigmoid": lambda pen, input: pen.each("logistic", input),
    "tanh": lambda pen, input: pen.each("tanh", input),
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softmin": _softmin,
    "glu": _glu,
    "dropout dropout1d dropout2d dropout3d": _dropout,
    "alpha_dropout feature_alpha_dropout feature_dropout": _dropped,
}
"""By the names that they have in torch.nn.functional."""

ROWS: list[Lowering] = [
    *rows("f", ACTIVATIONS),
    *rows(
        "tm",
        {
            name: ACTIVATIONS[name]
            for name in "relu tanh softmax log_softmax prelu hardshrink celu selu rrelu threshold".split()
        },
    ),
    *rows("s", {"softmax": softmax, "log_softmax": log_softmax}),
    *rows("t", {"dropout": _dropout, "alpha_dropout feature_alpha_dropout feature_dropout": _dropped}),
]
