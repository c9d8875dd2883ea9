"""The layers of torch.nn that hold tensors and are a few operations: linear ones, convolutions, norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.layers.called import Called
from ml_switcheroo.graph.of_source.operations import norms, products, windows
from ml_switcheroo.graph.of_source.operations.activations import ACTIVATIONS

__all__ = ["HOLDING"]


def _linear(called: Called) -> Drawn:
    return products.linear(called.pen, called.input, called.weight(), called.slot("bias"))


def _linear_in_out(called: Called) -> Drawn:
    pen, x = called.pen, called.input
    found = pen.dot(x, called.weight(), ((x.rank - 1,), (0,)))
    bias = called.slot("bias")
    return found if bias is None else found + bias


def _bilinear(called: Called) -> Drawn:
    one, other = called.given(0, "input1"), called.given(1, "input2")
    return products.bilinear(called.pen, one, other, called.weight(), called.slot("bias"))


def _conv(called: Called) -> Drawn:
    pen, x, weight = called.pen, called.input, called.weight()
    padding, mode = called.argument("padding"), called.argument("padding_mode")
    apart = windows.spread_over(pen, called.argument("dilation"), weight.rank - 2)
    if mode != "zeros":
        around = windows.around(pen, padding, weight.shape[2:], apart)
        sides = [side for pair in around[::-1] for side in pair]
        x, padding = windows.pad(pen, x, sides, mode), 0
    found: Drawn = windows.conv(
        pen,
        x,
        weight,
        called.slot("bias"),
        called.argument("stride"),
        padding,
        apart,
        called.argument("groups"),
    )
    return found


def _conv_transpose(called: Called) -> Drawn:
    pen, x, weight = called.pen, called.input, called.weight()
    words = ("stride", "padding", "output_padding", "dilation")
    each = {word: windows.spread_over(pen, called.argument(word), weight.rank - 2) for word in words}
    goal = called.given(1, "output_size")
    if goal is not None:
        sizes = pen.sizes(goal)[-(weight.rank - 2) :]
        rows = zip(
            sizes,
            x.shape[2:],
            weight.shape[2:],
            each["stride"],
            each["padding"],
            each["dilation"],
            strict=True,
        )
        each["output_padding"] = tuple(
            size - ((length - 1) * step - 2 * cut + apart * (kernel - 1) + 1)
            for size, length, kernel, step, cut, apart in rows
        )
    groups = called.argument("groups")
    found: Drawn = windows.conv_transpose(pen, x, weight, called.slot("bias"), groups=groups, **each)
    return found


_SLOTS = ("running_mean", "running_var", "weight", "bias")


def _batch_norm(called: Called) -> Drawn:
    slots: dict[str, Any] = {name: called.slot(name) for name in _SLOTS}
    if called.argument("track_running_stats") is False:
        slots["running_mean"] = slots["running_var"] = None
    return norms.batch_norm(called.pen, called.input, eps=called.argument("eps"), **slots)


def _instance_norm(called: Called) -> Drawn:
    pen, x = called.pen, called.input
    x = pen.insert(x, 0) if x.rank == called.rank + 1 else x
    slots: dict[str, Any] = {name: called.slot(name) for name in _SLOTS}
    of_input = slots["running_mean"] is None
    found = norms.instance_norm(pen, x, use_input_stats=of_input, eps=called.argument("eps"), **slots)
    return pen.reshape(found, called.input.shape)


def _layer_norm(called: Called) -> Drawn:
    shape, eps = called.argument("normalized_shape"), called.argument("eps")
    return norms.layer_norm(called.pen, called.input, shape, called.slot("weight"), called.slot("bias"), eps)


def _rms_norm(called: Called) -> Drawn:
    shape, eps = called.argument("normalized_shape"), called.argument("eps", None)
    return norms.rms_norm(called.pen, called.input, shape, called.slot("weight"), eps)


def _group_norm(called: Called) -> Drawn:
    groups, eps = called.argument("num_groups"), called.argument("eps")
    return norms.group_norm(called.pen, called.input, groups, called.slot("weight"), called.slot("bias"), eps)


def _embedding(called: Called) -> Drawn:
    pen, table = called.pen, called.weight()
    if called.argument("max_norm", None) is not None:
        raise Unlowered("an embedding that shortens its rows")
    if called.layer.base != "EmbeddingBag":
        return products.embedding(pen, called.input, table)
    return products.embedding_bag(
        pen,
        called.input,
        table,
        called.given(1, "offsets"),
        mode=called.argument("mode"),
        per_sample_weights=called.given(2, "per_sample_weights"),
        include_last_offset=called.argument("include_last_offset"),
        padding_idx=called.argument("padding_idx", None),
    )


def _prelu(called: Called) -> Any:
    return ACTIVATIONS["prelu"](called.pen, called.input, called.weight())


HOLDING: Mapping[str, Callable[[Called], Any]] = {
    "linear": _linear,
    "linear_in_out": _linear_in_out,
    "bilinear": _bilinear,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "embedding": _embedding,
    "prelu": _prelu,
}
"""By kind."""
