"""A weight norm or spectral norm that the target has as well: kept as it is, not folded into the weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_switcheroo.axes import equation
from ml_switcheroo.errors import UsageError
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes, Branch, Op, SpectralState, WeightNorm
from ml_switcheroo.planning.options.gather import Gathered, SlotTensors
from ml_switcheroo.planning.options.moving import Task, made
from ml_switcheroo.recipes import Form, Part, Wrapper
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Kept", "kept_in"]

NAMES: Mapping[str, tuple[str, ...]] = {"weight_norm": ("g", "v"), "spectral_norm": ("weight", "u", "v")}


@dataclass(frozen=True, slots=True)
class Kept:
    """A module inside of a wrapper that keeps its norm.

    Attributes:
        task: The task of the module within, without the pieces of the norm.
        moves: The moves that the wrapper adds, or that stand in place of those within, by their leaves.
        refused: Why the norm cannot be kept; empty where it can.
    """

    task: Task
    moves: tuple[Move, ...] = ()
    refused: str = ""


def kept_in(task: Task, form: Form, shown: Mapping[str, Any]) -> Kept | None:
    """Find the wrapper of the target around a module whose weight has a norm; None where there is none.

    Args:
        task: The module.
        form: The form of the target's recipe that is tried.
        shown: Attributes of the live wrapper.
    """
    source = task.gathered.slots.get(("weight", ()))
    part = next((e for e in form.entries if isinstance(e, Part) and e.slots == ("weight",)), None)
    if source is None or part is None or not source.ops:
        return None
    norm = "weight_norm" if isinstance(source.ops[0], WeightNorm) else "spectral_norm"
    wrapper = task.target.wrappers.get(norm)
    extra = _leaves_of_wrapper(task, wrapper, part) if wrapper is not None else None
    if wrapper is None or extra is None:
        return None
    pieces = dict(zip(NAMES[norm], source.names, strict=True))
    weight = pieces["v" if norm == "weight_norm" else "weight"]
    sources = {**task.gathered.slots, ("weight", ()): SlotTensors(source.slot, (weight,))}
    inner = replace(
        task,
        gathered=Gathered(sources, task.gathered.broken),
        locate=lambda leaf, collection: task.locate(f"{wrapper.inner}.{leaf}", collection),
    )
    try:
        if norm == "weight_norm":
            moves = [_length(task, wrapper, part, pieces, extra["g"], shown)]
        else:
            moves = list(_spectral(inner, wrapper, part, pieces, extra))
    except UsageError as error:
        return Kept(inner, refused=str(error))
    return Kept(inner, tuple(moves))


def _leaves_of_wrapper(task: Task, wrapper: Wrapper, part: Part) -> dict[str, tuple[str, TensorSpec]] | None:
    """Return the leaves that only the wrapper has, if the model that is there has them."""
    found = {}
    for piece, pattern in wrapper.leaves.items():
        try:
            path, spec = task.locate(pattern.format(leaf=part.leaves[0]), wrapper.collection)
        except UsageError:
            return None
        if spec is None:
            return None
        found[piece] = (path, spec)
    return found


def _axes_of(part: Part, source: SlotTensors, rank: int) -> tuple[list[str], list[str]]:
    """Return the names of the axes of the weight in PyTorch and in the target.

    Raises:
        UsageError: They are not the same axes in another order.
    """
    sides = (source.slot.axes, part.axes or source.slot.axes)
    count = rank - len(sides[0].split()) + 1
    space = " ".join(f"space{index}" for index in range(count))
    there, here = (side.replace("*space", space).split() for side in sides)
    if part.ops or sorted(there) != sorted(here) or len(there) != rank:
        raise UsageError(
            f"a norm of {source.slot.axes} cannot be kept in the target's {part.leaves[0]}, which lies"
            " otherwise: unwrap it"
        )
    return there, here


def _length(
    task: Task,
    wrapper: Wrapper,
    part: Part,
    pieces: Mapping[str, str],
    leaf: tuple[str, TensorSpec],
    shown: Mapping[str, Any],
) -> Move:
    """Make the move of the lengths ``g``; the directions ``v`` are the weight within.

    Raises:
        UsageError: The target normalises over other axes.
    """
    g, v = (task.specs[pieces[name]] for name in "gv")
    there, here = _axes_of(part, task.gathered.slots["weight", ()], len(v.shape))
    large = {axis for axis, size in zip(there, v.shape, strict=True) if size > 1}
    mine = [axis for axis, size in zip(there, g.shape, strict=False) if size > 1]
    own = _kept_axes(shown.get(wrapper.axes, wrapper.default), here)
    if set(mine) != set(own) & large:
        raise UsageError(
            f"{task.owner.path or 'the model'}: PyTorch's weight norm has a length for each {_named(mine)} of"
            f" the weight, the target's for each {_named(own)}: make both alike or unwrap the target's"
        )
    result = [axis if axis in own else "1" for axis in here] if wrapper.whole else own
    source = [axis if axis in own else "1" for axis in there] if g.shape else []
    rule = equation(" ".join(source), " ".join(result))
    view = rule.bind(g.shape, {}, leaf[1].shape)
    ops: tuple[Op, ...] = () if view.shape == g.shape else (Axes(str(rule)),)
    return made(task, (pieces["g"],), (leaf[0],), ops, _said(wrapper.note))


def _kept_axes(told: Any, here: Sequence[str]) -> list[str]:
    """Return the axes of the target's weight that have a length each: all but those are summed over."""
    if told is None:
        return []
    return [here[axis] for axis in (told if isinstance(told, list | tuple) else (told,))]


def _named(axes: Sequence[str]) -> str:
    return " and ".join(f'"{axis}"' for axis in axes) or "whole"


def _spectral(
    task: Task,
    wrapper: Wrapper,
    part: Part,
    pieces: Mapping[str, str],
    extra: Mapping[str, tuple[str, TensorSpec]],
) -> Iterator[Move]:
    """Make the moves of the weight, of ``u``, and of ``v`` or the norm.

    Raises:
        UsageError: The target takes the matrix of the weight otherwise.
    """
    source = task.gathered.slots["weight", ()]
    spec = task.specs[pieces["weight"]]
    there, here = _axes_of(part, source, len(spec.shape))
    rows = task.specs[pieces["u"]].shape[0]
    if there[0] != "out" or here[wrapper.default] != "out" or rows != spec.shape[0]:
        raise UsageError(
            f"{task.owner.path or 'the model'}: the spectral norm of a {task.finding.kind} cannot be kept:"
            " the target takes the matrix of the weight otherwise; unwrap the target's layer"
        )
    if "v" in extra:
        for name in "uv":
            yield made(
                task, (pieces[name],), (extra[name][0],), (), _said(wrapper.note if name == "u" else "")
            )
        return
    path, _ = task.locate(part.leaves[0], part.collection)
    order = Axes(f"{' '.join(there)} -> {' '.join(here)}")
    row = Axes("out -> 1 out")
    names = [piece for piece in ("u", "sigma") if piece in extra]
    state = SpectralState(folded=wrapper.folded, sigma="sigma" in extra)
    branches: tuple[tuple[Op, ...], ...] = (() if there == here else (order,), (row,), ())[: len(names) + 1]
    leaves = (path, *(extra[piece][0] for piece in names))
    yield made(task, tuple(pieces.values()), leaves, (state, Branch(branches)), _said(wrapper.note))


def _said(note: str) -> tuple[str, ...]:
    return (note,) if note else ()
