"""What the machine that draws looks up: what Python does to tensors, and where not knowing is an end."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

from ml_switcheroo.code.library import Library
from ml_switcheroo.graph.of_source import attributes, outside
from ml_switcheroo.graph.of_source.drawn import Device, Drawn, Limits, Lost, Undecided
from ml_switcheroo.graph.of_source.layers import forward
from ml_switcheroo.graph.of_source.machine import Drawer, nodes
from ml_switcheroo.graph.of_source.making import construct, member
from ml_switcheroo.sources.static.python.attributes import READERS
from ml_switcheroo.sources.static.python.calls import CALLS
from ml_switcheroo.sources.static.python.classes import find
from ml_switcheroo.sources.static.python.containers import expand, subscript
from ml_switcheroo.sources.static.python.expressions import EXPRESSIONS
from ml_switcheroo.sources.static.python.frames import Class, Frame, Function
from ml_switcheroo.sources.static.python.heap import plain
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.operators import binary, compare_one
from ml_switcheroo.sources.static.python.statements import FORKS, STATEMENTS
from ml_switcheroo.sources.static.python.tables import Outcome, Reader
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Builtin,
    External,
    Instance,
    Raised,
    Site,
    Unknown,
    Value,
)
from ml_switcheroo.sources.static.torch.interpreter import TABLES
from ml_switcheroo.sources.static.torch.packages import OUTSIDE
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["DRAWING", "new_drawer"]


def _placed(inner: Reader[Machine]) -> Reader[Machine]:
    """Return how to evaluate an expression whose place is of interest."""

    def run(machine: Machine, node: Any, frame: Frame) -> Any:
        machine.sites.append(Site(frame.source, node))
        try:
            return inner(machine, node, frame)
        finally:
            machine.sites.pop()

    return run


def _if(machine: Machine, node: Any, rest: Sequence[ast.stmt], frame: Frame) -> Outcome | None:
    machine.sites.append(Site(frame.source, node))
    try:
        return FORKS[ast.If](machine, node, rest, frame)
    finally:
        machine.sites.pop()


def _unary(machine: Any, node: ast.UnaryOp, frame: Frame) -> Value:
    if isinstance(node.op, ast.Not):
        return EXPRESSIONS[ast.UnaryOp](machine, node, frame)
    value = machine.evaluate(node.operand, frame)
    if isinstance(value, Lost):
        return value
    if isinstance(value, Drawn):
        return attributes.invert(machine, type(node.op), value)
    return EXPRESSIONS[ast.UnaryOp](machine, ast.UnaryOp(node.op, ast.Constant(cast("Any", value))), frame)


def _compare(machine: Any, node: ast.Compare, frame: Frame) -> Value:
    left = machine.evaluate(node.left, frame)
    answers: list[Value] = []
    for op, item in zip(node.ops, node.comparators, strict=True):
        right = machine.evaluate(item, frame)
        answers.append(_compared(machine, type(op), left, right))
        left = right
        if len(node.ops) > 1 and machine.truth(answers[-1]) is False:
            return False
    return answers[-1]


def _compared(machine: Any, op: type, left: Value, right: Value) -> Value:
    for side in (left, right):
        if isinstance(side, Lost) and op not in (ast.Is, ast.IsNot):
            return side
    if isinstance(left, Drawn) or isinstance(right, Drawn):
        found = attributes.compared(machine, op, left, right)
        if found is not NotImplemented:
            return found
    if op in (ast.In, ast.NotIn) and isinstance(right, Instance) and machine.strict:
        found = machine.call(machine.read(right, "__contains__"), Arguments([left]))
        return found if op is ast.In or not isinstance(found, bool) else not found
    return machine.spread(lambda a, b: compare_one(machine, op, a, b), left, right)


_IN_PLACE = {
    ast.Add: "add_",
    ast.Sub: "sub_",
    ast.Mult: "mul_",
    ast.Div: "div_",
    ast.Pow: "pow_",
    ast.BitAnd: "bitwise_and_",
    ast.BitOr: "bitwise_or_",
}


def _augmented(machine: Any, node: ast.AugAssign, frame: Frame) -> Outcome | None:
    target = node.target
    before = machine.evaluate(_loaded(target), frame)
    word = _IN_PLACE.get(type(node.op))
    if not isinstance(before, Drawn) or word is None:
        return cast("Outcome | None", STATEMENTS[ast.AugAssign](machine, node, frame))
    value = machine.evaluate(node.value, frame)
    changed = machine.call(machine.read(before, word), Arguments([value]))
    if isinstance(target, ast.Name):
        machine.bind(frame, target.id, changed)
    elif isinstance(target, ast.Attribute):
        machine.write(machine.evaluate(target.value, frame), target.attr, changed)
    elif isinstance(target, ast.Subscript) and changed is not before:
        owner = machine.evaluate(target.value, frame)
        attributes.store(machine, owner, machine.evaluate(target.slice, frame), changed)
    return None


def _loaded(target: ast.expr) -> ast.expr:
    fields: dict[str, Any] = {name: getattr(target, name) for name in target._fields if name != "ctx"}
    made: ast.expr = type(target)(**fields, ctx=ast.Load())  # type: ignore[call-arg]
    return ast.copy_location(made, target)


def _for(machine: Any, node: ast.For, frame: Frame) -> Outcome | None:
    """Run a loop; while a model is drawn, one over what is not known is an end."""
    if machine.strict and not machine.heap.at_module_level:
        value = machine.evaluate(node.iter, frame)
        items = expand(machine, value)
        if items is None or not plain(items):
            raise Undecided(f"{machine.line}: a loop over what is not known: {ast.unparse(node.iter)[:80]}")
        node = ast.copy_location(ast.For(node.target, ast.Constant(items), node.body, node.orelse), node)  # type: ignore[arg-type]
    return cast("Outcome | None", STATEMENTS[ast.For](machine, node, frame))


def _assert(machine: Any, node: ast.Assert, frame: Frame) -> None:
    """Pass over what a program makes sure of where nobody knows: it is meant to hold."""
    with suppress(Undecided):
        STATEMENTS[ast.Assert](machine, node, frame)


def _class(machine: Any, owner: Class, name: str) -> Value:
    """Return an attribute of a class; ``apply`` of a function of autograd runs its ``forward``."""
    method, where = find(owner, "forward") if name == "apply" else (ABSENT, None)
    inner = method.owner if isinstance(method, Builtin) and method.name == "staticmethod" else None
    if isinstance(inner, Function) and isinstance(where, Class):
        return Builtin(name, lambda machine, args: machine.call(inner, args.after(UNKNOWN)))
    found: Value = READERS[Class](machine, owner, name)
    return found


def _drawn(machine: Any, value: Value) -> Value:
    """Return a parameter that a list or a dictionary holds as the leaf that it is."""
    return machine.state.drawn(machine, value) if isinstance(value, Tensor) else value


def _operate(machine: Any, op: type, left: Value, right: Value) -> Value:
    if not machine.strict:
        return TABLES.operators[Tensor](machine, op, left, right)
    return binary(machine, op, _drawn(machine, left), _drawn(machine, right))


def _subscript(machine: Any, tensor: Tensor, index: Value) -> Value:
    if not machine.strict:
        return TABLES.subscripts[Tensor](machine, tensor, index)
    return subscript(machine, _drawn(machine, tensor), index)


def _items(machine: Any, tensor: Tensor) -> list[Value] | None:
    if not machine.strict:
        return TABLES.items[Tensor](machine, tensor)
    return expand(machine, _drawn(machine, tensor))


def _attribute(machine: Any, tensor: Tensor, name: str) -> Value:
    if not machine.strict:
        found: Value = TABLES.readers[Tensor](machine, tensor, name)
        return found
    return cast("Value", machine.read(_drawn(machine, tensor), name))


def _lost(machine: Any, op: type, left: Value, right: Value) -> Value:
    return left if isinstance(left, Lost) else right


def _function(machine: Any, function: Function, args: Arguments) -> Value:
    """Call a function; one that only records what modules give, or warns, is the function that it wraps."""
    inner = function.attrs.get("__wrapped__")
    recorded = any(name.startswith("output_") and value for name, value in args.keyword.items())
    if machine.strict and function.source.path.parts[-3:] == _ENVIRONMENT and function.name.startswith("is_"):
        return "greater_or_equal" in function.name or function.name == "is_torch_available"
    if function.name == "_register_model_output_pytree_node":
        return None
    if (
        machine.strict
        and inner is not None
        and function.source.path.parts[-3:] in _RECORDING
        and not recorded
    ):
        found: Value = machine.call(inner, args)
        return found
    try:
        return CALLS[Function](machine, function, args)
    except Raised as error:  # where decorators are not read, functions may take something else
        if error.kind != "TypeError" or error.meant or not machine.heap.at_module_level:
            raise
        return UNKNOWN


_ENVIRONMENT = ("transformers", "utils", "import_utils.py")
"""Asks what is installed, and how the program is run: torch alone, a new one, and as it is."""

_RECORDING = {("transformers", "utils", name) for name in ("output_capturing.py", "deprecation.py")}


def _of_function(machine: Any, owner: Function, name: str) -> Value:
    if name != "__code__":
        return cast("Value", READERS[Function](machine, owner, name))
    spec, made = owner.node.args, Instance(External("types.CodeType"))
    names = [one.arg for one in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    names += [one.arg for one in (spec.vararg, spec.kwarg) if one is not None]
    made.attrs.update({"co_varnames": tuple(names), "co_argcount": len(spec.posonlyargs) + len(spec.args)})
    return made


def _instance(machine: Any, instance: Instance, args: Arguments) -> Value:
    """Call a module; what hooks of the program's own make of it is not known."""
    if machine.strict and instance.marks.hooked is not False:
        return machine.lost("a module with hooks", *nodes(args))
    return CALLS[Instance](machine, instance, args)


def _unknown(machine: Any, function: Unknown, args: Arguments) -> Value:
    return (
        TABLES.calls[Unknown](machine, function, args)
        if not machine.strict
        else machine.lost("a call of what is not known", *nodes(args))
    )


_OWN: Mapping[str, Any] = {
    "expressions": {
        **EXPRESSIONS,
        ast.BinOp: _placed(EXPRESSIONS[ast.BinOp]),
        ast.Subscript: _placed(EXPRESSIONS[ast.Subscript]),
        ast.UnaryOp: _placed(_unary),
        ast.Compare: _placed(_compare),
        ast.BoolOp: _placed(EXPRESSIONS[ast.BoolOp]),
        ast.IfExp: _placed(EXPRESSIONS[ast.IfExp]),
    },
    "statements": {
        **STATEMENTS,
        ast.AugAssign: _placed(_augmented),
        ast.Assign: _placed(STATEMENTS[ast.Assign]),
        ast.For: _placed(_for),
        ast.While: _placed(STATEMENTS[ast.While]),
        ast.Assert: _placed(cast("Reader[Machine]", _assert)),
    },
    "forks": {**FORKS, ast.If: _if},
    "calls": {
        **TABLES.calls,
        **CALLS,
        Function: _function,
        Instance: _instance,
        Unknown: _unknown,
        Lost: lambda machine, lost, args: lost,
    },
    "readers": {
        **TABLES.readers,
        Tensor: _attribute,
        Drawn: attributes.attribute,
        Lost: attributes.lost_attribute,
        Limits: attributes.of_limits,
        Device: attributes.of_device,
        Class: _class,
        Function: _of_function,
    },
    "writers": {**TABLES.writers, Drawn: lambda machine, owner, name, value: None},
    "truths": {**TABLES.truths, Drawn: attributes.truth, Lost: lambda machine, lost: None},
    "operators": {**TABLES.operators, Tensor: _operate, Drawn: attributes.operate, Lost: _lost},
    "subscripts": {
        **TABLES.subscripts,
        Tensor: _subscript,
        Drawn: attributes.subscript,
        Lost: lambda machine, lost, index: lost,
    },
    "stores": {Drawn: attributes.store},
    "items": {**TABLES.items, Tensor: _items, Drawn: attributes.items},
    "unpacked": {**TABLES.unpacked, Lost: lambda lost, count: [lost] * count},
    "instances": {**TABLES.instances, Drawn: attributes.is_instance, Lost: lambda lost, cls: None},
    "builtins": {**TABLES.builtins, **outside.PYTHON},
    "externals": outside.externals(),
    "outside": replace(
        OUTSIDE, call=outside.called, construct=construct, call_instance=forward, member=member
    ),
}
DRAWING = replace(TABLES, **_OWN)


def new_drawer(library: Library, steps: int, before: Machine | None = None) -> Drawer:
    """Return a machine that draws, and reads at most so many expressions and statements."""
    return Drawer(library, DRAWING, steps, before)
