"""One move: a part of a recipe, made for the tensors and the leaf at hand."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ml_switcheroo.axes import ONES, equation, parse
from ml_switcheroo.errors import AxesError, UsageError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes, Copy, Filled, Op, Stack, Unstack, trace
from ml_switcheroo.planning.options.flattened import before_unflatten, behind_flatten, in_parts, over_several
from ml_switcheroo.planning.options.gather import At, Gathered, SlotTensors
from ml_switcheroo.recipes import Part, Target
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Locate", "NothingToDo", "Task", "made", "move_of"]

Locate = Callable[[str, str], tuple[str, TensorSpec | None]]
"""Gives, for a leaf's name and collection, its path and (in a template) its spec; raises
:class:`UsageError` where the template has no such leaf."""

_BRACES = re.compile(r"\{(\w+)(?::([^}]*))?\}")


class NothingToDo(UsageError):
    """Nothing is to be done: neither the module has the slot nor the target the leaf."""


@dataclass(frozen=True, slots=True)
class Task:
    """A module under a finding: everything its moves are made from."""

    owner: Owner
    finding: Finding
    specs: Mapping[str, TensorSpec]
    target: Target
    locate: Locate
    gathered: Gathered


def move_of(task: Task, entry: Part, at: At, sources: Sequence[SlotTensors]) -> Move:
    """Make the move of a part; without sources its leaf is filled.

    Raises:
        UsageError: The template has no such leaf, or one of another shape; or a size is not known.
        NothingToDo: There are no sources and the template has no such leaf.
    """
    names = tuple(name for source in sources for name in source.names)
    leaves = [_leaf(leaf, at, task.gathered) for leaf in entry.leaves]
    try:
        ends = [task.locate(leaf, entry.collection) for leaf in leaves]
    except UsageError as error:
        raise error if sources else NothingToDo(str(error)) from error
    inputs = tuple(task.specs[name] for name in names)
    notes: list[str] = []
    if sources:
        ops: list[Op] = _ops(task, entry, sources, inputs, ends[0][1], notes)
    else:
        ops = [Filled(entry.absent or 0.0, *_absent(task, entry, at, ends[0][1]))]
        ops += [Copy(len(ends))] if len(ends) > 1 else []
        notes.append(f"PyTorch's layer has none: filled with {entry.absent:g}")
    move = made(task, names, tuple(path for path, _ in ends), tuple(ops), tuple(notes))
    if len(move.outputs) != len(ends):
        raise AxesError(
            f"{', '.join(leaves)}: {len(ends)} leaves in the target, this gives {len(move.outputs)}"
        )
    for (path, spec), found in zip(ends, move.outputs, strict=True):
        if spec is not None and spec.shape != found.shape:
            raise AxesError(f"{path} is {spec} in the target, this gives {found}")
    return move


def made(
    task: Task, sources: tuple[str, ...], leaves: tuple[str, ...], ops: tuple[Op, ...], notes: tuple[str, ...]
) -> Move:
    """Make a move of a module, with what is known of it."""
    inputs = tuple(task.specs[name] for name in sources)
    finding = task.finding
    return Move(
        sources=sources,
        leaves=leaves,
        ops=ops,
        inputs=inputs,
        outputs=trace(ops, inputs)[-1],
        kind=finding.kind,
        origin=finding.origin,
        reason=finding.reason,
        where=finding.where,
        notes=notes,
    )


def _leaf(pattern: str, at: At, gathered: Gathered) -> str:
    """Write a leaf for one layer and way; a segment for the only layer or way is left out."""
    if "{" not in pattern:
        return pattern
    values = dict(at)
    ways = [dict(other) for other in gathered.ways(())]

    written = []
    for segment in pattern.split("."):
        alone = _BRACES.fullmatch(segment)
        if alone is None or len({other[alone[1]] for other in ways}) > 1:
            written.append(_BRACES.sub(lambda found: _word(found, values), segment))
    return ".".join(written)


def _word(found: re.Match[str], values: Mapping[str, str]) -> str:
    value = values[found[1]]
    return found[2].split("|")[bool(value)] if found[2] else value


def _ops(
    task: Task,
    entry: Part,
    sources: Sequence[SlotTensors],
    inputs: tuple[TensorSpec, ...],
    wanted: TensorSpec | None,
    notes: list[str],
) -> list[Op]:
    """Return the operations of a part, in the order its docstring gives."""
    ops: list[Op] = []
    if len(sources) == 1:
        ops += sources[0].ops
    elif any(source.ops for source in sources):
        raise UsageError(f"{', '.join(entry.slots)}: a weight norm or spectral norm cannot be folded here")
    ops += entry.ops
    before = trace(ops, inputs)[-1]
    source, result = _axes(entry, sources[0].slot.axes)
    shape = wanted.shape if wanted else None
    pieces = len(entry.leaves)
    sizes: dict[str, int] = {}
    if len(before) == pieces > 1:
        return ops
    lead = [axis for axis in parse(result).axes if axis not in parse(source).axes]
    if len(before) > 1:
        ops.append(Stack(0))
        before = ops[-1].specs(before)
        source = f"{lead[0]} {source}"
    if pieces > 1:
        sizes[parse(result).axes[0]] = pieces
        shape = (pieces, *shape) if shape is not None else None
    sides = over_several(task.owner.path, task.finding, task.target, (source, result), before[0], shape)
    sides = behind_flatten(task.finding, task.target, sides, before[0], sizes, notes)
    source, result = before_unflatten(task.finding, task.target, sides, before[0], sizes, notes)
    ops += (
        in_parts(task.finding, task.target, sources[0].slot.axes, before[0], notes)
        if len(sources) == 1
        else []
    )
    ops += _rearrange(task, source, result, sizes, before[0], shape)
    return [*ops, Unstack(0)] if pieces > 1 else ops


def _axes(entry: Part, axes: str) -> tuple[str, str]:
    """Return the axes of a slot and of its leaf."""
    if entry.axes is None:
        return axes, axes
    source, arrow, result = entry.axes.partition("->")
    return (source.strip(), result.strip()) if arrow else (axes, entry.axes)


def _rearrange(
    task: Task,
    source: str,
    result: str,
    sizes: dict[str, int],
    spec: TensorSpec,
    wanted: tuple[int, ...] | None,
) -> list[Op]:
    rule = equation(source, result)
    layer = LAYERS[task.finding.kind]
    sizes = {**_spatial(task), **sizes}
    grouped = [group for group in rule.source.groups if len(group) > 1]
    for group in grouped:
        for axis in group[:-1]:
            size = sizes.get(axis, layer.size(axis, task.finding.args))
            if size is not None:
                sizes[axis] = size
    try:
        view = rule.bind(spec.shape, sizes, wanted)
    except AxesError as error:
        lacking = [str(layer.sizes[axis]) for group in grouped for axis in group if _open(task, axis)]
        if not lacking:
            raise
        args = ", ".join(f'"{arg}": ...' for arg in lacking)
        cure = f'say Kind("{task.owner.path}", "{layer.kind}", args={{{args}}})'
        raise AxesError(f"{error}; {cure}") from error
    if source == result or (view.shape == spec.shape and view.order == tuple(range(len(view.order)))):
        return []
    return [Axes(str(rule), tuple((axis, size) for axis, size in view.sizes.items() if axis in rule.told))]


def _spatial(task: Task) -> dict[str, int]:
    """Count the spatial axes of a module: a bias laid out for them has as many axes of size 1."""
    for source in task.gathered.slots.values():
        pattern = parse(source.slot.axes)
        if pattern.loose is not None and pattern.groups[pattern.loose] == ("*space",):
            spec = trace(source.ops, tuple(task.specs[name] for name in source.names))[-1][0]
            return {ONES: len(spec.shape) - len(pattern.groups) + 1}
    return {}


def _open(task: Task, axis: str) -> bool:
    layer = LAYERS[task.finding.kind]
    return axis in layer.sizes and layer.size(axis, task.finding.args) is None


def _absent(task: Task, entry: Part, at: At, wanted: TensorSpec | None) -> tuple[tuple[int, ...], str]:
    """Return the shape and dtype of a leaf that no tensor fills, from the tensors beside it."""
    layer = LAYERS[task.finding.kind]
    sizes: dict[str, int] = {}
    dtype = "float32"
    for (_, where), source in task.gathered.slots.items():
        if where == at:
            spec = trace(source.ops, tuple(task.specs[name] for name in source.names))[-1][0]
            dtype = spec.dtype
            for group, size in zip(parse(source.slot.axes).groups, spec.shape, strict=False):
                for axis in group[:-1]:
                    sizes[axis] = layer.size(axis, task.finding.args) or 1
                sizes[group[-1]] = size // math.prod(sizes[axis] for axis in group[:-1])
    if wanted is not None:
        return wanted.shape, dtype
    groups = parse(_axes(entry, layer.slots[entry.slots[0]])[1]).groups[len(entry.leaves) > 1 :]
    if not all(axis in sizes for group in groups for axis in group):
        raise UsageError(
            f"{layer.kind} at {task.owner.path}: the size of {', '.join(entry.leaves)} is not known"
        )
    return tuple(math.prod(sizes[axis] for axis in group) for group in groups), dtype
