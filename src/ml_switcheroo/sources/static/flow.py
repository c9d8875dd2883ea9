"""The data flow of ``forward``: which axes a tensor has, and what a Linear is given."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_switcheroo.layers import KIND_OF_CLASS, STATELESS
from ml_switcheroo.sources.static.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.containers import children, subscript
from ml_switcheroo.sources.static.parts import broadcast, joined, taken
from ml_switcheroo.sources.static.sequences import RECURRENT, TRANSFORMERS, attended, of_features, recurrent
from ml_switcheroo.sources.static.shaping import (
    flattened,
    permuted,
    rearranged,
    reduced,
    reshaped,
    squeezed,
    swapped,
    unflattened,
)
from ml_switcheroo.sources.static.splits import chunked, note_image, unbound
from ml_switcheroo.sources.static.values import (
    UNKNOWN,
    Arguments,
    Builtin,
    External,
    Instance,
    Maybe,
    Repeat,
    Site,
    Size,
    Tensor,
    Unknown,
    Value,
    join,
    known,
    options,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.machine import Machine

__all__ = ["attribute", "forward", "function", "unpacked", "widen"]


def unpacked(value: Value, count: int) -> list[Value]:
    """Return what unpacking an unknown value into ``count`` names gives."""
    if isinstance(value, tuple) and value and isinstance(value[0], Repeat) and isinstance(value[-1], Size):
        return [*(Size((Atom("lead", None, place),)) for place in range(count - 1)), value[-1]]
    parts = unbound(value, 0, value.site) if isinstance(value, Tensor) else None
    return list(parts) if parts is not None and len(parts) == count else [UNKNOWN] * count


def widen(before: Value, after: Value) -> Value:
    """Return what a name may hold in any round of a loop, from the first two."""
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        return _widened(before, after)
    if isinstance(before, int | float | str) or isinstance(after, int | float | str):
        return UNKNOWN
    return join([before, after])


def _widened(before: Tensor, after: Tensor) -> Tensor:
    """Return the axes that agree in what they hold; of another one, nothing is known but that it is one."""
    if before.axes is None or after.axes is None or len(before.axes) != len(after.axes):
        return Tensor()
    axes: list[Axis] = []
    for mine, other in zip(before.axes, after.axes, strict=True):
        if [atom.role for atom in mine] != [atom.role for atom in other]:
            if len(mine) != 1 or len(other) != 1 or REST in (*mine, *other):
                return Tensor()
            mine = (Atom("any"),)
        axes.append(mine)
    return before if tuple(axes) == before.axes else made(tuple(axes))


# Layers -----------------------------------------------------------------------------------


def forward(machine: Machine, layer: Instance, args: Arguments) -> Value:
    """Return what a layer of torch.nn gives for its input."""
    if machine.follower is not None:
        return machine.follower.layer(machine, layer, args)
    value = args.get(0, "input", UNKNOWN)
    name = layer.torch
    if name == "Sequential":
        for child in children(layer):
            bare = child.value if isinstance(child, Maybe | Repeat) else child
            value = machine.call(bare, Arguments([value]))
        return value
    tensors = [one for one in options(value) if isinstance(one, Tensor)]
    tensor = tensors[0] if len(tensors) == len(options(value)) == 1 else None
    run = _LAYERS.get(KIND_OF_CLASS.get(name, name)) or _LAYERS.get(name.rstrip("123d"))
    if run is not None:
        return run(machine, layer, tensor)
    return value if name in STATELESS - _RESHAPING else UNKNOWN


_RESHAPING = frozenset(
    """Unflatten PixelShuffle PixelUnshuffle ChannelShuffle GLU Fold Unfold CosineSimilarity
    PairwiseDistance""".split()
)
"""Layers without tensors that change what the axes hold."""


def _linear(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    axes = tensor.axes if tensor is not None else None
    layer.marks.setdefault("inputs", []).append((axes[-1] if axes else None, tensor.site if tensor else None))
    lead = axes[:-1] if axes else ((REST,),)
    return made((*lead, (Atom("out", layer),)))


def _conv(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    note_image(layer, tensor)
    return made(_feature_map(layer, layer))


def _feature_map(layer: Instance, of: Instance | None) -> tuple[Axis, ...] | None:
    """Return the axes of a feature map of as many dimensions as a layer's name says."""
    rank = layer.torch[-2:-1]
    if not rank.isdigit():
        return None
    space = tuple((Atom("space"),) for _ in range(int(rank)))
    return ((Atom("batch"),), (Atom("channel", of),), *space)


def _norm(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    last = tensor.axes[-1] if tensor is not None and tensor.axes else ()
    if tensor is not None and len(last) > 1:
        layer.marks.setdefault("inputs", []).append((last, tensor.site))
    elif last and last[0].role == "out" and last[0].of is not None:
        layer.marks.setdefault("behind", []).append(last[0].of)
    image = layer.torch.startswith("BatchNorm") and layer.torch != "BatchNorm1d"
    if tensor is not None and tensor.axes is not None and tensor.axes[0] != (REST,):
        joined_before = image and len(tensor.axes) > 2 and [atom.role for atom in tensor.axes[1]] == ["any"]
        channel: Axis = (Atom("channel", layer),)
        return made((tensor.axes[0], channel, *tensor.axes[2:])) if joined_before else tensor
    axes = _feature_map(layer, layer) if image else None
    return made(axes) if axes else tensor or UNKNOWN


def _pass(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    return tensor or UNKNOWN


def _adaptive_pool(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    """Return what is pooled: of an unknown tensor, a feature map of channels that nobody knows."""
    known = tensor.axes if tensor is not None and tensor.axes and tensor.axes[0] != (REST,) else None
    axes = known or _feature_map(layer, None)
    if axes is None:
        return UNKNOWN
    if layer.args.get("output_size") in (1, (1,), (1, 1), (1, 1, 1)):
        return made(tuple((Atom("one"),) if axis[0].role == "space" else axis for axis in axes))
    return tensor if known and tensor is not None else made(axes)


def _flatten_layer(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    start, end = layer.args.get("start_dim", 1), layer.args.get("end_dim", -1)
    return flattened(machine, tensor, start, end, layer.site)


def _unflatten_layer(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    dim, sizes = layer.args.get("dim"), layer.args.get("unflattened_size")
    return unflattened(machine, tensor, dim, sizes, layer.site)


def _embedding(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    return made(((REST,), (Atom("out", layer),)))


_LAYERS: dict[str, Callable[[Machine, Instance, Tensor | None], Value]] = {
    "linear": _linear,
    "linear_in_out": _linear,
    "conv": _conv,
    "conv_transpose": _conv,
    "ConvTranspose": _conv,
    "batch_norm": _norm,
    "instance_norm": _pass,
    "group_norm": _pass,
    "layer_norm": _norm,
    "embedding": _embedding,
    "AdaptiveAvgPool": _adaptive_pool,
    "AdaptiveMaxPool": _adaptive_pool,
    "Flatten": _flatten_layer,
    "Unflatten": _unflatten_layer,
    "mha": attended,
    **dict.fromkeys(TRANSFORMERS, of_features),
    **dict.fromkeys(RECURRENT, recurrent),
}


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
    if name in ("ndim", "device", "dtype", "is_cuda", "requires_grad", "is_meta", "T", "mT"):
        return UNKNOWN
    return Builtin(name, lambda machine, args: method(machine, tensor, name, args))


def _sizes(tensor: Tensor) -> Value:
    if tensor.axes and tensor.axes[0] != (REST,):
        return tuple(1 if axis == () else Size(axis) for axis in tensor.axes)
    if tensor.axes:
        return (Repeat(Size((REST,))), *(Size(axis) for axis in tensor.axes[1:]))
    return tensor.shape if tensor.shape is not None else UNKNOWN


def _listed(args: list[Value]) -> list[Value]:
    if len(args) == 1 and isinstance(args[0], tuple | list):
        return list(args[0])
    return list(args)


def method(machine: Machine, tensor: Tensor, name: str, args: Arguments) -> Value:
    """Return what a method of a tensor gives."""
    values = args.positional
    if name in _PASSING:
        return tensor
    if name == "flatten":
        return flattened(machine, tensor, args.get(0, "start_dim", 0), args.get(1, "end_dim", -1))
    if name in ("view", "reshape"):
        return reshaped(machine, tensor, _listed(values))
    if name == "permute":
        return permuted(tensor, _listed(values))
    if name in ("transpose", "swapaxes"):
        return swapped(tensor, values)
    if name in ("mean", "sum", "amax", "amin"):
        return reduced(tensor, args.get(0, "dim", None), args.get(1, "keepdim", False))
    if name == "size":
        sizes = _sizes(tensor)
        if not values:
            return sizes
        return subscript(machine, sizes, values[0]) if isinstance(sizes, tuple) else UNKNOWN
    if name in ("unflatten", "squeeze", "unbind", "chunk", "split", "tensor_split"):
        return _taken_apart(machine, tensor, name, args)
    return UNKNOWN


def _taken_apart(machine: Machine, tensor: Tensor, name: str, args: Arguments) -> Value:
    if name == "unflatten":
        return unflattened(machine, tensor, args.get(0, "dim"), args.get(1, "sizes"))
    if name == "squeeze":
        return squeezed(tensor, args.get(0, "dim"))
    if name == "unbind":
        parts = unbound(tensor, args.get(0, "dim", 0), _site(machine))
    else:
        given, dim = (
            args.get(0, "chunks" if name == "chunk" else "split_size_or_sections"),
            args.get(1, "dim", 0),
        )
        given = machine.solved.get(given.symbol, given) if isinstance(given, Unknown) else given
        count = given if name != "split" else _count(tensor, given)
        if name == "split" and isinstance(dim, int) and dim > 0 and _makes_up(tensor, given, count):
            dim = -1  # any other axis would have to be as long by chance
        parts = chunked(tensor, given if name == "split" else (), count, dim, _site(machine))
    return UNKNOWN if parts is None else machine.heap.new(list(parts))


def _makes_up(tensor: Tensor, given: Value, count: Value) -> bool:
    """Tell whether the parts of a split make up the output of a linear whose leading axes are unknown."""
    axes: tuple[Axis, ...] = tensor.axes or ()
    if len(axes) != 2 or axes[0] != (REST,) or (layer := axes[1][0].of) is None:
        return False
    whole, sizes = layer.marks.get("out"), given if isinstance(given, list | tuple) else ()
    return isinstance(whole, int) and (isinstance(count, int) or (known(sizes) and sum(sizes) == whole))


def _count(tensor: Tensor, size: Value) -> Value:
    """Return how many parts of one size the output of a linear has."""
    atom = tensor.axes[-1][0] if tensor.axes and tensor.axes[-1] else None
    whole = atom.of.marks.get("out") if atom is not None and atom.of is not None else None
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
    dropout dropout2d dropout1d dropout3d max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d
    interpolate batch_norm layer_norm instance_norm normalize log_softmax softmax clamp abs exp pad
    local_response_norm alpha_dropout pack_padded_sequence rsqrt sqrt
    square sin cos""".split()
)
_MADE = frozenset("arange zeros_like ones_like as_tensor eye randint logspace tril triu".split())
_SHAPED = frozenset({"zeros", "ones", "empty", "randn", "rand"})


def function(machine: Machine, name: str, args: Arguments) -> Value:
    """Return what a function of torch (or NumPy) gives."""
    if machine.follower is not None:
        return machine.follower.function(machine, name, args)
    word = name.rpartition(".")[2]
    first = args.get(0, "input", UNKNOWN)
    if word in _SHAPED:
        sizes = args.keyword.get("size", first if isinstance(first, tuple | list) else tuple(args.positional))
        return Tensor(tuple(sizes) if isinstance(sizes, tuple | list) else None, site=_site(machine))
    if word == "full":
        return Tensor(tuple(first) if isinstance(first, tuple | list) else None)
    if word == "linspace":
        steps = args.get(2, "steps")
        return Tensor((steps,))
    if word == "tensor":
        return Tensor(() if isinstance(first, int | float) else None)
    if word in _MADE:
        return Tensor(first.shape if isinstance(first, Tensor) else None)
    if word in ("cat", "concat"):
        return joined(args.get(0, "tensors"), args.get(1, "dim", 0))
    if not isinstance(first, Tensor):
        return UNKNOWN
    return _of_tensor(machine, word, first, args)


def _of_tensor(machine: Machine, word: str, first: Tensor, args: Arguments) -> Value:
    if word in _PASSING_FUNCTIONS:
        return first
    if word == "pad_packed_sequence":
        return first, UNKNOWN
    if word.startswith("adaptive_"):
        fake = Instance(
            External("torch.nn.AdaptiveAvgPool2d"), args={"output_size": args.get(1, "output_size")}
        )
        return _adaptive_pool(machine, fake, first)
    if word == "flatten":
        return flattened(machine, first, args.get(1, "start_dim", 0), args.get(2, "end_dim", -1))
    if word == "rearrange":
        return rearranged(machine, first, args.get(1, "pattern"))
    if word == "unflatten":
        return unflattened(machine, first, args.get(1, "dim"), args.get(2, "sizes"))
    if word == "reshape":
        return reshaped(machine, first, _listed(args.positional[1:]))
    if word in ("permute", "transpose", "mean", "sum", "squeeze", "unbind", "chunk", "split", "tensor_split"):
        return method(machine, first, word, Arguments(args.positional[1:], args.keyword))
    return UNKNOWN


def _site(machine: Machine) -> Site | None:
    return machine.sites[-1] if machine.sites else None


def operate(machine: Machine, place: Any, args: Arguments) -> Value:
    """Return what an operator or a subscript gives, with a tensor on one side."""
    if machine.follower is not None:
        return machine.follower.operate(machine, place, args)
    op, left, right = place
    if op == "[]":
        return taken(machine, left, right)
    if op is ast.MatMult:
        return UNKNOWN
    tensors = [one for one in (left, right) if isinstance(one, Tensor)]
    if len(tensors) == 1:
        return (
            tensors[0]
            if all(isinstance(one, Tensor) or _is_number(one) for one in (left, right))
            else Tensor()
        )
    mine, other = left.axes, right.axes
    if mine is None or other is None:
        weight = next((one for one in tensors if one.axes is None), left)
        return next((one for one in tensors if one is not weight), left) if weight.role else Tensor()
    return made(broadcast(mine, other))


def _is_number(value: Value) -> bool:
    """Tell whether a value is a number, or a setting of the model that nobody knows."""
    return isinstance(value, int | float) or (isinstance(value, Unknown) and bool(value.symbol))
