"""The plan of a known model, as the table of moves that a rewritten file carries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ml_switcheroo.axes import equation
from ml_switcheroo.codemod.bundle import Table
from ml_switcheroo.codemod.known_kinds import known_of
from ml_switcheroo.errors import PlanError
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.formats.given import Paths, as_state, is_files
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import OPS, Op, Specs, trace
from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.drawing import draw_plan

__all__ = ["plan_of", "table_of"]

Row = tuple[str, ...]

_NUMBER = re.compile(r"(?<![^./])\d+(?![^./])|(?<=[A-Za-z0-9]_)\d+(?=[./])")
_COLLECTIONS = ("params/", "batch_stats/")


def plan_of(state: Mapping[str, Any] | Paths, layers: Any, to: str, like: Any = None) -> Table | str:
    """Make the table of a model's plan, under the names inside of wrappers; or say why there is none.

    Args:
        state: The checkpoint, its path, or a state dict: only names, shapes and dtypes are read.
        layers: The model, as for ``make_plan``.
        to: The target's name.
        like: What the target side is, as for ``make_plan``.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        SourceError: The source cannot be read.
        UsageError: No tensor of the checkpoint is of the model.
    """
    if is_files(state):
        with open_checkpoint(state) as checkpoint:
            return plan_of(checkpoint, layers, to, like)
    plan = draw_plan(known_of(as_state(state), layers, to=to, like=like).request)
    try:
        plan.check()
    except PlanError as error:
        return str(error)
    return table_of(plan, layers if isinstance(layers, str) else type(layers).__name__)


def table_of(plan: Plan, model: str) -> Table | str:
    """Write a plan as rows, repeated blocks as one; or say which operation has no words."""
    rows = []
    for move in plan.moves:
        steps = _steps(move)
        if steps is None:
            return f"{move}: this has no words in a table"
        rows.append((move.sources, tuple(map(_dotted, move.leaves)), steps))
    rows += [((name,), (), ()) for name in plan.dropped]
    return Table(model, tuple(_folded(rows)))


def _dotted(path: str) -> str:
    inner = next((path.removeprefix(head) for head in _COLLECTIONS if path.startswith(head)), path)
    return inner.replace("/~/", "/").replace("/", ".")


def _steps(move: Move) -> tuple[str, ...] | None:
    """Return a move's operations in the words of ``PlannedMapper``."""
    stations = trace(move.ops, move.inputs)
    steps = [_step(op, specs) for op, specs in zip(move.ops, stations, strict=False)]
    return None if None in steps else tuple(step for step in steps if step)


def _step(op: Op, specs: Specs) -> str | None:
    """Return one operation in words; empty where it does nothing, None where it has none."""
    name = next(name for name, kind in OPS.items() if kind is type(op))
    return _WORDS[name](op, specs) if name in _WORDS else None


def _axes(op: Any, specs: Specs) -> str | None:
    ranks = {len(spec.shape) for spec in specs}
    if len(ranks) != 1:
        return None
    sides = [side.strip() for side in op.equation.split("->")]
    spelled = str(equation(*sides).spelled(ranks.pop()))
    ones = dict(op.sizes).get("*1")
    if "*1" in spelled:
        if ones is None:
            return None
        spelled = spelled.replace("*1", " ".join(["1"] * ones))
    told = " ".join(f"{axis.strip('*')}={size}" for axis, size in op.sizes if axis != "*1")
    return spelled.replace("*", "") + (f", {told}" if told else "")


def _flip(op: Any, specs: Specs) -> str:
    return " ".join(map(str, ("flip", *op._dimensions(len(specs[0].shape)))))


def _shift(op: Any, _: Specs) -> str:
    blocks = f" {op.block} {op.blocks}" if op.blocks > 1 else ""
    return f"add {float(op.amount)!r}{blocks}"


_WORDS: Mapping[str, Callable[[Any, Specs], str | None]] = {
    "axes": _axes,
    "flip": _flip,
    "gates": lambda op, _: " ".join(map(str, ("gates", op.axis, *op.order))),
    "split": lambda op, _: " ".join(map(str, ("split", op.axis, *op.sizes))),
    "concat": lambda op, _: f"join {op.axis}",
    "stack": lambda op, _: f"stack {op.axis}",
    "unstack": lambda op, _: f"unstack {op.axis}",
    "tie": lambda *_: "tied",
    "copy": lambda op, _: f"copied {op.count}",
    "skip": lambda op, _: f"without {op.rows}",
    "shift": _shift,
    "scale": lambda op, _: f"times {float(op.factor)!r}",
    "sum": lambda *_: "sum",
    "gatesum": lambda op, _: f"gatesum {op.blocks} {op.added}",
    "weightnorm": lambda *_: "normed",
}


def _folded(rows: Iterable[tuple[Row, Row, Row]]) -> list[Row]:
    """Write rows that differ in numbers alone as one with braces, where its patterns mean no other tensor."""
    rows = list(rows)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for at, (tensors, leaves, steps) in enumerate(rows):
        numbers = {tuple(_NUMBER.findall(text)) for text in (*tensors, *leaves)}
        alone = len(numbers) != 1 or numbers == {()}
        forms = [
            tuple(text if alone else _NUMBER.sub("{}", text) for text in side) for side in (tensors, leaves)
        ]
        groups.setdefault((*forms, steps), []).append(at)
    every = [name for tensors, _, _ in rows for name in tensors]
    made: dict[int, Row] = {}
    for (tensors, leaves, steps), places in groups.items():
        fits = [re.compile(re.escape(name).replace(r"\{\}", r"\d+")) for name in tensors]
        meant = sum(any(fit.fullmatch(name) for fit in fits) for name in every)
        if len(places) > 1 and meant == len(places) * len(tensors):
            made[places[0]] = (", ".join(tensors), ", ".join(leaves), *steps)
        else:
            for at in places:
                made[at] = (", ".join(rows[at][0]), ", ".join(rows[at][1]), *steps)
    return [made[at] for at in sorted(made)]
