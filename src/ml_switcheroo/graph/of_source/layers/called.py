"""A call of a layer: its arguments, its tensors, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_switcheroo.graph.of_source.drawn import Drawn, Lost, Unlowered, inside
from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS
from ml_switcheroo.layers.argument import REQUIRED
from ml_switcheroo.sources.static.python.values import Arguments, External, Instance, OneOf, Unknown, Value

if TYPE_CHECKING:
    from ml_switcheroo.graph.of_source.machine import Drawer
    from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["Called"]

_NONE = object()


@dataclass(slots=True)
class Called:
    """One call of a layer.

    Attributes:
        machine: The machine that draws.
        layer: The layer.
        args: What it is called with.
    """

    machine: Drawer
    layer: Instance
    args: Arguments

    @property
    def pen(self) -> Pen:
        """What draws."""
        return self.machine.pen

    @property
    def rank(self) -> int:
        """How many spatial axes it works on, by the name of its class: 2 of ``Conv2d``."""
        found = next((letter for letter in self.layer.base[::-1] if letter.isdigit()), "0")
        return int(found)

    def argument(self, name: str, default: Any = _NONE) -> Any:
        """Return an argument of its constructor.

        Raises:
            Unlowered: It is not known.
        """
        layer = self.layer
        value = layer.attrs.get(name, _NONE)
        if value is _NONE:
            value = layer.args.get(name, _NONE)
        if value is _NONE and not layer.args_open:
            value = self._usual(name) if default is _NONE else default
        if value is _NONE or isinstance(value, Unknown | OneOf):
            raise Unlowered(f"{name} of {layer.base} is not known")
        return value

    def _usual(self, name: str) -> Any:
        kind = KIND_OF_CLASS.get(self.layer.base)
        row = LAYERS[kind].of_class(self.layer.base).get(name) if kind else None
        return _NONE if row is None or row.default is REQUIRED else row.default

    def slot(self, name: str) -> Drawn | None:
        """Return one of its tensors; None where it has no such tensor.

        Raises:
            Unlowered: Nobody knows what it is.
        """
        found = self.machine.state.own(self.machine, self.layer, name)
        if isinstance(found, Lost):
            raise Unlowered(f"{name} of {self.layer.base} is not known")
        return found

    def weight(self, name: str = "weight") -> Drawn:
        """Return one of its tensors.

        Raises:
            Unlowered: It has no such tensor.
        """
        found = self.slot(name)
        if found is None:
            raise Unlowered(f"{self.layer.base} has no {name} in the checkpoint")
        return found

    def given(self, place: int, name: str, default: Value = None) -> Any:
        """Return what it is called with."""
        return self.args.get(place, name, default)

    @property
    def input(self) -> Drawn:
        """The tensor that it is called with."""
        value = (
            self.args.positional[0] if self.args.positional else next(iter(self.args.keyword.values()), None)
        )
        if not isinstance(value, Drawn):
            raise Unlowered(f"{self.layer.base} of {type(value).__name__}")
        return value

    def child(self, name: str) -> Value:
        """Return one of its modules."""
        return self.machine.read(self.layer, name)

    def call(self, function: Value, *positional: Value, **keyword: Value) -> Any:
        """Call a module or a function.

        Raises:
            Unlowered: What comes back is not known.
        """
        found = self.machine.call(function, Arguments(list(positional), keyword))
        if any(isinstance(one, Lost | Unknown) for one in inside(found)):
            raise Unlowered(f"what is in {self.layer.base} is not known")
        return found

    def function(self, name: str, *positional: Value, **keyword: Value) -> Any:
        """Call a function of torch.nn.functional."""
        return self.call(External(f"torch.nn.functional.{name}"), *positional, **keyword)
