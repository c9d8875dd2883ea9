"""The built-in functions that look at what things are, and at their attributes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ml_switcheroo.code.library import OPAQUE, Source
from ml_switcheroo.sources.static.python.classes import find, is_subclass, new_instance
from ml_switcheroo.sources.static.python.containers import find_key
from ml_switcheroo.sources.static.python.frames import Class, Function, Super
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Bound,
    Builtin,
    External,
    Instance,
    Names,
    OneOf,
    Partial,
    Raised,
    Text,
    Unknown,
    Value,
    options,
)
from ml_switcheroo.sources.static.python.wrapping import unwrapped

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["INTROSPECTION", "SMALL_CLASSES", "TYPES", "instance_of", "is_class", "is_dataclass", "signature"]

TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "bytes": bytes,
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "set": set,
    "frozenset": frozenset,
    "complex": complex,
}


_ABSTRACT: dict[str, Any] = {
    "Iterable": (list, tuple, dict, set, str, range),
    "Sequence": (list, tuple, str, range),
    "Mapping": dict,
    "MutableMapping": dict,
    "Callable": (Function, Builtin, Class, Partial, Bound),
    "FunctionType": Function,
    "LambdaType": Function,
    "MethodType": Bound,
    "Number": (int, float),
    "OrderedDict": dict,
    "Hashable": (int, str, float, tuple),
}


def _isinstance(machine: Machine, args: Arguments) -> Value:
    value, classes = args.positional[:2]

    def run(one: Value) -> Value:
        answer = instance_of(machine, one, classes)
        return UNKNOWN if answer is None else answer

    return machine.spread(run, value)


def instance_of(machine: Machine, value: Value, cls: Value) -> bool | None:
    """Tell whether ``isinstance(value, cls)``; None where nobody knows."""
    if isinstance(cls, tuple | list):
        answers = [instance_of(machine, value, one) for one in cls]
        return True if True in answers else (None if None in answers else False)
    if isinstance(value, Unknown | OneOf) or isinstance(cls, Unknown):
        return None
    if isinstance(cls, OneOf):
        found = {instance_of(machine, value, one) for one in cls.choices}
        return found.pop() if len(found) == 1 else None
    if isinstance(value, Instance):
        return is_subclass(machine, value.cls, cls) if isinstance(cls, Class | External) else False
    run = machine.tables.instances.get(type(value))
    if run is not None:
        return run(value, cls)
    if isinstance(cls, Builtin) and cls.name in TYPES:
        wanted = TYPES[cls.name]
        return isinstance(value, wanted) or (wanted is str and isinstance(value, Text))
    if isinstance(cls, External):
        return _abstract(machine, value, cls.name)
    if isinstance(cls, Builtin):
        if cls.name == "type":
            return is_class(value)
        return isinstance(value, Partial) if cls.name == "partial" else None
    return False


SMALL_CLASSES = set(
    "type object property staticmethod classmethod super slice range zip map filter enumerate reversed "
    "partial defaultdict deque chain product repeat accumulate "
    "memoryview bytearray".split()
)
"""Classes that are spelled like functions; whoever knows a package adds its own."""


def is_class(value: Value) -> bool | None:
    """Tell whether a value is a class; None where nobody knows."""
    if isinstance(value, Builtin):
        return value.name in TYPES or value.name in SMALL_CLASSES or value.name[:1].isupper()
    if not isinstance(value, External):
        return None if isinstance(value, Unknown | OneOf) else isinstance(value, Class)
    home, _, last = value.name.rpartition(".")
    if last in SMALL_CLASSES or last.lstrip("_")[:1].isupper():
        return bool(home)
    return False if not home or home.partition(".")[0] in OPAQUE else None


def _abstract(machine: Machine, value: Value, name: str) -> bool | None:
    word = name.rpartition(".")[2]
    if word in _ABSTRACT:
        return (
            isinstance(value, _ABSTRACT[word]) or None
            if isinstance(value, External)
            else isinstance(value, _ABSTRACT[word])
        )
    if name.startswith(machine.tables.outside.apart):
        return None if isinstance(value, External) else False
    return None


def _issubclass(machine: Machine, args: Arguments) -> Value:
    def run(one: Value) -> Value:
        if not isinstance(one, Class | External):
            return UNKNOWN
        answer = is_subclass(machine, one, args.positional[1])
        return UNKNOWN if answer is None else answer

    return machine.spread(run, args.positional[0])


def _hasattr(machine: Machine, args: Arguments) -> Value:
    owner, name = args.positional[:2]
    if not isinstance(name, str):
        return UNKNOWN

    def run(one: Value) -> Value:
        if isinstance(one, Instance):
            held = find_key(one.attrs, name)
            if ABSENT in options(held) and held is not ABSENT:
                return UNKNOWN
        try:
            found = machine.read(one, name)
        except Raised:
            return False
        return (
            Unknown(f"hasattr({found.symbol})" if found.symbol else "")
            if isinstance(found, Unknown)
            else True
        )

    return machine.spread(run, owner)


def _getattr(machine: Machine, args: Arguments) -> Value:
    owner, name = args.positional[:2]
    if isinstance(name, Text) and isinstance(owner, Instance):
        return find_key(owner.attrs, name)
    if not isinstance(name, str):
        return UNKNOWN
    if len(args.positional) < 3:
        return machine.read(owner, name)
    try:
        return machine.read(owner, name)
    except Raised:
        return args.positional[2]


def _setattr(machine: Machine, args: Arguments) -> Value:
    machine.write(*args.positional[:3])
    return None


def _delattr(machine: Machine, args: Arguments) -> Value:
    for owner in options(args.positional[0]):
        if isinstance(owner, Instance):
            machine.heap.touch(owner.attrs)
            owner.attrs.pop(args.positional[1], None)
    return None


def _super(machine: Machine, args: Arguments) -> Value:
    if len(args.positional) >= 2:
        start, owner = args.positional[:2]
        return Super(owner, start) if isinstance(start, Class) else UNKNOWN
    frame = machine.frame
    while frame is not None and frame.owner is None:
        frame = frame.outer
    holder = frame
    while holder is not None and holder.self_ is None:
        holder = holder.outer
    if frame is None or frame.owner is None or holder is None:
        return UNKNOWN
    return Super(holder.self_, frame.owner)


def _type(machine: Machine, args: Arguments) -> Value:
    value = args.positional[0]
    if isinstance(value, Instance):
        return value.cls
    name = type(value).__name__
    return machine.builtins[name] if name in TYPES and len(args.positional) == 1 else UNKNOWN


def is_dataclass(machine: Machine, args: Arguments) -> Value:
    """Tell what ``dataclasses.is_dataclass`` does."""

    def run(value: Value) -> Value:
        cls = value.cls if isinstance(value, Instance) else value
        if isinstance(cls, Class):
            return (
                cls.dataclass or any(isinstance(one, Class) and one.dataclass for one in cls.mro) or UNKNOWN
            )
        return UNKNOWN if isinstance(cls, Unknown | External) else False

    return machine.spread(run, args.positional[0])


def _callable(machine: Machine, args: Arguments) -> Value:
    value = args.positional[0]
    if isinstance(value, Unknown | OneOf):
        return UNKNOWN
    return isinstance(value, Function | Builtin | Class | Partial | Bound | External | Instance)


def _names(machine: Machine, args: Arguments) -> Value:
    if args.positional:
        owner = args.positional[0]
        if isinstance(owner, Source):
            return Names(owner)
        return owner.attrs if isinstance(owner, Instance) else machine.read(owner, "__dict__")
    return machine.heap.new(dict(machine.frame.names)) if machine.frame is not None else UNKNOWN


def signature(machine: Machine, args: Arguments) -> Value:
    """Return what ``inspect.signature`` does: the parameters of a function by name, with their defaults."""
    value = args.positional[0] if args.positional else UNKNOWN
    bound = isinstance(value, Bound | Class)
    if isinstance(value, Class):
        value = find(value, "__init__")[0]
    value = unwrapped(value.function if isinstance(value, Bound) else value)
    if not isinstance(value, Function):
        return UNKNOWN
    made = new_instance(machine, External("inspect.Signature"))
    made.attrs["parameters"] = machine.heap.new(dict(list(_parameters(machine, value))[bound:]))
    return made


_PARAMETER = (
    "POSITIONAL_ONLY",
    "POSITIONAL_OR_KEYWORD",
    "VAR_POSITIONAL",
    "KEYWORD_ONLY",
    "VAR_KEYWORD",
    "empty",
)


def _parameters(machine: Machine, function: Function) -> Iterator[tuple[str, Value]]:
    spec = function.node.args
    names = [*spec.posonlyargs, *spec.args]
    defaults = [ABSENT] * (len(names) - len(function.defaults)) + function.defaults
    rows: list[tuple[ast.arg | None, Value, str]] = [
        *((arg, default, "POSITIONAL_OR_KEYWORD") for arg, default in zip(names, defaults, strict=True)),
        (spec.vararg, ABSENT, "VAR_POSITIONAL"),
        *(
            (arg, ABSENT if node is None else default, "KEYWORD_ONLY")
            for arg, node, default in zip(
                spec.kwonlyargs, spec.kw_defaults, function.keyword_defaults, strict=True
            )
        ),
        (spec.kwarg, ABSENT, "VAR_KEYWORD"),
    ]
    for arg, default, kind in rows:
        if arg is not None:
            made = new_instance(machine, External("inspect.Parameter"))
            made.attrs.update({word: External(f"inspect.Parameter.{word}") for word in _PARAMETER})
            made.attrs.update({"name": arg.arg, "kind": made.attrs[kind]})
            made.attrs["default"] = made.attrs["empty"] if default is ABSENT else default
            yield arg.arg, made


INTROSPECTION: dict[str, Callable[[Machine, Arguments], Value]] = {
    "isinstance": _isinstance,
    "issubclass": _issubclass,
    "hasattr": _hasattr,
    "getattr": _getattr,
    "setattr": _setattr,
    "delattr": _delattr,
    "super": _super,
    "type": _type,
    "callable": _callable,
    "vars": _names,
    "locals": _names,
}
