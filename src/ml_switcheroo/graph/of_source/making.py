"""How layers of torch.nn are made while a program is drawn: with all their arguments, by name."""

from __future__ import annotations

from typing import Any

from ml_switcheroo.graph.of_source.drawn import Drawn
from ml_switcheroo.graph.of_source.layers.stateless import PARAMETERS
from ml_switcheroo.sources.static.python.containers import subscript
from ml_switcheroo.sources.static.python.values import Arguments, Builtin, Instance, Raised, Value
from ml_switcheroo.sources.static.torch import nn
from ml_switcheroo.sources.static.torch.nn_methods import METHODS
from ml_switcheroo.sources.static.torch.packages import OUTSIDE
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["construct", "member"]


def construct(machine: Any, made: Instance, external: str, args: Arguments) -> None:
    """Run the constructor of a class that is not read."""
    nn.construct(machine, made, external, args)
    names = PARAMETERS.get(nn.name_of(external))
    if names is not None:
        made.args = {**dict(zip(names, args.positional, strict=False)), **args.keyword}


def member(machine: Any, owner: Instance, external: str, name: str) -> Value:
    """Return an attribute that an instance has from a class of torch."""
    if name == "register_buffer":
        return Builtin(name, _register_buffer, owner)
    if name in ("parameters", "named_parameters", "buffers", "named_buffers") and machine.strict:
        return Builtin(name, lambda machine, args: _listed(machine, args, name), owner)
    if name in _PARTS and owner.base in ("ModuleDict", "ParameterDict") and machine.strict:
        return Builtin(name, lambda machine, args: _items(machine, args, name), owner)
    if external.rpartition(".")[2] in _MAPPINGS and name in _OF_MAPPINGS:
        return Builtin(name, _OF_MAPPINGS[name], owner)
    return OUTSIDE.member(machine, owner, external, name)


_PARTS = ("keys", "values", "items")


def _items(machine: Any, args: Arguments, kind: str) -> Value:
    """Return the modules or parameters of a dictionary of them, without its attributes of its own."""
    held = args.owner(Instance).attrs.items()
    pairs = [(name, value) for name, value in held if isinstance(value, Instance | Tensor)]
    return machine.heap.new(pairs if kind == "items" else [pair[kind == "values"] for pair in pairs])


_MAPPINGS = ("Mapping", "MutableMapping", "UserDict")


def _get(machine: Any, args: Arguments) -> Value:
    """Return ``get`` of a mapping, by what its ``[]`` does."""
    try:
        return subscript(machine, args.positional[0], args.positional[1])
    except Raised:
        return args.get(2, "default")


def _contains(machine: Any, args: Arguments) -> Value:
    try:
        subscript(machine, args.positional[0], args.positional[1])
    except Raised:
        return False
    return True


_OF_MAPPINGS = {"get": _get, "__contains__": _contains}


def _register_buffer(machine: Any, args: Arguments) -> Value:
    value = args.get(2, "tensor")
    if isinstance(value, Tensor) and isinstance(value.holds, Drawn):
        value = value.holds
    if not isinstance(value, Drawn):
        return METHODS["register_buffer"](machine, args)
    persistent = args.get(3, "persistent", True) is not False
    tensor = Tensor(value.shape, "buffer", persistent, site=machine.site, holds=value)
    machine.write(args.positional[0], args.get(1, "name"), tensor)
    return None


def _listed(machine: Any, args: Arguments, kind: str) -> Value:
    """Return the parameters or the buffers of a module, as far as the checkpoint has them."""
    owner = args.owner(Instance)
    path = machine.state.paths.get(id(owner))
    if path is None:
        return machine.lost(f"{kind} of a module whose place is not known")
    prefix = f"{path}." if path else ""
    buffers = (
        machine.state.buffers if "buffers" in kind else machine.state.specs.keys() - machine.state.buffers
    )
    names = [name for name in machine.state.specs if name.startswith(prefix) and name in buffers]
    pairs = [(name.removeprefix(prefix), machine.state.leaf(machine, name)) for name in names]
    return machine.heap.new(pairs if kind.startswith("named") else [leaf for _, leaf in pairs])
