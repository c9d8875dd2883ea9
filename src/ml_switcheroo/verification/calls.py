"""The inputs and outputs of modules, recorded while a model runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from ml_switcheroo.ops import Array
from ml_switcheroo.tensors import as_numpy

__all__ = ["Call", "Recorder", "arrays_in", "first_array", "replaced"]


@dataclass(slots=True)
class Call:
    """One call of one module.

    Attributes:
        path: Path of the module.
        inputs: The first array it was called with; in a loop that the framework compiles, one for each
            iteration.
        outputs: The first array it returned, likewise.
        reads: Which inputs of the model it was called with, unchanged.
        gives: Whether its output is the output of the model, unchanged.
        beside: What the layer does in addition to PyTorch's layer, by name: an activation that is part of it.
    """

    path: str
    inputs: list[Array] = field(default_factory=list)
    outputs: list[Array] = field(default_factory=list)
    reads: frozenset[int] = frozenset()
    gives: bool = False
    beside: tuple[str, Callable[[Array], Array]] | None = None


class Recorder:
    """The calls of a run, in the order in which they ended."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._active: list[str] = []

    @contextmanager
    def entered(self, path: str) -> Iterator[bool]:
        """Tell whether to record a call; a class that calls its parent's method is recorded once."""
        outermost = not (self._active and self._active[-1] == path)
        self._active.append(path)
        try:
            yield outermost
        finally:
            self._active.pop()

    def add(self, path: str, given: Any, made: Any, to_array: Callable[[Any], Array] = as_numpy) -> Call:
        """Record a call whose values are known."""
        call = Call(path)
        for values, kept in ((given, call.inputs), (made, call.outputs)):
            found = first_array(values)
            if found is not None:
                kept.append(to_array(found).copy())
        self.calls.append(call)
        return call


def arrays_in(values: Any) -> Iterator[Any]:
    """Yield the arrays in what a call takes or gives: nested tuples, lists, mappings and dataclasses."""
    if hasattr(values, "shape") and hasattr(values, "dtype"):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from arrays_in(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from arrays_in(value)
    elif hasattr(values, "__dataclass_fields__"):
        for name in values.__dataclass_fields__:
            yield from arrays_in(getattr(values, name))


def first_array(values: Any) -> Any:
    """Return the first array in what a call takes or gives; None where there is none."""
    return next(arrays_in(values), None)


@contextmanager
def replaced(
    classes: Iterable[type], attribute: str, make: Callable[[Callable[..., Any]], Any]
) -> Iterator[None]:
    """Replace a method of some classes, and restore it at the end."""
    originals = [(cls, cls.__dict__.get(attribute), getattr(cls, attribute)) for cls in classes]
    with ExitStack() as stack:
        for cls, own, function in originals:
            setattr(cls, attribute, make(function))
            stack.callback(_restore, cls, attribute, own)
        yield


def _restore(cls: type, attribute: str, own: Any) -> None:
    if own is None:
        delattr(cls, attribute)
    else:
        setattr(cls, attribute, own)
