"""Copies of values: the modules copy and dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.classes import find, new_instance
from ml_switcheroo.sources.static.python.frames import Class
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Builtin,
    External,
    Foreign,
    Instance,
    Maybe,
    OneOf,
    Repeat,
    Value,
    join,
    options,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["COPIES"]


def _dataclass(machine: Machine, args: Arguments) -> Value:
    """Make a dataclass of a class, or return what does."""
    if not args.positional:
        return Builtin("dataclass", _dataclass)
    for one in options(args.positional[0]):
        if isinstance(one, Class):
            one.dataclass = True
    return args.positional[0]


def _deepcopy(machine: Machine, args: Arguments) -> Value:
    return copied(machine, args.positional[0], {})


def copied(machine: Machine, value: Value, seen: dict[int, Value]) -> Value:
    """Return a deep copy of a value."""
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, list):
        made: Any = machine.heap.new([])
        seen[id(value)] = made
        made.extend(copied(machine, item, seen) for item in value)
    elif isinstance(value, dict):
        made = machine.heap.new(value.copy())
        made.clear()
        seen[id(value)] = made
        made.update({key: copied(machine, item, seen) for key, item in value.items()})
    elif isinstance(value, tuple):
        made = tuple(copied(machine, item, seen) for item in value)
    elif isinstance(value, Maybe):
        made = Maybe(copied(machine, value.value, seen))
    elif isinstance(value, Repeat):
        made = Repeat(copied(machine, value.value, seen), value.count)
    elif isinstance(value, Instance):
        made = _copied_instance(machine, value, seen)
    elif isinstance(value, Foreign):
        made = value.copied()
        seen[id(value)] = made
    elif isinstance(value, OneOf):
        made = join(copied(machine, one, seen) for one in value.choices)
    else:
        made = machine.heap.new(value.copy()) if isinstance(value, set) else value
    return made


def _copied_instance(machine: Machine, value: Instance, seen: dict[int, Value]) -> Instance:
    made = new_instance(machine, value.cls)
    seen[id(value)] = made
    made.site, made.base, made.open, made.args = value.site, value.base, value.open, dict(value.args)
    made.attrs.update({key: copied(machine, item, seen) for key, item in value.attrs.items()})
    made.args_open, made.uses = value.args_open, value.uses.copy() if value.uses is not None else None
    for name, item in value.slots.items():
        copy = copied(machine, item, seen)
        if isinstance(copy, Foreign):
            made.slots[name] = copy
    made.marks.become(value.marks)
    made.marks.contents = copied(machine, value.marks.contents, seen)
    if value.items is not None:
        made.items = machine.heap.new([copied(machine, item, seen) for item in value.items])
    return made


def _copy(machine: Machine, args: Arguments) -> Value:
    value = args.positional[0]
    return (
        machine.heap.new(value.copy()) if isinstance(value, list | dict | set) else _deepcopy(machine, args)
    )


def _field(machine: Machine, args: Arguments) -> Value:
    made = Instance(External("dataclasses.field"))
    made.args = dict(args.keyword)
    return made


def _replace(machine: Machine, args: Arguments) -> Value:
    value = args.positional[0]
    if not isinstance(value, Instance):
        return UNKNOWN
    made = new_instance(machine, value.cls)
    made.attrs.update({**value.attrs, **args.keyword})
    if args.open_keyword:
        made.attrs.update(dict.fromkeys(made.attrs.keys() - args.keyword.keys(), UNKNOWN))
    return made


def _asdict(machine: Machine, args: Arguments) -> Value:
    value = args.positional[0]
    return machine.heap.new(dict(value.attrs)) if isinstance(value, Instance) else UNKNOWN


def _default(value: Value) -> Value:
    """Return the default that a field of a dataclass has, by what the class holds under its name."""
    if isinstance(value, Instance) and value.cls == External("dataclasses.field"):
        value = value.args.get("default", ABSENT)
    return External("dataclasses.MISSING") if value is ABSENT else value


def _fields(machine: Machine, args: Arguments) -> Value:
    value = args.positional[0]
    cls = value.cls if isinstance(value, Instance) else value
    if not isinstance(cls, Class):
        return UNKNOWN
    found = []
    for name in cls.fields:
        made = new_instance(machine, External("builtins.object"))
        made.attrs["name"], made.attrs["default"] = name, _default(find(cls, name)[0])
        found.append(made)
    return tuple(found)


COPIES: dict[str, Callable[[Machine, Arguments], Value]] = {
    "copy.deepcopy": _deepcopy,
    "copy.copy": _copy,
    "dataclasses.dataclass": _dataclass,
    "dataclasses.field": _field,
    "huggingface_hub.dataclasses.as_validated_field": lambda machine, args: Builtin("field", _field),
    "huggingface_hub.dataclasses.validated_field": _field,
    "dataclasses.replace": _replace,
    "dataclasses.asdict": _asdict,
    "dataclasses.fields": _fields,
}
