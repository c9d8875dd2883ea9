"""The built-in functions that make and take iterables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from ml_switcheroo.sources.static.python.classes import find
from ml_switcheroo.sources.static.python.containers import expand
from ml_switcheroo.sources.static.python.counted import whole_numbers
from ml_switcheroo.sources.static.python.frames import Class
from ml_switcheroo.sources.static.python.heap import plain
from ml_switcheroo.sources.static.python.mappings import OpenDict
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Foreign,
    Instance,
    Maybe,
    OneOf,
    Raised,
    Repeat,
    Unknown,
    Value,
    join,
    known,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["ITERATION", "length"]


def length(machine: Machine, value: Value) -> Value:
    """Return ``len(value)``."""
    if isinstance(value, str | bytes | range | frozenset):
        return len(value)
    if isinstance(value, Foreign):
        return machine.read(value, "__len__")
    if isinstance(value, Unknown) and value.symbol:
        return machine.unknown(f"len({value.symbol})")
    items = expand(machine, value) if isinstance(value, list | tuple | dict | set | OneOf) else None
    if isinstance(value, Instance):
        method, where = find(value.cls, "__len__")
        if isinstance(where, Class):
            return machine.call(method, Arguments([value]))
        items = (
            expand(machine, value)
            if value.items is not None or value.base in machine.tables.outside.keyed
            else None
        )
    return len(items) if items is not None and plain(items) else UNKNOWN


def _len(machine: Machine, args: Arguments) -> Value:
    return machine.spread(lambda value: length(machine, value), args.positional[0])


def _range(machine: Machine, args: Arguments) -> Value:
    def run(*bounds: Value) -> Value:
        plainly = whole_numbers(bounds)
        if plainly is not None:
            return range(*plainly) if len(plainly) < 3 or plainly[2] else UNKNOWN
        if len(bounds) == 1 and isinstance(bounds[0], Unknown) and bounds[0].symbol:
            return machine.heap.new([Repeat(UNKNOWN, bounds[0].symbol)])
        return UNKNOWN

    return machine.spread(run, *args.positional)


def _collection(make: Callable[[list[Value]], Value]) -> Callable[[Machine, Arguments], Value]:
    def run(machine: Machine, args: Arguments) -> Value:
        if not args.positional:
            return machine.heap.new(make([]))
        items = expand(machine, args.positional[0])
        if items is None:
            items = [Repeat(UNKNOWN)]
        # Nobody knows which of several unknown items are the same one.
        if make is set and not known(items):
            return UNKNOWN
        return machine.heap.new(make(items))

    return run


def _dict(machine: Machine, args: Arguments) -> Value:
    made: dict[Any, Value] = OpenDict() if args.open_keyword else {}
    if args.positional and (isinstance(args.positional[0], Unknown | OpenDict)):
        made = OpenDict()
    machine.heap.new(made)
    machine.call(machine.read(made, "update"), Arguments(list(args.positional), args.keyword))
    return made


def _enumerate(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[0])
    start = args.get(1, "start", 0)
    if items is None:
        return [Repeat((UNKNOWN, UNKNOWN))]
    found: list[Value] = []
    sure = True
    for place, item in enumerate(items):
        sure = sure and not isinstance(item, Maybe | Repeat)
        number = place + start if sure and isinstance(start, int) else UNKNOWN
        found.append(_like(item, (number, _bare(item))))
    return machine.heap.new(found)


def _like(item: Value, value: Value) -> Value:
    """Return a value that is there as often as an item is."""
    if isinstance(item, Repeat):
        return Repeat(value, item.count)
    return Maybe(value) if isinstance(item, Maybe) else value


def _zip(machine: Machine, args: Arguments) -> Value:
    return machine.heap.new(_rows(machine, args.positional))


def _rows(machine: Machine, values: Sequence[Value]) -> list[Value]:
    """Return tuples of the items that several iterables have at each place."""
    columns = [expand(machine, value) for value in values]
    plainly = [column for column in columns if column is not None and plain(column)]
    if plainly:
        rows = min(len(column) for column in plainly)
        filled = [_column(column, rows) for column in columns]
        return [tuple(column[row] for column in filled) for row in range(rows)]
    items = [UNKNOWN if column is None else join(_bare(item) for item in column) for column in columns]
    return [Repeat(tuple(items))]


def _column(column: list[Value] | None, rows: int) -> list[Value]:
    if column is None:
        return [UNKNOWN] * rows
    if plain(column):
        return column
    return [join(_bare(item) for item in column)] * rows


def _bare(item: Value) -> Value:
    return item.value if isinstance(item, Maybe | Repeat) else item


def _reversed(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[0])
    return machine.heap.new([Repeat(UNKNOWN)] if items is None else items[::-1])


def _sorted(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[0])
    if items is None:
        return [Repeat(UNKNOWN)]
    if known(items) and "key" not in args.keyword:
        try:
            return machine.heap.new(
                sorted(cast("list[Any]", items), reverse=bool(args.keyword.get("reverse", False)))
            )
        except TypeError as error:
            raise Raised("TypeError", str(error)) from error
    return machine.heap.new([Repeat(join(_bare(item) for item in items))] if items else [])


def _map(machine: Machine, args: Arguments) -> Value:
    found: list[Value] = []
    for row in _rows(machine, args.positional[1:]):
        bare = _bare(row)
        given = list(bare) if isinstance(bare, tuple) else [bare]
        value = machine.call(args.positional[0], Arguments(given))
        found.append(Repeat(value) if isinstance(row, Repeat) else value)
    return machine.heap.new(found)


def _filter(machine: Machine, args: Arguments) -> Value:
    found: list[Value] = []
    for item in expand(machine, args.positional[1]) or [Repeat(UNKNOWN)]:
        kept = _bare(item)
        truth = machine.truth(
            kept if args.positional[0] is None else machine.call(args.positional[0], Arguments([kept]))
        )
        if truth is not False:
            found.append(item if truth or isinstance(item, Repeat) else Maybe(kept))
    return machine.heap.new(found)


def _iter(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[0])
    return machine.heap.new([Repeat(UNKNOWN)] if items is None else items)


def _next(machine: Machine, args: Arguments) -> Value:
    value = args.positional[0]
    if isinstance(value, list) and value and plain(value[:1]):
        return machine.heap.touch(value).pop(0)
    if isinstance(value, list) and not value:
        if len(args.positional) > 1:
            return args.positional[1]
        raise Raised("StopIteration")
    return UNKNOWN


ITERATION: dict[str, Callable[[Machine, Arguments], Value]] = {
    "len": _len,
    "range": _range,
    "list": _collection(list),
    "tuple": _collection(tuple),
    "set": _collection(set),
    "dict": _dict,
    "enumerate": _enumerate,
    "zip": _zip,
    "reversed": _reversed,
    "sorted": _sorted,
    "map": _map,
    "filter": _filter,
    "iter": _iter,
    "next": _next,
}
