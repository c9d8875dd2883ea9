"""Calls: binding arguments to parameters, and running what is called."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from ml_switcheroo.sources.static.python.classes import find, instantiate
from ml_switcheroo.sources.static.python.counted import is_number, number
from ml_switcheroo.sources.static.python.frames import Class, Frame, Function
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.mappings import OpenDict
from ml_switcheroo.sources.static.python.tables import Ending
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Bound,
    Builtin,
    External,
    Instance,
    Maybe,
    Partial,
    Raised,
    Repeat,
    Value,
    join,
)

__all__ = ["CALLS", "bind"]

_VAGUE = (Maybe, Repeat)


def bind(machine: Machine, function: Function, args: Arguments) -> dict[str, Value]:
    """Bind arguments to the parameters of a function.

    Raises:
        Raised: TypeError, where they do not fit.
    """
    spec = function.node.args
    names = [*spec.posonlyargs, *spec.args]
    found: dict[str, Value] = {}
    rest = _bind_positional(names, args, found)
    opened = args.open_positional or any(isinstance(item, _VAGUE) for item in args.positional)
    if spec.vararg is not None:
        found[spec.vararg.arg] = (*rest, Repeat(UNKNOWN)) if args.open_positional else tuple(rest)
    elif rest and not opened:
        raise Raised("TypeError", f"{function.name} takes {len(names)} arguments")
    _bind_keywords(machine, function, args, found)
    defaults = function.defaults
    for place, name in enumerate(names):
        if name.arg not in found:
            index = place - len(names) + len(defaults)
            found[name.arg] = _missing(
                function, name.arg, defaults[index] if index >= 0 else ABSENT, args, opened
            )
    for name, node, default in zip(spec.kwonlyargs, spec.kw_defaults, function.keyword_defaults, strict=True):
        if name.arg not in found:
            found[name.arg] = _missing(function, name.arg, ABSENT if node is None else default, args, False)
    return found


def _bind_positional(names: list[ast.arg], args: Arguments, found: dict[str, Value]) -> list[Value]:
    for place, value in enumerate(args.positional):
        # Behind an argument that may be missing, no other has a certain place.
        if place >= len(names) or isinstance(value, _VAGUE):
            return args.positional[place:]
        found[names[place].arg] = value
    return []


def _bind_keywords(machine: Machine, function: Function, args: Arguments, found: dict[str, Value]) -> None:
    spec = function.node.args
    accepted = {name.arg for name in [*spec.args, *spec.kwonlyargs]}
    extra: dict[Any, Value] = {}
    for name, value in args.keyword.items():
        if name in accepted:
            if name in found and not args.open_positional:
                raise Raised("TypeError", f"{function.name} has two values for {name}")
            found[name] = value
        else:
            extra[name] = value
    if spec.kwarg is not None:
        found[spec.kwarg.arg] = machine.heap.new(OpenDict(extra) if args.open_keyword else extra)
    elif extra:
        raise Raised("TypeError", f"{function.name} has no parameter {', '.join(map(str, extra))}")


def _missing(function: Function, name: str, default: Value, args: Arguments, opened: bool) -> Value:
    if args.open_keyword or opened:
        return UNKNOWN
    if default is ABSENT:
        raise Raised("TypeError", f"{function.name} needs {name}")
    return default


def _call_function(machine: Machine, function: Function, args: Arguments) -> Value:
    if not machine.enter(function.node):
        return UNKNOWN
    try:
        return _run_function(machine, function, args)
    finally:
        machine.leave(function.node)


def _run_function(machine: Machine, function: Function, args: Arguments) -> Value:
    names = machine.heap.new(bind(machine, function, args))
    if machine.follower is not None:
        for name, value in names.items():
            machine.follower.named(machine, name, value)
    frame = Frame(names, function.source, function.frame, function, function.owner)
    if args.positional:
        first = args.positional[0]
        frame.self_ = first if isinstance(first, Instance | Class) else None
    if function.generator:
        frame.yields = machine.heap.new([])
    before, machine.frame = machine.frame, frame
    try:
        if isinstance(function.node, ast.Lambda):
            return machine.evaluate(function.node.body, frame)
        outcome = machine.run(function.node.body, frame)
    finally:
        machine.frame = before
    if frame.yields is not None:
        return frame.yields
    if isinstance(function.node, ast.AsyncFunctionDef):
        return UNKNOWN  # a coroutine, which nobody awaits here
    last = outcome.value if outcome.ending is Ending.RETURN else None
    # Where the last statement returns, whatever did not come that far has returned before.
    if outcome.ending is not Ending.RETURN and frame.returned and _always_returns(function.node.body):
        return join(frame.returned)
    return join([*frame.returned, last])


def _always_returns(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Return | ast.Raise)


def _call_bound(machine: Machine, bound: Bound, args: Arguments) -> Value:
    return machine.call(bound.function, args.after(bound.owner))


def _call_partial(machine: Machine, partial: Partial, args: Arguments) -> Value:
    merged = Arguments(
        [*partial.args.positional, *args.positional],
        {**partial.args.keyword, **args.keyword},
        partial.args.open_positional or args.open_positional,
        partial.args.open_keyword or args.open_keyword,
    )
    return machine.call(partial.function, merged)


def _call_builtin(machine: Machine, builtin: Builtin, args: Arguments) -> Value:
    if builtin.owner is not None:
        args = args.after(builtin.owner)
    found = builtin.run(machine, args)
    counted = found is UNKNOWN and builtin.name in _COUNTING and any(map(is_number, args.positional))
    return number() if counted else found


_COUNTING = frozenset(
    "int float abs round min max sum sqrt ceil floor log log2 pow prod divmod exp isqrt".split()
)


def _call_class(machine: Machine, cls: Class, args: Arguments) -> Value:
    if any(isinstance(base, External) and base.name.startswith("enum.") for base in cls.mro):
        members = [item for item in cls.attrs.values() if isinstance(item, Instance)]
        return join(_meant(cls, members, args)) if members else UNKNOWN
    return instantiate(machine, cls, args)


def _meant(cls: Class, members: list[Instance], args: Arguments) -> list[Instance]:
    """Return the members of an enumeration that a call may mean: ``Format("NHWC")`` is one."""
    (given, *rest) = args.positional or [UNKNOWN]
    made = {"__new__", "__init__"}
    own = any(not made.isdisjoint(one.attrs) for one in cls.mro if isinstance(one, Class))
    values = [member.attrs["value"] for member in members]
    if rest or args.keyword or own or not all(isinstance(value, int | str) for value in values):
        return members
    found = [one for one in members if one is given]
    if isinstance(given, int | str):
        found += [one for one in members if one.attrs["value"] == given]
    return found[:1] or members


def _call_external(machine: Machine, external: External, args: Arguments) -> Value:
    return machine.tables.outside.call(machine, external.name, args)


def _call_instance(machine: Machine, instance: Instance, args: Arguments) -> Value:
    if machine.follower is not None and (made := machine.follower.called(machine, instance, args)):
        return made[0]
    if instance.marks.calls is not None:
        return machine.call(instance.marks.calls, args)
    for name in machine.tables.outside.called:
        method, owner = find(instance.cls, name)
        if isinstance(owner, Class):
            return machine.call(method, args.after(instance))
    return machine.tables.outside.call_instance(machine, instance, args)


CALLS: dict[type, Callable[[Machine, Any, Arguments], Value]] = {
    Function: _call_function,
    Bound: _call_bound,
    Partial: _call_partial,
    Builtin: _call_builtin,
    Class: _call_class,
    External: _call_external,
    Instance: _call_instance,
}
