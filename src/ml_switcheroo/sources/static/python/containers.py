"""Lists, dictionaries and the containers of packages: their items, by position, key or name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ml_switcheroo.sources.static.python.frames import Class
from ml_switcheroo.sources.static.python.heap import plain
from ml_switcheroo.sources.static.python.mappings import DefaultDict, OpenDict
from ml_switcheroo.sources.static.python.modules import dictionary_of, item_of_module, names_of
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Foreign,
    Instance,
    Maybe,
    Names,
    OneOf,
    Raised,
    Repeat,
    Text,
    Unknown,
    Value,
    join,
    known,
    options,
    same,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = [
    "ANY",
    "add_item",
    "children",
    "expand",
    "find_key",
    "member",
    "remove_item",
    "store_item",
    "subscript",
]

ANY = Text((None,))
"""A key that nothing is known about."""

_LONGEST = 20_000


def children(instance: Instance) -> list[Value]:
    """Return the children of a container, those named by position first."""
    return [*(instance.items or ()), *filter(_child, instance.attrs.values())]


def _child(value: Value) -> bool:
    return any(isinstance(one, Instance) for one in options(value))


def expand(machine: Machine, value: Value) -> list[Value] | None:
    """Return the items of an iterable; None where they are unknown."""
    if isinstance(value, set) and UNKNOWN in value:
        return [*(Maybe(item) for item in value if item != UNKNOWN), Repeat(UNKNOWN)]
    if isinstance(value, list | tuple | set | frozenset | str | bytes):
        return list(value)
    if isinstance(value, range):
        return list(value) if len(value) <= _LONGEST else None
    if isinstance(value, dict):
        return [*_keys(value), Repeat(UNKNOWN)] if isinstance(value, OpenDict) else _keys(value)
    if isinstance(value, OneOf):
        return _expand_choices(machine, value)
    if isinstance(value, Names):
        return list(names_of(machine, value.source))
    if isinstance(value, Class):
        return [
            item for item in value.attrs.values() if isinstance(item, Instance) and item.cls is value
        ] or None
    if isinstance(value, Instance):
        return _expand_instance(machine, value)
    run = machine.tables.items.get(type(value))
    return run(machine, value) if run is not None else None


def _keys(owner: dict[Any, Value]) -> list[Value]:
    """Return the keys of a dictionary: those that stand for many, or may be missing, as such."""
    return [
        Repeat(key) if isinstance(key, Text) else Maybe(key) if ABSENT in options(item) else key
        for key, item in owner.items()
    ]


def _expand_choices(machine: Machine, value: OneOf) -> list[Value] | None:
    found: list[list[Value]] = []
    for choice in value.choices:
        if choice is None or choice is ABSENT:
            continue
        items = expand(machine, choice)
        if items is None:
            return None
        found.append(items)
    if found and all(len(items) == len(found[0]) and plain(items) for items in found):
        return [join(column) for column in zip(*found, strict=True)]
    kept: list[Value] = [
        item if isinstance(item, Repeat) else Maybe(_bare(item)) for items in found for item in items
    ]
    return kept if len(kept) < 64 else None


def _bare(item: Value) -> Value:
    return item.value if isinstance(item, Maybe | Repeat) else item


def _expand_instance(machine: Machine, value: Instance) -> list[Value] | None:
    if value.items is not None:
        return children(value)
    if value.base in machine.tables.outside.keyed:
        return _keys(value.attrs)
    method = machine.read(value, "__iter__")
    if isinstance(method, Unknown):
        return None
    items = machine.call(method, Arguments())
    return items if isinstance(items, list) else None


def find_key(owner: dict[Any, Value], key: Value) -> Value:
    """Return what a dictionary holds under a key; ABSENT where it has none."""
    if isinstance(key, Unknown) or (isinstance(key, Text) and key not in owner):
        return join(owner.values()) if owner and not isinstance(owner, OpenDict) else UNKNOWN
    try:
        if key in owner:
            return owner[key]
    except TypeError:
        return UNKNOWN
    fitting = [value for name, value in owner.items() if isinstance(name, Text) and fits(name, key)]
    if fitting:
        return join(fitting)
    return UNKNOWN if isinstance(owner, OpenDict) else ABSENT


def fits(pattern: Text, key: Value) -> bool:
    """Tell whether a partly known string may be ``key``."""
    if pattern is ANY or pattern == ANY:
        return True
    if not isinstance(key, str):
        return False
    first, last = pattern.parts[0], pattern.parts[-1]
    if (first and not key.startswith(first)) or (last and not key.endswith(last)):
        return False
    place = 0
    for part in pattern.parts:
        if part is None:
            continue
        found = key.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True


def member(machine: Machine, item: Value, owner: Value) -> bool | None:
    """Tell whether ``item in owner``; None where nobody knows."""
    owner = dictionary_of(machine, owner)
    if isinstance(owner, OpenDict):
        sure = known(item) and _hashed(item, owner) and ABSENT not in options(owner[item])
        return True if sure else None
    if isinstance(owner, dict | set | frozenset):
        if isinstance(item, Unknown | Text):
            return None if owner else False
        if _hashed(item, owner):
            unsure = ABSENT in options(owner[item]) if isinstance(owner, dict) else UNKNOWN in owner
            return None if unsure else True
        if UNKNOWN in owner:
            return None
        return None if any(isinstance(key, Text) for key in owner) else False
    if isinstance(owner, str) and isinstance(item, str):
        return item in owner
    if isinstance(owner, list | tuple):
        if any(same(item, one) for one in owner):
            return True
        vague = isinstance(item, Unknown | Text) or any(
            isinstance(o, Unknown | OneOf | Maybe | Repeat) for o in owner
        )
        return None if vague and owner else False
    return None


def _hashed(item: Value, owner: Any) -> bool:
    try:
        return item in owner
    except TypeError:
        return False


def subscript(machine: Machine, owner: Value, index: Value) -> Value:
    """Return ``owner[index]``.

    Raises:
        Raised: KeyError or IndexError.
    """
    if isinstance(owner, Unknown):
        return machine.item(owner, index)
    if isinstance(owner, DefaultDict):
        return _made_where_lacking(machine, owner, index)
    if isinstance(owner, dict):
        found = find_key(owner, index)
        if found is ABSENT:
            raise Raised("KeyError", repr(index))
        return found
    if isinstance(owner, list | tuple | str | range):
        return _at(machine, owner, index)
    if isinstance(owner, Instance):
        return _at_instance(machine, owner, index)
    if isinstance(owner, Class):
        return find_key(owner.attrs, index)
    run = machine.tables.subscripts.get(type(owner))
    if run is not None:
        return run(machine, owner, index)
    return item_of_module(machine, owner, index) if isinstance(index, str) else UNKNOWN


def _made_where_lacking(machine: Machine, owner: DefaultDict, key: Value) -> Value:
    if not known(key):
        # Whatever lies there, or is made there now, may be changed through what is returned.
        for lost in (*owner, ANY):
            store_item(machine, owner, lost, UNKNOWN)
        return UNKNOWN
    found = find_key(owner, key)
    if found is ABSENT or ABSENT in options(found):
        if owner.factory is None:
            raise Raised("KeyError", repr(key))
        found = join(
            [machine.call(owner.factory, Arguments()), *(o for o in options(found) if o is not ABSENT)]
        )
        store_item(machine, owner, key, found)
    return found


def _at(machine: Machine, owner: Any, index: Value) -> Value:
    if isinstance(index, slice):
        return _cut(machine, owner, index)
    if isinstance(index, bool) or not isinstance(index, int):
        items = [_bare(item) for item in owner]
        return join(items) if isinstance(index, Unknown) and items and not isinstance(owner, str) else UNKNOWN
    if not isinstance(owner, str | range) and not plain(owner):
        nth = machine.tables.nth.get(type(owner[0].value)) if isinstance(owner[0], Repeat) else None
        if nth is not None and index >= 0:
            return nth(owner[0].value, index)
        return _at_vague(list(owner), index)
    if not -len(owner) <= index < len(owner):
        raise Raised("IndexError", str(index))
    return owner[index]


def _at_vague(owner: Sequence[Value], index: int) -> Value:
    """Return an item of a list some of whose items may be missing or many."""
    ordered = owner if index >= 0 else owner[::-1]
    position = index if index >= 0 else -index - 1
    found = []
    for place, item in enumerate(ordered):
        before = ordered[:place]
        first = sum(not isinstance(one, Maybe | Repeat) for one in before)
        endless = any(isinstance(one, Repeat) for one in (*before, item))
        if first <= position and (endless or position <= place):
            found.append(_bare(item))
    return join(found) if found else UNKNOWN


def _cut(machine: Machine, owner: Any, index: slice) -> Any:
    whole = index == slice(None, None, None)
    if index == slice(None, -1, None) and len(owner) > 1 and not isinstance(owner[-1], Maybe | Repeat):
        whole, owner, index = True, owner[:-1], slice(None)
    if not known(index) or not (whole or isinstance(owner, str | range) or plain(owner)):
        if isinstance(owner, str | range):
            return UNKNOWN
        loose = [item if isinstance(item, Repeat) else Maybe(_bare(item)) for item in owner]
        return machine.heap.new(loose)
    try:
        result = owner[index]
    except (TypeError, ValueError) as error:
        raise Raised(type(error).__name__, str(error)) from error
    return machine.heap.new(result) if isinstance(result, list) else result


def _at_instance(machine: Machine, owner: Instance, index: Value) -> Value:
    if owner.items is not None:
        if isinstance(index, slice):
            made = Instance(owner.cls, base=owner.base, site=owner.site)
            machine.heap.new(made.attrs)
            made.items = machine.heap.new([])
            if owner.base in machine.tables.outside.sliced_with_names and plain(owner.items) and known(index):
                names = [
                    *map(str, range(len(owner.items))),
                    *(k for k, v in owner.attrs.items() if _child(v)),
                ]
                made.attrs.update(list(zip(names, children(owner), strict=True))[index])  # keeps the names
            else:
                made.items.extend(_cut(machine, list(children(owner)), index))
            return made
        if isinstance(index, str):
            return find_key(owner.attrs, index)
        return _at(machine, children(owner), index)
    if owner.base in machine.tables.outside.keyed:
        found = find_key(owner.attrs, index)
        if found is ABSENT:
            raise Raised("KeyError", repr(index))
        return found
    method = machine.read(owner, "__getitem__")
    return UNKNOWN if isinstance(method, Unknown) else machine.call(method, Arguments([index]))


def add_item(machine: Machine, owner: list[Value], value: Value, place: int | None = None) -> None:
    """Append (or insert) an item; in a loop of unknown length it counts as repeated."""
    item = value
    if machine.heap.repeats(owner) and not isinstance(value, Repeat):
        item = Repeat(_bare(value), machine.heap.count)
    machine.heap.touch(owner)
    owner.insert(len(owner) if place is None else place, item)


def store_item(machine: Machine, owner: Value, key: Value, value: Value) -> None:
    """Do ``owner[key] = value``."""
    if isinstance(owner, Instance):
        if owner.items is not None:
            store_item(machine, owner.items, key, value)
        elif owner.base in machine.tables.outside.keyed:
            store_item(machine, owner.attrs, key, value)
        else:
            method = machine.read(owner, "__setitem__")
            machine.call(method, Arguments([key, value]))
    elif isinstance(owner, Names):
        machine.write(owner.source, key, value)
    elif isinstance(owner, list):
        _store_in_list(machine, owner, key, value)
    elif isinstance(owner, dict):
        _store_in_dict(machine, owner, key, value)
    elif (run := machine.tables.stores.get(type(owner))) is not None:
        run(machine, owner, key, value)


def _store_in_dict(machine: Machine, owner: dict[Any, Value], key: Value, value: Value) -> None:
    machine.heap.touch(owner)
    if isinstance(key, OneOf):
        for choice in key.choices:
            _store_in_dict(machine, owner, choice, join([value, find_key(owner, choice)]))
        return
    if isinstance(key, Unknown | Instance | Foreign):
        key = ANY
    try:
        owner[key] = join([owner[key], value]) if isinstance(key, Text) and key in owner else value
    except TypeError:
        owner[ANY] = join([owner.get(ANY, value), value])


def _store_in_list(machine: Machine, owner: list[Value], key: Value, value: Value) -> None:
    machine.heap.touch(owner)
    if isinstance(key, int) and plain(owner):
        if not -len(owner) <= key < len(owner):
            raise Raised("IndexError", str(key))
        owner[key] = value
    elif isinstance(key, slice) and known(key) and plain(owner):
        items = expand(machine, value)
        owner[key] = [Repeat(UNKNOWN)] if items is None else items
    else:
        owner[:] = [_either(item, value) for item in owner]


def _either(item: Value, value: Value) -> Value:
    joined = join([_bare(item), value])
    return type(item)(joined) if isinstance(item, Maybe | Repeat) else joined


def remove_item(machine: Machine, owner: Value, key: Value) -> None:
    """Do ``del owner[key]``."""
    place = owner
    if isinstance(owner, Instance):
        place = owner.attrs if owner.items is None else owner.items
    if not isinstance(place, list | dict):
        return
    machine.heap.touch(place)
    if isinstance(place, dict):
        place.pop(key, None) if known(key) else None
    elif isinstance(key, int | slice) and known(key) and plain(place):
        try:
            del place[key]
        except IndexError as error:
            raise Raised("IndexError", str(key)) from error
    else:
        place[:] = [item if isinstance(item, Repeat) else Maybe(_bare(item)) for item in place]
