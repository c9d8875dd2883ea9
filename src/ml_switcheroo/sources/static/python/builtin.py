"""The functions of Python that need no import."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.classes import OBJECT, find
from ml_switcheroo.sources.static.python.containers import expand
from ml_switcheroo.sources.static.python.frames import Class
from ml_switcheroo.sources.static.python.introspection import INTROSPECTION
from ml_switcheroo.sources.static.python.iteration import ITERATION
from ml_switcheroo.sources.static.python.lookups import BY_NAME
from ml_switcheroo.sources.static.python.mappings import DefaultDict, OpenDict
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Builtin,
    External,
    Instance,
    Maybe,
    OneOf,
    Raised,
    Repeat,
    Text,
    Unknown,
    Value,
    known,
    options,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["BUILTINS", "TRUTHS"]

_PURE = """abs bool bytes chr complex divmod float format hex int max min oct ord pow repr round str sum
    all any frozenset""".split()


def _pure(name: str) -> Callable[[Machine, Arguments], Value]:
    function = getattr(builtins, name)

    def run(machine: Machine, args: Arguments) -> Value:
        if args.open_positional or args.open_keyword:
            return UNKNOWN
        if not known(args.keyword) or not known(args.positional) or name == "pow":
            return _nearly(machine, name, args)
        try:
            return function(*args.positional, **args.keyword)
        except (TypeError, ValueError, ArithmeticError, IndexError, AttributeError) as error:
            raise Raised(type(error).__name__, str(error)) from error

    return run


def _nearly(machine: Machine, name: str, args: Arguments) -> Value:
    """Return what a pure function gives for values that are not known through and through."""
    if len(args.positional) == 1 and not args.keyword:
        value = args.positional[0]
        if isinstance(value, OneOf):
            return machine.spread(lambda one: BUILTINS[name].run(machine, Arguments([one])), value)
        if name in ("any", "all"):
            return _any_all(machine, name == "any", value)
        if name == "bool":
            truth = machine.truth(value)
            return UNKNOWN if truth is None else truth
        if name in ("int", "float", "str", "abs", "round") and isinstance(value, Unknown):
            return Unknown(f"{name}({value.symbol})") if value.symbol and len(value.symbol) < 90 else UNKNOWN
    return UNKNOWN


def _any_all(machine: Machine, wanted: bool, value: Value) -> Value:
    items = expand(machine, value)
    if items is None:
        return UNKNOWN
    answers = [machine.truth(item) if not isinstance(item, Maybe | Repeat) else None for item in items]
    if wanted in answers:
        return wanted
    return UNKNOWN if None in answers else not wanted


def _none(machine: Machine, args: Arguments) -> Value:
    return None


def _unknown(machine: Machine, args: Arguments) -> Value:
    return UNKNOWN


def _slice(machine: Machine, args: Arguments) -> Value:
    if args.open_positional or not 1 <= len(args.positional) <= 3:
        return UNKNOWN
    return machine.spread(slice, *args.positional)


def _exec(machine: Machine, args: Arguments) -> Value:
    machine.blind = machine.sites[-1].where if machine.sites else "exec"
    return None


def _wrapper(name: str) -> Callable[[Machine, Arguments], Value]:
    """Return what makes a descriptor of a function: ``area = property(_area)``."""
    return lambda machine, args: Builtin(name, _unknown, args.positional[0] if args.positional else None)


_OWN: dict[str, Callable[[Machine, Arguments], Value]] = {
    **ITERATION,
    **INTROSPECTION,
    **BY_NAME,
    "exec": _exec,
    "slice": _slice,
    "print": _none,
    **{name: _wrapper(name) for name in ("property", "staticmethod", "classmethod")},
}
BUILTINS: dict[str, Any] = {name: Builtin(name, _pure(name)) for name in _PURE}
BUILTINS.update({name: Builtin(name, run) for name, run in _OWN.items()})
BUILTINS.update(
    {
        **{
            name: External(f"builtins.{name}")
            for name in vars(builtins)
            if name not in BUILTINS and not name.startswith("_")
        },
        "object": OBJECT,
        "NotImplemented": UNKNOWN,
        **{name: Builtin(name, _unknown) for name in ("id", "hash", "open", "input")},
        **{
            name: External(f"builtins.{name}")
            for name, value in vars(builtins).items()
            if isinstance(value, type) and issubclass(value, BaseException)
        },
    }
)


def _truth_of_items(machine: Machine, value: Any) -> bool | None:
    if not value:
        return None if isinstance(value, OpenDict) else False
    if isinstance(value, set) and UNKNOWN in value:
        return None
    if isinstance(value, dict) and not any(_sure(key, item) for key, item in value.items()):
        return None
    if isinstance(value, list | tuple) and not any(not isinstance(item, Maybe | Repeat) for item in value):
        return True if any(isinstance(item, Repeat) for item in value) else None
    return True


def _sure(key: Value, item: Value) -> bool:
    """Tell whether a dictionary certainly has a key."""
    return not isinstance(key, Text) and ABSENT not in options(item)


def _truth_of_instance(machine: Machine, value: Instance) -> bool | None:
    if value.items is not None or value.base in machine.tables.outside.keyed:
        return _truth_of_items(machine, expand(machine, value))
    for name in ("__bool__", "__len__"):
        method, where = find(value.cls, name)
        if isinstance(where, Class):
            return machine.truth(machine.call(method, Arguments([value])))
    held = value.marks.contents
    return machine.truth(held) if held is not None else True


TRUTHS: dict[type, Any] = {
    **{
        kind: lambda machine, value: bool(value)
        for kind in (bool, int, float, complex, str, bytes, type(None), range)
    },
    **dict.fromkeys((list, tuple, dict, DefaultDict, OpenDict, set, frozenset), _truth_of_items),
    Instance: _truth_of_instance,
    Text: lambda machine, value: True if any(value.parts) else None,
}
