"""What a live model shows of its modules: the kinds of layers, their attributes, the classes of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from ml_switcheroo.tree import is_shape

__all__ = ["Layers", "Shown", "plain_attributes"]


class Shown(TypedDict):
    """The fields of a template that the modules of a live model fill, each by path."""

    kinds: dict[str, str]
    containers: dict[str, str]
    attributes: dict[str, dict[str, Any]]
    own: dict[str, str]


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of a framework.

    Attributes:
        package: How the names of the modules begin that define its layers.
        classes: The kind of each class, by its name.
    """

    package: str
    classes: Mapping[str, str]

    def shown(self, nodes: Iterable[tuple[str, Any]], sequential: type) -> Shown:
        """Return what the modules of a live model are, and what they are set to.

        Args:
            nodes: The modules, by path.
            sequential: The framework's class of modules that call their children one after the other.
        """
        found = Shown(kinds={}, containers={}, attributes={}, own={})
        for path, module in nodes:
            if isinstance(module, sequential):
                found["containers"][path] = "sequential"
            if word := self._own_class(module):
                found["own"][path] = word
            kind = next((self.classes[cls.__name__] for cls in type(module).__mro__ if self._has(cls)), None)
            if kind is not None:
                found["kinds"][path] = kind
                found["attributes"][path] = plain_attributes(module)
        return found

    def _has(self, cls: type) -> bool:
        return cls.__module__.startswith(self.package) and cls.__name__ in self.classes

    def _own_class(self, module: Any) -> str:
        """Return the name of the class of a live module, where that computes in a way of its own.

        Empty for a layer of the framework, and for a class that derives from one and calls it as it is.
        """
        for cls in type(module).__mro__:
            if self._has(cls):
                return ""
            if not {"__call__", "call"}.isdisjoint(vars(cls)):
                break
        return type(module).__qualname__


def plain_attributes(module: Any) -> dict[str, Any]:
    """Return the attributes of a live module that are plain values: what decides its output beside weights.

    A function is given by its name. A module that is a dictionary keeps some of them in itself.
    """
    found: dict[str, Any] = {}
    for name, value in {**(module if isinstance(module, dict) else {}), **vars(module)}.items():
        if value is None or isinstance(value, bool | int | float | str) or _is_window(value):
            found[name] = value
        elif callable(value) and hasattr(value, "__name__"):
            found[name] = value.__name__
    return found


def _is_window(value: Any) -> bool:
    """Tell whether a value has a number, or a pair of numbers, for each axis."""
    return is_shape(value) or (isinstance(value, list | tuple) and all(map(is_shape, value)))
