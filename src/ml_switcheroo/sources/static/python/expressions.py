"""What the expressions of Python evaluate to."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

from ml_switcheroo.sources.static.python.binding import bind_target
from ml_switcheroo.sources.static.python.comprehensions import COMPREHENSIONS
from ml_switcheroo.sources.static.python.containers import expand, store_item, subscript
from ml_switcheroo.sources.static.python.frames import Class, Frame, Function
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.mappings import OpenDict
from ml_switcheroo.sources.static.python.narrowing import narrowed
from ml_switcheroo.sources.static.python.operators import binary, compare_one, symbolic, texts
from ml_switcheroo.sources.static.python.own_code import look_up
from ml_switcheroo.sources.static.python.tables import Reader
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    External,
    Foreign,
    Raised,
    Repeat,
    Site,
    Text,
    Unknown,
    Value,
    contents,
    join,
    known,
    options,
)

__all__ = ["EXPRESSIONS", "make_function", "pass_over"]


def _constant(machine: Machine, node: ast.Constant, frame: Frame) -> Value:
    return node.value


def _name(machine: Machine, node: ast.Name, frame: Frame) -> Value:
    return look_up(machine, frame, node.id)


def _attribute(machine: Machine, node: ast.Attribute, frame: Frame) -> Value:
    return machine.read(machine.evaluate(node.value, frame), node.attr)


def _elements(machine: Machine, nodes: list[ast.expr], frame: Frame) -> list[Value]:
    found: list[Value] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            inner = expand(machine, machine.evaluate(node.value, frame))
            found.extend([Repeat(UNKNOWN)] if inner is None else inner)
        else:
            found.append(machine.evaluate(node, frame))
    return found


def _tuple(machine: Machine, node: ast.Tuple, frame: Frame) -> Value:
    return tuple(_elements(machine, node.elts, frame))


def _list(machine: Machine, node: ast.List, frame: Frame) -> Value:
    return machine.heap.new(_elements(machine, node.elts, frame))


def _set(machine: Machine, node: ast.Set, frame: Frame) -> Value:
    items = _elements(machine, node.elts, frame)
    return machine.heap.new(set(items)) if known(items) else UNKNOWN


def _dict(machine: Machine, node: ast.Dict, frame: Frame) -> Value:
    pairs: list[tuple[Value, Value]] = []
    opened = False
    for key, item in zip(node.keys, node.values, strict=True):
        value = machine.evaluate(item, frame)
        if key is not None:
            pairs.append((machine.evaluate(key, frame), value))
            continue
        value = contents(value)
        if isinstance(value, dict):
            pairs.extend(value.items())
            opened = opened or isinstance(value, OpenDict)
        else:
            opened = True
    made: dict[Any, Value] = OpenDict() if opened else {}
    machine.heap.new(made)
    for key_value, value in pairs:
        store_item(machine, made, key_value, value)
    return made


def _binop(machine: Machine, node: ast.BinOp, frame: Frame) -> Value:
    left = machine.evaluate(node.left, frame)
    return binary(machine, type(node.op), left, machine.evaluate(node.right, frame))


def _unary(machine: Machine, node: ast.UnaryOp, frame: Frame) -> Value:
    value = machine.evaluate(node.operand, frame)
    if isinstance(node.op, ast.Not):
        truth = machine.truth(value)
        return symbolic("not", "", value) if truth is None else not truth

    def run(one: Value) -> Value:
        if isinstance(one, Foreign):
            return one
        if not isinstance(one, int | float | complex):
            return symbolic(type(node.op).__name__, "", one)
        if isinstance(node.op, ast.Invert):
            return ~one if isinstance(one, int) else UNKNOWN
        return -one if isinstance(node.op, ast.USub) else one

    return machine.spread(run, value)


def _boolean(machine: Machine, node: ast.BoolOp, frame: Frame) -> Value:
    wanted = isinstance(node.op, ast.Or)
    return _boolean_rest(machine, node.values, frame, wanted)


def _boolean_rest(machine: Machine, nodes: list[ast.expr], frame: Frame, stop: bool) -> Value:
    value = machine.evaluate(nodes[0], frame)
    if len(nodes) == 1:
        return value
    truth = machine.truth(value)
    if truth is not None:
        return value if truth is stop else _boolean_rest(machine, nodes[1:], frame, stop)
    # Each alternative that decides by itself stays; where one lets go on, the rest is read as well.
    kept = [one for one in options(value) if machine.truth(one) in (stop, None)]
    rest = machine.choose(
        [lambda: machine.assume(value, not stop, lambda: _boolean_rest(machine, nodes[1:], frame, stop))]
    )
    if all(isinstance(one, Unknown) for one in kept) and isinstance(rest, bool | Unknown):
        if rest is stop:
            return stop if _is_test(nodes[0]) else join([*kept, rest])
        return symbolic("or" if stop else "and", *kept, rest) if len(kept) == 1 else UNKNOWN
    return join([*kept, rest])


def _is_test(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))


def _compare(machine: Machine, node: ast.Compare, frame: Frame) -> Value:
    left = machine.evaluate(node.left, frame)
    answers = []
    for op, item in zip(node.ops, node.comparators, strict=True):
        right = machine.evaluate(item, frame)
        answers.append(machine.spread(lambda a, b, op=op: compare_one(machine, type(op), a, b), left, right))
        left = right
    truths = [machine.truth(answer) for answer in answers]
    if len(answers) == 1:
        return answers[0]
    if False in truths:
        return False
    return UNKNOWN if None in truths else True


def _if(machine: Machine, node: ast.IfExp, frame: Frame) -> Value:
    test = machine.evaluate(node.test, frame)
    truth = machine.truth(test)
    if truth is not None:
        return machine.evaluate(node.body if truth else node.orelse, frame)

    def branch(answer: bool, part: ast.expr) -> Callable[[], Value]:
        def read() -> Value:
            narrowed(machine, node.test, answer, frame)
            return machine.assume(test, answer, lambda: machine.evaluate(part, frame))

        return read

    return machine.choose([branch(True, node.body), branch(False, node.orelse)])


def _subscript(machine: Machine, node: ast.Subscript, frame: Frame) -> Value:
    owner = machine.evaluate(node.value, frame)
    index = machine.evaluate(node.slice, frame)
    generic = not (isinstance(owner, External) and owner.name.rpartition(".")[2][:1].islower())
    if isinstance(owner, Class | External | Function) and generic:
        return owner  # List[int], Generic[T]: a class with parameters is that class
    return machine.spread(lambda a, b: subscript(machine, a, b), owner, index)


def _slice(machine: Machine, node: ast.Slice, frame: Frame) -> Value:
    parts = [
        machine.evaluate(p, frame) if p is not None else None for p in (node.lower, node.upper, node.step)
    ]
    return slice(*parts)


def _joined(machine: Machine, node: ast.JoinedStr, frame: Frame) -> Value:
    return machine.spread(
        lambda *parts: texts(list(parts)), *(machine.evaluate(part, frame) for part in node.values)
    )


def _formatted(machine: Machine, node: ast.FormattedValue, frame: Frame) -> Value:
    value = machine.evaluate(node.value, frame)
    layout = machine.evaluate(node.format_spec, frame) if node.format_spec is not None else ""

    def run(one: Value) -> Value:
        if isinstance(one, Text):
            return one
        if not isinstance(layout, str) or not isinstance(one, str | int | float | bool | None):
            return UNKNOWN
        try:
            return format(repr(one) if node.conversion == ord("r") else one, layout)
        except (ValueError, TypeError) as error:
            raise Raised(type(error).__name__, str(error)) from error

    return machine.spread(run, value)


def make_function(machine: Machine, node: Any, frame: Frame, name: str) -> Function:
    """Return the function that a ``def`` or ``lambda`` makes."""
    inside = frame
    made = Function(
        name,
        node,
        frame.source,
        None if inside.names is inside.source.values else inside,
        [machine.evaluate(default, frame) for default in node.args.defaults],
        [
            UNKNOWN if default is None else machine.evaluate(default, frame)
            for default in node.args.kw_defaults
        ],
        frame.owner if frame.body else None,
        _yields(node),
    )
    machine.heap.new(made.attrs)
    return made


@functools.lru_cache(maxsize=4096)
def _yields(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    """Tell whether a function is a generator."""
    pending: list[ast.AST] = list(node.body) if isinstance(node.body, list) else []
    while pending:
        inner = pending.pop()
        if isinstance(inner, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(inner))
    return False


def _lambda(machine: Machine, node: ast.Lambda, frame: Frame) -> Value:
    return make_function(machine, node, frame, "<lambda>")


def _named(machine: Machine, node: ast.NamedExpr, frame: Frame) -> Value:
    value = machine.evaluate(node.value, frame)
    bind_target(machine, node.target, value, frame)
    return value


def _call(machine: Machine, node: ast.Call, frame: Frame) -> Value:
    function = machine.evaluate(node.func, frame)
    args = _arguments(machine, node, frame)
    machine.sites.append(Site(frame.source, node))
    before, machine.frame = machine.frame, frame
    try:
        return machine.call(function, args)
    finally:
        machine.frame = before
        machine.sites.pop()


def _arguments(machine: Machine, node: ast.Call, frame: Frame) -> Arguments:
    args = Arguments()
    for item in node.args:
        if not isinstance(item, ast.Starred):
            args.positional.append(machine.evaluate(item, frame))
            continue
        inner = expand(machine, machine.evaluate(item.value, frame))
        if inner is None:
            args.open_positional = True
        else:
            args.positional.extend(inner)
    for keyword in node.keywords:
        value = machine.evaluate(keyword.value, frame)
        if keyword.arg is not None:
            args.keyword[keyword.arg] = value
        else:
            _spread_keywords(args, contents(value))
    return args


def _spread_keywords(args: Arguments, value: Value) -> None:
    if not isinstance(value, dict):
        args.open_keyword = True
        return
    args.open_keyword = args.open_keyword or isinstance(value, OpenDict)
    for key, item in value.items():
        if isinstance(key, str):
            args.keyword[key] = item
        else:
            args.open_keyword = True


def _yield(machine: Machine, node: Any, frame: Frame) -> Value:
    place: Frame | None = frame
    while place is not None and place.yields is None:
        place = place.outer
    if place is None or place.yields is None:
        return UNKNOWN
    value = machine.evaluate(node.value, frame) if node.value is not None else None
    machine.heap.touch(place.yields)
    if isinstance(node, ast.Yield):
        place.yields.append(Repeat(value) if machine.heap.repeats(place.yields) else value)
    else:
        items = expand(machine, value)
        place.yields.extend([Repeat(UNKNOWN)] if items is None else items)
    return UNKNOWN


def _starred(machine: Machine, node: ast.Starred, frame: Frame) -> Value:
    return machine.evaluate(node.value, frame)


def pass_over(machine: Machine, node: Any, frame: Frame) -> Value:
    """Pass over a node that the tables lack, a newer Python's: nothing is known but the names it binds."""
    machine.forget(node, frame)
    return UNKNOWN if isinstance(node, ast.expr) else None


EXPRESSIONS: dict[type, Reader[Machine]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Tuple: _tuple,
    ast.List: _list,
    ast.Set: _set,
    ast.Dict: _dict,
    ast.BinOp: _binop,
    ast.UnaryOp: _unary,
    ast.BoolOp: _boolean,
    ast.Compare: _compare,
    ast.IfExp: _if,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.JoinedStr: _joined,
    ast.FormattedValue: _formatted,
    ast.Lambda: _lambda,
    **COMPREHENSIONS,
    ast.NamedExpr: _named,
    ast.Call: _call,
    ast.Starred: _starred,
    ast.Yield: _yield,
    ast.YieldFrom: _yield,
}
