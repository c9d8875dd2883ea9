"""The data flow of ``forward``: which axes a tensor has, and what a Linear is given."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from ml_switcheroo.layers import KIND_OF_CLASS
from ml_switcheroo.sources.static.python import containers
from ml_switcheroo.sources.static.python.counted import number
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Builtin,
    Repeat,
    Site,
    Size,
    Tensor,
    Unknown,
    Value,
    known,
)
from ml_switcheroo.sources.static.torch import passing
from ml_switcheroo.sources.static.torch.alike import (
    ALIKE,
    OWN,
    TURNED,
    agreeing,
    followed,
    layout_of,
    tensors_in,
)
from ml_switcheroo.sources.static.torch.atoms import REST, Axis, made
from ml_switcheroo.sources.static.torch.followers import NUMBERS, cut, multiplied, other_operation, summed
from ml_switcheroo.sources.static.torch.gates import note_gate, note_matrix, note_own
from ml_switcheroo.sources.static.torch.images import pooled, rank_of
from ml_switcheroo.sources.static.torch.parts import broadcast, joined, taken
from ml_switcheroo.sources.static.torch.shaping import (
    flattened,
    permuted,
    rearranged,
    reduced,
    reshaped,
    squeezed,
    swapped,
    unflattened,
)
from ml_switcheroo.sources.static.torch.splits import chunked, unbound
from ml_switcheroo.sources.static.torch.uses import used

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = [
    "attribute",
    "function",
    "operate",
    "subscript",
    "unfollowed",
]


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


def _listed(args: list[Value]) -> list[Value]:
    if len(args) == 1 and isinstance(args[0], tuple | list):
        return list(args[0])
    return list(args)


def method(machine: Machine, tensor: Tensor, name: str, args: Arguments) -> Value:
    """Return what a method of a tensor gives."""
    values = args.positional
    if name.rstrip("_") in _ELEMENTWISE and values:
        return operate(machine, ast.Mult, tensor, values[0])
    if name in _PASSING:
        return tensor
    if name in _SHAPING:
        return _SHAPING[name](machine, tensor, args)
    if name.startswith("new_"):
        return Tensor(layout=OWN)
    if name in ("dim", "ndimension"):
        return attribute(machine, tensor, "ndim")
    if name in ("unflatten", "squeeze", "unbind", "chunk", "split", "tensor_split"):
        return _taken_apart(machine, tensor, name, args)
    return other_operation(machine, name, tensor, args)


def _size(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    sizes, values = _sizes(tensor), args.positional
    if not values:
        return sizes
    return containers.subscript(machine, sizes, values[0]) if isinstance(sizes, tuple) else sizes


_SHAPING: dict[str, Callable[[Machine, Tensor, Arguments], Value]] = {
    "flatten": lambda machine, x, args: flattened(
        machine, x, args.get(0, "start_dim", 0), args.get(1, "end_dim", -1)
    ),
    **dict.fromkeys(
        ("view", "reshape"), lambda machine, x, args: reshaped(machine, x, _listed(args.positional))
    ),
    "permute": lambda machine, x, args: permuted(x, _listed(args.positional)),
    **dict.fromkeys(("transpose", "swapaxes"), lambda machine, x, args: swapped(x, list(args.positional))),
    **dict.fromkeys(
        ("mean", "sum", "amax", "amin"),
        lambda machine, x, args: reduced(x, args.get(0, "dim", None), args.get(1, "keepdim", False)),
    ),
    "size": _size,
}


_ELEMENTWISE = frozenset("add sub mul div multiply divide subtract true_divide maximum minimum".split())


def _taken_apart(machine: Machine, tensor: Tensor, name: str, args: Arguments) -> Value:
    if name == "unflatten":
        return unflattened(tensor, args.get(0, "dim"), args.get(1, "sizes"))
    if name == "squeeze":
        return squeezed(tensor, args.get(0, "dim"))
    if name == "unbind":
        parts = unbound(tensor, args.get(0, "dim", 0))
    else:
        word = {"chunk": "chunks", "tensor_split": "indices_or_sections"}.get(name, "split_size_or_sections")
        given, dim = (
            args.get(0, word, args.keyword.get("indices", args.keyword.get("split_size"))),
            args.get(1, "dim", 0),
        )
        given = machine.solved.get(given.symbol, given) if isinstance(given, Unknown) else given
        count = given if name != "split" else _count(tensor, given)
        if name == "split" and isinstance(dim, int) and dim > 0 and _makes_up(tensor, given, count):
            dim = -1  # any other axis would have to be as long by chance
        parts = chunked(tensor, given if name == "split" else (), count, dim)
        parts = parts or cut(tensor, given, name, dim)
    if parts is None:
        return followed([tensor])
    for part in parts:
        part.layout = part.layout or tensor.layout
    return machine.heap.new(list(parts))


def _makes_up(tensor: Tensor, given: Value, count: Value) -> bool:
    """Tell whether the parts of a split make up the output of a linear whose leading axes are unknown."""
    axes: tuple[Axis, ...] = tensor.axes or ()
    if len(axes) != 2 or axes[0] != (REST,) or (layer := axes[1][0].of) is None:
        return False
    whole, sizes = used(layer).size, given if isinstance(given, list | tuple) else ()
    return isinstance(whole, int) and (isinstance(count, int) or (known(sizes) and sum(sizes) == whole))


def _count(tensor: Tensor, size: Value) -> Value:
    """Return how many parts of one size the output of a linear has."""
    atom = tensor.axes[-1][0] if tensor.axes and tensor.axes[-1] else None
    whole = used(atom.of).size if atom is not None and atom.of is not None else None
    if atom is not None and atom.role == "factor":
        whole = atom.factors[atom.place]
    plain = isinstance(whole, int) and isinstance(size, int) and size > 0
    return whole // size if plain and whole % size == 0 else None


_PASSING = frozenset(
    """contiguous clone detach to float half double bfloat16 cuda cpu type_as relu relu_ sigmoid tanh exp abs
    clamp mul mul_ add add_ div sub neg requires_grad_ type pow sqrt normal_ uniform_ fill_ zero_ softmax
    masked_fill dropout rsqrt square reciprocal sin cos""".split()
)
_PASSING_FUNCTIONS = frozenset(
    """relu relu_ relu6 leaky_relu elu selu celu gelu silu mish sigmoid tanh hardswish hardsigmoid softplus
    dropout dropout2d dropout1d dropout3d batch_norm layer_norm instance_norm normalize log_softmax
    softmax clamp abs exp
    local_response_norm alpha_dropout pack_padded_sequence rsqrt sqrt
    square sin cos""".split()
)
_MADE = frozenset("arange zeros_like ones_like as_tensor eye randint logspace tril triu".split())
_JOINING = {"cat": 0, "concat": 0, "concatenate": 0, "hstack": 1, "column_stack": 1}
_SHAPED = frozenset({"zeros", "ones", "empty", "randn", "rand"})


def function(machine: Machine, name: str, args: Arguments) -> Value:
    """Return what a function of torch (or NumPy) gives."""
    if machine.follower is not None:
        return machine.follower.function(machine, name, args)
    return _of_axes(machine, name, args)


def _of_axes(machine: Machine, name: str, args: Arguments) -> Value:
    word = name.rpartition(".")[2]
    first = args.get(0, "input", UNKNOWN)
    if word in _SHAPED:
        sizes = args.keyword.get("size", first if isinstance(first, tuple | list) else tuple(args.positional))
        shape = tuple(sizes) if isinstance(sizes, tuple | list) else None
        return Tensor(shape, site=_site(machine), layout=OWN)
    if word == "full":
        return Tensor(tuple(first) if isinstance(first, tuple | list) else None, layout=OWN)
    if word == "linspace":
        steps = args.get(2, "steps")
        return Tensor((steps,), layout=OWN)
    if word in ("tensor", "as_tensor", "from_numpy", "asarray") and not isinstance(first, int | float):
        return first if isinstance(first, Tensor) else followed([first])
    if word == "tensor":
        return Tensor((), layout=OWN)
    if word in _MADE:
        like = isinstance(first, Tensor) and word.endswith("_like")
        return Tensor(
            first.shape if isinstance(first, Tensor) else None, layout=layout_of(first) if like else OWN
        )
    if word in _JOINING:
        return joined(args.get(0, "tensors"), args.get(1, "dim", _JOINING[word]))
    if word == "einsum":
        return summed(machine, args)
    if not isinstance(first, Tensor):
        return unfollowed(args, word)
    return _of_tensor(machine, word, first, args)


def _of_tensor(machine: Machine, word: str, first: Tensor, args: Arguments) -> Value:
    if word in _PASSING_FUNCTIONS:
        return first
    if word == "pad_packed_sequence":
        return first, UNKNOWN
    if word.startswith("adaptive_") and (rank := rank_of(word)) is not None:
        return pooled(first, rank, args.get(1, "output_size"))
    if word in ("rearrange", "reduce"):
        return rearranged(machine, first, args.get(1, "pattern"), args.keyword, drops=word == "reduce")
    if word == "unflatten":
        return unflattened(first, args.get(1, "dim"), args.get(2, "sizes"))
    if word in _AS_METHODS:
        return method(machine, first, word, Arguments(args.positional[1:], args.keyword))
    if word == "linear":
        return _linear(machine, first, args.get(1, "weight"))
    if word in _ELEMENTWISE:
        return operate(machine, ast.Mult, first, args.get(1, "other"))
    return other_operation(machine, word, first, Arguments(args.positional[1:], args.keyword))


_AS_METHODS = frozenset(
    """flatten reshape permute transpose swapaxes mean sum squeeze unbind chunk split tensor_split""".split()
)


def _linear(machine: Machine, tensor: Tensor, weight: Value) -> Value:
    """Return ``F.linear``: with the weight of a layer, it is that layer."""
    layer = weight.of if isinstance(weight, Tensor) else None
    if layer is not None and KIND_OF_CLASS.get(layer.torch) == "linear":
        return passing.forward(machine, layer, Arguments([tensor]))
    note_matrix(machine, weight, tensor, -1)
    return multiplied(tensor, weight)


def unfollowed(args: Arguments, word: str = "") -> Value:
    """Return what a call gives of which nothing is known: a tensor, where it is given one of ``forward``."""
    values = [*args.positional, *args.keyword.values()]
    given = [one for value in values for one in tensors_in(value)]
    if word in NUMBERS or not any(one.axes is not None or one.layout for one in given):
        return UNKNOWN
    return followed(values, turns=True, flattens=True, folds=True)


def _site(machine: Machine) -> Site | None:
    return machine.sites[-1] if machine.sites else None


def subscript(machine: Machine, tensor: Tensor, index: Value) -> Value:
    """Return ``tensor[index]``."""
    if machine.follower is not None:
        return machine.follower.subscript(machine, tensor, index)
    return taken(machine, tensor, index)


def operate(machine: Machine, op: type, left: Value, right: Value) -> Value:
    """Return what an operator gives, with a tensor on one side."""
    if machine.follower is not None:
        return machine.follower.operate(machine, op, left, right)
    if op is ast.MatMult:
        note_matrix(machine, right, left, -2)
        return multiplied(left, right)
    tensors = [one for one in (left, right) if isinstance(one, Tensor)]
    if len(tensors) == 1:
        plain = all(isinstance(one, Tensor) or _is_number(one) for one in (left, right))
        return tensors[0] if plain else _met(left, right)
    mine, other = left.axes, right.axes
    if mine is None or other is None:
        weight = next((one for one in tensors if one.axes is None), left)
        rest = next((one for one in tensors if one is not weight), left)
        if weight.role or (_small(weight, rest)):
            note_own(machine, weight, rest)
            return rest
        return _met(left, right)
    axes = broadcast(mine, other)
    note_gate(mine, other, _site(machine))
    return followed([left, right]) if axes is None else made(axes, _agreed(left, right))


def _agreed(left: Tensor, right: Tensor) -> str:
    """Return the layout of a sum: of two with single axes at the end, either shows that of both."""
    found = {left.layout, right.layout}
    single = all(len(one.axes[-1]) == 1 for one in (left, right))
    return next((one for one in (ALIKE, TURNED) if single and one in found), agreeing(found))


def _met(left: Value, right: Value) -> Value:
    """Return what an operation element by element gives, of whose sides one is not known.

    What has three axes or more, and all of them known, is no row that an image was flattened to: the other
    side then lies as it does.
    """
    for one in (left, right):
        axes = one.axes if isinstance(one, Tensor) else None
        if (
            axes
            and axes[0] != (REST,)
            and len(axes) > 2
            and all(atom.role != "one" for axis in axes for atom in axis)
        ):
            return one
    return followed([left, right])


def _small(tensor: Tensor, other: Tensor) -> bool:
    """Tell whether a tensor that the model makes itself has no more axes than the one it meets."""
    shape, axes = tensor.shape, other.axes
    if tensor.layout != OWN or shape is None or not axes:
        return False
    return len(shape) <= len(axes) and axes[0] != (REST,)


def _is_number(value: Value) -> bool:
    """Tell whether a value is a number, or a setting of the model that nobody knows."""
    return isinstance(value, int | float | Size) or (isinstance(value, Unknown) and bool(value.symbol))
