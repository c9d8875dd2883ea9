"""What the operations of torch do to tensors that carry a trail: one table of the steps that are exact."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Builtin,
    Tensor,
    Unknown,
    Value,
    join,
    options,
)
from ml_switcheroo.sources.static.torch.trails import MOVING, Step, Traced, step_of, traced_in

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.torch.tracing import Follower

__all__ = ["applied", "asked", "indexed", "lifted", "negated", "opaque", "operated"]

_ARITHMETIC: Mapping[str, type] = MappingProxyType(
    {
        **dict.fromkeys(("add", "add_", "__radd__"), ast.Add),
        **dict.fromkeys(("sub", "sub_", "subtract"), ast.Sub),
        **dict.fromkeys(("mul", "mul_", "multiply", "multiply_"), ast.Mult),
        **dict.fromkeys(("div", "div_", "divide", "true_divide"), ast.Div),
        **dict.fromkeys(("matmul", "mm", "bmm", "mv", "inner", "dot"), ast.MatMult),
    }
)
_AS_IT_IS = frozenset(
    """contiguous clone detach detach_ to float half double bfloat16 cuda cpu type_as type expand expand_as
    requires_grad_ as_tensor asarray data cast atleast_1d atleast_2d to_local full_tensor""".split()
)
_SHAPED = frozenset("view reshape unsqueeze squeeze flatten unflatten view_as reshape_as".split())
_ARRANGED = frozenset("rearrange permute movedim moveaxis".split())
_PIECES = frozenset("chunk split unbind tensor_split narrow select index_select".split())
_TURNED = frozenset("t transpose swapaxes swapdims t_ transpose_ adjoint".split())
_SAID = frozenset(
    """size dim numel stride element_size data_ptr is_floating_point is_contiguous ndimension nelement
    register_hook retain_grad storage get_device item is_complex is_sparse has_names""".split()
)
"""What is asked of a tensor besides its values."""

_JOINED = frozenset("cat concat concatenate stack hstack vstack dstack block_diag".split())
_RUNNING = {
    "running_mean": (1, "mean"),
    "running_var": (2, "var"),
    "weight": (3, "scale"),
    "bias": (4, "bias"),
}
_ARGUMENTS: Mapping[str, Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "linear": {"weight": (1, "linear"), "bias": (2, "bias")},
        "bilinear": {"weight": (2, "bilinear"), "bias": (3, "bias")},
        **{f"conv{n}d": {"weight": (1, "conv"), "bias": (2, "bias")} for n in "123"},
        **{f"conv_transpose{n}d": {"weight": (1, "conv_transpose"), "bias": (2, "bias")} for n in "123"},
        "embedding": {"weight": (1, "embedding")},
        "embedding_bag": {"weight": (1, "embedding")},
        "layer_norm": {"weight": (2, "scale"), "bias": (3, "bias")},
        "group_norm": {"weight": (2, "scale"), "bias": (3, "bias")},
        "rms_norm": {"weight": (2, "scale")},
        "batch_norm": _RUNNING,
        "instance_norm": _RUNNING,
        "prelu": {"weight": (1, "prelu")},
        "addmm": {"input": (0, "bias"), "mat2": (2, "right of @")},
        "addcmul": {"input": (0, "bias"), "tensor1": (1, "scale"), "tensor2": (2, "scale")},
    }
)
"""By function, where its parameters stand among the arguments, and what they are to it."""

_BOTH = {"addmm": 1, "addcmul": 1}  # where the first argument is no input


def lifted(value: Value) -> Value:
    """Return a parameter with its trail; any other value as it is."""
    if isinstance(value, Tensor) and not isinstance(value, Traced) and value.role == "parameter":
        return next(traced_in(value))
    return value


def _moving(value: Value) -> bool:
    return any(one.moving for one in traced_in(value))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# Operators --------------------------------------------------------------------------------


def operated(machine: Follower, op: type, left: Value, right: Value) -> Value:
    """Return what an operator gives, with a tensor on one side."""
    left, right = lifted(left), lifted(right)
    sides = (left, right)
    if _moving(left) or _moving(right):
        for number, side in enumerate(sides):
            if isinstance(side, Traced) and side.trails:
                machine.writing.use(machine, side, _word(machine, op, number, sides))
        return _moved(machine, op, sides)
    made = [side for side in sides if isinstance(side, Traced)]
    if not made:
        return Tensor()
    if len(made) == 1:
        other = right if made[0] is left else left
        return made[0].then(_step(machine, op, made[0] is left, other))
    step = step_of(machine, "other")
    return Traced.made(tuple(trail.then(step) for one in made for trail in one.trails))


def _word(machine: Follower, op: type, number: int, sides: tuple[Value, Value]) -> str:
    """Return what a parameter is to an operator whose other side is moving."""
    if op is ast.MatMult:
        return "right of @" if number else "left of @"
    if op is ast.Add or (op is ast.Sub and not number):
        return "bias"
    return "scale" if op is ast.Mult else "odd"


def _step(machine: Follower, op: type, first: bool, other: Value) -> Step:
    """Return what an operator with a constant on the other side does to a parameter."""
    if not _is_number(other):
        unsure = isinstance(other, Unknown) and not other.symbol
        return step_of(machine, "unsure" if unsure else "other")
    number = float(other)
    if op is ast.Add:
        return step_of(machine, "plus", number)
    if op is ast.Sub and first:
        return step_of(machine, "plus", -number)
    if op is ast.Mult:
        return step_of(machine, "times", number)
    if op is ast.Div and first and number:
        return step_of(machine, "times", 1 / number)
    if op is ast.Pow and first and number == 1:
        return step_of(machine, "shaped")
    return step_of(machine, "other")


def _moved(machine: Follower, op: type, sides: tuple[Value, Value]) -> Traced:
    """Return a moving tensor; a constant factor of what a layer has put out is kept in mind."""
    moving = [side for side in sides if isinstance(side, Traced) and side.moving]
    other = sides[1] if moving and moving[0] is sides[0] else sides[0]
    if len(moving) != 1 or op not in (ast.Mult, ast.Div) or (isinstance(other, Traced) and other.trails):
        return _through(machine, sides, op)
    if isinstance(other, Unknown) and not other.symbol:
        return MOVING
    number = float(other) if _is_number(other) else None
    if number == 1:
        return moving[0]
    if number is not None and op is ast.Div:
        number = 1 / number if number else None
    return _scaled(machine, moving[0], "other" if number is None else "times", number or 0.0)


def _scaled(machine: Follower, value: Traced, word: str, number: float) -> Traced:
    return replace(value, scaled=(*value.scaled, step_of(machine, word, number))[:_MOST])


_MOST = 8


def _through(machine: Follower, sides: tuple[Value, Value], op: type) -> Traced:
    """Return what a parameter of the module itself makes of its input: that is what the layer puts out.

    What was multiplied by a parameter and is added to something else that moves is no scale: ``x + x * w``.
    """
    plain = [side for side in sides if isinstance(side, Traced) and side.trails]
    if op in (ast.Add, ast.Sub) and not plain:
        for side in sides:
            if isinstance(side, Traced) and side.times:
                machine.writing.use(machine, Traced.made(side.times), "once more")
        return MOVING
    if not plain:
        return MOVING
    kept = replace(Traced.put_out(machine.root), times=plain[0].trails if op is ast.Mult else ())
    if op is ast.MatMult:
        machine.entered(*[side for side in sides if side is not plain[0]])
    return kept


def negated(machine: Follower, value: Traced) -> Value:
    """Return ``-value``."""
    if value.moving:
        return _scaled(machine, value, "times", -1.0)
    return value.then(step_of(machine, "times", -1.0))


def indexed(machine: Follower, owner: Value, index: Value) -> Value:
    """Return ``owner[index]``, where the owner is a tensor."""
    owner, index = lifted(owner), lifted(index)
    if isinstance(owner, Traced) and owner.trails and _moving(index):
        machine.writing.use(machine, owner, "embedding")
        machine.entered(index)
        return Traced.put_out(machine.root)
    if not isinstance(owner, Traced):
        return MOVING if _moving(index) else Tensor()
    if owner.moving:
        return owner if owner is MOVING else MOVING
    parts = index if isinstance(index, tuple) else (index,)
    plain = all(part is None or part is Ellipsis or part == slice(None) for part in parts)
    cut = all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in parts)
    turned = any(isinstance(part, slice) and part.step not in (None, 1) for part in parts)
    return owner.then(step_of(machine, "shaped" if plain else "piece" if cut and not turned else "other"))


# Functions and methods --------------------------------------------------------------------


def applied(machine: Follower, word: str, args: Arguments) -> Value:
    """Return what a function or method of torch gives; the tensor of a method is the first argument."""
    args = Arguments(
        [lifted(value) for value in args.positional],
        {name: lifted(value) for name, value in args.keyword.items()},
        args.open_positional,
        args.open_keyword,
    )
    first = args.get(0, "input", UNKNOWN)
    if word in _ARGUMENTS:
        return _with_parameters(machine, word, args)
    if word in _JOINED:
        return _joined(machine, args)
    if word == "einsum":
        return _einsum(machine, args)
    return join(_of_tensor(machine, word, lifted(one), args) for one in options(first))


def _of_tensor(machine: Follower, word: str, first: Value, args: Arguments) -> Value:
    op = _ARITHMETIC.get(word)
    if op is not None and (len(args.positional) > 1 or "other" in args.keyword):
        if args.keyword.keys() - {"other", "out"}:
            return opaque(machine, args)
        other = args.get(1, "other", UNKNOWN)
        found = join(operated(machine, op, first, one) for one in options(other))
        if word.endswith("_") and isinstance(first, Traced) and isinstance(found, Traced) and first.trails:
            first.trails = found.trails  # the tensor itself is changed
        return found
    if not isinstance(first, Traced):
        return opaque(machine, args)
    if word in _SAID:
        return _sizes(machine, first, args) if word == "size" else UNKNOWN
    if word in _AS_IT_IS or (word in ("dropout", "alpha_dropout") and _sleeps(args)):
        return first
    if word in ("neg", "negative"):
        return negated(machine, first)
    step = _step_by_shape(word, args)
    if not step:
        return opaque(machine, args)
    if first.moving:
        return MOVING if step == "piece" else first
    return first.then(step_of(machine, step))


def _step_by_shape(word: str, args: Arguments) -> str:
    """Return the step of what moves elements alone; empty for anything else."""
    if word in _TURNED or (word == "permute" and _is_turn(args.positional[1:])):
        return "turned"
    if word in _ARRANGED:
        return "arranged"
    return "shaped" if word in _SHAPED else "piece" if word in _PIECES else ""


def _sleeps(args: Arguments) -> bool:
    """Tell whether a dropout does nothing outside of training."""
    return args.get(2, "training", True) is False or args.get(1, "p", 0.5) == 0


def _is_turn(order: list[Value]) -> bool:
    flat = list(order[0]) if len(order) == 1 and isinstance(order[0], tuple | list) else order
    return flat == [1, 0]


def _sizes(machine: Follower, tensor: Traced, args: Arguments) -> Value:
    shape = machine.shape_of(tensor)
    index = args.get(1, "dim", None)
    if shape is None or index is None:
        return shape if shape is not None else UNKNOWN
    return shape[index] if isinstance(index, int) and -len(shape) <= index < len(shape) else UNKNOWN


def _with_parameters(machine: Follower, word: str, args: Arguments) -> Value:
    """Return what a function gives that takes an input and parameters."""
    first = args.get(_BOTH.get(word, 0), "input", UNKNOWN)
    constant = any(one.trails for one in traced_in(first)) and not _moving(first)
    if constant and word not in _BOTH:
        return opaque(machine, args)
    parameters = False
    for name, (place, role) in _ARGUMENTS[word].items():
        for one in traced_in(args.get(place, name)):
            if one.trails:
                again = word == "addcmul" and _moving(args.get(0, "input"))
                machine.writing.use(machine, one, "once more" if again else role)
                parameters = True
    if not parameters:
        return MOVING
    machine.entered(first)
    return Traced.put_out(machine.root)


def _joined(machine: Follower, args: Arguments) -> Value:
    parts = list(traced_in(args.get(0, "tensors", UNKNOWN)))
    if any(part.moving for part in parts):
        for part in parts:
            if part.trails:
                machine.writing.use(machine, part, "joined")
        return MOVING
    if not parts:
        return Tensor()
    trails = [trail for part in parts for trail in part.trails]
    again = len({id(trail.tensor) for trail in trails}) < len(trails)  # pieces of one, in another order
    step = step_of(machine, "other" if again else "piece")
    return Traced.made(tuple(trail.then(step) for trail in trails))


def _einsum(machine: Follower, args: Arguments) -> Value:
    """Return what ``einsum`` gives: a matrix whose last axis is summed over lies as that of a linear."""
    equation, operands = args.get(0, "equation"), [lifted(one) for one in args.positional[1:]]
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = [lifted(one) for one in operands[0]]
    if not any(_moving(one) for one in operands):
        return opaque(machine, args)
    sides = equation.replace(" ", "").split("->") if isinstance(equation, str) else []
    inputs = sides[0].split(",") if len(sides) == 2 else []
    for place, one in enumerate(operands):
        letters = inputs[place] if place < len(inputs) == len(operands) else ""
        word = "einsum"
        if len(letters) == 2 and letters.isalpha():
            summed = [letter not in sides[1] for letter in letters]
            word = {(False, True): "linear", (True, False): "right of @"}.get((summed[0], summed[1]), word)
        if isinstance(one, Traced) and one.trails:
            machine.writing.use(machine, one, word)
            machine.entered(*[other for other in operands if other is not one])
    return Traced.put_out(machine.root)


def opaque(machine: Follower, args: Arguments) -> Value:
    """Return what something gives of which only the name is known."""
    parts = list(traced_in(args))
    if any(part.moving for part in parts):
        for part in parts:
            if part.trails:
                machine.writing.use(machine, part, "handed over")
        return MOVING
    trails = tuple(trail for part in parts for trail in part.trails)
    if not trails:
        return UNKNOWN if args.positional or args.keyword else Tensor()
    step = step_of(machine, "other")
    return Traced.made(tuple(trail.then(step) for trail in trails))


def asked(machine: Follower, tensor: Tensor, name: str) -> Value:
    """Return an attribute of a tensor."""
    value = lifted(tensor)
    if not isinstance(value, Traced):
        return UNKNOWN if name == "shape" else Builtin(name, lambda machine, args: opaque(machine, args))
    if name in ("data", "grad_fn"):
        return value
    if name in ("T", "mT", "H", "mH"):
        return value if value.moving else value.then(step_of(machine, "turned"))
    if name == "shape":
        shape = machine.shape_of(value)
        return shape if shape is not None else UNKNOWN
    if name == "ndim":
        shape = machine.shape_of(value)
        return len(shape) if shape is not None else UNKNOWN
    if name in ("device", "dtype", "requires_grad", "is_cuda", "is_meta", "grad", "__len__", "layout"):
        return UNKNOWN
    return Builtin(name, lambda machine, args: applied(machine, name, args.after(value)))
