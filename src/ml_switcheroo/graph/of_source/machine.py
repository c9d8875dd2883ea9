"""The reader's machine with other tables: tensors are drawn, and what is not known ends it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, cast

from ml_switcheroo.code.library import Library
from ml_switcheroo.graph.graph import Line
from ml_switcheroo.graph.of_source import attributes, outside
from ml_switcheroo.graph.of_source.drawn import Device, Drawn, Limits, Lost
from ml_switcheroo.graph.of_source.layers import forward
from ml_switcheroo.graph.of_source.making import construct, member
from ml_switcheroo.graph.of_source.pen import Pen
from ml_switcheroo.graph.of_source.state import State
from ml_switcheroo.sources.static.python.attributes import READERS
from ml_switcheroo.sources.static.python.calls import CALLS
from ml_switcheroo.sources.static.python.classes import find
from ml_switcheroo.sources.static.python.expressions import EXPRESSIONS
from ml_switcheroo.sources.static.python.frames import Frame
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.operators import compare_one
from ml_switcheroo.sources.static.python.statements import STATEMENTS
from ml_switcheroo.sources.static.python.tables import Outcome, Reader
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    Arguments,
    Builtin,
    Class,
    External,
    Function,
    Instance,
    OneOf,
    Site,
    Tensor,
    Unknown,
    Value,
)
from ml_switcheroo.sources.static.torch.interpreter import TABLES
from ml_switcheroo.sources.static.torch.packages import OUTSIDE

__all__ = ["Drawer", "Undecided"]


class Undecided(Exception):  # caught where drawing starts
    """The program goes on by what nobody knows."""


class Drawer(Machine):
    """A machine that draws.

    While a model is made, what is not known is as for any other reading. While it is drawn, it is an end.

    Attributes:
        pen: What draws.
        strict: Whether a model is drawn.
        state: Where the tensors of the model come from.
    """

    def __init__(self, library: Library, steps: int, before: Machine | None = None) -> None:
        super().__init__(library, _TABLES, steps, before)
        self.pen = before.pen if isinstance(before, Drawer) else Pen()
        self.strict = False
        self.state = State()

    @property
    def line(self) -> Line | None:
        """The line of the program that is read."""
        site = self.site
        return Line(site.source.label, site.node.lineno) if site is not None else None

    @contextmanager
    def drawing(self, word: str) -> Iterator[None]:
        """Draw what the program calls by a word; within a layer, its parts go by its own."""
        draft = self.pen.draft
        before = draft.line, draft.word
        draft.line, draft.word = self.line, before[1] or word
        try:
            yield
        finally:
            draft.line, draft.word = before

    def lost(self, why: str, *operands: int) -> Lost:
        """Return a value that nobody can follow."""
        draft = self.pen.draft
        draft.line, before = self.line, draft.line
        try:
            return self.pen.lost(why, *operands)
        finally:
            draft.line = before

    def truth(self, value: Value) -> bool | None:
        """Tell whether a value counts as true.

        Raises:
            Undecided: Nobody knows, and a model is drawn.
        """
        answer = super().truth(value)
        if answer is None and self.strict and not self.heap.at_module_level:
            raise Undecided(f"{self.line}: the program goes on by what is not known")
        return answer

    def call(self, function: Value, args: Arguments) -> Value:
        """Call a value."""
        if isinstance(function, OneOf) and self.strict:
            function = self.state.chosen(function)
        if isinstance(function, Lost):
            return function
        if self.strict and (isinstance(function, OneOf) or type(function) not in self.tables.calls):
            lost = next((one for one in args.positional if isinstance(one, Lost)), None)
            return lost or self.lost("a call of what is not known", *_nodes(args))
        return super().call(function, args)

    def read(self, owner: Value, name: str) -> Value:
        """Return an attribute; that of a module may be a tensor of the state dict."""
        if not self.strict:
            return super().read(owner, name)
        owner = self.state.chosen(owner)
        if name == "training" and isinstance(owner, Instance):
            return False
        if isinstance(owner, Instance) and (made := self.state.made_of(self, owner, name)) is not None:
            return made
        value = self.state.chosen(super().read(owner, name))
        return self.state.drawn(self, value) if isinstance(value, Tensor) else value


def _nodes(args: Arguments) -> list[int]:
    return [one.node for one in (*args.positional, *args.keyword.values()) if isinstance(one, Drawn)]


# ---- expressions and statements that tensors change


def _placed(inner: Reader) -> Reader:
    """Return how to evaluate an expression whose place is of interest."""

    def run(machine: Machine, node: Any, frame: Frame) -> Any:
        machine.sites.append(Site(frame.source, node))
        try:
            return inner(machine, node, frame)
        finally:
            machine.sites.pop()

    return run


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
        frame.bind(target.id, changed, machine)
    elif isinstance(target, ast.Attribute):
        machine.write(machine.evaluate(target.value, frame), target.attr, changed)
    elif isinstance(target, ast.Subscript) and changed is not before:
        owner = machine.evaluate(target.value, frame)
        attributes.store(machine, owner, machine.evaluate(target.slice, frame), changed)
    return None


def _loaded(target: ast.expr) -> ast.expr:
    fields = {name: getattr(target, name) for name in target._fields if name != "ctx"}
    return ast.copy_location(type(target)(**fields, ctx=ast.Load()), target)


def _assert(machine: Any, node: ast.Assert, frame: Frame) -> None:
    """Pass over what a program makes sure of where nobody knows: it is meant to hold."""
    with suppress(Undecided):
        STATEMENTS[ast.Assert](machine, node, frame)


def _class(machine: Any, owner: Class, name: str) -> Value:
    """Return an attribute of a class; ``apply`` of a function of autograd runs its ``forward``."""
    method, where = find(owner, "forward") if name == "apply" else (ABSENT, None)
    inner = method.owner if isinstance(method, Builtin) and method.name == "staticmethod" else None
    if isinstance(inner, Function) and isinstance(where, Class):
        context = Instance(External("builtins.object"))
        return Builtin(name, lambda machine, args: machine.call(inner, args.after(context)))
    return cast("Value", READERS[Class](machine, owner, name))


def _lost(machine: Any, op: type, left: Value, right: Value) -> Value:
    return left if isinstance(left, Lost) else right


def _unknown(machine: Any, function: Unknown, args: Arguments) -> Value:
    return (
        TABLES.calls[Unknown](machine, function, args)
        if not machine.strict
        else machine.lost("a call of what is not known", *_nodes(args))
    )


_OWN: Mapping[str, Any] = {
    "expressions": {
        **EXPRESSIONS,
        ast.BinOp: _placed(EXPRESSIONS[ast.BinOp]),
        ast.Subscript: _placed(EXPRESSIONS[ast.Subscript]),
        ast.UnaryOp: _placed(_unary),
        ast.Compare: _placed(_compare),
    },
    "statements": {
        **STATEMENTS,
        ast.AugAssign: _placed(_augmented),
        ast.Assign: _placed(STATEMENTS[ast.Assign]),
        ast.For: _placed(STATEMENTS[ast.For]),
        ast.Assert: _placed(cast("Reader", _assert)),
    },
    "calls": {**TABLES.calls, **CALLS, Unknown: _unknown, Lost: lambda machine, lost, args: lost},
    "readers": {
        **TABLES.readers,
        Drawn: attributes.attribute,
        Lost: attributes.lost_attribute,
        Limits: attributes.of_limits,
        Device: attributes.of_device,
        Class: _class,
    },
    "writers": {**TABLES.writers, Drawn: lambda machine, owner, name, value: None},
    "truths": {**TABLES.truths, Drawn: attributes.truth, Lost: lambda machine, lost: None},
    "operators": {**TABLES.operators, Drawn: attributes.operate, Lost: _lost},
    "subscripts": {**TABLES.subscripts, Drawn: attributes.subscript, Lost: lambda machine, lost, index: lost},
    "stores": {Drawn: attributes.store},
    "items": {**TABLES.items, Drawn: attributes.items},
    "unpacked": {**TABLES.unpacked, Lost: lambda lost, count: [lost] * count},
    "instances": {**TABLES.instances, Drawn: attributes.is_instance, Lost: lambda lost, cls: None},
    "builtins": {**TABLES.builtins, **outside.PYTHON},
    "externals": outside.externals(),
    "outside": replace(OUTSIDE, call=outside.called, construct=construct, forward=forward, member=member),
}
_TABLES = replace(TABLES, **_OWN)
