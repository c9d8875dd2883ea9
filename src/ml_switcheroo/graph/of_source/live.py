"""A live module as the machine that draws sees it: its classes' code, and its attributes as they are."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ml_switcheroo.code.library import Library
from ml_switcheroo.graph.of_source.drawn import Device
from ml_switcheroo.graph.of_source.dtypes import torch_name
from ml_switcheroo.graph.of_source.machine import Drawer
from ml_switcheroo.graph.of_source.operations.table import FUNCTIONS
from ml_switcheroo.graph.of_source.state import State
from ml_switcheroo.graph.of_source.tables import new_drawer
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS
from ml_switcheroo.sources.live import unwrapped
from ml_switcheroo.sources.static.python.limits import deep_recursion, little_garbage
from ml_switcheroo.sources.static.python.machine import STEPS
from ml_switcheroo.sources.static.python.own_code import module_name
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Arguments,
    External,
    Instance,
    Partial,
    Value,
    known,
)
from ml_switcheroo.sources.static.reading.from_live import class_of, copied
from ml_switcheroo.sources.static.torch.nn import slot
from ml_switcheroo.sources.static.torch.values import Tensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["read_live"]


@contextmanager
def read_live(model: Any, specs: Mapping[str, TensorSpec]) -> Iterator[tuple[Drawer, Instance]]:
    """Read a live module.

    Args:
        model: The module.
        specs: The checkpoint.

    Returns:
        The machine that has read it, and the module as that sees it.
    """
    machine, model = new_drawer(Library([]), STEPS), unwrapped(model)
    made: dict[int, Instance] = {}
    with deep_recursion(), little_garbage():
        root = copied(machine, model, made)
        reader = _Reader(machine, made)
        machine.state = reader.state(model, specs)
        yield machine, root


class _Reader:
    """What a live model is made of, as values of the program."""

    def __init__(self, machine: Drawer, made: dict[int, Instance]) -> None:
        self.machine, self.made = machine, made
        self.seen: dict[int, Value] = {}

    def state(self, model: Any, specs: Mapping[str, TensorSpec]) -> State:
        """Return where the tensors of a model come from; set what the reader has left out of its modules."""
        names: dict[int, str] = {}
        paths: dict[int, str] = {}
        first: dict[int, str] = {}
        members: dict[int, frozenset[str]] = {}
        for path, live in model.named_modules():
            copy = self.made.get(id(live))
            if copy is None:
                continue
            paths.setdefault(id(copy), path)
            for name, tensor in {**live._parameters, **live._buffers}.items():
                full = f"{path}.{name}" if path else name
                if tensor is None:
                    continue
                if full in specs:
                    first.setdefault(id(tensor), full)
                held = self._tensor(copy, name, tensor)
                if id(tensor) in first:
                    names.setdefault(id(held), first[id(tensor)])
                elif name in live._buffers:
                    held.holds = self._array(tensor)
            self._attributes(live, copy)
            if copy.base not in KIND_OF_CLASS:
                members[id(copy)] = frozenset(dir(live))
        buffers = frozenset(name for name, _ in model.named_buffers())
        return State(specs, names, paths, buffers, members)

    def _tensor(self, copy: Instance, name: str, live: Any) -> Tensor:
        """Return a parameter or buffer of a module as the reader has it."""
        kind = KIND_OF_CLASS.get(copy.base)
        own = copy.attrs.get(name)
        if kind is not None and LAYERS[kind].slot(name) is not None and not isinstance(own, Tensor):
            found = slot(copy, name)
            if isinstance(found, Tensor):
                return found
        if not isinstance(own, Tensor):
            own = copy.attrs[name] = Tensor(tuple(live.shape), "parameter")
        return own

    def _attributes(self, live: Any, copy: Instance) -> None:
        for name, value in vars(live).items():
            hidden = name.startswith("_") and name in _OF_MODULES
            if hidden or name in copy.attrs or name in live._modules:
                continue
            copy.attrs[name] = self.value(value)
        copy.open = copy.cls is UNKNOWN

    def value(self, value: Any, depth: int = 5) -> Value:
        """Return a value of a live program as the machine has it; unknown where it has none like it."""
        if known(value):
            return value
        if id(value) in self.made:
            return self.made[id(value)]
        if id(value) not in self.seen:
            self.seen[id(value)] = UNKNOWN  # while it is read: it may hold itself
            self.seen[id(value)] = self._value(value, depth) if depth else UNKNOWN
        return self.seen[id(value)]

    def _value(self, value: Any, depth: int) -> Value:
        home = type(value).__module__.partition(".")[0]
        if home == "torch":
            return self._of_torch(value)
        if isinstance(value, list | tuple):
            items = [self.value(one, depth - 1) for one in value]
            return tuple(items) if isinstance(value, tuple) else self.machine.heap.new(items)
        if isinstance(value, dict):
            pairs = {key: self.value(one, depth - 1) for key, one in value.items() if known(key)}
            return self.machine.heap.new(pairs)
        if isinstance(value, functools.partial):
            words = {name: self.value(one, depth - 1) for name, one in value.keywords.items()}
            given = [self.value(one, depth - 1) for one in value.args]
            return Partial(self.value(value.func, depth - 1), Arguments(given, words))
        if isinstance(value, type):
            return class_of(self.machine, value)
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
            return self._function(value)
        return self._object(value, depth) if hasattr(value, "__dict__") else UNKNOWN

    def _of_torch(self, value: Any) -> Value:
        word = type(value).__name__
        if word == "dtype":
            return torch_name(str(value).removeprefix("torch."))
        if word == "device":
            return Device()
        if word == "Size":
            return tuple(value)
        if hasattr(value, "detach") and hasattr(value, "shape"):
            return Tensor(tuple(value.shape), "buffer", persistent=False, holds=self._array(value))
        return UNKNOWN

    def _array(self, tensor: Any) -> Any:
        if tensor.device.type == "meta":
            return None
        name = str(tensor.dtype).removeprefix("torch.")
        plain = tensor.detach().cpu()
        return self.machine.pen.constant((plain.float() if name == "bfloat16" else plain).numpy(), name)

    def _function(self, value: Any) -> Value:
        """Return a function as its source has it, or by its name where it is torch's."""
        home = str(getattr(value, "__module__", None) or "")
        if home.partition(".")[0] == "torch":
            names = (f"torch.nn.functional.{value.__name__}", f"torch.{value.__name__}")
            return External(next((name for name in names if name in FUNCTIONS), f"{home}.{value.__name__}"))
        module = sys.modules.get(home)
        path = (
            inspect.getsourcefile(module)
            if isinstance(module, types.ModuleType) and hasattr(module, "__file__")
            else None
        )
        if path is None or not Path(path).is_file() or "." in value.__qualname__:
            return UNKNOWN
        found = module_name(self.machine, self.machine.library.file(Path(path)), value.__name__)
        return UNKNOWN if found is ABSENT else found

    def _object(self, value: Any, depth: int) -> Value:
        cls = class_of(self.machine, type(value))
        if cls is UNKNOWN:
            return UNKNOWN
        copy = Instance(cls)
        self.seen[id(value)] = copy
        self.machine.heap.new(copy.attrs)
        for name, one in vars(value).items():
            copy.attrs[name] = self.value(one, depth - 1)
        if copy.attrs.get("use_cache") is True:  # the first call fills a cache, and reads nothing from it
            copy.attrs["use_cache"] = False
        return copy


_OF_MODULES = frozenset(
    """_parameters _buffers _modules _non_persistent_buffers_set _backward_pre_hooks _backward_hooks
    _is_full_backward_hook _forward_hooks _forward_hooks_with_kwargs _forward_hooks_always_called
    _forward_pre_hooks _forward_pre_hooks_with_kwargs _state_dict_hooks _state_dict_pre_hooks
    _load_state_dict_pre_hooks _load_state_dict_post_hooks""".split()
)
