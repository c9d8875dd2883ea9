"""Functions of torch and einops that take more than a change of shape, on traced tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.values import Arguments, Value
from ml_switcheroo.sources.static.torch.rows import shapes
from ml_switcheroo.sources.static.torch.rows.contracting import contracted, einsum_labels, matmul_labels
from ml_switcheroo.sources.static.torch.rows.traces import Trace, Untold, as_tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine
    from ml_switcheroo.sources.static.torch.rows.follower import Follower

__all__ = ["FUNCTIONS", "softmax", "varies"]


def softmax(trace: Trace, dim: Value) -> Trace:
    """Return a softmax; of a product, note along which of its sides it goes."""
    product = trace.product
    if product is None or not isinstance(dim, int):
        return trace.changed(active=True)
    sides = [s for s in (0, 1) if varies(trace.rows.get(("side", product.number, s)), dim)]
    return trace.changed(active=True, normal=sides[0] if len(sides) == 1 else -1)


def varies(numbers: Any, axis: int) -> bool:
    """Tell whether numbers change along an axis."""
    return numbers is not None and not (numbers == numbers.take([0], axis)).all()


def _softmax(follower: Follower, machine: Machine, args: Arguments) -> Value:
    return as_tensor(softmax(_first(follower, args), args.get(1, "dim", -1)))


def _glu(follower: Follower, machine: Machine, args: Arguments) -> Value:
    return as_tensor(follower.glu(machine, _first(follower, args), args.get(1, "dim", -1)))


def _linear(follower: Follower, machine: Machine, args: Arguments) -> Value:
    trace, weight = _first(follower, args), follower.trace(args.get(1, "weight"))
    if weight is None or len(weight.shape) != 2:
        raise Untold
    follower.used(machine, trace, weight, weight.shape[1])
    return as_tensor(contracted(trace, shapes.ONE["t"](weight, Arguments()), matmul_labels(trace, weight), 0))


def _matmul(follower: Follower, machine: Machine, args: Arguments) -> Value:
    return follower.matmul(
        machine, _first(follower, args), follower.trace(args.get(1, "other", args.keyword.get("mat2")))
    )


def _addmm(follower: Follower, machine: Machine, args: Arguments) -> Value:
    return follower.matmul(machine, follower.trace(args.get(1, "mat1")), follower.trace(args.get(2, "mat2")))


def _einsum(follower: Follower, machine: Machine, args: Arguments) -> Value:
    values = [*args.positional]
    text = next((value for value in values if isinstance(value, str)), None)
    held = [value for value in values if not isinstance(value, str)]
    if len(held) == 1 and isinstance(held[0], tuple | list):
        held = list(held[0])
    traces = [follower.trace(value) for value in held]
    if len(traces) != 2 or traces[0] is None or traces[1] is None:
        raise Untold
    return follower.summed(machine, traces[0], traces[1], einsum_labels(text, traces[0], traces[1]))


def _rearrange(follower: Follower, machine: Machine, args: Arguments) -> Value:
    value, pattern = args.get(0, "tensor"), args.get(1, "pattern")
    if isinstance(value, list | tuple):
        value = follower.joined(Arguments([value, 0]), new=True)
    trace = follower.trace(value)
    if trace is None:
        raise Untold
    return as_tensor(shapes.rearranged(trace, pattern, args.keyword))


def _repeat(follower: Follower, machine: Machine, args: Arguments) -> Value:
    if isinstance(args.get(1, "pattern"), str):
        return _rearrange(follower, machine, args)
    rest = Arguments(args.positional[1:], args.keyword)
    return as_tensor(shapes.ONE["repeat"](_first(follower, args), rest))


def _where(follower: Follower, machine: Machine, args: Arguments) -> Value:
    sides = [follower.trace(args.get(i, name)) for i, name in ((1, "input"), (2, "other"))]
    return follower.elementwise(machine, sides[0], sides[1], product=False)


def _view_as(follower: Follower, machine: Machine, args: Arguments) -> Value:
    other = follower.trace(args.get(1, "other"))
    if other is None:
        raise Untold
    word = "expand" if len(_first(follower, args).shape) != len(other.shape) else "reshape"
    return as_tensor(shapes.ONE[word](_first(follower, args), Arguments(list(other.shape))))


def _conv1d(follower: Follower, machine: Machine, args: Arguments) -> Value:
    trace, weight = _first(follower, args), follower.trace(args.get(1, "weight"))
    if weight is None or len(weight.shape) != len(trace.shape) or not weight.sources:
        raise Untold
    if args.get(6, "groups", 1) != 1 or any(size != 1 for size in weight.shape[2:]):
        raise Untold
    follower.used(machine, trace, weight, 0)
    flat = weight.moved(lambda array: array.reshape(array.shape[:2]))
    inner = trace.moved(lambda array: array.swapaxes(1, -1))
    made = contracted(inner, shapes.ONE["t"](flat, Arguments()), matmul_labels(inner, flat), 0)
    return as_tensor(made.moved(lambda array: array.swapaxes(1, -1)))


def _first(follower: Follower, args: Arguments) -> Trace:
    found = follower.trace(args.get(0, "input"))
    if found is None:
        raise Untold
    return found


FUNCTIONS: Mapping[str, Callable[[Follower, Machine, Arguments], Value]] = {
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    "glu": _glu,
    "linear": _linear,
    **dict.fromkeys(("matmul", "bmm", "mm"), _matmul),
    **dict.fromkeys(("addmm", "baddbmm"), _addmm),
    "einsum": _einsum,
    **dict.fromkeys(("rearrange", "Rearrange"), _rearrange),
    "repeat": _repeat,
    "where": _where,
    **dict.fromkeys(("view_as", "reshape_as", "expand_as"), _view_as),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _conv1d),
}
"""What gives something else than a change of shape, by name."""
