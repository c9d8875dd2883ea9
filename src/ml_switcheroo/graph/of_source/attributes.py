"""What the program asks of a tensor: its attributes and methods, its items, its truth."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_switcheroo.graph.of_source.calling import SURPRISES, lower
from ml_switcheroo.graph.of_source.drawn import Device, Drawn, Limits, Lost, Unlowered, inside
from ml_switcheroo.graph.of_source.dtypes import category, torch_name
from ml_switcheroo.graph.of_source.lowering import rows
from ml_switcheroo.graph.of_source.operations.indexing import at, is_plain, put
from ml_switcheroo.graph.of_source.operations.table import METHODS
from ml_switcheroo.sources.static.python.values import UNKNOWN, Arguments, Builtin, External, Unknown, Value

if TYPE_CHECKING:
    from ml_switcheroo.graph.of_source.machine import Drawer

__all__ = [
    "attribute",
    "compared",
    "invert",
    "is_instance",
    "items",
    "lost_attribute",
    "of_device",
    "of_limits",
    "operate",
    "store",
    "subscript",
    "truth",
]


def attribute(machine: Drawer, tensor: Drawn, name: str) -> Value:
    """Return an attribute or a method of a tensor."""
    if name in _PLAIN:
        return _PLAIN[name](tensor)
    if name in _TURNED:
        return lower(machine, METHODS[_TURNED[name]], Arguments([tensor]), name)
    if name in _ASKED:
        run = _ASKED[name]
        return Builtin(name, lambda machine, args: run(machine, *args.positional, **args.keyword), tensor)
    row = METHODS.get(name) or (METHODS.get(name.removesuffix("_")) if not name.startswith("_") else None)
    if name in _OPERATORS:
        op, turned = _OPERATORS[name]
        return Builtin(name, _as_method(op, turned), tensor)
    if row is None:
        return machine.lost(f"{name} of a tensor is not known", tensor.node)
    return Builtin(name, lambda machine, args: lower(machine, row, args, name), tensor)


_PLAIN: Mapping[str, Callable[[Drawn], Value]] = {
    "shape": lambda x: x.shape,
    "dtype": lambda x: torch_name(x.dtype),
    "device": lambda x: Device(),
    "ndim": lambda x: x.rank,
    "data": lambda x: x,
    "grad": lambda x: None,
    "grad_fn": lambda x: None,
    "requires_grad": lambda x: False,
    "is_leaf": lambda x: False,
    "layout": lambda x: External("torch.strided"),
    **{
        name: lambda x: False
        for name in "is_cuda is_sparse is_quantized is_mps is_meta is_nested is_xla is_mkldnn".split()
    },
    "is_cpu": lambda x: True,
    "nbytes": lambda x: UNKNOWN,
    "__class__": lambda x: External("torch.Tensor"),
}
_TURNED = {"T": "t", "mT": "mT", "mH": "adjoint", "H": "adjoint", "real": "real", "imag": "imag"}


def _size(machine: Drawer, x: Drawn, dim: Any = None) -> Value:
    return x.shape if dim is None else x.shape[x.axis(machine.pen.whole(dim))]


def _item(machine: Drawer, x: Drawn) -> Value:
    array = machine.pen.value(x)
    if array is None or array.size != 1:
        return machine.lost("item of what depends on the input", x.node)
    return array.item()


def _listed(machine: Drawer, x: Drawn) -> Value:
    array = machine.pen.value(x)
    return machine.lost("tolist of what depends on the input", x.node) if array is None else array.tolist()


def _of(value: Value) -> Callable[..., Value]:
    return lambda machine, x, *args, **words: value


_ASKED: Mapping[str, Callable[..., Value]] = {
    "size": _size,
    **dict.fromkeys(("dim", "ndimension"), lambda machine, x: x.rank),
    **dict.fromkeys(("numel", "nelement"), lambda machine, x: int(np.prod(x.shape))),
    "__len__": lambda machine, x: x.shape[0],
    "item": _item,
    "tolist": _listed,
    "numpy": lambda machine, x, *args, **words: x,
    "is_floating_point": lambda machine, x: category(x.dtype) == "float",
    "is_complex": lambda machine, x: category(x.dtype) == "complex",
    "is_contiguous": _of(True),
    "get_device": _of(-1),
    **dict.fromkeys(("register_hook", "retain_grad", "backward", "record_stream"), _of(None)),
    "requires_grad_": lambda machine, x, *args, **words: x,
    "is_same_size": lambda machine, x, other: x.shape == other.shape,
    "equal": lambda machine, x, other: machine.lost("equal depends on the input", x.node),
    "new": lambda machine, x, *args: machine.lost("new", x.node),
    "apply_": lambda machine, x, *args: machine.lost("apply_", x.node),
    "__getitem__": lambda machine, x, index: subscript(machine, x, index),
}


# ---- operators

_BINARY: Mapping[type, str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "remainder",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.BitAnd: "bitwise_and",
    ast.BitOr: "bitwise_or",
    ast.BitXor: "bitwise_xor",
}
_COMPARED: Mapping[type, str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
}
_OPERATORS: Mapping[str, tuple[type, bool]] = {
    **{f"__{word}__": (op, False) for op, word in {**_BINARY, **_COMPARED}.items()},
    **{f"__r{word}__": (op, True) for op, word in _BINARY.items()},
    "__truediv__": (ast.Div, False),
    "__and__": (ast.BitAnd, False),
    "__or__": (ast.BitOr, False),
}


def _as_method(op: type, turned: bool) -> Callable[[Any, Arguments], Value]:
    def run(machine: Any, args: Arguments) -> Value:
        one, other = args.positional[:2]
        return operate(machine, op, *((other, one) if turned else (one, other)))

    return run


def operate(machine: Any, op: type, left: Value, right: Value) -> Value:
    """Return what an operator gives that has a tensor on a side."""
    if isinstance(left, str | list | tuple) and not isinstance(right, Drawn | Lost):
        return NotImplemented
    word = _BINARY.get(op)
    if word is None:
        return machine.lost(f"{op.__name__} of tensors")
    return lower(machine, METHODS[word], Arguments([left, right]))


def compared(machine: Drawer, op: type, left: Value, right: Value) -> Value:
    """Return what a comparison of tensors gives."""
    if op not in _COMPARED:
        return NotImplemented
    if left is None or right is None or isinstance(left, str) or isinstance(right, str):
        return op is ast.NotEq
    return lower(machine, METHODS[_COMPARED[op]], Arguments([left, right]))


def invert(machine: Drawer, op: type, value: Drawn) -> Value:
    """Return ``-x``, ``~x`` or ``+x``."""
    words: Mapping[type, str] = {ast.USub: "neg", ast.Invert: "bitwise_not", ast.UAdd: "positive"}
    word = words[op]
    return lower(machine, METHODS[word], Arguments([value]))


# ---- items


def _at(pen: Any, x: Drawn, index: Any) -> Drawn:
    found = at(pen, x, index)
    return x.view(found, lambda new: put(pen, x, index, new)) if is_plain(index) else found


_AT, _PUT = rows("", {"[]": _at})[0], rows("", {"[]=": put})[0]


def subscript(machine: Any, tensor: Drawn, index: Value) -> Value:
    """Return ``tensor[index]``."""
    return lower(machine, _AT, _indexed(tensor, index), "[]")


def store(machine: Any, tensor: Drawn, index: Value, value: Value) -> None:
    """Do ``tensor[index] = value``."""
    args = _indexed(tensor, index)
    found = lower(machine, _PUT, Arguments([*args.positional, value]), "[]=")
    if isinstance(found, Drawn):
        tensor.become(found)
    else:
        shape = tensor.shape
        assert isinstance(found, Lost)
        tensor.become(
            Drawn(
                tensor.pen,
                tensor.pen.draft.gap("what is set here is not known", shape, tensor.dtype, found.node),
            )
        )


def _indexed(tensor: Drawn, index: Value) -> Arguments:
    parts = index if isinstance(index, tuple) else (index,)
    cuts = [slice(one.start, one.stop, one.step) if isinstance(one, slice) else one for one in parts]
    inner = [part for cut in cuts if isinstance(cut, slice) for part in (cut.start, cut.stop, cut.step)]
    vague = next((one for one in inside(inner) if isinstance(one, Unknown | Lost)), None)
    return Arguments([tensor, index if vague is None else vague])


def items(machine: Any, tensor: Drawn) -> list[Value] | None:
    """Return what iterating over a tensor gives."""
    if not tensor.shape:
        return None
    return [subscript(machine, tensor, place) for place in range(tensor.shape[0])]


def is_instance(value: Any, cls: Value) -> bool | None:
    """Tell whether ``isinstance(tensor, cls)``."""
    name = getattr(cls, "name", "")
    if name in ("torch.nn.Parameter", "Parameter"):
        return bool(getattr(value, "name", ""))
    return isinstance(cls, External) and name in ("torch.Tensor", "builtins.object")


def truth(machine: Any, value: Drawn) -> bool | None:
    """Tell whether a tensor of one element counts as true, where that does not depend on what is given."""
    try:
        array = machine.pen.value(value)
    except (Unlowered, *SURPRISES):
        return None
    return bool(array.item()) if array is not None and array.size == 1 else None


def of_limits(machine: Any, owner: Limits, name: str) -> Value:
    """Return an attribute of ``torch.finfo``."""
    return getattr(owner, name, UNKNOWN)


def of_device(machine: Any, owner: Device, name: str) -> Value:
    """Return an attribute of a device."""
    return getattr(owner, name) if name in ("type", "index") else UNKNOWN


def lost_attribute(machine: Any, owner: Lost, name: str) -> Value:
    """Return an attribute of what nobody can follow: not known either."""
    return owner
