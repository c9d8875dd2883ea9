"""The data flow of ``forward``: which axes a tensor has, and what a Linear is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ml_switcheroo.operations import Axes, operation
from ml_switcheroo.sources.static.python import containers
from ml_switcheroo.sources.static.python.counted import number
from ml_switcheroo.sources.static.python.values import UNKNOWN, Arguments, Builtin, Repeat, Value
from ml_switcheroo.sources.static.torch.alike import OWN, followed, layout_of, tensors_in
from ml_switcheroo.sources.static.torch.atoms import REST, made
from ml_switcheroo.sources.static.torch.effects import applied
from ml_switcheroo.sources.static.torch.followers import dense_of, multiplied, summed, through
from ml_switcheroo.sources.static.torch.gates import note_matrix
from ml_switcheroo.sources.static.torch.given import Given
from ml_switcheroo.sources.static.torch.parts import joined
from ml_switcheroo.sources.static.torch.values import Size, Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["attribute", "function", "unfollowed"]


# Methods and functions --------------------------------------------------------------------


def attribute(machine: Machine, tensor: Tensor, name: str) -> Value:
    """Return an attribute of a tensor."""
    if machine.follower is not None:
        return machine.follower.attribute(machine, tensor, name)
    if name == "shape":
        return _sizes(tensor)
    if name in ("data", "grad"):
        return tensor
    if name == "__len__":
        sizes = _sizes(tensor)
        return sizes[0] if isinstance(sizes, tuple) and sizes else UNKNOWN
    if name in ("T", "mT") and tensor.axes and tensor.axes[0] != (REST,):
        axes = tensor.axes
        return made(axes[::-1] if name == "T" else (*axes[:-2], *axes[-2:][::-1]))
    if name in ("T", "mT"):
        return followed([tensor], turns=True)
    if name in ("ndim", "device", "dtype", "is_cuda", "requires_grad", "is_meta"):
        plain = tensor.axes and tensor.axes[0] != (REST,)
        return len(tensor.axes) if name == "ndim" and plain else number() if name == "ndim" else UNKNOWN
    return Builtin(name, lambda machine, args: method(machine, tensor, name, args))


def _sizes(tensor: Tensor) -> Value:
    if tensor.axes and tensor.axes[0] != (REST,):
        return tuple(1 if axis == () else Size(axis) for axis in tensor.axes)
    if tensor.axes:
        return (Repeat(Size((REST,))), *(Size(axis) for axis in tensor.axes[1:]))
    return tensor.shape if tensor.shape is not None else number() if tensor.layout else UNKNOWN


def method(machine: Machine, tensor: Tensor, name: str, args: Arguments) -> Value:
    """Return what a method of a tensor gives."""
    row = operation(name, method=True)
    if row is not None and row.axes is Axes.MADE:
        return Tensor(layout=OWN)
    if row is not None and row.name == "size":
        return _size(machine, tensor, Given(row, args))
    if row is not None and row.name == "dim":
        return attribute(machine, tensor, "ndim")
    return applied(machine, name, tensor, args, method=True)


def _size(machine: Machine, tensor: Tensor, given: Given) -> Value:
    sizes, dim = _sizes(tensor), given["dim"]
    return (
        containers.subscript(machine, sizes, dim) if dim is not None and isinstance(sizes, tuple) else sizes
    )


def function(machine: Machine, name: str, args: Arguments) -> Value:
    """Return what a function of torch (or NumPy) gives."""
    if machine.follower is not None:
        return machine.follower.function(machine, name, args)
    row = operation(name)
    run = _FUNCTIONS.get(row.axes) if row is not None else None
    if row is not None and (run is not None or row.name in _FROM_DATA):
        found = (run or _of_data)(machine, Given(row, args, 0))
        if found is not None:
            return found
    word = name.rpartition(".")[2]
    named = row is not None and row.parameters
    first = Given(row, args, 0)[row.parameters[0].name] if row is not None and named else args.get(0, "input")
    if not isinstance(first, Tensor):
        return unfollowed(args, word)
    return applied(machine, word, first, Arguments(args.positional[1:], args.keyword))


def _of_data(machine: Machine, given: Given) -> Value:
    """Return a tensor that is made of other values, or of a tensor."""
    data = given["input"]
    if isinstance(data, Tensor):
        return data
    if isinstance(data, int | float):
        return Tensor(() if given.row.name == "tensor" else None, layout=OWN)
    return followed([data])


_FROM_DATA = frozenset(("tensor", "as_tensor", "from_numpy", "asarray"))


def _made(machine: Machine, given: Given) -> Value:
    """Return a tensor that the model makes itself: of given sizes, where those are known."""
    name = given.row.name
    if name in ("zeros", "ones", "empty", "randn", "rand"):
        shape = tuple(given.many("size")) if given.counted else None
        return Tensor(shape, site=machine.site, layout=OWN)
    if name == "full":
        sizes = given["size"]
        return Tensor(tuple(sizes) if isinstance(sizes, tuple | list) else None, layout=OWN)
    return Tensor((given["steps"],) if name == "linspace" else None, layout=OWN)


def _like(machine: Machine, given: Given) -> Value:
    first = given["input"]
    if not isinstance(first, Tensor):
        return Tensor(None, layout=OWN)
    return Tensor(first.shape, layout=layout_of(first))


def _joined(machine: Machine, given: Given) -> Value:
    """Return ``cat``, or ``hstack``, which joins along the second axis."""
    return joined(given["tensors"], given["dim"] if given.row.name == "cat" else 1)


def _linear(machine: Machine, given: Given) -> Value:
    """Return ``F.linear``: with the weight of a layer, it is that layer."""
    tensor, weight = given["input"], given["weight"]
    if not isinstance(tensor, Tensor):
        return None
    layer = dense_of(weight)
    if layer is not None:
        return through(layer, tensor)
    note_matrix(machine, weight, tensor, -1)
    return multiplied(tensor, weight)


_FUNCTIONS: Mapping[Axes, Callable[[Machine, Given], Value]] = {
    Axes.MADE: _made,
    Axes.LIKE: _like,
    Axes.JOINED: _joined,
    Axes.SUMMED: summed,
    Axes.LINEAR: _linear,
}
"""Functions that are not first of all given a tensor, or may be a layer; None where they are as any other."""


def unfollowed(args: Arguments, word: str = "") -> Value:
    """Return what an unknown call gives: a tensor, where it is given one of ``forward``."""
    values = [*args.positional, *args.keyword.values()]
    taken = [one for value in values for one in tensors_in(value)]
    row = operation(word) if word else None
    no_tensor = row is not None and row.axes is Axes.NONE
    if no_tensor or not any(one.axes is not None or one.layout for one in taken):
        return UNKNOWN
    return followed(values, turns=True, flattens=True, folds=True)
