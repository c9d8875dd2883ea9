"""Norms: each element is scaled by what all are together."""

from __future__ import annotations

from typing import Any

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.dtypes import limits
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS", "batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]

Maybe = Drawn | None


def _standardised(pen: Pen, x: Drawn, axes: Any, eps: float) -> Drawn:
    off = x - pen.mean(x, axes, keep=True)
    return off / pen.each("sqrt", pen.mean(off * off, axes, keep=True) + float(eps))


def _scaled(x: Drawn, weight: Maybe, bias: Maybe) -> Drawn:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def layer_norm(
    pen: Pen, input: Drawn, normalized_shape: Any, weight: Maybe = None, bias: Maybe = None, eps: float = 1e-5
) -> Drawn:
    """Return a layer norm over the last axes."""
    axes = _last(pen, input, normalized_shape)
    return _scaled(_standardised(pen, input, axes, eps), weight, bias)


def _last(pen: Pen, input: Drawn, sizes: Any) -> list[int]:
    shape = pen.sizes(sizes)
    if input.shape[input.rank - len(shape) :] != shape:
        raise Unlowered(f"a norm over {shape} of {input.shape}")
    return list(range(input.rank - len(shape), input.rank))


def rms_norm(pen: Pen, input: Drawn, normalized_shape: Any, weight: Maybe = None, eps: Any = None) -> Drawn:
    """Return a norm over the last axes that does not subtract the mean."""
    axes = _last(pen, input, normalized_shape)
    eps = limits(input.dtype).eps if eps is None else float(eps)
    root = pen.each("sqrt", pen.mean(input * input, axes, keep=True) + eps)
    return _scaled(input / root, weight, None)


def _channels(pen: Pen, value: Maybe, rank: int) -> Maybe:
    """Return a number for each channel as it goes with maps of so many axes."""
    return None if value is None else pen.reshape(value, (*value.shape, *(1,) * max(rank - 2, 0)))


def batch_norm(
    pen: Pen,
    input: Drawn,
    running_mean: Maybe = None,
    running_var: Maybe = None,
    weight: Maybe = None,
    bias: Maybe = None,
    training: Any = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Drawn:
    """Return a batch norm: by the running statistics, or by those of the batch where there are none."""
    weight, bias = (_channels(pen, one, input.rank) for one in (weight, bias))
    if running_mean is None or running_var is None or training:
        axes = [axis for axis in range(input.rank) if axis != 1]
        return _scaled(_standardised(pen, input, axes, eps), weight, bias)
    mean, var = _channels(pen, running_mean, input.rank), _channels(pen, running_var, input.rank)
    assert mean is not None
    assert var is not None
    return _scaled((input - mean) / pen.each("sqrt", var + float(eps)), weight, bias)


def group_norm(
    pen: Pen, input: Drawn, num_groups: int, weight: Maybe = None, bias: Maybe = None, eps: float = 1e-5
) -> Drawn:
    """Return a norm over groups of channels and all places."""
    n, channels, *space = input.shape
    if channels % num_groups:
        raise Unlowered(f"{num_groups} groups of {channels} channels")
    x = pen.reshape(input, (n, num_groups, channels // num_groups, *space))
    x = pen.reshape(_standardised(pen, x, range(2, x.rank), eps), input.shape)
    return _scaled(x, _channels(pen, weight, input.rank), _channels(pen, bias, input.rank))


def instance_norm(
    pen: Pen,
    input: Drawn,
    running_mean: Maybe = None,
    running_var: Maybe = None,
    weight: Maybe = None,
    bias: Maybe = None,
    use_input_stats: bool = True,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Drawn:
    """Return a norm over the places of each channel."""
    if not use_input_stats:
        return batch_norm(pen, input, running_mean, running_var, weight, bias, False, momentum, eps)
    x = _standardised(pen, input, range(2, input.rank), eps)
    return _scaled(x, _channels(pen, weight, input.rank), _channels(pen, bias, input.rank))


def _weight_norm(pen: Pen, v: Drawn, g: Drawn, dim: int = 0) -> Drawn:
    axes = (
        [axis for axis in range(v.rank) if axis != dim % v.rank]
        if dim != -1 or v.rank == 0
        else list(range(v.rank))
    )
    return v * (g / pen.each("sqrt", pen.reduce("sum", v * v, axes, keep=True)))


ROWS: list[Lowering] = [
    *rows(
        "tf",
        {
            "layer_norm": layer_norm,
            "group_norm": group_norm,
            "rms_norm": rms_norm,
        },
    ),
    *rows("f", {"batch_norm": batch_norm, "instance_norm": instance_norm}),
    *rows("t", {"_weight_norm": _weight_norm}),
]
