"""What the operations of torch do to tensors that carry a trail: the steps that are exact."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from ml_switcheroo.operations import Axes, Elements, Operation, Storage, operation
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Builtin,
    Unknown,
    Value,
    join,
    options,
)
from ml_switcheroo.sources.static.torch.given import Given
from ml_switcheroo.sources.static.torch.trail_machine import TrailMachine
from ml_switcheroo.sources.static.torch.trails import MOVING, Step, Traced, step_of, traced_in
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["applied", "asked", "indexed", "lifted", "negated", "opaque", "operated"]

_OPERATORS: Mapping[str, type] = MappingProxyType(
    {"+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "@": ast.MatMult}
)
_AS_IT_IS = frozenset((Axes.SAME, Axes.EXPANDED, Axes.AS_OTHER, Axes.OTHER))
"""Where elements are kept: an axis of size 1 that is expanded has the same elements, too."""

_STEPS: Mapping[Axes, str] = MappingProxyType(
    {
        **dict.fromkeys((Axes.TURNED, Axes.TRANSPOSED), "turned"),
        **dict.fromkeys((Axes.PERMUTED, Axes.MOVED, Axes.PATTERN), "arranged"),
        **dict.fromkeys((Axes.RESHAPED, Axes.AS_OTHER, Axes.FLATTENED, Axes.UNFLATTENED), "shaped"),
        **dict.fromkeys((Axes.SQUEEZED, Axes.UNSQUEEZED), "shaped"),
        **dict.fromkeys((Axes.CHUNKED, Axes.SPLIT, Axes.UNBOUND), "piece"),
        **dict.fromkeys((Axes.NARROWED, Axes.SELECTED, Axes.PICKED), "piece"),
    }
)
"""The steps of what moves elements alone."""


def lifted(value: Value) -> Value:
    """Return a parameter with its trail; any other value as it is."""
    if isinstance(value, Tensor) and not isinstance(value, Traced) and value.role == "parameter":
        return next(traced_in(value))
    return value


def _moving(value: Value) -> bool:
    return any(one.moving for one in traced_in(value))


def _number(value: Value) -> float | None:
    """Return a known number; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# Operators --------------------------------------------------------------------------------


def operated(machine: TrailMachine, op: type, left: Value, right: Value) -> Value:
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


def _word(machine: TrailMachine, op: type, number: int, sides: tuple[Value, Value]) -> str:
    """Return what a parameter is to an operator whose other side is moving."""
    if op is ast.MatMult:
        return "right of @" if number else "left of @"
    if op is ast.Add or (op is ast.Sub and not number):
        return "bias"
    return "scale" if op is ast.Mult else "odd"


def _step(machine: TrailMachine, op: type, first: bool, other: Value) -> Step:
    """Return what an operator with a constant on the other side does to a parameter."""
    number = _number(other)
    if number is None:
        unsure = isinstance(other, Unknown) and not other.symbol
        return step_of(machine, "unsure" if unsure else "other")
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


def _moved(machine: TrailMachine, op: type, sides: tuple[Value, Value]) -> Traced:
    """Return a moving tensor; a constant factor of what a layer has put out is kept in mind."""
    moving = [side for side in sides if isinstance(side, Traced) and side.moving]
    other = sides[1] if moving and moving[0] is sides[0] else sides[0]
    if len(moving) != 1 or op not in (ast.Mult, ast.Div) or (isinstance(other, Traced) and other.trails):
        return _through(machine, sides, op)
    if isinstance(other, Unknown) and not other.symbol:
        return MOVING
    number = _number(other)
    if number == 1:
        return moving[0]
    if number is not None and op is ast.Div:
        number = 1 / number if number else None
    return _scaled(machine, moving[0], "other" if number is None else "times", number or 0.0)


def _scaled(machine: TrailMachine, value: Traced, word: str, number: float) -> Traced:
    return replace(value, scaled=(*value.scaled, step_of(machine, word, number))[:_MOST])


_MOST = 8


def _through(machine: TrailMachine, sides: tuple[Value, Value], op: type) -> Traced:
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


def negated(machine: TrailMachine, value: Traced) -> Value:
    """Return ``-value``."""
    if value.moving:
        return _scaled(machine, value, "times", -1.0)
    return value.then(step_of(machine, "times", -1.0))


def indexed(machine: TrailMachine, owner: Value, index: Value) -> Value:
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


def applied(machine: TrailMachine, word: str, args: Arguments) -> Value:
    """Return what a function or method of torch gives; the tensor of a method is the first argument."""
    args = Arguments(
        [lifted(value) for value in args.positional],
        {name: lifted(value) for name, value in args.keyword.items()},
        args.open_positional,
        args.open_keyword,
    )
    row = operation("add" if word == "__radd__" else word)
    if row is not None and any(parameter.role for parameter in row.parameters):
        return _with_parameters(machine, row, args)
    if row is not None and row.axes in (Axes.JOINED, Axes.STACKED):
        return _joined(machine, args)
    if row is not None and row.axes is Axes.SUMMED:
        return _einsum(machine, args)
    return join(_of_tensor(machine, row, lifted(one), args) for one in options(args.get(0, "input", UNKNOWN)))


def _of_tensor(machine: TrailMachine, row: Operation | None, first: Value, args: Arguments) -> Value:
    op = _OPERATORS.get(row.operator) if row is not None else None
    if row is not None and op is not None and "other" in Given(row, args, 0):
        return _combined(machine, row, op, first, args)
    if not isinstance(first, Traced) or row is None:
        return opaque(machine, args)
    given = Given(row, args, 0)
    if row.axes is Axes.NONE and row.elements is Elements.ASIDE:
        return _sizes(machine, first, given) if row.name == "size" else UNKNOWN
    if row.axes in _AS_IT_IS and row.elements is Elements.KEPT:
        return first
    if row.elements is Elements.DROPPED and (given["training"] is False or given["p"] == 0):
        return first
    if row.name == "neg" and row.storage is not Storage.IN_PLACE:
        return negated(machine, first)
    step = _STEPS.get(row.axes, "") if row.elements is Elements.ARRANGED else ""
    if not step:
        return opaque(machine, args)
    if first.moving:
        return MOVING if step == "piece" else first
    if row.axes is Axes.PERMUTED and given.many("dims") == [1, 0]:
        step = "turned"
    return first.then(step_of(machine, step))


def _combined(machine: TrailMachine, row: Operation, op: type, first: Value, args: Arguments) -> Value:
    """Return what a function or method gives that is an operator, too."""
    if args.keyword.keys() - {"input", *row.parameters[1].also, "other", "out"}:
        return opaque(machine, args)
    other = Given(row, args, 0)["other"]
    found = join(operated(machine, op, first, one) for one in options(other))
    changed = row.storage is Storage.IN_PLACE
    if changed and isinstance(first, Traced) and isinstance(found, Traced) and first.trails:
        first.trails = found.trails  # the tensor itself is changed
    return found


def _sizes(machine: TrailMachine, tensor: Traced, given: Given) -> Value:
    shape, index = machine.shape_of(tensor), given["dim"]
    if shape is None or index is None:
        return shape if shape is not None else UNKNOWN
    return shape[index] if isinstance(index, int) and -len(shape) <= index < len(shape) else UNKNOWN


def _with_parameters(machine: TrailMachine, row: Operation, args: Arguments) -> Value:
    """Return what a function gives that takes an input and parameters."""
    given = Given(row, args, 0)
    both = bool(row.parameters[0].role)  # the first argument may be a parameter, too
    first = given[row.parameters[1 if both else 0].name]
    constant = any(one.trails for one in traced_in(first)) and not _moving(first)
    if constant and not both:
        return opaque(machine, args)
    parameters = False
    for parameter in row.parameters:
        for one in traced_in(given[parameter.name]) if parameter.role else ():
            if one.trails:
                again = row.name == "addcmul" and _moving(given["input"])
                machine.writing.use(machine, one, "once more" if again else parameter.role)
                parameters = True
    if not parameters:
        return MOVING
    machine.entered(first)
    return Traced.put_out(machine.root)


def _joined(machine: TrailMachine, args: Arguments) -> Value:
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


def _einsum(machine: TrailMachine, args: Arguments) -> Value:
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


def opaque(machine: TrailMachine, args: Arguments) -> Value:
    """Return what something gives that is known by its name alone."""
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


def asked(machine: TrailMachine, tensor: Tensor, name: str) -> Value:
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
