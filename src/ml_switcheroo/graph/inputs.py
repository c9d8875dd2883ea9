"""What both programs are given: shapes as a person writes them, and numbers in their place."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.errors import UsageError
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.tensors import DTYPES, TensorSpec, as_numpy

__all__ = ["Given", "given", "numbers_for", "orders_of"]

Array = np.ndarray[Any, Any]
Axes = tuple[int, ...]

_EXAMPLE = 'inputs="float32[1,3,64,64]"'
_WRITTEN = re.compile(r"\s*([a-z]\w*)\s*\[([\d\s,]*)\]\s*")


@dataclass(frozen=True)
class Given:
    """What a program is given.

    Attributes:
        specs: The shape and dtype of each input.
        names: Their names, where they are given by name; empty otherwise.
        values: The values of those that have some.
    """

    specs: tuple[TensorSpec, ...]
    names: tuple[str, ...]
    values: tuple[Array | None, ...]

    def call(self, function: Callable[..., Any], values: Sequence[Any], *before: Any) -> Any:
        """Call a function with values for the inputs, in their order or by their names.

        Args:
            function: The function.
            values: A value for each input.
            before: What the function takes before them.
        """
        if self.names:
            return function(*before, **dict(zip(self.names, values, strict=True)))
        return function(*before, *values)


def given(inputs: Any) -> Given:
    """Read what a user gives as inputs.

    Args:
        inputs: An array, anything with a shape and a dtype, or ``"float32[1,3,64,64]"``; or a sequence of
            those in the order of the arguments, or a mapping by the names of the arguments. Several in one
            text are separated by ``;`` or by a space.

    Raises:
        UsageError: It is none of that; the error shows an example.

    >>> given("int64[2,7] int64[2,6]").specs
    (int64[2,7], int64[2,6])
    """
    names: tuple[str, ...] = ()
    if isinstance(inputs, Mapping):
        names, inputs = tuple(map(str, inputs)), list(inputs.values())
    elif isinstance(inputs, str):
        inputs = _separated(inputs)
    elif not isinstance(inputs, list | tuple):
        inputs = [inputs]
    found = [_one(value) for value in inputs]
    return Given(tuple(spec for spec, _ in found), names, tuple(value for _, value in found))


def _separated(text: str) -> list[str]:
    found = re.findall(r"[a-z]\w*\s*\[[\d\s,]*\]", text)
    if not found or re.sub(r"[\s;]", "", text) != re.sub(r"\s", "", "".join(found)):
        raise UsageError(f"inputs: {text!r} says no dtypes and shapes; write for example {_EXAMPLE}")
    return found


def _one(value: Any) -> tuple[TensorSpec, Array | None]:
    if isinstance(value, str):
        matched = _WRITTEN.fullmatch(value)
        if matched is None or matched[1] not in DTYPES:
            raise UsageError(f"inputs: {value!r} says no dtype and shape; write for example {_EXAMPLE}")
        sizes = tuple(int(size) for size in matched[2].split(",") if size.strip())
        return TensorSpec(sizes, matched[1]), None
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        kind = type(value).__name__
        raise UsageError(f"inputs: a {kind} has no shape and dtype; write for example {_EXAMPLE}")
    name = str(value.dtype).removeprefix("torch.")
    spec = TensorSpec(tuple(int(size) for size in value.shape), name)
    holds = isinstance(value, np.ndarray) or hasattr(value, "__array__") or hasattr(value, "numpy")
    return spec, as_numpy(value) if holds and not _is_abstract(value) else None


def _is_abstract(value: Any) -> bool:
    return type(value).__name__ in ("ShapeDtypeStruct", "TensorSpec", "KerasTensor")


def numbers_for(inputs: Given, graph: Graph) -> list[Array]:
    """Return random numbers for the inputs of a graph; whole ones that its tables have rows for."""
    random = np.random.default_rng(0)
    found: list[Array] = []
    for number, spec, value in zip(graph.inputs, inputs.specs, inputs.values, strict=True):
        if spec.dtype.startswith(("float", "bfloat", "complex")):
            found.append(random.normal(size=spec.shape) * _loudness(spec.shape, random))
        elif value is not None and _varies(value):
            found.append(value.astype(np.int64) if value.dtype != np.bool_ else value)
        elif spec.dtype == "bool":
            found.append(np.ones(spec.shape, np.bool_))
        else:
            rows = min(_rows_of_tables(graph, number), default=2)
            found.append(random.integers(0, max(rows, 1), size=spec.shape))
    return found


_QUIET, _SHARE = 0.03, 0.25


def _loudness(shape: Sequence[int], random: np.random.Generator) -> Array:
    """Return factors for an input: some rows, along its last axis and its second, are weaker than others.

    What a program adds to a variance shows on them alone.
    """
    found = np.ones(tuple(shape))
    for axis in {1, len(shape) - 1} if len(shape) > 1 else ():
        rows = np.moveaxis(found, axis, -1)  # a view
        count = math.prod(rows.shape[:-1])
        quiet = np.zeros(count, np.bool_)
        quiet[random.permutation(count)[: math.ceil(count * _SHARE) if count > 1 else 0]] = True
        rows[quiet.reshape(rows.shape[:-1])] = _QUIET
    return found


def _varies(value: Array) -> bool:
    return bool((value != value.reshape(-1)[:1]).any())


def _rows_of_tables(graph: Graph, number: int) -> Iterator[int]:
    """Yield the sizes of the tables that an input is looked up in."""
    reached = {number}
    for place, node in enumerate(graph.nodes):
        if node.op == "take" and node.operands[1] in reached:
            yield graph.nodes[node.operands[0]].shape[node.params["axis"]]
        elif node.op in ("cast", "reshape", "transpose", "slice", "where", "add") and reached.intersection(
            node.operands
        ):
            reached.add(place)


def orders_of(mine: Given, theirs: Given | None) -> Iterator[tuple[Given, tuple[Axes, ...]]]:
    """Yield what the target may be given, and the axes of the source's inputs in that order.

    Args:
        mine: What the source is given.
        theirs: What the target is given, where that was said.

    Raises:
        UsageError: The target is given others than the source.
    """
    if theirs is None:
        plain = tuple(tuple(range(len(spec.shape))) for spec in mine.specs)
        last = tuple(
            _channels_last(axes) if _tells(spec) else axes
            for axes, spec in zip(plain, mine.specs, strict=True)
        )
        for axes in dict.fromkeys((plain, last)):
            yield _turned(mine, axes), axes
        return
    if len(mine.specs) != len(theirs.specs):
        raise UsageError(f"target_inputs= are {len(theirs.specs)}, inputs= are {len(mine.specs)}")
    choices = [list(_turns(mine, theirs, place)) for place in range(len(mine.specs))]
    for place, found in enumerate(choices):
        if not found:
            raise UsageError(
                f"target_inputs=: input {place} is {theirs.specs[place]}, which is no {mine.specs[place]}"
                " with its axes in another order"
            )
    for axes in itertools.islice(itertools.product(*choices), 6):
        yield theirs, axes


def _channels_last(axes: Axes) -> Axes:
    return (0, *axes[2:], 1) if len(axes) in (3, 4, 5) else axes


def _tells(spec: TensorSpec) -> bool:
    """Tell whether an input may be taken channels last unasked: a square sequence may be just that."""
    return len(spec.shape) != 3 or spec.shape[1] != spec.shape[2]


def _turned(inputs: Given, axes: Sequence[Axes]) -> Given:
    specs = [
        TensorSpec(tuple(spec.shape[axis] for axis in order), spec.dtype)
        for spec, order in zip(inputs.specs, axes, strict=True)
    ]
    values = [
        value.transpose(order) if value is not None else None
        for value, order in zip(inputs.values, axes, strict=True)
    ]
    return Given(tuple(specs), inputs.names, tuple(values))


def _turns(mine: Given, theirs: Given, place: int) -> Iterator[Axes]:
    """Yield the orders of axes that turn an input of the source into the target's, the likely first."""
    shape, wanted = mine.specs[place].shape, theirs.specs[place].shape
    one, other = mine.values[place], theirs.values[place]
    if len(shape) != len(wanted) or len(shape) > 5:
        return
    plain = tuple(range(len(shape)))
    likely = dict.fromkeys((plain, _channels_last(plain), *itertools.permutations(plain)))
    fitting = [axes for axes in likely if tuple(shape[axis] for axis in axes) == wanted]
    if one is not None and other is not None and _varies(one):
        same = [axes for axes in fitting if np.array_equal(one.transpose(axes), other)]
        fitting = same or fitting
    yield from fitting
