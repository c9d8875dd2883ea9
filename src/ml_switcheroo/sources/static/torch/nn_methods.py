"""The methods that every module of torch has, and those of its containers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.classes import lineage
from ml_switcheroo.sources.static.python.containers import add_item, children, remove_item, store_item
from ml_switcheroo.sources.static.python.frames import Class
from ml_switcheroo.sources.static.python.heap import plain
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Builtin,
    Instance,
    Maybe,
    OneOf,
    Repeat,
    Text,
    Unknown,
    Value,
    join,
    options,
)
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["METHODS", "as_parameter"]


def as_parameter(item: Value) -> Value:
    """Return what an item becomes in a list of parameters."""
    if isinstance(item, Maybe | Repeat):
        return type(item)(as_parameter(item.value))
    return Tensor(item.shape, "parameter") if isinstance(item, Tensor) else Tensor(None, "parameter")


def _add_module(machine: Machine, args: Arguments) -> Value:
    owner, name, value = args.owner(Instance), args.get(1, "name"), args.get(2, "module")
    items = owner.items
    if isinstance(name, str) and items is not None and plain(items) and name == str(len(items)):
        add_item(machine, items, value)
    else:
        machine.write(owner, name, value)
    return None


def _set_attribute(machine: Machine, args: Arguments) -> Value:
    machine.write(*args.positional[:3])
    return None


def _register_buffer(machine: Machine, args: Arguments) -> Value:
    owner, name, value = args.get(0, "self"), args.get(1, "name"), args.get(2, "tensor")
    persistent = args.get(3, "persistent", True)
    machine.write(owner, name, join(_buffer(one, machine.truth(persistent)) for one in options(value)))
    return None


def _buffer(value: Value, persistent: bool | None) -> Value:
    if value is None:
        return None
    shape, site = (value.shape, value.site) if isinstance(value, Tensor) else (None, None)
    made = Tensor(shape, "buffer", persistent is not False, site=site)
    return made if persistent is not None else OneOf((made, Tensor(shape, "buffer", False)))


def _register_parameter(machine: Machine, args: Arguments) -> Value:
    owner, name, value = args.get(0, "self"), args.get(1, "name"), args.get(2, "param")
    machine.write(owner, name, value)
    return None


def _named_children(machine: Machine, args: Arguments) -> Value:
    return machine.heap.new(_children_by_name(args.owner(Instance)))


def _children_by_name(owner: Instance) -> list[Value]:
    found: list[Value] = []
    sure = True
    for place, item in enumerate(owner.items or ()):
        sure = sure and not isinstance(item, Maybe | Repeat)
        name = str(place) if sure else Text((None,))
        found.append(type(item)((name, item.value)) if isinstance(item, Maybe | Repeat) else (name, item))
    for key, value in owner.attrs.items():
        if modules := [one for one in options(value) if _may_be_module(one)]:
            pair = (key, join(modules))
            sure = len(modules) == len(options(value))
            found.append(Repeat(pair) if isinstance(key, Text) else pair if sure else Maybe(pair))
    return found


def _children(machine: Machine, args: Arguments) -> Value:
    items: list[Value] = []
    for pair in _children_by_name(args.owner(Instance)):
        bare = pair.value if isinstance(pair, Maybe | Repeat) else pair
        child = bare[1] if isinstance(bare, tuple) else UNKNOWN
        items.append(type(pair)(child) if isinstance(pair, Maybe | Repeat) else child)
    return machine.heap.new(items)


def _modules(machine: Machine, args: Arguments) -> Value:
    return machine.heap.new([pair[1] for pair in _walk(args.owner(Instance), "", set())])


def _named_modules(machine: Machine, args: Arguments) -> Value:
    return machine.heap.new(_walk(args.owner(Instance), "", set()))


def _walk(owner: Instance, prefix: str, seen: set[int]) -> list[tuple[Value, Instance]]:
    if id(owner) in seen:
        return []
    seen.add(id(owner))
    found: list[tuple[Value, Instance]] = [(prefix, owner)]
    pairs = [*((str(i), item) for i, item in enumerate(owner.items or ())), *owner.attrs.items()]
    for key, item in pairs:
        value = item.value if isinstance(item, Maybe | Repeat) else item
        for one in options(value):
            if isinstance(one, Instance) and _may_be_module(one):
                found.extend(_walk(one, f"{prefix}.{key}".strip("."), seen))
    return found


def _may_be_module(value: Value) -> bool:
    """Tell whether a value is an instance that derives from what is not read, as every module does."""
    return isinstance(value, Instance) and not all(
        isinstance(base, Class | Builtin) for base in lineage(value.cls)
    )


def _apply(machine: Machine, args: Arguments) -> Value:
    return args.positional[0]


def _nothing(machine: Machine, args: Arguments) -> Value:
    return None


def _parameters(machine: Machine, args: Arguments) -> Value:
    return [Repeat(Tensor(None, "parameter"))]


def _named_parameters(machine: Machine, args: Arguments) -> Value:
    return [Repeat((Text((None,)), Tensor(None, "parameter")))]


def _get_submodule(machine: Machine, args: Arguments) -> Value:
    value, path = args.positional[:2]
    if not isinstance(path, str):
        return UNKNOWN
    for part in path.split(".") if path else ():
        if isinstance(value, Instance) and value.items is not None and part.isdigit():
            value = value.items[int(part)] if plain(value.items) and int(part) < len(value.items) else UNKNOWN
        else:
            value = machine.read(value, part)
    return value


def _forward(machine: Machine, args: Arguments) -> Value:
    given = Arguments(args.positional[1:], args.keyword)
    return machine.tables.outside.call_instance(machine, args.owner(Instance), given)


def _append(machine: Machine, args: Arguments) -> Value:
    owner, value = args.owner(Instance), args.positional[1]
    if owner.items is None:
        return UNKNOWN
    value = as_parameter(value) if owner.base == "ParameterList" else value
    if owner.attrs and owner.base == "Sequential" and children(owner) != owner.items:
        store_item(machine, owner.attrs, str(len(children(owner))), value)
    else:
        add_item(machine, owner.items, value)
    return owner


def _on_items(name: str) -> Callable[[Machine, Arguments], Value]:
    def run(machine: Machine, args: Arguments) -> Value:
        owner = args.owner(Instance)
        if name == "pop" and owner.base == "ModuleDict":
            return machine.call(machine.read(owner.attrs, "pop"), Arguments(args.positional[1:]))
        if owner.items is None:
            return UNKNOWN
        value = machine.call(machine.read(owner.items, name), Arguments(args.positional[1:]))
        return owner if value is None else value

    return run


def _update(machine: Machine, args: Arguments) -> Value:
    owner, other = args.owner(Instance), args.positional[1]
    if isinstance(other, Instance):
        other = other.attrs
    if isinstance(other, dict):
        other = {
            key: Tensor(value.shape, "parameter") if isinstance(value, Tensor) else value
            for key, value in other.items()
        }
    if isinstance(other, Unknown):
        owner.open = True
    else:
        machine.call(machine.read(owner.attrs, "update"), Arguments([other]))
    return None


def _of_dict(name: str) -> Callable[[Machine, Arguments], Value]:
    def run(machine: Machine, args: Arguments) -> Value:
        owner = args.owner(Instance)
        if owner.base not in ("ModuleDict", "ParameterDict"):
            return UNKNOWN
        return machine.call(machine.read(owner.attrs, name), Arguments(args.positional[1:]))

    return run


def _hooked(machine: Machine, args: Arguments) -> Value:
    machine.heap.touch(args.owner(Instance).marks).hooked = True
    return UNKNOWN


def _delete(machine: Machine, args: Arguments) -> Value:
    remove_item(machine, args.positional[0], args.positional[1])
    return None


_CHAINED = """apply to to_empty cuda cpu half float double bfloat16 eval train requires_grad_
    share_memory""".split()

METHODS: dict[str, Callable[[Machine, Arguments], Value]] = {
    "add_module": _add_module,
    "register_module": _add_module,
    "__setattr__": _set_attribute,
    "register_buffer": _register_buffer,
    "register_parameter": _register_parameter,
    "named_children": _named_children,
    "children": _children,
    "modules": _modules,
    "named_modules": _named_modules,
    "parameters": _parameters,
    "buffers": _parameters,
    "named_parameters": _named_parameters,
    "get_submodule": _get_submodule,
    "append": _append,
    "extend": _on_items("extend"),
    "insert": _on_items("insert"),
    "pop": _on_items("pop"),
    "update": _update,
    "keys": _of_dict("keys"),
    "values": _of_dict("values"),
    "items": _of_dict("items"),
    "forward": _forward,
    "__delitem__": _delete,
    "register_forward_hook": _hooked,
    "register_forward_pre_hook": _hooked,
    "load_state_dict": _nothing,
    "_load_from_state_dict": _nothing,
    "_register_load_state_dict_pre_hook": _nothing,
    "register_load_state_dict_pre_hook": _nothing,
    "zero_grad": _nothing,
    "reset_parameters": _nothing,
    "_init_weights": _nothing,
    "__init__": _nothing,
    **dict.fromkeys(_CHAINED, _apply),
}
