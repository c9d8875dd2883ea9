"""Draw a function of TensorFlow, from the graph that it is traced to: nothing runs and no weight is read.

Source: https://www.tensorflow.org/api_docs/python/tf/raw_ops
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Draft, Graph, Line
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.lines import line_of
from ml_switcheroo.graph.of_tensorflow.lists import LISTS, Value
from ml_switcheroo.graph.of_tensorflow.lowering import LOWERED
from ml_switcheroo.graph.of_tensorflow.windows import dilated
from ml_switcheroo.graph.step import Made, Step, Unfollowed

__all__ = ["draw_tensorflow"]

_MOST_ROUNDS = 4096
_AT_ONCE = 2**20
"""What has no more elements than this is computed while the graph is drawn."""


def draw_tensorflow(function: Callable[..., Any], variables: Mapping[str, Any], inputs: Given) -> Graph:
    """Draw ``function(*inputs)``, or with the inputs by their names.

    Args:
        function: Any function of TensorFlow.
        variables: The variables that it may read, by path.
        inputs: The inputs.
    """
    import tensorflow as tf

    specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in inputs.specs]

    names: list[str] = []

    def flat(*given: Any) -> Any:
        made = inputs.call(function, given)
        names[:] = [".".join(path) for path in _called(made)]
        return [one for one in tf.nest.flatten(made) if one is not None]

    graph = tf.function(flat).get_concrete_function(*specs).graph
    draft = Draft()
    leaves = {
        id(variable.handle): draft.leaf(path, tuple(variable.shape), variable.dtype.name)
        for path, variable in variables.items()
    }
    given: list[Value] = [draft.input(spec.shape, spec.dtype) for spec in inputs.specs]
    given += [_captured(draft, outside, leaves) for outside, _ in graph.captures]
    found = _Drawing(draft).graph(graph, given)
    return draft.finished([_number(draft, value) for value in found], names)


def _called(value: Any, path: tuple[str, ...] = (), named: bool = False) -> Iterator[tuple[str, ...]]:
    """Yield the path of each tensor in what a function gives, in TensorFlow's order; none without names."""
    if isinstance(value, Mapping):
        for name in sorted(value):
            yield from _called(value[name], (*path, str(name)), named=True)
    elif isinstance(value, list | tuple):
        for place, one in enumerate(value):
            yield from _called(one, (*path, str(place)), named)
    elif value is not None:
        yield path if named else ()


def _captured(draft: Draft, outside: Any, leaves: Mapping[int, int]) -> Value:
    if id(outside) in leaves:
        return leaves[id(outside)]
    if outside.dtype.name == "resource":
        return draft.gap("a variable that the model does not hold", (), "float32")
    return draft.constant(outside.numpy(), outside.dtype.name)


def _number(draft: Draft, value: Value) -> int:
    if isinstance(value, int):
        return value
    return draft.gap("a list of tensors as a result", (), "float32")


class _Attributes(Mapping[str, Any]):
    """The attributes of an operation, its texts as texts."""

    def __init__(self, operation: Any) -> None:
        self._operation = operation

    def __getitem__(self, name: str) -> Any:
        try:
            value = self._operation.get_attr(name)
        except ValueError:
            raise KeyError(name) from None
        return value.decode() if isinstance(value, bytes) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._operation.node_def.attr)

    def __len__(self) -> int:
        return len(self._operation.node_def.attr)


class _Drawing:
    """One function that is being drawn, with those that it calls."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def graph(self, graph: Any, given: Sequence[Value]) -> list[Value]:
        """Draw a graph; return its results."""
        known: dict[str, Value] = {
            tensor.name: value for tensor, value in zip(graph.inputs, given, strict=True)
        }
        for operation in _needed(graph, known):
            operands = [known[tensor.name] for tensor in _inputs(operation)]
            outside = self._draft.line, self._draft.word
            self._draft.line, self._draft.word = _line(operation) or outside[0], operation.type
            made = self._operation(graph, operation, operands)
            self._draft.line, self._draft.word = outside
            known.update(zip((tensor.name for tensor in operation.outputs), made, strict=True))
        return [known[tensor.name] for tensor in graph.outputs]

    def _operation(self, graph: Any, operation: Any, operands: Sequence[Value]) -> Sequence[Value]:
        try:
            if operation.type in _CALLS:
                return _CALLS[operation.type](self, graph, operation, operands)
            if operation.type in LISTS:
                return LISTS[operation.type](self._draft, operands, _Attributes(operation))
            numbers = [one for one in operands if isinstance(one, int)]
            if len(numbers) < len(operands):
                raise Unfollowed("takes a list of tensors")
            return self._lowered(operation, numbers)
        except Unfollowed as why:
            return self._gaps(operation, str(why), operands)

    def _lowered(self, operation: Any, operands: Sequence[int]) -> Sequence[Value]:
        results = [(_shape(tensor), tensor.dtype.name) for tensor in operation.outputs]
        step = Step(self._draft, tuple(operands), _Attributes(operation), results)
        inner = _with_holes(operation)
        if inner is not None:
            return (self._with_holes(inner, step),)
        lowered = LOWERED.get(operation.type)
        made: Made = lowered(step) if lowered is not None else None
        if made is None:
            return self._called(operation, step)
        return (made,) if isinstance(made, int) else made

    def _with_holes(self, inner: Any, step: Step) -> int:
        """Draw a convolution that TensorFlow carries out on a part of the places at a time."""
        words = Step(step.draft, step.operands, _Attributes(inner), step.results)
        return dilated(words, depthwise=inner.type.startswith("Depthwise"))

    def _called(self, operation: Any, step: Step) -> list[int]:
        """Draw what has no primitive as a call of TensorFlow itself; at once, where all is known."""
        if operation.op_def.is_stateful or "Random" in operation.type:
            raise Unfollowed("draws random numbers, or keeps a state")
        if any(tensor.shape.rank is None or None in tensor.shape for tensor in operation.outputs):
            raise Unfollowed("has a size that depends on what is given")
        run = _Call(operation)
        known = [self._draft.known(one) for one in step.operands]
        small = all(math.prod(shape) <= _AT_ONCE for shape, _ in step.results)
        made = []
        for place, (shape, dtype) in enumerate(step.results):
            one = run.at(place)
            if small and all(value is not None for value in known):
                made.append(self._draft.constant(one(*known), dtype))
                continue
            words: dict[str, Any] = {"shape": shape, "name": operation.type, "number": place, "run": one}
            made.append(self._draft.add("call", *step.operands, dtype=dtype, **words))
        return made

    def _gaps(self, operation: Any, why: str, operands: Sequence[Value]) -> list[Value]:
        where = f"{self._draft.line}: " if self._draft.line else ""
        numbers = [one for one in operands if isinstance(one, int)]
        return [
            self._draft.gap(f"{where}{operation.type} {why}", _shape(tensor), tensor.dtype.name, *numbers)
            for tensor in operation.outputs
        ]

    # ---- what calls other graphs

    def call(self, graph: Any, operation: Any, operands: Sequence[Value]) -> Sequence[Value]:
        """Draw what a call calls."""
        return self.graph(_inner(graph, operation, "f"), operands)

    def while_loop(self, graph: Any, operation: Any, operands: Sequence[Value]) -> Sequence[Value]:
        """Draw each round of a loop whose number of rounds nothing that is given decides."""
        asked, body = _inner(graph, operation, "cond"), _inner(graph, operation, "body")
        carried = list(operands)
        for _ in range(_MOST_ROUNDS):
            if not self._decided(self.graph(asked, carried)[0], "has no fixed number of rounds"):
                return carried
            carried = self.graph(body, carried)
        raise Unfollowed(f"has more than {_MOST_ROUNDS} rounds")

    def branch(self, graph: Any, operation: Any, operands: Sequence[Value]) -> Sequence[Value]:
        """Draw the branch that is taken, where nothing that is given decides it."""
        taken = self._decided(operands[0], "depends on values")
        return self.graph(_inner(graph, operation, "then_branch" if taken else "else_branch"), operands[1:])

    def constant(self, _: Any, operation: Any, __: Sequence[Value]) -> Sequence[Value]:
        """Draw an array that the program knows by itself."""
        import tensorflow as tf

        array = tf.make_ndarray(operation.get_attr("value"))
        if array.dtype.kind not in "biufcV":
            raise Unfollowed("is no array of numbers")
        return (self._draft.constant(array, operation.outputs[0].dtype.name),)

    def _decided(self, value: Value, why: str) -> bool:
        known = self._draft.known(value) if isinstance(value, int) else None
        if known is None:
            raise Unfollowed(why)
        return bool(known)


_CALLS: Mapping[str, Callable[[_Drawing, Any, Any, Sequence[Value]], Sequence[Value]]] = {
    **dict.fromkeys(("PartitionedCall", "StatefulPartitionedCall"), _Drawing.call),
    **dict.fromkeys(("While", "StatelessWhile"), _Drawing.while_loop),
    **dict.fromkeys(("If", "StatelessIf"), _Drawing.branch),
    "Const": _Drawing.constant,
}


class _Call:
    """An operation that TensorFlow carries out, on arrays."""

    def __init__(self, operation: Any) -> None:
        import tensorflow as tf

        if not hasattr(tf.raw_ops, operation.type):
            raise Unfollowed("has no row, and cannot be called by itself")
        self._run = getattr(tf.raw_ops, operation.type)
        self._dtypes = [tensor.dtype for tensor in operation.inputs]
        definition = operation.op_def
        self._counts = {one.name: _count(operation, one) for one in definition.input_arg}
        inferred = {
            name
            for one in definition.input_arg
            for name in (one.type_attr, one.number_attr, one.type_list_attr)
        }
        self._words = {
            one.name: operation.get_attr(one.name) for one in definition.attr if one.name not in inferred
        }
        if not {*self._counts, *self._words} <= set(inspect.signature(self._run).parameters):
            raise Unfollowed("has no row, and its arguments have other names where it can be called")

    def at(self, place: int) -> Callable[..., Any]:
        """Return what gives one of its results."""

        def run(*arrays: Any) -> Any:
            import tensorflow as tf

            values = iter([tf.cast(one, dtype) for one, dtype in zip(arrays, self._dtypes, strict=True)])
            given = {
                name: next(values) if count is None else [next(values) for _ in range(count)]
                for name, count in self._counts.items()
            }
            made = self._run(**given, **self._words)
            return np.asarray(made[place] if isinstance(made, tuple | list) else made)

        return run


def _count(operation: Any, argument: Any) -> int | None:
    """Return how many tensors an argument is; None where it is one."""
    if argument.number_attr:
        return int(operation.get_attr(argument.number_attr))
    return len(operation.get_attr(argument.type_list_attr)) if argument.type_list_attr else None


# ---- convolutions with holes


def _with_holes(operation: Any) -> Any:
    """Return the convolution that an operation moves back from the batch; None where it does not."""
    if operation.type != "BatchToSpaceND":
        return None
    inner = _behind(operation.inputs[0], "Squeeze")
    if inner.type not in ("Conv2D", "Conv3D", "DepthwiseConv2dNative"):
        return None
    ahead = _behind(inner.inputs[0], "ExpandDims")
    plain = set(inner.get_attr("strides")) == {1} and inner.get_attr("padding") == b"VALID"
    return inner if ahead.type == "SpaceToBatchND" and plain else None


def _behind(tensor: Any, passed: str) -> Any:
    return tensor.op.inputs[0].op if tensor.op.type == passed else tensor.op


def _inputs(operation: Any) -> list[Any]:
    """Return the tensors that an operation takes, with those of what is drawn together with it."""
    inner = _with_holes(operation)
    if inner is None:
        return list(operation.inputs)
    data, holes, padding = _behind(inner.inputs[0], "ExpandDims").inputs
    return [data, holes, padding, inner.inputs[1], operation.inputs[2]]


def _inner(graph: Any, operation: Any, name: str) -> Any:
    """Return the graph of a function that an operation calls."""
    return graph._get_function(operation.get_attr(name).name).graph


def _needed(graph: Any, known: Iterable[str]) -> list[Any]:
    """Return the operations that the results depend on, in the order in which they were made."""
    have, found, stack = set(known), set[str](), list(graph.outputs)
    while stack:
        tensor = stack.pop()
        if tensor.name not in have and tensor.op.name not in found:
            found.add(tensor.op.name)
            stack.extend(_inputs(tensor.op))
    return [operation for operation in graph.get_operations() if operation.name in found]


def _shape(tensor: Any) -> tuple[int, ...]:
    rank = tensor.shape.rank
    return tuple(size or 1 for size in tensor.shape) if rank is not None else ()


def _line(operation: Any) -> Line | None:
    frames = operation.traceback or ()
    return line_of((frame.filename, frame.lineno) for frame in reversed(list(frames)))
