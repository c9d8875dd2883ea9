"""Where the tensors of a model come from: leaves of the state dict, or what its constructor has made."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from ml_switcheroo.graph.of_source.drawn import Drawn, Lost
from ml_switcheroo.graph.of_source.pen import Pen
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS, REPARAMETRISED
from ml_switcheroo.sources.static.python.values import Instance, OneOf, Value
from ml_switcheroo.sources.static.torch.nn import slot
from ml_switcheroo.sources.static.torch.values import Tensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["State"]


class Draws(Protocol):
    """What draws a model, as far as its tensors are concerned."""

    pen: Pen

    def drawing(self, word: str, /) -> AbstractContextManager[None]:
        """Draw what the program calls by a word."""

    def lost(self, why: str, /) -> Lost:
        """Return a value that nobody can follow."""

    def read(self, owner: Value, name: str, /) -> Value:
        """Return an attribute."""


@dataclass(slots=True)
class State:
    """What is known of the modules and tensors of a model that was read.

    Attributes:
        specs: The checkpoint.
        names: The name of each tensor that it has, by the id of the tensor.
        paths: The path of each module, by its id.
        buffers: Which of the checkpoint's tensors are no parameters.
        members: What the class of each live module has, by its id.
    """

    specs: Mapping[str, TensorSpec] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    paths: Mapping[int, str] = field(default_factory=dict)
    buffers: frozenset[str] = frozenset()
    members: Mapping[int, frozenset[str]] = field(default_factory=dict)
    _kept: dict[int, Drawn] = field(default_factory=dict)

    def chosen(self, value: Value) -> Value:
        """Return the one of several modules that the checkpoint has."""
        if not isinstance(value, OneOf):
            return value
        there = [one for one in value.choices if id(one) in self.paths or id(one) in self.names]
        return there[0] if len(there) == 1 else value

    def lacks(self, module: Instance, name: str) -> bool:
        """Tell whether a live module certainly has no such attribute."""
        known = self.members.get(id(module))
        return known is not None and name not in known and name not in module.attrs

    def name(self, path: str, slot: str) -> str:
        """Return the name of a tensor below a module."""
        return f"{path}.{slot}" if path else slot

    def leaf(self, machine: Draws, name: str) -> Drawn:
        """Return a tensor of the state dict."""
        spec = self.specs[name]
        return machine.pen.leaf(name, spec.shape, spec.dtype.removeprefix("torch."))

    def drawn(self, machine: Draws, tensor: Tensor) -> Value:
        """Return a parameter or a buffer."""
        name = self.names.get(id(tensor)) or self._of_layer(tensor)
        if name in self.specs:
            return self._held(tensor, lambda: self.leaf(machine, name))
        if isinstance(tensor.holds, Drawn):
            holds = tensor.holds
            return self._held(tensor, lambda: Drawn(machine.pen, holds.node))
        if tensor.of is not None:
            return None
        what = tensor.role or "tensor"
        return machine.lost(f"a {what} that the checkpoint lacks, and whose values are not known")

    def _held(self, tensor: Tensor, make: object) -> Drawn:
        """Return the same tensor each time: what is done to it in place is seen by all."""
        if id(tensor) not in self._kept:
            self._kept[id(tensor)] = make()  # type: ignore[operator]
        return self._kept[id(tensor)]

    def _of_layer(self, tensor: Tensor) -> str:
        if tensor.of is None or id(tensor.of) not in self.paths:
            return ""
        slots = (name for name, one in tensor.of.slots.items() if one is tensor)
        return self.name(self.paths[id(tensor.of)], next(slots, ""))

    def made_of(self, machine: Draws, layer: Instance, name: str) -> Value:
        """Return a slot that others make up, as weight norm has it; None for any other attribute."""
        kind, path = KIND_OF_CLASS.get(layer.base), self.paths.get(id(layer))
        if kind is None or path is None or "weight" not in name or self.name(path, name) in self.specs:
            return None
        if LAYERS[kind].slot(name) is None:
            return None
        for word, forms in REPARAMETRISED.items():
            head, _, last = name.rpartition(".")
            before = self.name(path, f"{head}." if head else "")
            before = before if not before or before.endswith(".") else f"{before}."
            parts = [form.format(before, last) for form in forms]
            if all(part in self.specs for part in parts):
                return self._computed(machine, word, [self.leaf(machine, part) for part in parts], layer)
        return None

    def _computed(self, machine: Draws, word: str, parts: list[Drawn], layer: Instance) -> Drawn:
        pen = machine.pen
        with machine.drawing(word.removeprefix("parametrized ")):
            if "weight_norm" in word:
                scale, raw = parts
                axes = [axis for axis in range(raw.rank) if axis >= scale.rank or scale.shape[axis] == 1]
                length = pen.each("sqrt", pen.reduce("sum", raw * raw, axes, keep=bool(scale.rank)))
                return raw * (scale / length)
            raw, left, right = parts
            axis = 1 if layer.base.startswith("ConvTranspose") else 0
            matrix = pen.transpose(raw, [axis, *(one for one in range(raw.rank) if one != axis)])
            matrix = pen.reshape(matrix, (left.shape[0], right.shape[0]))
            return raw / pen.dot(left, pen.dot(matrix, right, ((1,), (0,))), ((0,), (0,)))

    def own(self, machine: Draws, layer: Instance, name: str) -> Drawn | Lost | None:
        """Return a slot of a layer; None where it has none."""
        value = machine.read(layer, name) if "." not in name else self._below(machine, layer, name)
        return value if isinstance(value, Drawn | Lost) else None

    def _below(self, machine: Draws, layer: Instance, name: str) -> Value:
        made = self.made_of(machine, layer, name)
        full = self.name(self.paths.get(id(layer), ""), name)
        if made is not None:
            return made
        tensor = slot(layer, name)
        if isinstance(tensor, Tensor) and id(tensor) in self.names:
            return self.drawn(machine, tensor)
        return self.leaf(machine, full) if full in self.specs else None
