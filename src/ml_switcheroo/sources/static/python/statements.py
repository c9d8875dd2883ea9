"""What the statements of Python do."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ml_switcheroo.sources.static.python.binding import bind_target
from ml_switcheroo.sources.static.python.classes import decorated, make_class
from ml_switcheroo.sources.static.python.containers import remove_item
from ml_switcheroo.sources.static.python.expressions import make_function
from ml_switcheroo.sources.static.python.frames import Frame
from ml_switcheroo.sources.static.python.imports import run_from_import, run_import
from ml_switcheroo.sources.static.python.loops import run_for, run_while
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.narrowing import narrowed
from ml_switcheroo.sources.static.python.operators import binary
from ml_switcheroo.sources.static.python.own_code import module_name
from ml_switcheroo.sources.static.python.tables import Ending, ForkReader, Outcome, Reader
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Instance,
    Raised,
    Value,
    join,
    options,
)

__all__ = ["FORKS", "STATEMENTS"]

_LOOKUPS = {"KeyError": "LookupError", "IndexError": "LookupError", "ModuleNotFoundError": "ImportError"}


def _expression(machine: Machine, node: ast.Expr, frame: Frame) -> None:
    machine.evaluate(node.value, frame)


def _pass(machine: Machine, node: ast.stmt, frame: Frame) -> None:
    return


def _assign(machine: Machine, node: ast.Assign, frame: Frame) -> None:
    value = machine.evaluate(node.value, frame)
    for target in node.targets:
        bind_target(machine, target, value, frame)


def _annotated(machine: Machine, node: ast.AnnAssign, frame: Frame) -> None:
    if node.value is not None:
        bind_target(machine, node.target, machine.evaluate(node.value, frame), frame)


def _augmented(machine: Machine, node: ast.AugAssign, frame: Frame) -> None:
    before = machine.evaluate(_load(node.target), frame)
    value = machine.evaluate(node.value, frame)
    items = isinstance(before, Instance) and before.items is not None
    if (isinstance(before, list) or items) and isinstance(node.op, ast.Add):
        machine.call(machine.read(before, "extend"), Arguments([value]))
        return
    bind_target(machine, node.target, binary(machine, type(node.op), before, value), frame)


def _load(target: ast.expr) -> ast.expr:
    match target:
        case ast.Name(id=name):
            made: ast.expr = ast.Name(name, ast.Load())
        case ast.Attribute(value=value, attr=attr):
            made = ast.Attribute(value, attr, ast.Load())
        case ast.Subscript(value=value, slice=index):
            made = ast.Subscript(value, index, ast.Load())
        case _:
            made = target
    return ast.copy_location(made, target)


def _delete(machine: Machine, node: ast.Delete, frame: Frame) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name):
            machine.heap.touch(frame.names)
            frame.names.pop(target.id, None)
        elif isinstance(target, ast.Attribute):
            for owner in options(machine.evaluate(target.value, frame)):
                if isinstance(owner, Instance):
                    remove_attribute(machine, owner, target.attr)
        elif isinstance(target, ast.Subscript):
            index = machine.evaluate(target.slice, frame)
            for owner in options(machine.evaluate(target.value, frame)):
                remove_item(machine, owner, index)


def remove_attribute(machine: Machine, owner: Instance, name: str) -> None:
    """Do ``del owner.name``."""
    machine.heap.touch(owner.attrs)
    owner.attrs.pop(name, None)


def _return(machine: Machine, node: ast.Return, frame: Frame) -> Outcome:
    value = machine.evaluate(node.value, frame) if node.value is not None else None
    return Outcome(Ending.RETURN, value)


def _break(machine: Machine, node: ast.Break, frame: Frame) -> Outcome:
    return Outcome(Ending.BREAK)


def _continue(machine: Machine, node: ast.Continue, frame: Frame) -> Outcome:
    return Outcome(Ending.CONTINUE)


def _raise(machine: Machine, node: ast.Raise, frame: Frame) -> None:
    error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    name = error.attr if isinstance(error, ast.Attribute) else getattr(error, "id", "Exception")
    raise Raised(name, ast.unparse(node.exc)[:100] if node.exc is not None else "", meant=True)


def _assert(machine: Machine, node: ast.Assert, frame: Frame) -> None:
    if machine.truth(machine.evaluate(node.test, frame)) is False:
        raise Raised("AssertionError", ast.unparse(node.test)[:100], meant=True)
    narrowed(machine, node.test, True, frame)


def _if(machine: Machine, node: ast.If, rest: Sequence[ast.stmt], frame: Frame) -> Outcome | None:
    test = machine.evaluate(node.test, frame)
    truth = machine.truth(test)
    if truth is not None:
        outcome = machine.run(node.body if truth else node.orelse, frame)
        return None if outcome.ending is Ending.NEXT else outcome

    def side(answer: bool, block: list[ast.stmt]) -> Callable[[Sequence[ast.stmt]], Outcome]:
        def run(after: Sequence[ast.stmt]) -> Outcome:
            def inside() -> Outcome:
                outcome = machine.run(block, frame)
                return (
                    outcome
                    if outcome.ending is not Ending.NEXT or not after
                    else _ended(machine, after, frame)
                )

            narrowed(machine, node.test, answer, frame)
            result: Outcome = machine.assume(test, answer, inside)
            return result

        return run

    sides = [side(True, node.body), side(False, node.orelse)]
    # The side that leaves goes first: once one has, the other reads on to the end of the block by itself.
    if node.orelse and _leaves(node.orelse) and not _leaves(node.body):
        sides.reverse()
    return branches(machine, sides, rest, frame)


class _Ended(Outcome):
    """An outcome that includes the rest of the block."""


def _ended(machine: Machine, rest: Sequence[ast.stmt], frame: Frame) -> Outcome:
    outcome = machine.run(rest, frame)
    return _Ended(outcome.ending, outcome.value)


def _leaves(block: list[ast.stmt]) -> bool:
    return isinstance(block[-1], ast.Return | ast.Raise | ast.Break | ast.Continue)


def branches(
    machine: Machine,
    sides: Sequence[Callable[[Sequence[ast.stmt]], Outcome]],
    rest: Sequence[ast.stmt],
    frame: Frame,
) -> Outcome | None:
    """Read every side of an unknown choice; the rest of the block belongs to those that go on.

    Once a side has left the block, the others read on to its end in their own branch, so that
    nothing the rest does leaks into the side that left.

    Returns:
        How the block ends; None where the caller goes on with the rest.
    """
    left: list[Outcome] = []

    def run(side: Callable[[Sequence[ast.stmt]], Outcome]) -> Callable[[], Outcome]:
        def go() -> Outcome:
            outcome = side(rest if left else ())
            if outcome.ending is not Ending.NEXT:
                left.append(outcome)
            return outcome

        return go

    outcomes = [one for one in machine.heap.branch([run(side) for side in sides]) if isinstance(one, Outcome)]
    going = [one for one in outcomes if one.ending is Ending.NEXT]
    returned = [one.value for one in outcomes if one.ending is Ending.RETURN]
    if not going:
        if len(returned) == len(outcomes):
            return Outcome(Ending.RETURN, join(returned))
        frame.returned.extend(returned)
        return next(one for one in outcomes if one.ending is not Ending.RETURN)
    frame.returned.extend(returned)
    if any(isinstance(one, _Ended) for one in going) and all(isinstance(one, _Ended) for one in going):
        return Outcome()
    return None


def _match(machine: Machine, node: ast.Match, rest: Sequence[ast.stmt], frame: Frame) -> Outcome | None:
    subject = machine.evaluate(node.subject, frame)
    sides: list[Callable[[Sequence[ast.stmt]], Outcome]] = []
    for case in node.cases:
        fits = _fits(machine, case.pattern, subject, frame)
        if fits is False:
            continue
        sides.append(partial(_case, machine, case, frame))
        if fits and case.guard is None:
            break
    else:
        # No case fits for certain, so perhaps none is taken.
        sides.append(lambda after: _ended(machine, after, frame) if after else Outcome())
    return branches(machine, sides, rest, frame)


def _case(machine: Machine, case: ast.match_case, frame: Frame, after: Sequence[ast.stmt]) -> Outcome:
    for node in ast.walk(case.pattern):
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if isinstance(name, str):
            machine.bind(frame, name, UNKNOWN)
    outcome = machine.run(case.body, frame)
    return outcome if outcome.ending is not Ending.NEXT or not after else _ended(machine, after, frame)


def _fits(machine: Machine, pattern: ast.pattern, subject: Value, frame: Frame) -> bool | None:
    match pattern:
        case ast.MatchAs(pattern=None):
            return True
        case ast.MatchValue(value=value):
            test = ast.Compare(ast.Constant(0), [ast.Eq()], [value])
            run = machine.tables.expressions[ast.Compare]
            inner = Frame({"subject": subject}, frame.source, frame)
            test.left = ast.Name("subject", ast.Load())
            return machine.truth(run(machine, test, inner))
        case ast.MatchOr(patterns=patterns):
            answers = [_fits(machine, one, subject, frame) for one in patterns]
            return True if True in answers else (None if None in answers else False)
    return None


def _function(machine: Machine, node: Any, frame: Frame) -> None:
    function = make_function(machine, node, frame, node.name)
    machine.bind(frame, node.name, decorated(machine, node.decorator_list, function, frame))


def _class(machine: Machine, node: ast.ClassDef, frame: Frame) -> None:
    made = make_class(machine, node, frame)
    machine.bind(frame, node.name, decorated(machine, node.decorator_list, made, frame))


def _with(machine: Machine, node: ast.With, frame: Frame) -> Outcome:
    for item in node.items:
        value = machine.evaluate(item.context_expr, frame)
        if item.optional_vars is not None:
            # Most of what is entered gives itself; of anything else nobody knows what it gives.
            entered = value if isinstance(value, Instance) else UNKNOWN
            bind_target(machine, item.optional_vars, entered, frame)
    return machine.run(node.body, frame)


def _try(machine: Machine, node: ast.Try, frame: Frame) -> Outcome:
    # Where a failing import is caught, a module that is not on disk counts as missing.
    guards = any(_catches(one, "ImportError") for one in node.handlers)
    machine.guarded += guards
    before = len(machine.heap.raised)
    try:
        outcome = _tried(machine, node, frame)
    except Raised as error:
        machine.guarded -= guards
        guards = False
        outcome = _caught(machine, node, error, frame)
    else:
        _perhaps_caught(machine, node, machine.heap.raised[before:], frame)
        if outcome.ending is Ending.NEXT:
            outcome = machine.run(node.orelse, frame)
    finally:
        machine.guarded -= guards
    last = machine.run(node.finalbody, frame)
    return outcome if last.ending is Ending.NEXT else last


def _tried(machine: Machine, node: ast.Try, frame: Frame) -> Outcome:
    machine.trying += 1
    try:
        return machine.run(node.body, frame)
    finally:
        machine.trying -= 1


def _caught(machine: Machine, node: ast.Try, error: Raised, frame: Frame) -> Outcome:
    for one in node.handlers:
        if _catches(one, error.kind):
            if one.name:
                machine.bind(frame, one.name, UNKNOWN)
            return machine.run(one.body, frame)
    machine.run(node.finalbody, frame)
    raise error


def _perhaps_caught(machine: Machine, node: ast.Try, errors: Sequence[Raised], frame: Frame) -> None:
    """Read what a guard does about an error that the body may have raised, and may not."""
    error = next((e for e in errors if any(_catches(one, e.kind) for one in node.handlers)), None)
    if error is None:
        return

    def read() -> None:
        outcome = _caught(machine, node, error, frame)
        if outcome.ending is Ending.RETURN:
            frame.returned.append(outcome.value)

    machine.heap.branch([lambda: None, read])


def _catches(one: ast.ExceptHandler, kind: str) -> bool:
    if one.type is None:
        return True
    types = one.type.elts if isinstance(one.type, ast.Tuple) else [one.type]
    names = {node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in types}
    return bool(names & {kind, _LOOKUPS.get(kind, kind), "Exception", "BaseException"})


def _elsewhere(machine: Machine, node: ast.Nonlocal | ast.Global, frame: Frame) -> None:
    for name in node.names:
        place: dict[str, Value] = frame.source.values
        if isinstance(node, ast.Global):
            module_name(machine, frame.source, name)
        outer = frame.outer if isinstance(node, ast.Nonlocal) else None
        while outer is not None:
            if name in outer.names:
                place = outer.names
                break
            outer = outer.outer
        frame.elsewhere[name] = place


def _import_from(machine: Machine, node: ast.ImportFrom, frame: Frame) -> None:
    for alias in node.names:
        if alias.name == "*":
            continue
        value = run_from_import(machine, node, alias.name, frame)
        if value is ABSENT:
            raise Raised("ImportError", f"cannot import name {alias.name}")
        machine.bind(frame, alias.asname or alias.name, value)


FORKS: dict[type, ForkReader[Machine]] = {ast.If: _if, ast.Match: _match}
STATEMENTS: dict[type, Reader[Machine]] = {
    ast.Expr: _expression,
    ast.Pass: _pass,
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Delete: _delete,
    ast.Return: _return,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.Raise: _raise,
    ast.Assert: _assert,
    ast.For: run_for,
    ast.AsyncFor: run_for,
    ast.While: run_while,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _class,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.TryStar: _try,
    ast.Global: _elsewhere,
    ast.Nonlocal: _elsewhere,
    ast.Import: run_import,
    ast.ImportFrom: _import_from,
}
