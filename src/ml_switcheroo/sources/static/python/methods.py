"""The methods of lists, dictionaries, sets and strings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.containers import (
    add_item,
    expand,
    find_key,
    remove_item,
    store_item,
    subscript,
)
from ml_switcheroo.sources.static.python.heap import plain
from ml_switcheroo.sources.static.python.mappings import DefaultDict, OpenDict
from ml_switcheroo.sources.static.python.modules import names_of
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Builtin,
    Maybe,
    Names,
    Raised,
    Repeat,
    Text,
    Value,
    contents,
    join,
    known,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["METHODS", "pure_method"]

Method = Callable[["Machine", Arguments], Value]


def pure_method(owner: Value, name: str) -> Value:
    """Return a method without effects: Python's own, for values that are known."""
    if not hasattr(type(owner), name):
        raise Raised("AttributeError", name)
    if name.startswith("_") or not isinstance(
        owner, str | int | float | bytes | tuple | frozenset | set | range
    ):
        return UNKNOWN
    if not callable(getattr(type(owner), name)):
        return getattr(owner, name)

    def run(machine: Machine, args: Arguments) -> Value:
        if args.open_keyword or args.open_positional or not known(args.positional) or not known(args.keyword):
            return UNKNOWN
        if not known(owner) or name in ("zfill", "ljust", "rjust", "center", "expandtabs"):
            return UNKNOWN
        try:
            return getattr(owner, name)(*args.positional, **args.keyword)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
            raise Raised(type(error).__name__, str(error)) from error

    return Builtin(name, run)


def _append(machine: Machine, args: Arguments) -> Value:
    add_item(machine, args.owner(list), args.positional[1])
    return None


def _extend(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[1])
    for item in [Repeat(UNKNOWN)] if items is None else items:
        add_item(machine, args.owner(list), item)
    return None


def _insert(machine: Machine, args: Arguments) -> Value:
    owner, place, value = args.owner(list), args.positional[1], args.positional[2]
    if isinstance(place, int) and plain(owner):
        add_item(machine, owner, value, place)
    else:
        add_item(machine, owner, Maybe(value), 0)
        add_item(machine, owner, Maybe(value))
    return None


def _pop(machine: Machine, args: Arguments) -> Value:
    owner = args.positional[0]
    place = args.positional[1] if len(args.positional) > 1 else -1
    value = subscript(machine, owner, place)
    remove_item(machine, owner, place)
    return value


def _append_left(machine: Machine, args: Arguments) -> Value:
    add_item(machine, args.owner(list), args.positional[1], 0)
    return None


def _extend_left(machine: Machine, args: Arguments) -> Value:
    items = expand(machine, args.positional[1])
    for item in [Repeat(UNKNOWN)] if items is None else items:
        add_item(machine, args.owner(list), item, 0)
    return None


def _pop_left(machine: Machine, args: Arguments) -> Value:
    return _pop(machine, Arguments([args.positional[0], 0]))


def _held(machine: Machine, args: Arguments) -> Any:
    """Return the list, dictionary or set whose method is called, which may change."""
    return machine.heap.touch(args.positional[0])


def _clear(machine: Machine, args: Arguments) -> Value:
    _held(machine, args).clear()
    return None


def _reverse(machine: Machine, args: Arguments) -> Value:
    machine.heap.touch(args.owner(list)).reverse()
    return None


def _sort(machine: Machine, args: Arguments) -> Value:
    owner = machine.heap.touch(args.owner(list))
    if known(owner) and not args.keyword.get("key"):
        owner.sort(reverse=bool(args.keyword.get("reverse", False)))
    else:
        owner[:] = [Repeat(join(_bare(item) for item in owner))] if owner else []
    return None


def _bare(item: Value) -> Value:
    return item.value if isinstance(item, Maybe | Repeat) else item


def _copy(machine: Machine, args: Arguments) -> Value:
    owner: Any = args.positional[0]
    return machine.heap.new(owner.copy())


def _remove(machine: Machine, args: Arguments) -> Value:
    owner = args.owner(list)
    if known(owner) and known(args.positional[1]):
        if args.positional[1] not in owner:
            raise Raised("ValueError", "not in list")
        machine.heap.touch(owner).remove(args.positional[1])
    else:
        machine.heap.touch(owner)
        owner[:] = [item if isinstance(item, Repeat) else Maybe(_bare(item)) for item in owner]
    return None


def _sequence(args: Arguments) -> Sequence[Value]:
    first = args.positional[0]
    return first if isinstance(first, tuple) else args.owner(list)


def _index(machine: Machine, args: Arguments) -> Value:
    owner = _sequence(args)
    if not known(owner) or not known(args.positional[1]):
        return UNKNOWN
    if args.positional[1] not in owner:
        raise Raised("ValueError", "not in list")
    return list(owner).index(args.positional[1])


def _count(machine: Machine, args: Arguments) -> Value:
    owner, item = _sequence(args), args.positional[1]
    return list(owner).count(item) if known(owner) and known(item) else UNKNOWN


def _get(machine: Machine, args: Arguments) -> Value:
    found = find_key(args.owner(dict), args.positional[1])
    default = args.get(2, "default")
    return default if found is ABSENT else join([default, found]) if _unsure(found) else found


def _unsure(value: Value) -> bool:
    return ABSENT in getattr(value, "choices", ())


def _pop_key(machine: Machine, args: Arguments) -> Value:
    owner, key = args.owner(dict), args.positional[1]
    found = find_key(owner, key)
    if found is ABSENT:
        if len(args.positional) < 3:
            raise Raised("KeyError", repr(key))
        return args.positional[2]
    remove_item(machine, owner, key)
    return found


def _popitem(machine: Machine, args: Arguments) -> Value:
    owner = args.owner(dict)
    if not owner:
        raise Raised("KeyError")
    key = next(reversed(owner))
    value = owner[key]
    remove_item(machine, owner, key)
    return (key, value)


def _setdefault(machine: Machine, args: Arguments) -> Value:
    owner, key = args.owner(dict), args.positional[1]
    found = find_key(owner, key)
    if found is ABSENT:
        found = args.get(2, "default")
        store_item(machine, owner, key, found)
    return found


def _update(machine: Machine, args: Arguments) -> Value:
    owner = args.positional[0]
    for other in map(contents, args.positional[1:]):
        if isinstance(other, dict):
            pairs: list[Value] | None = list(other.items())
        else:
            pairs = expand(machine, other)
        for item in pairs or ():
            pair = _bare(item)
            if isinstance(pair, tuple | list) and len(pair) == 2:
                store_item(machine, owner, *pair)
        if pairs is None or isinstance(other, OpenDict):
            store_item(machine, owner, Text((None,)), UNKNOWN)
    for key, value in args.keyword.items():
        store_item(machine, owner, key, value)
    if args.open_keyword:
        store_item(machine, owner, Text((None,)), UNKNOWN)
    return None


def _parts(kind: str) -> Method:
    def run(machine: Machine, args: Arguments) -> Value:
        owner = args.owner(dict)
        found: list[Value] = []
        for key, value in owner.items():
            item = {"keys": key, "values": value, "items": (key, value)}[kind]
            found.append(Repeat(item) if isinstance(key, Text) else Maybe(item) if _unsure(value) else item)
        if isinstance(owner, OpenDict):
            found.append(Repeat((UNKNOWN, UNKNOWN) if kind == "items" else UNKNOWN))
        return machine.heap.new(found)

    return run


def _add(machine: Machine, args: Arguments) -> Value:
    owner, item = args.owner(set), args.positional[1]
    machine.heap.touch(owner).add(item if known(item) else UNKNOWN)
    return None


def _discard(machine: Machine, args: Arguments) -> Value:
    owner, item = args.owner(set), args.positional[1]
    if known(item):
        machine.heap.touch(owner).discard(item)
    else:
        machine.heap.touch(owner).add(UNKNOWN)  # nothing is certain of this set any more
    return None


def _union(machine: Machine, args: Arguments) -> Value:
    owner = args.owner(set)
    for other in args.positional[1:]:
        items = expand(machine, other)
        machine.heap.touch(owner).update(items if items is not None and known(items) else [UNKNOWN])
    return None


def _join(machine: Machine, args: Arguments) -> Value:
    owner, items = args.owner(str), args.positional[1]
    if not isinstance(items, Iterable) or not known(items):
        return UNKNOWN
    parts = list(items)
    return owner.join(parts) if all(isinstance(one, str) for one in parts) else UNKNOWN


def _format(machine: Machine, args: Arguments) -> Value:
    owner, rest = args.owner(str), args.positional[1:]
    plainly = known(rest) and known(args.keyword) and not args.open_keyword
    if plainly:
        try:
            return owner.format(*rest, **args.keyword)
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise Raised(type(error).__name__, str(error)) from error
    pieces = owner.replace("{}", "\0").split("\0")
    if len(pieces) == 1 or "{" in "".join(pieces):
        return Text((None,))
    parts: list[str | None] = [pieces[0] or None]
    for piece in pieces[1:]:
        parts.extend([None, piece] if piece else [None])
    return Text(
        tuple(part for i, part in enumerate(parts) if part is not None or i == 0 or parts[i - 1] is not None)
    )


_LIST: dict[str, Method] = {
    "append": _append,
    "extend": _extend,
    "insert": _insert,
    "appendleft": _append_left,
    "extendleft": _extend_left,
    "popleft": _pop_left,
    "pop": _pop,
    "clear": _clear,
    "reverse": _reverse,
    "sort": _sort,
    "copy": _copy,
    "remove": _remove,
    "index": _index,
    "count": _count,
}
_DICT: dict[str, Method] = {
    "get": _get,
    "pop": _pop_key,
    "popitem": _popitem,
    "setdefault": _setdefault,
    "update": _update,
    "keys": _parts("keys"),
    "values": _parts("values"),
    "items": _parts("items"),
    "copy": _copy,
    "clear": _clear,
}


def _of_names(method: Method) -> Method:
    """Return a method of a dictionary for the names of a module."""

    def run(machine: Machine, args: Arguments) -> Value:
        names = args.owner(Names)
        inner = machine.heap.new(names_of(machine, names.source))
        return method(machine, Arguments([inner, *args.positional[1:]], args.keyword))

    return run


def _update_names(machine: Machine, args: Arguments) -> Value:
    changed: dict[Value, Value] = machine.heap.new({})
    _update(machine, Arguments([changed, *args.positional[1:]], args.keyword, False, args.open_keyword))
    for name, value in changed.items():
        store_item(machine, args.positional[0], name, value)
    return None


METHODS: dict[type, dict[str, Method]] = {
    Names: {
        **{name: _of_names(_DICT[name]) for name in ("get", "keys", "values", "items", "copy")},
        "update": _update_names,
    },
    list: _LIST,
    tuple: {"index": _index, "count": _count},
    dict: _DICT,
    OpenDict: _DICT,
    DefaultDict: _DICT,
    set: {
        "add": _add,
        "discard": _discard,
        "update": _union,
        "copy": _copy,
        "clear": _clear,
    },
    str: {"join": _join, "format": _format},
}
