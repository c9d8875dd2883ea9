"""What the layers of torch.nn do to traced tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_switcheroo.layers import BASE_OF_CLASS, LAYERS, STATELESS
from ml_switcheroo.operations import Elements, operation
from ml_switcheroo.sources.static.python.containers import children
from ml_switcheroo.sources.static.python.values import UNKNOWN, Arguments, Instance, Maybe, Repeat, Value
from ml_switcheroo.sources.static.torch.rows import shapes
from ml_switcheroo.sources.static.torch.rows.arithmetic import activated
from ml_switcheroo.sources.static.torch.rows.functions import softmax
from ml_switcheroo.sources.static.torch.rows.roles import table_of
from ml_switcheroo.sources.static.torch.rows.traces import Trace, Untold, Weight, as_tensor, numbered, spread
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine
    from ml_switcheroo.sources.static.torch.rows.run import Run

__all__ = ["given_by"]


def given_by(run: Run, machine: Machine, layer: Instance, args: Arguments) -> Value:
    """Return what a layer of torch.nn gives."""
    value = args.get(0, "input", UNKNOWN)
    name = layer.base
    if name == "Sequential":
        for child in children(layer):
            value = machine.call(
                child.value if isinstance(child, Maybe | Repeat) else child, Arguments([value])
            )
        return value
    trace = run.trace(value)
    if trace is None:
        return Tensor()
    weight = run.layers.get(id(layer))
    kind = BASE_OF_CLASS.get(name, "")
    try:
        if weight is not None and kind and LAYERS[kind].dense:
            return as_tensor(_linear(run, machine, weight, trace))
        if id(layer) in run.tables:
            return as_tensor(trace.bare((*trace.shape, run.tables[id(layer)])))
        if weight is not None and kind and LAYERS[kind].spatial:
            return as_tensor(_conv(run, machine, weight, layer, trace))
        return _plain_layer(run, machine, layer, trace, kind)
    except Untold:
        return run.unknown(trace)


def _linear(run: Run, machine: Machine, weight: Weight, trace: Trace) -> Trace:
    _enters(run, machine, trace, weight)
    key = ("rows", weight.name, weight.axis)
    run.reached.add(weight.name)
    shape = (*trace.shape[:-1], weight.shape[weight.axis])
    return numbered(key, shape, len(shape) - 1, run.numbers(key, shape[-1]))


def _enters(run: Run, machine: Machine, trace: Trace, weight: Weight) -> None:
    """Note what goes into a projection: an input, the result of an attention, or of a gate."""
    size = weight.shape[1 - weight.axis] if len(weight.shape) > 1 else 0
    if trace.given >= 0 and trace.shape[-1] != size:
        run.wanted[trace.given] = size
    for key in trace.sources if trace.result == "o" else ():
        rows = table_of(trace, key, ())
        if rows is not None:
            run.behind.setdefault(key, []).append(rows.ravel())
    if trace.result:
        own = ("rows", weight.name, weight.axis)
        line = numbered(own, (weight.shape[weight.axis],), 0, run.numbers(own, weight.shape[weight.axis]))
        run.take(machine, trace.result, line, ())


def _conv(run: Run, machine: Machine, weight: Weight, layer: Instance, trace: Trace) -> Trace:
    rank = len(weight.shape) - 2
    if len(trace.shape) != rank + 2:
        raise Untold
    groups = layer.args.get("groups", 1)
    space = [_through(layer, size, axis) for axis, size in enumerate(trace.shape[2:])]
    shape = (trace.shape[0], weight.shape[0], *space)
    if groups != 1 and trace.shape[1] == weight.shape[0] and weight.shape[1] == 1:
        first = (slice(None), slice(None), *(slice(0, 1) for _ in space))
        return trace.moved(lambda array: spread(array[first], shape))  # each channel by itself
    run.reached.add(weight.name)
    key = ("rows", weight.name, 0)
    return numbered(key, shape, 1, run.numbers(key, shape[1]))


def _plain_layer(run: Run, machine: Machine, layer: Instance, trace: Trace, kind: str) -> Value:
    name = layer.base
    if name == "GLU":
        return as_tensor(run.glu(machine, trace, layer.args.get("dim", -1)))
    if name == "Flatten":
        start, end = layer.args.get("start_dim", 1), layer.args.get("end_dim", -1)
        return as_tensor(shapes.apply("flatten", trace, start, end))
    if name == "Unflatten":
        sizes = layer.args.get("unflattened_size")
        return as_tensor(shapes.apply("unflatten", trace, layer.args.get("dim"), sizes))
    if name in ("Softmax", "LogSoftmax"):
        return as_tensor(softmax(trace, layer.args.get("dim", -1)))
    row = operation(name.lower())
    if (row is not None and row.elements is Elements.ACTIVATED) or name in ("LeakyReLU", "PReLU", "Softplus"):
        return as_tensor(activated(trace))
    if "norm" in kind or name in STATELESS - _RESHAPING:
        return as_tensor(trace)
    raise Untold


_RESHAPING = frozenset(
    """Unflatten PixelShuffle PixelUnshuffle ChannelShuffle GLU Fold Unfold CosineSimilarity
    PairwiseDistance Flatten""".split()
)


def _through(layer: Instance, size: int, axis: int) -> int:
    """Return how many places a convolution leaves of so many; nearly, since inputs are guessed."""
    stride = layer.args.get("stride", 1)
    step = stride[axis] if isinstance(stride, tuple | list) and len(stride) > axis else stride
    return max(1, size // step) if isinstance(step, int) and step > 1 else size
