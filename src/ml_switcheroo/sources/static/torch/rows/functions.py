"""Functions of torch and einops that take more than a change of shape, on traced tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.operations import Axes
from ml_switcheroo.sources.static.python.values import Arguments, Value
from ml_switcheroo.sources.static.torch.given import Given
from ml_switcheroo.sources.static.torch.rows import shapes
from ml_switcheroo.sources.static.torch.rows.contracting import contracted, einsum_labels, matmul_labels
from ml_switcheroo.sources.static.torch.rows.traces import Trace, Untold, as_tensor, varies

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine
    from ml_switcheroo.sources.static.torch.rows.run import Run

__all__ = ["FUNCTIONS", "along", "softmax"]


def softmax(trace: Trace, dim: Value) -> Trace:
    """Return a softmax; of a product, note along which of its sides it goes."""
    product = trace.product
    if product is None or not isinstance(dim, int):
        return trace.changed(active=True)
    sides = [s for s in (0, 1) if varies(trace.rows.get(("side", product.number, s)), dim)]
    return trace.changed(active=True, normal=sides[0] if len(sides) == 1 else -1)


def along(run: Run, machine: Machine, given: Given) -> Value:
    """Return what depends on all elements along an axis: a softmax; of any other, nothing is known."""
    if given.row.name not in ("softmax", "log_softmax"):
        raise Untold
    dim = given["dim"]
    return as_tensor(softmax(_first(run, given), -1 if dim is None else dim))


def _glu(run: Run, machine: Machine, given: Given) -> Value:
    return as_tensor(run.glu(machine, _first(run, given), given["dim"]))


def _linear(run: Run, machine: Machine, given: Given) -> Value:
    trace, weight = _first(run, given), run.trace(given["weight"])
    if weight is None or len(weight.shape) != 2:
        raise Untold
    run.used(machine, trace, weight, weight.shape[1])
    return as_tensor(contracted(trace, shapes.turned(weight), matmul_labels(trace, weight), 0))


def _matmul(run: Run, machine: Machine, given: Given) -> Value:
    if given.row.name not in ("matmul", "mm", "bmm"):
        raise Untold
    return run.matmul(machine, _first(run, given), run.trace(given["other"]))


def _addmm(run: Run, machine: Machine, given: Given) -> Value:
    return run.matmul(machine, run.trace(given["mat1"]), run.trace(given["mat2"]))


def _einsum(run: Run, machine: Machine, given: Given) -> Value:
    values = given.args.positional  # einops has the equation last
    text = next((value for value in values if isinstance(value, str)), None)
    held = [value for value in values if not isinstance(value, str)]
    if len(held) == 1 and isinstance(held[0], tuple | list):
        held = list(held[0])
    traces = [run.trace(value) for value in held]
    if len(traces) != 2 or traces[0] is None or traces[1] is None:
        raise Untold
    return run.summed(machine, traces[0], traces[1], einsum_labels(text, traces[0], traces[1]))


def _rearrange(run: Run, machine: Machine, given: Given) -> Value:
    if given.row.name == "reduce":
        raise Untold
    return _by_pattern(run, given["input"], given["pattern"], given.args)


def _by_pattern(run: Run, value: Value, pattern: Value, args: Arguments) -> Value:
    trace = run.joined(value, 0, new=True) if isinstance(value, list | tuple) else value
    found = run.trace(trace)
    if found is None:
        raise Untold
    return as_tensor(shapes.rearranged(found, pattern, args.keyword))


def _repeat(run: Run, machine: Machine, given: Given) -> Value:
    pattern = given.args.get(1, "pattern")  # that of einops
    if isinstance(pattern, str):
        return _by_pattern(run, given.args.get(0, "tensor"), pattern, given.args)
    return as_tensor(shapes.ONE[Axes.REPEATED](_first(run, given), given))


def _where(run: Run, machine: Machine, given: Given) -> Value:
    sides = [run.trace(given[name]) for name in ("input", "other")]
    return run.elementwise(machine, sides[0], sides[1], product=False)


def _as_other(run: Run, machine: Machine, given: Given) -> Value:
    trace, other = _first(run, given), run.trace(given["other"])
    if other is None:
        raise Untold
    word = "expand" if len(trace.shape) != len(other.shape) else "reshape"
    return as_tensor(shapes.apply(word, trace, *other.shape))


def _convolved(run: Run, machine: Machine, given: Given) -> Value:
    if LAYERS[given.row.role("weight")].transposed:
        raise Untold
    trace, weight = _first(run, given), run.trace(given["weight"])
    if weight is None or len(weight.shape) != len(trace.shape) or not weight.sources:
        raise Untold
    if given["groups"] != 1 or any(size != 1 for size in weight.shape[2:]):
        raise Untold
    run.used(machine, trace, weight, 0)
    flat = weight.moved(lambda array: array.reshape(array.shape[:2]))
    inner = trace.moved(lambda array: array.swapaxes(1, -1))
    made = contracted(inner, shapes.turned(flat), matmul_labels(inner, flat), 0)
    return as_tensor(made.moved(lambda array: array.swapaxes(1, -1)))


def _combined(run: Run, machine: Machine, given: Given) -> Value:
    if given.row.operator not in ("+", "-", "*", "/"):
        raise Untold
    sides = run.trace(given["input"]), run.trace(given["other"])
    return run.elementwise(machine, *sides, product=given.row.operator == "*")


def _attended(run: Run, machine: Machine, given: Given) -> Value:
    return run.attention(machine, given.args, tokens_before=True)


def _joined(run: Run, machine: Machine, given: Given) -> Value:
    if given.row.name not in ("cat", "stack"):
        raise Untold
    return run.joined(given["tensors"], given["dim"], new=given.row.name == "stack")


def _first(run: Run, given: Given) -> Trace:
    found = run.trace(given[given.row.parameters[0].name])
    if found is None:
        raise Untold
    return found


FUNCTIONS: Mapping[Axes, Callable[[Run, Machine, Given], Value]] = {
    Axes.BROADCAST: _combined,
    Axes.CHOSEN: _where,
    Axes.AS_OTHER: _as_other,
    Axes.REPEATED: _repeat,
    **dict.fromkeys((Axes.JOINED, Axes.STACKED), _joined),
    Axes.MULTIPLIED: _matmul,
    Axes.ADDED_PRODUCT: _addmm,
    Axes.SUMMED: _einsum,
    Axes.LINEAR: _linear,
    Axes.ATTENDED: _attended,
    Axes.CONVOLVED: _convolved,
    Axes.HALVED: _glu,
    Axes.PATTERN: _rearrange,
}
"""What takes more than a tensor whose elements it moves, by what becomes of the axes."""
