"""Draw a model: read it, follow ``forward`` with the shapes of its inputs, and keep what the outputs need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from ml_switcheroo.errors import SourceError
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.of_source.drawn import Drawn, Lost, Undecided, Unlowered
from ml_switcheroo.graph.of_source.machine import Drawer
from ml_switcheroo.graph.of_source.state import State
from ml_switcheroo.graph.of_source.tables import new_drawer
from ml_switcheroo.graph.running import needed
from ml_switcheroo.sources.static.python.machine import Budget
from ml_switcheroo.sources.static.python.values import Arguments, Instance, Raised, Unknown, Value, options
from ml_switcheroo.sources.static.reading.attempt import Attempt
from ml_switcheroo.sources.static.reading.entry import reading
from ml_switcheroo.sources.static.torch.values import Tensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["draw_live", "draw_source"]

Input: TypeAlias = Any
"""A shape with a dtype, a :class:`TensorSpec`, a plain value, or a list, tuple or dictionary of those."""

_STEPS = 20_000_000


def draw_source(
    spec: str,
    specs: Mapping[str, TensorSpec],
    inputs: Sequence[Input] = (),
    keywords: Mapping[str, Input] = MappingProxyType({}),
    *,
    root: Path | None = None,
) -> Graph:
    """Return what ``forward`` of a model computes, from its source, which is never run.

    Args:
        spec: ``path/model.py:Net``, as for ``read_layers``.
        specs: The checkpoint: shape and dtype by tensor name.
        inputs: What ``forward`` is given: ``((2, 3, 32, 32), "float32")`` for each tensor; dictionaries,
            lists and plain values (a flag) as they are. What is left out has its default.
        keywords: What it is given by name.
        root: Folder that the path and the imports are relative to; the working directory if None.

    Returns:
        The graph. What could not be followed is a gap that says where and why.

    Raises:
        SourceError: The file cannot be read, or has no such class.
    """
    with reading(spec, specs, root=root, machine=new_drawer) as attempt:
        if not isinstance(attempt.machine, Drawer):
            raise TypeError("another machine has read the model")
        roots = [one for one in options(attempt.value) if isinstance(one, Instance)]
        if attempt.failure or len(roots) != 1:
            why = attempt.failure or "what it makes is not one module"
            raise SourceError(attempt.label, f"{attempt.name} could not be followed: {why}")
        attempt.machine.state = _state(attempt, specs)
        return _drawn(attempt.machine, roots[0], inputs, keywords)


def draw_live(
    model: Any,
    specs: Mapping[str, TensorSpec],
    inputs: Sequence[Input] = (),
    keywords: Mapping[str, Input] = MappingProxyType({}),
) -> Graph:
    """Return what ``forward`` of a live ``torch.nn.Module`` computes, from the source of its class.

    The arguments are those of :func:`draw_source`. Of the module, classes, attributes and shapes are read,
    and the values of tensors that no state dict has.
    """
    from ml_switcheroo.graph.of_source.live import read_live

    with read_live(model, specs) as (machine, root):
        return _drawn(machine, root, inputs, keywords)


def _state(attempt: Attempt, specs: Mapping[str, TensorSpec]) -> State:
    """Return where the tensors of a reading come from; of one with several names, the first counts."""
    names: dict[int, str] = {}
    for name in specs:
        made = attempt.fit.makers.get(name)
        if made is not None:
            names.setdefault(made[0], name)
    paths: dict[int, str] = {}
    for path, modules in attempt.fit.modules.items():
        for module in modules:
            paths.setdefault(id(module), path)
    owners = {name: found[0].kind for name, found in attempt.fit.claims.items() if found}
    buffers = {name for name, kind in owners.items() if kind == "buffer" or name.endswith(_STATISTICS)}
    return State(specs, names, paths, frozenset(buffers))


_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def _drawn(machine: Drawer, root: Instance, inputs: Sequence[Input], keywords: Mapping[str, Input]) -> Graph:
    """Follow ``forward``; what ends it before its end is a gap behind all that was drawn."""
    machine.steps, machine.strict, machine.frame = _STEPS, True, None
    machine.assumed.clear()
    pen = machine.pen
    given = [_input(machine, one) for one in inputs]
    words = {name: _input(machine, one) for name, one in keywords.items()}
    first = len(pen.draft)
    try:
        value = machine.call(root, Arguments(given, words))
        outputs = list(_tensors(machine, value))
        if not outputs:
            outputs = [("", machine.lost("forward gives no tensor that is known").node)]
    except (Undecided, Unlowered) as error:
        outputs = [("", _ended(machine, first, str(error)))]
    except Raised as error:
        why = f"{machine.line}: {error}" if machine.line else str(error)
        outputs = [("", _ended(machine, first, why))]
    except (Budget, RecursionError):
        outputs = [("", _ended(machine, first, "the code is too long to follow"))]
    names, numbers = zip(*outputs, strict=True)
    return pruned(pen.draft.finished(numbers, names))


def _input(machine: Drawer, given: Input) -> Value:
    """Return an argument of forward."""
    if isinstance(given, TensorSpec):
        return machine.pen.input(given.shape, given.dtype)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str):
        return machine.pen.input(tuple(given[0]), given[1])
    if isinstance(given, Mapping):
        return machine.heap.new({name: _input(machine, one) for name, one in given.items()})
    if isinstance(given, list | tuple):
        return type(given)(_input(machine, one) for one in given)
    return given


def _tensors(
    machine: Drawer, value: Value, path: tuple[str, ...] = (), named: bool = False
) -> Iterator[tuple[str, int]]:
    """Yield the name and the node of each tensor in what forward gives, in order; none without mappings."""
    name = ".".join(path) if named else ""
    if isinstance(value, Drawn):
        stale = "what is given was changed through another tensor"
        yield name, machine.lost(stale).node if value.stale else value.node
    elif isinstance(value, Lost):
        yield name, value.node
    elif isinstance(value, list | tuple):
        for place, one in enumerate(value):
            yield from _tensors(machine, one, (*path, str(place)), named)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _tensors(machine, one, (*path, str(key)), named=True)
    elif isinstance(value, Instance):
        held = value.marks.contents
        yield from _tensors(machine, held if isinstance(held, dict) and held else value.attrs, path)
    elif isinstance(value, Unknown):
        yield name, machine.lost("what forward gives is not known").node
    elif isinstance(value, Tensor):
        yield from _tensors(machine, machine.state.drawn(machine, value), path, named)


def _ended(machine: Drawer, first: int, why: str) -> int:
    """Return the gap that stands for all that was not read, behind what nothing else has taken."""
    draft = machine.pen.draft
    taken = {one for number in range(first, len(draft)) for one in draft[number].operands}
    loose = [
        number
        for number in range(first, len(draft))
        if number not in taken and draft[number].op not in ("constant", "leaf", "input")
    ]
    return draft.gap(why, (), "float32", *loose)


def pruned(graph: Graph) -> Graph:
    """Return a graph without what its outputs do not need; its inputs stay."""
    order = sorted({*graph.inputs, *needed(graph, graph.outputs, ())})
    place = {number: index for index, number in enumerate(order)}
    nodes = tuple(
        replace(node, operands=tuple(place[one] for one in node.operands))
        for node in (graph.nodes[number] for number in order)
    )
    gaps = [str(node.params["name"]) for node in nodes if node.op == "call" and node.params["run"] is None]
    return Graph(
        nodes,
        tuple(place[one] for one in graph.inputs),
        MappingProxyType({name: place[one] for name, one in graph.leaves.items() if one in place}),
        tuple(place[one] for one in graph.outputs),
        tuple(dict.fromkeys(gaps)),
        graph.names,
    )
