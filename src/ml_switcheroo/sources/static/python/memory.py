"""What a constructor has made for plain arguments: made again as a copy, not read again.

A model has many blocks of one class with the same arguments, and is read several times. A constructor
that is given plain values alone, and changes nothing but what it makes, makes the same each time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ml_switcheroo.sources.static.python.frames import Class, Function
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.made import Made
from ml_switcheroo.sources.static.python.marks import Marks
from ml_switcheroo.sources.static.python.values import (
    Absent,
    Arguments,
    Bound,
    Builtin,
    External,
    Foreign,
    Instance,
    Maybe,
    OneOf,
    Partial,
    Repeat,
    Site,
    Text,
    Unknown,
    Value,
    next_serial,
    options,
)

__all__ = ["again", "key_of", "watching"]

_FEWEST = 60
"""Expressions and statements of a constructor that is worth remembering."""

_DEEPEST = 6
"""How deep the parts of an argument are looked at."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), Absent)
_SHARED = (*_PLAIN, Unknown, Text, External, Site, range)


class _Unsuited(Exception):  # caught where it is asked for
    """The value holds something that a copy would not be the same as."""


def again(machine: Machine, key: Hashable) -> Instance | None:
    """Return a copy of what was made for the key; None where nothing is remembered."""
    found = machine.made.get(key) if key is not None else None
    if found is None:
        return None
    machine.take(found.steps)
    copy = _Copy(machine, lambda place: id(place) in found.kept).of(found.value)
    return copy if isinstance(copy, Instance) else None


@contextmanager
def watching(machine: Machine, key: Hashable, args: Arguments) -> Iterator[list[Instance]]:
    """Remember what is made meanwhile and put into the list, where a copy can stand for it."""
    found: list[Instance] = []
    if key is None:
        yield found
        return
    before, steps = _circumstances(machine), machine.taken
    first = next_serial()
    with machine.heap.watch(first) as changes:
        yield found
    steps = machine.taken - steps
    if found and not changes and steps >= _FEWEST and before == _circumstances(machine):
        kept = dict(_held(args))
        copy = _Copy(machine, lambda place: _keep(machine, place, first, kept), first)
        try:
            value = copy.instance(found[0])
        except _Unsuited:
            return
        machine.made[key] = Made(value, kept, steps, args)


def key_of(machine: Machine, cls: Class, args: Arguments) -> Hashable:
    """Return what stands for a class, plain arguments and the place of the call; None for any other."""
    heap = machine.heap
    if args.open_positional or args.open_keyword or machine.guarded or not machine.sites:
        return None
    if heap.changed or heap.at_module_level or not heap.lasting(cls.attrs):
        return None
    try:
        given = _plain_arguments(machine, args)
    except _Unsuited:
        return None
    taken_for = frozenset(machine.assumed.items()), frozenset(machine.solved.items())
    return id(cls), machine.sites[-1].node, heap.edition, taken_for, given


def _plain_arguments(machine: Machine, args: Arguments, depth: int = 0) -> Hashable:
    keyword = ((name, _plain(machine, value, depth)) for name, value in args.keyword.items())
    return tuple(_plain(machine, value, depth) for value in args.positional), tuple(keyword)


def _plain(machine: Machine, value: Value, depth: int = 0) -> Hashable:
    """Return what stands for a value: equal only where it is the same, and holds the same."""
    if isinstance(value, _PLAIN):
        return type(value), repr(value)
    if isinstance(value, External | Unknown | Text):
        return value
    if isinstance(value, Class | Function) and machine.heap.lasting(value.attrs):
        return id(value)
    if isinstance(value, Builtin) and machine.builtins.get(value.name) is value:
        return id(value)
    if depth < _DEEPEST:
        return _plain_parts(machine, value, depth + 1)
    raise _Unsuited


def _plain_parts(machine: Machine, value: Value, depth: int) -> Hashable:
    if isinstance(value, tuple):
        return tuple(_plain(machine, item, depth) for item in value)
    if isinstance(value, OneOf):
        return "one of", tuple(_plain(machine, one, depth) for one in value.choices)
    if isinstance(value, Partial) and not (value.args.open_positional or value.args.open_keyword):
        return "partial", _plain(machine, value.function, depth), _plain_arguments(machine, value.args, depth)
    if type(value) is list:
        return id(value), tuple(_plain(machine, item, depth) for item in value)
    if type(value) is dict:
        return id(value), tuple((key, _plain(machine, item, depth)) for key, item in value.items())
    if isinstance(value, Instance) and not (value.base or value.open or _is_marked(value)):
        return _plain(machine, value.cls, depth), _plain(machine, value.attrs, depth)
    raise _Unsuited


def _is_marked(value: Instance) -> bool:
    marks = value.marks
    facts = marks.contents is not None or marks.reparametrized != () or marks.hooked is not False
    return facts or marks.calls is not None or value.uses is not None


def _held(value: Value) -> Iterator[tuple[int, Value]]:
    """Yield the lists and dictionaries that plain arguments hold, by id."""
    if isinstance(value, list | dict):
        yield id(value), value
    for item in _parts(value):
        yield from _held(item)


def _parts(value: Value) -> Iterable[Value]:
    if isinstance(value, Arguments):
        return [*value.positional, *value.keyword.values()]
    if isinstance(value, Instance | Partial):
        return [value.attrs if isinstance(value, Instance) else value.args]
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else options(value) if isinstance(value, OneOf) else ()


def _circumstances(machine: Machine) -> tuple[int, ...]:
    """Return what tells that something was noted, cut off or raised meanwhile."""
    return (
        len(machine.heap.raised),
        machine.cut,
        len(machine.patched),
        machine.heap.edition,
        len(machine.blind),
        machine.heap.changed,
    )


def _keep(machine: Machine, place: Value, first: int, kept: dict[int, Value]) -> bool:
    """Tell whether a place was there before; one that nobody has announced is unsuited."""
    if id(place) in kept:
        return True
    if machine.heap.lasting(place):
        kept[id(place)] = place
        return True
    if machine.heap.born(place) < first:
        raise _Unsuited
    return False


class _Copy:
    """Copies a value with everything it has made; ``keeps`` says what is shared."""

    def __init__(self, machine: Machine, keeps: Callable[[Value], bool], first: int = 0) -> None:
        self._machine = machine
        self._keeps = keeps
        self._first = first
        self._seen: dict[int, Value] = {}

    def of(self, value: Value) -> Value:
        if isinstance(value, _SHARED):
            return value
        if id(value) in self._seen:
            return self._seen[id(value)]
        run = _COPIES.get(type(value))
        if isinstance(value, Foreign):
            return self.foreign(value)
        if run is None:
            raise _Unsuited
        return run(self, value)

    def place(self, value: Any) -> Any:
        """Copy a list, a dictionary or a set."""
        if self._keeps(value):
            return value
        made = value.copy()
        made.clear()
        self._seen[id(value)] = self._machine.heap.new(made)
        if isinstance(value, dict):
            made.update({key: self.of(item) for key, item in value.items()})
        elif isinstance(value, list):
            made.extend(self.of(item) for item in value)
        else:
            made.update(value)
        return made

    def instance(self, value: Instance) -> Instance:
        if self._keeps(value.attrs):
            return value
        made = Instance(self.of(value.cls), base=value.base, site=value.site, open=value.open)
        self._seen[id(value)] = made
        if value.uses is not None:  # it has been called: what became of it then is another one's
            raise _Unsuited
        made.attrs, made.marks = self.place(value.attrs), self.marks(value.marks)
        made.args_open, made.slots = value.args_open, self.slots(value.slots)
        made.items = None if value.items is None else self.place(value.items)
        made.args = {name: self.of(item) for name, item in value.args.items()}
        return made

    def slots(self, value: dict[str, Foreign]) -> dict[str, Foreign]:
        if not value:
            return {}
        found = {name: self.of(one) for name, one in value.items()}
        return {name: one for name, one in found.items() if isinstance(one, Foreign)}

    def marks(self, value: Marks) -> Marks:
        made = self._machine.heap.new(value.copy())
        made.contents, made.calls = self.of(value.contents), self.of(value.calls)
        return made

    def foreign(self, value: Foreign) -> Foreign:
        made = value.made_again(self.of, self._first)
        if made is None:
            raise _Unsuited
        self._seen[id(value)] = made
        return made

    def definition(self, value: Class | Function) -> Value:
        """Return a class or function: one that the constructor has made closes over what is copied."""
        if not self._keeps(value.attrs):
            raise _Unsuited
        return value

    def builtin(self, value: Builtin) -> Builtin:
        if getattr(value.run, "__closure__", None) or value.owner is not None:
            raise _Unsuited
        return value

    def arguments(self, value: Arguments) -> Arguments:
        return Arguments(
            [self.of(item) for item in value.positional],
            {name: self.of(item) for name, item in value.keyword.items()},
            value.open_positional,
            value.open_keyword,
        )


_COPIES: dict[type, Callable[[_Copy, Any], Value]] = {
    list: _Copy.place,
    dict: _Copy.place,
    set: _Copy.place,
    tuple: lambda copy, value: tuple(copy.of(item) for item in value),
    Instance: _Copy.instance,
    Class: _Copy.definition,
    Function: _Copy.definition,
    Builtin: _Copy.builtin,
    Bound: lambda copy, value: Bound(copy.of(value.function), copy.of(value.owner)),
    Partial: lambda copy, value: Partial(copy.of(value.function), copy.arguments(value.args)),
    OneOf: lambda copy, value: OneOf(tuple(copy.of(item) for item in value.choices)),
    Maybe: lambda copy, value: Maybe(copy.of(value.value)),
    Repeat: lambda copy, value: Repeat(copy.of(value.value), value.count),
}
