"""Draw a function of MLX, from what it is exported as: no array is computed and no weight is read.

Source: https://ml-explore.github.io/mlx/build/html/python/export.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ml_switcheroo.graph.graph import Draft, Graph, Line
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.of_mlx.lowering import EACH, LOWERED, STRETCHED
from ml_switcheroo.graph.of_mlx.marks import Marks
from ml_switcheroo.graph.step import Step
from ml_switcheroo.targets.mlx_arrays import from_mlx
from ml_switcheroo.tensors import TensorSpec

__all__ = ["draw_mlx"]

Shape = tuple[int, ...]
Record = Mapping[str, Any]


def draw_mlx(function: Callable[..., Any], leaves: Mapping[str, TensorSpec], inputs: Given) -> Graph:
    """Draw ``function({path: leaf}, *inputs)``, or with the inputs by their names.

    Args:
        function: Any function of MLX; it is called with tracers alone.
        leaves: The specs of the leaves, by path.
        inputs: The inputs.
    """
    import mlx.core as mx
    from mlx.utils import tree_flatten

    paths = list(leaves)

    names: list[str] = []

    def flat(*arrays: Any) -> Any:
        made = inputs.call(function, arrays[len(paths) :], dict(zip(paths, arrays, strict=False)))
        found = [(path, leaf) for path, leaf in tree_flatten([made]) if isinstance(leaf, mx.array)]
        names[:] = [_called(path) for path, _ in found]
        return [leaf for _, leaf in found]

    specs = [*leaves.values(), *inputs.specs]
    marks = Marks()
    try:
        with marks.made():
            records = _exported(flat, specs)
    except Exception:  # noqa: BLE001 - what is wrong shows without marks, which not every transform lets through
        records = _exported(flat, specs)
    draft = Draft()
    given = [draft.leaf(path, spec.shape, spec.dtype) for path, spec in leaves.items()]
    given += [draft.input(spec.shape, spec.dtype) for spec in inputs.specs]
    return draft.finished(_Drawing(draft, marks.of(records)).drawn(records, given), names)


def _called(path: str) -> str:
    """Return what an output is called; empty where only its place says which one it is."""
    words = path.split(".")[1:]
    return "" if all(word.isdigit() for word in words) else ".".join(words)


def _exported(function: Callable[..., Any], specs: Sequence[TensorSpec]) -> list[Record]:
    """Return what MLX exports of a function. Zeros are not made until they are needed."""
    import mlx.core as mx

    records: list[Record] = []
    # On a CPU the fast kernels are exported as what they compute.
    with mx.stream(mx.cpu), _exportable():
        zeros = [mx.zeros(spec.shape, _dtype(spec.dtype)) for spec in specs]
        mx.export_function(records.append, function, *zeros)
    return records


def _dtype(name: str) -> Any:
    import mlx.core as mx

    return getattr(mx, "bool_" if name == "bool" else name)


@contextmanager
def _exportable() -> Iterator[None]:
    """Leave out the functions that compute nothing and that MLX does not export."""
    import mlx.core as mx

    held = mx.contiguous, mx.checkpoint
    mx.contiguous, mx.checkpoint = (lambda array, *_, **__: array), (lambda fun: fun)
    try:
        yield
    finally:
        mx.contiguous, mx.checkpoint = held


class _Drawing:
    """One function that is being drawn: what each name of the export is.

    What is broadcast stays as it was until someone needs all of it: element by element nobody does.
    """

    def __init__(self, draft: Draft, said: Mapping[str, tuple[Line | None, str]]) -> None:
        self._draft = draft
        self._said = said
        self._constants: dict[str, Any] = {}
        self._nodes: dict[str, int] = {}
        self._shapes: dict[str, Shape] = {}

    def drawn(self, records: Sequence[Record], given: Sequence[int]) -> list[int]:
        """Draw all that was exported; return its results."""
        outputs: list[str] = []
        for record in records:
            kind = record["type"]
            if kind == "inputs":
                for (name, *_), number in zip(record["inputs"], given, strict=True):
                    self._put(name, number, self._draft.shape(number))
            elif kind == "outputs":
                outputs = [name for name, *_ in record["outputs"]]
            elif kind == "constants":
                self._constants.update(record["constants"])
            elif kind == "primitive":
                self._primitive(record)
        return [self._whole(name) for name in outputs]

    def _put(self, name: str, number: int, shape: Sequence[int]) -> None:
        self._nodes[name], self._shapes[name] = number, tuple(shape)

    def _narrow(self, name: str) -> int:
        """Return the node of a name, before it is broadcast."""
        if name not in self._nodes:
            value = self._constants[name]
            self._put(name, self._draft.constant(from_mlx(value), _name(value.dtype)), value.shape)
        return self._nodes[name]

    def _whole(self, name: str) -> int:
        """Return the node of a name, of the shape that it has."""
        draft, number = self._draft, self._narrow(name)
        shape = self._shapes[name]
        mine = draft.shape(number)
        if mine == shape:
            return number
        spread = draft.add("reshape", number, shape=(1,) * (len(shape) - len(mine)) + mine)
        return draft.add("broadcast", spread, shape=shape)

    def _primitive(self, record: Record) -> None:
        name, inputs, outputs = record["name"], record["inputs"], record["outputs"]
        results = [(tuple(shape), _name(dtype)) for _, shape, dtype in outputs]
        narrow = name in EACH or name in STRETCHED
        if name == "Depends":
            inputs = inputs[: len(outputs)]
        operands = tuple(self._narrow(one) if narrow else self._whole(one) for one, *_ in inputs)
        self._draft.line, self._draft.word = self._said.get(outputs[0][0], (None, ""))
        step = Step(self._draft, operands, tuple(record["arguments"]), results)
        lowered = EACH.get(name) or LOWERED.get(name)
        made = operands[0] if name in STRETCHED else lowered(step) if lowered is not None else None
        if made is None:
            whole = [self._whole(one) for one, *_ in inputs]
            made = tuple(self._draft.gap(f"{name} of MLX", shape, dtype, *whole) for shape, dtype in results)
        numbers = (made,) if isinstance(made, int) else made
        for (output, *_), (shape, _), number in zip(outputs, results, numbers, strict=True):
            self._put(output, number, shape)


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("mlx.core.").removesuffix("_")
