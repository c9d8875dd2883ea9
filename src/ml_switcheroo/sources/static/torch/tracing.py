"""Follow the ``forward`` of one module alone, to see what it does to its parameters and to its children's."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from ml_switcheroo.code.library import Library
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS
from ml_switcheroo.sources.static.python.attributes import READERS
from ml_switcheroo.sources.static.python.calls import CALLS
from ml_switcheroo.sources.static.python.classes import find
from ml_switcheroo.sources.static.python.expressions import EXPRESSIONS
from ml_switcheroo.sources.static.python.frames import Class, Frame, Function
from ml_switcheroo.sources.static.python.machine import Budget, Machine
from ml_switcheroo.sources.static.python.statements import STATEMENTS
from ml_switcheroo.sources.static.python.tables import Outcome, Reader
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Bound,
    Builtin,
    Instance,
    OneOf,
    Raised,
    Site,
    Value,
    join,
    options,
)
from ml_switcheroo.sources.static.torch import tensors
from ml_switcheroo.sources.static.torch.interpreter import TABLES
from ml_switcheroo.sources.static.torch.nn import name_of, slot
from ml_switcheroo.sources.static.torch.packages import OUTSIDE
from ml_switcheroo.sources.static.torch.trail_machine import TrailMachine
from ml_switcheroo.sources.static.torch.trail_steps import (
    applied,
    asked,
    indexed,
    lifted,
    negated,
    opaque,
    operated,
)
from ml_switcheroo.sources.static.torch.trails import GIVEN, MOVING, Traced, Writing, traced_in
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["Follower", "is_own"]

_STEPS, _ALL = 6_000, 200_000
"""Expressions and statements that one ``forward`` may take, and all of a model."""

_SURPRISES = (TypeError, ValueError, KeyError, IndexError, AttributeError, AssertionError)
"""What code that the reader takes for something else may end in: then nothing is known of it."""


class Follower(TrailMachine):
    """A machine whose tensors carry trails; calls of child modules are not followed.

    Args:
        library: Where source files come from.
        solved: What the checkpoint has shown of unknown sizes.
        shapes: The shapes of parameters, by the id of their tensor.

    Attributes:
        left: How many expressions and statements may still be read.
    """

    def __init__(
        self, library: Library, solved: Mapping[str, Value], shapes: Mapping[int, tuple[int, ...]]
    ) -> None:
        super().__init__(library, _TABLES, _STEPS, shapes)
        self.left = _ALL
        self.solved.update(solved)

    def follow(self, root: Instance) -> Writing:
        """Follow the ``forward`` of a module; every change that it makes is undone."""
        self.root, self.writing, self.steps = root, Writing(), min(_STEPS, self.left)
        self.frame = None
        self.assumed.clear()
        method, where = next(
            (
                pair
                for name in ("__call__", "forward")
                if isinstance((pair := find(root.cls, name))[1], Class)
            ),
            (ABSENT, None),
        )
        if isinstance(method, Function) and isinstance(where, Class):
            self.sites.append(Site(method.source, method.node))
            given = _inputs(method)
            run: Value = Bound(method, root)
        else:
            given, run = [GIVEN], root
        try:
            self.heap.attempt(lambda: self._run(run, given))
        except Budget:
            self.writing.long = True
        except (Raised, RecursionError, *_SURPRISES):
            pass  # what was seen until here has been written down
        finally:
            self.left -= min(_STEPS, self.left) - max(self.steps, 0)
            self.sites.clear()
        return self.writing

    def _run(self, run: Value, given: list[Value]) -> None:
        self.writing.returned = self.call(run, Arguments(given))
        self.writing.use(self, self.writing.returned, "returned")

    def call(self, function: Value, args: Arguments) -> Value:
        """Call a value; what is not known gives a moving tensor where it is given one."""
        if isinstance(function, OneOf):
            return super().call(function, args)
        if isinstance(function, Instance) and function is not self.root:
            return self._child(function, args)
        if type(function) not in self.tables.calls:
            return opaque(self, args)
        return super().call(function, args)

    def _child(self, child: Instance, args: Arguments) -> Value:
        """Return what a child gives: it is followed by itself, unless it is given a parameter."""
        if child.base and not is_own(child):
            return _layer(self, child, args)
        if any(one.trails for one in traced_in(args)):
            return super().call(child, args)
        return MOVING

    def read(self, owner: Value, name: str) -> Value:
        """Return an attribute; a module is not in training."""
        if name == "training" and isinstance(owner, Instance):
            return False
        return super().read(owner, name)

    def write(self, owner: Value, name: Value, value: Value) -> None:
        """Set an attribute; a parameter of a layer of torch that is set anew is no longer what is stored."""
        if isinstance(owner, Instance) and owner.base and isinstance(name, str):
            before = slot(owner, name)
            if isinstance(before, Tensor) and name not in owner.attrs:
                self.writing.use(self, before, "set")
        super().write(owner, name, value)


def is_own(made: Instance) -> bool:
    """Tell whether a class has a ``forward`` of its own."""
    return any(
        isinstance(find(made.cls, name)[1], Class) for name in ("forward", "__call__", "_conv_forward")
    )


def _inputs(method: Function) -> list[Value]:
    """Return what to call ``forward`` with: moving tensors, where it has no default."""
    spec = method.node.args
    names = [*spec.posonlyargs, *spec.args][1:]
    defaults: list[Value] = [ABSENT] * (len(names) - len(method.defaults)) + (
        method.defaults[-len(names) :] if names else []
    )
    if ABSENT in defaults:
        return [GIVEN if default is ABSENT else default for default in defaults]
    return [GIVEN, *defaults[1:]] if defaults or spec.vararg is not None else []


def _layer(machine: Follower, layer: Instance, args: Arguments) -> Value:
    """Return what a layer of torch gives, called as it is."""
    value = args.get(0, "input", UNKNOWN)
    inner = _own_step(machine, layer, value)
    if inner is not None:
        return inner
    machine.writing.calls.append(layer)
    if layer is machine.root:
        machine.entered(value)
    given = [one for one in traced_in(args) if one.trails]
    if given and not any(one.moving for one in traced_in(args)):
        return opaque(machine, args)
    for one in given:
        machine.writing.use(machine, one, "handed over")
    return Traced.put_out(layer) if layer is machine.root else MOVING


def _own_step(machine: Follower, layer: Instance, value: Value) -> Value | None:
    """Return what a convolution gives that has another ``_conv_forward``; None for any other layer."""
    method, where = find(layer.cls, "_conv_forward")
    if not (isinstance(method, Function) and isinstance(where, Class)) or machine.depth > _DEEP:
        return None
    parts = [machine.read(layer, "weight"), machine.read(layer, "bias")]
    return machine.call(Bound(method, layer), Arguments([value, *parts]))


_DEEP = 60


def _member(machine: Any, owner: Instance, external: str, name: str) -> Value:
    """Return an attribute that a module has from a class of torch."""
    if name in _LISTED:
        value = machine.heap.new(_LISTED[name](_parameters(owner)))
        return value if name == "_parameters" else Builtin(name, lambda machine, args: value)
    if name == "_conv_forward":
        word = "conv_transpose2d" if "Transpose" in external else "conv2d"
        return Builtin(name, lambda machine, args: applied(machine, word, args))
    return OUTSIDE.member(machine, owner, external, name)


_LISTED: Mapping[str, Callable[[dict[str, Value]], Any]] = {
    "_parameters": dict,
    "state_dict": dict,
    "parameters": lambda kept: list(kept.values()),
    "named_parameters": lambda kept: list(kept.items()),
}


def _parameters(owner: Instance) -> dict[str, Value]:
    """Return the parameters of a module itself, by name."""
    kind = KIND_OF_CLASS.get(owner.base)
    slots = {name: slot(owner, name) for name in (LAYERS[kind].slots if kind else ()) if "{" not in name}
    own = {name: value for name, value in owner.attrs.items() if isinstance(value, Tensor)}
    found = {**slots, **own}
    return {name: one for name, one in found.items() if isinstance(one, Tensor) and one.role == "parameter"}


def _class(machine: Any, owner: Class, name: str) -> Value:
    """Return an attribute of a class; ``apply`` of a function of autograd runs its ``forward``."""
    method, where = find(owner, "forward") if name == "apply" else (ABSENT, None)
    inner = method.owner if isinstance(method, Builtin) and method.name == "staticmethod" else None
    if isinstance(inner, Function) and isinstance(where, Class):
        return Builtin(name, lambda machine, args: machine.call(inner, args.after(UNKNOWN)))
    return READERS[Class](machine, owner, name)


def _forward(machine: Any, layer: Instance, args: Arguments) -> Value:
    """Return what the ``forward`` of torch gives for a module."""
    return _layer(machine, layer, args) if layer.base not in ("", "Sequential") else MOVING


def _called(machine: Any, name: str, args: Arguments) -> Value:
    """Return what a function gives whose code is not read."""
    owner, _, last = name.rpartition(".")
    first = args.positional[0] if args.positional else None
    if last in ("forward", "__call__") and name_of(owner) and isinstance(first, Instance):
        return _forward(machine, first, Arguments(args.positional[1:], args.keyword))
    if last == "checkpoint" and isinstance(first, Bound | Function | Instance):
        return machine.call(first, Arguments(args.positional[1:]))
    if name_of(name) or (last == "__init__" and name_of(owner)):
        return OUTSIDE.call(machine, name, args)
    known = name.startswith(("torch.", "einops.", "numpy.")) and not name.startswith(_ELSEWHERE)
    return applied(machine, last, args) if known else opaque(machine, args)


_ELSEWHERE = ("torch.ops.", "torch._C.")
"""What is written in another language may do anything, whatever it is called."""


def _called_tensor(machine: Any, tensor: Tensor, args: Arguments) -> Value:
    """Return what calling a tensor gives: it is not what it was taken for."""
    return opaque(machine, args)


def _placed(node_type: type) -> Reader[Machine]:
    """Return how to evaluate an expression whose place is of interest."""
    inner = EXPRESSIONS[node_type]

    def run(machine: Machine, node: Any, frame: Frame) -> Value:
        machine.sites.append(Site(frame.source, node))
        try:
            return inner(machine, node, frame)
        finally:
            machine.sites.pop()

    return run


def _unary(machine: Any, node: ast.UnaryOp, frame: Frame) -> Value:
    if not isinstance(node.op, ast.USub):
        return EXPRESSIONS[ast.UnaryOp](machine, node, frame)
    value = machine.evaluate(node.operand, frame)
    if not any(True for _ in traced_in(list(options(value)))):
        return EXPRESSIONS[ast.UnaryOp](machine, ast.UnaryOp(node.op, ast.Constant(value)), frame)
    found = [lifted(one) for one in options(value)]
    return join(negated(machine, one) if isinstance(one, Traced) else UNKNOWN for one in found)


def _augmented(machine: Machine, node: ast.AugAssign, frame: Frame) -> Outcome | None:
    machine.sites.append(Site(frame.source, node))
    try:
        return STATEMENTS[ast.AugAssign](machine, node, frame)  # type: ignore[no-any-return]
    finally:
        machine.sites.pop()


_TABLES = replace(
    TABLES,
    expressions={
        **EXPRESSIONS,
        ast.BinOp: _placed(ast.BinOp),
        ast.Subscript: _placed(ast.Subscript),
        ast.UnaryOp: cast("Reader[Machine]", _unary),
    },
    statements={**STATEMENTS, ast.AugAssign: _augmented},
    calls={**CALLS, **dict.fromkeys((Tensor, Traced), _called_tensor)},
    readers={**READERS, **dict.fromkeys((Tensor, Traced), cast("Any", asked)), Class: _class},
    operators={**TABLES.operators, **dict.fromkeys((Tensor, Traced), cast("Any", operated))},
    subscripts=dict.fromkeys((Tensor, Traced), cast("Any", indexed)),
    items={Tensor: tensors.items, Traced: tensors.items},
    unpacked={**TABLES.unpacked, Traced: lambda value, count: [value] * count},
    widened={Tensor: tensors.widened, Traced: tensors.widened},
    instances={Tensor: tensors.is_instance, Traced: tensors.is_instance},
    outside=replace(OUTSIDE, call=_called, call_instance=_forward, member=_member),
)
