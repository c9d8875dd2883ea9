"""Attributes: reading and setting them, on whatever has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ml_switcheroo.code.library import Source
from ml_switcheroo.sources.static.python.classes import construct, find, new_instance
from ml_switcheroo.sources.static.python.containers import expand, find_key, store_item, subscript
from ml_switcheroo.sources.static.python.frames import Class, Function, Super, present
from ml_switcheroo.sources.static.python.heap import plain
from ml_switcheroo.sources.static.python.imports import external, member_of
from ml_switcheroo.sources.static.python.lazily import handed_out
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.methods import METHODS, pure_method
from ml_switcheroo.sources.static.python.own_code import module_name
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    Bound,
    Builtin,
    External,
    Foreign,
    Instance,
    Maybe,
    Names,
    Partial,
    Raised,
    Repeat,
    Text,
    Value,
    join,
    options,
)

__all__ = ["READERS", "WRITERS", "bound_to"]


def bound_to(machine: Machine, value: Value, owner: Value, instance: bool) -> Value:
    """Return a class attribute as it is seen through its owner."""
    if isinstance(value, Builtin) and value.name in ("property", "staticmethod", "classmethod"):
        inner = value.owner
        if value.name == "staticmethod":
            return inner
        if value.name == "classmethod":
            return Bound(inner, owner.cls if isinstance(owner, Instance) else owner)
        return machine.call(inner, Arguments([owner])) if instance else UNKNOWN
    if isinstance(value, Function) and instance:
        return Bound(value, owner)
    return present(value)


def _instance(machine: Machine, owner: Instance, name: str) -> Value:
    reader, where = find(owner.cls, "__getattribute__")
    if isinstance(where, Class) and not name.startswith("__"):
        return machine.call(reader, Arguments([owner, name]))
    return _attribute(machine, owner, name)


def _attribute(machine: Machine, owner: Instance, name: str) -> Value:
    found = find_key(owner.attrs, name)
    if found is not ABSENT:
        return present(found)
    if name in ("__class__", "__dict__"):
        return owner.cls if name == "__class__" else owner.attrs
    value, cls = find(owner.cls, name)
    if isinstance(cls, Class):
        return bound_to(machine, value, owner, instance=True)
    if isinstance(cls, External):
        return machine.tables.outside.member(machine, owner, cls.name, name)
    if cls is not None or owner.open:
        return UNKNOWN
    found = _of_dict(machine, owner, name)
    if found is not ABSENT:
        return found
    getter, where = find(owner.cls, "__getattr__")
    if isinstance(where, Class) and not name.startswith("__"):
        return machine.call(getter, Arguments([owner, name]))
    raise Raised("AttributeError", name)


def _of_dict(machine: Machine, owner: Instance, name: str) -> Value:
    """Return a method of ``dict`` on an instance of a class derived from it; ABSENT for anything else."""
    held = owner.marks.contents
    if held is None:
        return ABSENT
    if name == "__getitem__":
        return Builtin(name, lambda machine, args: subscript(machine, held, args.positional[0]))
    if name == "__setitem__":
        return Builtin(name, lambda machine, args: store_item(machine, held, *args.positional[:2]))
    if name == "__iter__":
        return Builtin(name, lambda machine, args: expand(machine, held))
    return machine.read(held, name) if hasattr(dict, name) and not name.startswith("_") else ABSENT


def _class(machine: Machine, owner: Class, name: str) -> Value:
    if name in ("__name__", "__qualname__"):
        return owner.name
    if name == "__dict__":
        return owner.attrs
    if name == "__module__" and owner.source is not None:
        return owner.source.name
    if name == "__mro__":
        return owner.mro
    if name == "__bases__":
        return owner.bases
    if name == "__members__":
        return {key: item for key, item in owner.attrs.items() if isinstance(item, Instance)}
    value, cls = find(owner, name)
    if isinstance(cls, Class):
        return bound_to(machine, value, owner, instance=False)
    if isinstance(cls, External):
        return external(machine, f"{cls.name}.{name}")
    if cls is not None or name.startswith("__"):
        return UNKNOWN
    raise Raised("AttributeError", name)


def _super(machine: Machine, owner: Super, name: str) -> Value:
    made = owner.owner if isinstance(owner.owner, Instance) else None
    instance = made is not None
    cls = owner.owner if made is None else made.cls
    value, where = find(cls, name, owner.start)
    if instance and name == "__init__" and not isinstance(where, External):
        return Builtin(name, _behind(owner.start), owner.owner)
    if isinstance(where, Class):
        return bound_to(machine, value, owner.owner, instance)
    if isinstance(where, External) and made is not None:
        if name == "__init__":
            return Builtin(where.name, _constructor(where.name), owner.owner)
        return machine.tables.outside.member(machine, made, where.name, name)
    if where is None and made is not None and (found := _of_dict(machine, made, name)) is not ABSENT:
        return found
    usual = where is None or (isinstance(where, External) and machine.tables.outside.is_layer(where.name))
    if name == "__new__" and usual:
        return Builtin(name, _new)
    if where is None and instance and name in _OF_OBJECT:
        return Builtin(name, _OF_OBJECT[name], owner.owner)
    silent = where is None and instance and name in ("__post_init__", "__init_subclass__")
    return Builtin(name, _nothing) if silent else UNKNOWN


def _plain_read(machine: Machine, args: Arguments) -> Value:
    owner, name = args.owner(Instance), args.positional[1]
    return _attribute(machine, owner, name) if isinstance(name, str) else UNKNOWN


def _plain_write(machine: Machine, args: Arguments) -> Value:
    _set(machine, args.owner(Instance), *args.positional[1:3])
    return None


_OF_OBJECT = {"__getattribute__": _plain_read, "__setattr__": _plain_write}
"""What ``object`` has, for a class that asks for it behind its own."""


def _new(machine: Machine, args: Arguments) -> Value:
    cls = args.get(0, "cls", UNKNOWN)
    return new_instance(machine, cls) if isinstance(cls, Class) else UNKNOWN


def _constructor(name: str) -> Any:
    def run(machine: Machine, args: Arguments) -> Value:
        inner = Arguments(args.positional[1:], args.keyword, args.open_positional, args.open_keyword)
        machine.tables.outside.construct(machine, args.owner(Instance), name, inner)
        return None

    return run


def _behind(start: Class) -> Any:
    def run(machine: Machine, args: Arguments) -> Value:
        inner = Arguments(args.positional[1:], args.keyword, args.open_positional, args.open_keyword)
        construct(machine, args.owner(Instance), inner, start)
        return None

    return run


def _nothing(machine: Machine, args: Arguments) -> Value:
    return None


def _source(machine: Machine, owner: Source, name: str) -> Value:
    if name == "__dict__":
        return Names(owner)
    value = member_of(machine, owner, name)
    value = handed_out(machine, owner, name) if value is ABSENT else value
    if value is ABSENT:
        raise Raised("AttributeError", name)
    return present(value)


def _external(machine: Machine, owner: External, name: str) -> Value:
    if name in ("__name__", "__qualname__", "__module__"):
        return owner.name.rpartition(".")[0 if name == "__module__" else 2]
    source = machine.library.module(f"{owner.name}.{name}") if owner.name[0].islower() else None
    return source if source is not None else external(machine, f"{owner.name}.{name}")


def _function(machine: Machine, owner: Function, name: str) -> Value:
    if name in ("__name__", "__qualname__"):
        return owner.name
    if name == "__module__":
        return owner.source.name
    return owner.attrs.get(name, UNKNOWN)


def _bound(machine: Machine, owner: Bound, name: str) -> Value:
    if name == "__func__":
        return owner.function
    return owner.owner if name == "__self__" else machine.read(owner.function, name)


def _partial(machine: Machine, owner: Partial, name: str) -> Value:
    parts = {"func": owner.function, "args": tuple(owner.args.positional), "keywords": owner.args.keyword}
    return parts.get(name, UNKNOWN)


def _builtin(machine: Machine, owner: Builtin, name: str) -> Value:
    if name == "__name__":
        return owner.name
    known = machine.tables.externals
    homes = (home for home, value in known.items() if value is owner and f"{home}.{name}" in known)
    return external(machine, f"{next(homes, f'builtins.{owner.name}')}.{name}")


def _native(machine: Machine, owner: Value, name: str) -> Value:
    method = METHODS.get(type(owner), {}).get(name)
    if method is not None:
        return Builtin(name, method, owner)
    if isinstance(owner, str | int | float | bytes | tuple | frozenset | complex | range | list | dict | set):
        return pure_method(owner, name)
    if owner is None:
        raise Raised("AttributeError", name)
    return UNKNOWN


def _write_instance(machine: Machine, owner: Instance, name: Value, value: Value) -> None:
    writer, where = find(owner.cls, "__setattr__")
    if isinstance(where, Class) and not (owner.base or _is_part(value)):
        machine.call(writer, Arguments([owner, name, value]))
    else:
        _set(machine, owner, name, value)


def _set(machine: Machine, owner: Instance, name: Value, value: Value) -> None:
    key = name if isinstance(name, str | Text) else Text((None,))
    setter = find(owner.cls, name)[0] if isinstance(name, str) else ABSENT
    if isinstance(setter, Builtin) and setter.name == "property":
        if setter.setter is not None:
            machine.call(setter.setter, Arguments([owner, value]))
        return
    if owner.items is not None and _write_item(machine, owner.items, key, value):
        return
    # self.__dict__ = self, of a dictionary: its items are its attributes from now on
    held = owner.marks.contents
    if key == "__dict__" and value is owner and isinstance(held, dict):
        machine.heap.touch(owner.attrs).update(held)
        machine.heap.touch(owner.marks).contents = owner.attrs
        return
    if key == "__class__":
        owner.base, owner.open = "", True
    if isinstance(find(owner.cls, "__setattr__")[1], Class) and _is_part(value):
        value = UNKNOWN  # what the class's own __setattr__ makes of it
    machine.heap.touch(owner.attrs)
    vague = isinstance(key, Text) and key in owner.attrs
    owner.attrs[key] = join([owner.attrs[key], value]) if vague else value


def _write_item(machine: Machine, items: list[Value], key: str | Text, value: Value) -> bool:
    """Set a child of a container by its number: ``setattr(layers, "0", layer)``; False where it is none."""
    if isinstance(key, Text):
        machine.heap.touch(items)
        for place, item in enumerate(items):
            bare = item.value if isinstance(item, Maybe | Repeat) else item
            both = join([bare, value])
            items[place] = replace(item, value=both) if isinstance(item, Maybe | Repeat) else both
        return bool(items)
    if not (key.isdigit() and plain(items) and int(key) < len(items)):
        return False
    machine.heap.touch(items)
    items[int(key)] = value
    return True


def _is_part(value: Value) -> bool:
    return any(isinstance(one, Instance | Foreign) for one in options(value))


def _write_attrs(machine: Machine, owner: Class | Function, name: Value, value: Value) -> None:
    if isinstance(name, str):
        machine.heap.touch(owner.attrs)
        owner.attrs[name] = value


def _write_super(machine: Machine, owner: Super, name: Value, value: Value) -> None:
    if isinstance(owner.owner, Instance):
        _write_instance(machine, owner.owner, name, value)


READERS: dict[type, Any] = {
    Instance: _instance,
    Class: _class,
    Super: _super,
    Source: _source,
    External: _external,
    Function: _function,
    Bound: _bound,
    Partial: _partial,
    Builtin: _builtin,
    object: _native,
}


def _write_source(machine: Machine, owner: Source, name: Value, value: Value) -> None:
    if isinstance(name, str):
        module_name(machine, owner, name)
        machine.heap.touch(owner.values)
        before = owner.values.get(name, value)
        owner.values[name] = join([before, value])  # who has looked before, and who looks later, is not known


def _write_external(machine: Machine, owner: External, name: Value, value: Value) -> None:
    if isinstance(name, str):
        path = f"{owner.name}.{name}"
        machine.patched[path] = join([external(machine, path), value])


WRITERS: dict[type, Any] = {
    Source: _write_source,
    External: _write_external,
    Instance: _write_instance,
    Class: _write_attrs,
    Function: _write_attrs,
    Super: _write_super,
}
