"""Into a live model of any target, and back to a PyTorch state dict: all or nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ml_switcheroo.errors import CastError, LoadError, UsageError, described
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.formats.given import Paths, as_state, is_files, layers_of
from ml_switcheroo.formats.owned import Owned
from ml_switcheroo.match.paths.spelling import segments
from ml_switcheroo.ops import Array
from ml_switcheroo.ops.casting import losses, may_lose, refusal
from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.planner import plan_into, specs_of
from ml_switcheroo.progress import Progress
from ml_switcheroo.provenance import stamped_target
from ml_switcheroo.recipes import Live, Target, parts_of
from ml_switcheroo.report.problems import bounded
from ml_switcheroo.report.suggesting import suggested
from ml_switcheroo.report.text import NAMES_OF_ITS_OWN
from ml_switcheroo.rules import Rule
from ml_switcheroo.scales import said_of_values
from ml_switcheroo.shown import few, html_table
from ml_switcheroo.targets import all_targets, live_target
from ml_switcheroo.tensors import DTYPES, TensorSpec, read_array
from ml_switcheroo.tree import Template

__all__ = ["Loaded", "load_into"]


class _Report(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class Loaded(_Report):
    """What ``load_into`` did, in torch's words; it unpacks as a plain pair.

    Attributes:
        notes: What a person should know, such as an epsilon that differs.
    """

    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        notes = f", {len(self.notes)} notes" if self.notes else ""
        return f"Loaded(missing_keys={few(self[0])}, unexpected_keys={few(self[1])}{notes})"

    def _repr_html_(self) -> str:
        said = {"missing_keys": few(self[0], 10), "unexpected_keys": few(self[1], 10)}
        return html_table("Loaded", [*said.items(), *(("note", note) for note in self.notes)])


def load_into(
    model: Any,
    state: Mapping[str, Any] | Paths,
    *,
    to: str | None = None,
    layers: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    strict: bool = True,
    allow_overflow: bool = False,
    layout: str | None = None,
    inputs: Any = None,
    target_inputs: Any = None,
    target_call: Callable[..., Any] | None = None,
    progress: bool | Callable[[int, int], object] = False,
) -> Loaded | Any:
    """Fill a live model with the tensors of a PyTorch checkpoint, or of a converted one.

    The model keeps its variables, with their dtype and sharding. Only their values change, and either all of
    them or none. Until the end the old values are kept as well: if there is no memory for both, make the
    model without values (``nnx.eval_shape``). Layers of MLX take no dtype: their float32 leaves take the
    checkpoint's bfloat16 or float16, and a note says so.

    Args:
        model: A live model of any target, such as an ``nnx.Module``.
        state: A checkpoint, its path or those of all its shards, a state dict, or a ``torch.nn.Module``. A
            checkpoint that was converted to the model's target is recognised by its stamp and read as it is.
        to: Name of the target, where the model is a plain tree that does not show it.
        layers: What the PyTorch side is, as in :func:`make_plan`.
        rules: The user's rules.
        strict: Raise where leaves are missing or tensors unexpected; otherwise load the others.
        allow_overflow: Load although finite values become infinite, NaN, 0 or other integers in the dtype
            of a leaf.
        layout: Where the model has the channels of its images, as in :func:`make_plan`.
        inputs: What the PyTorch model is given, so that both programs are read, as in :func:`make_plan`.
        target_inputs: What the model takes, if that differs, likewise.
        target_call: What runs the model, likewise.
        progress: Whether to show on stderr how many bytes are loaded; or a function that is called with that
            number and the bytes of all leaves.

    Returns:
        ``(missing_keys, unexpected_keys)`` in torch's names. Where models are immutable (Equinox,
        the trees of Linen and Haiku) the new model instead, and a warning that names what is missing or
        unexpected, and what else a person should know.

    Raises:
        CastError: The dtype of a leaf cannot hold what it gets; nothing was written.
        LoadError: Leaves are missing, unexpected or of another shape; nothing was written.
        PlanError: Something is ambiguous; nothing was written.
        UsageError: The model is not of a known target.
    """
    if is_files(state):
        with open_checkpoint(state) as checkpoint:
            return load_into(
                model,
                checkpoint,
                to=to,
                layers=layers,
                rules=rules,
                strict=strict,
                allow_overflow=allow_overflow,
                layout=layout,
                inputs=inputs,
                target_inputs=target_inputs,
                target_call=target_call,
                progress=progress,
            )
    if is_files(model):
        raise UsageError("load_into takes the model first, and then the checkpoint: load_into(model, state)")
    state, layers = as_state(state), layers_of(state, layers)
    target = live_target(model, to, "the model")
    if target is None or target.live is None:
        known = ", ".join(t.summary for t in all_targets().values() if t.live)
        own = "; load_state_dict loads it" if hasattr(model, "load_state_dict") else ""
        raise UsageError(f"load_into: {described(model)} is not a model of a known target ({known}){own}")
    if stamped_target(state) == target.name:
        return _load_converted(
            model, target.live, state, strict=strict, allow_overflow=allow_overflow, progress=progress
        )
    template = target.live.template(model)
    asked = {"to": target.name, "layers": layers, "rules": rules, "layout": layout}
    read = {"inputs": inputs, "target_inputs": target_inputs, "target_call": target_call}
    plan = plan_into(state, model, template, **asked, **read)
    plan.check(allow_missing=True, allow_unexpected=True)
    names = {path: torch_name(path, target, template) for path in plan.missing}
    loaded = Loaded(sorted(names.values()), sorted(plan.unexpected))
    loaded.notes = plan.notes
    if strict and any(loaded):
        cure = "Add Rename, Drop or Keep rules, or load what fits with strict=False."
        if layers is not None and inputs is None and plan.missing and plan.unexpected:
            cure = f"{cure} {NAMES_OF_ITS_OWN}"
        meant = [f"  a possible rule: {rule}  ({why})" for rule, why in suggested(plan)]
        sections = [_problems(plan, names), meant]
        short, full = (
            _strict_text(model, [line for part in body for line in part], cure)
            for body in (bounded(sections, _LINES), sections)
        )
        raise LoadError(short, problems=(*plan.missing, *plan.unexpected), full=full)
    leaves = plan.apply(state, partial=True, allow_overflow=allow_overflow)
    leaves.check_values()
    loaded.notes = (*plan.notes, *said_of_values(plan.moves, state))
    if target.live.immutable:
        _warn(model, _problems(plan, names), loaded.notes)
    leaves.check_sources()
    new = _written(model, target.live, template, _shown(leaves, plan.outputs, progress))
    return new if target.live.immutable else loaded


def _written(model: Any, live: Live, template: Template, leaves: Mapping[str, Any]) -> Any:
    """Write into the objects that the template holds, if it does; else walk the model for them."""
    if live.fill is None:
        return live.write(model, leaves)
    live.fill(template.held, leaves)
    return model


def _shown(
    leaves: Mapping[str, Any],
    specs: Mapping[str, TensorSpec],
    progress: bool | Callable[[int, int], object],
) -> Mapping[str, Any]:
    """Return the leaves; if progress is asked for, each reports how far the load is when it is made."""
    if not progress:
        return leaves
    show = Progress(wanted=True) if progress is True else progress
    total, done = sum(specs[path].nbytes for path in leaves), 0

    def count(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        show(done, total)

    return Owned(leaves, count)


_LINES = 38  # of 40, with the head and the cure


def torch_name(path: str, target: Target, template: Template) -> str:
    """Return the name that PyTorch would have for a leaf of a live model.

    The kind of the module decides, if the model's types show it; otherwise the name of the leaf.
    """
    *module, leaf = segments(path, target.naming.sequential, template.containers)
    if target.naming.collections:
        module = module[1:]
    kind = template.kinds.get(path.rpartition(target.naming.separator)[0], "")
    recipes = [target.kinds[kind]] if kind in target.kinds else list(target.kinds.values())
    for recipe in recipes:
        for entry in parts_of(recipe):
            if leaf in entry.leaves:
                return ".".join([*module, entry.slots[0]])
    return ".".join([*module, leaf])


def _problems(plan: Plan, names: Mapping[str, str]) -> list[str]:
    """List what is left over, with the name that each leaf would have in PyTorch."""
    lines = []
    for path, left in sorted(plan.missing.items()):
        lines.append(f"  missing     {path} {left.spec}: {left.why} (in PyTorch it would be {names[path]})")
    for name, left in sorted(plan.unexpected.items()):
        lines.append(f"  unexpected  {name} {left.spec}: {left.why}")
    return lines


def _strict_text(model: Any, problems: Iterable[str], cure: str = "") -> str:
    head = f"{type(model).__name__} was not changed: the checkpoint does not fit it"
    return "\n".join([head, *problems, *([cure] if cure else [])])


def _warn(model: Any, problems: Sequence[str], notes: Sequence[str] = ()) -> None:
    """Warn about what a new model did not get, with the notes: the model is returned, not the report."""
    head = f"{type(model).__name__} was loaded{' in part' if problems else ''}"
    if problems or notes:
        lines = [head, *problems, *(f"  note        {note}" for note in notes)]
        warnings.warn("\n".join(lines), stacklevel=3)


def _dtype(spec: TensorSpec) -> np.dtype[Any]:
    return DTYPES[spec.dtype].numpy


def _load_converted(
    model: Any,
    live: Live,
    state: Mapping[str, Any],
    *,
    strict: bool,
    allow_overflow: bool,
    progress: bool | Callable[[int, int], object],
) -> Loaded | Any:
    template, found = live.template(model), specs_of(state)
    expected = template.specs
    problems = [
        f"  {path}: {expected[path]} in the model, {spec} in the checkpoint"
        for path, spec in found.items()
        if path in expected
        and (expected[path].shape != spec.shape or refusal(_dtype(spec), _dtype(expected[path])))
    ]
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    left = [f"  {path}: in the model only" for path in missing]
    left += [f"  {path}: in the checkpoint only" for path in unexpected]
    if problems or (strict and left):
        problems = sorted(problems + (left if strict else []))
        raise LoadError(_strict_text(model, problems), problems=problems)
    if live.immutable:
        _warn(model, left)
    leaves = _Read(state, expected, allow_overflow=allow_overflow)
    new = _written(model, live, template, _shown(leaves, expected, progress))
    return new if live.immutable else Loaded(missing, unexpected)


class _Read(Mapping[str, Array]):
    """The tensors of a converted checkpoint that a model has, read when they are asked for."""

    def __init__(
        self, state: Mapping[str, Any], expected: Mapping[str, TensorSpec], *, allow_overflow: bool
    ) -> None:
        self._state, self._expected, self._allow_overflow = state, expected, allow_overflow
        self._paths = [path for path in expected if path in state]

    def __getitem__(self, path: str) -> Array:
        value = self._state[path]
        array: Array = read_array(value)
        wanted = _dtype(self._expected[path])
        if not self._allow_overflow and may_lose(array.dtype, wanted):
            with np.errstate(over="ignore", invalid="ignore"):
                lost = losses(array, array.astype(wanted))
            if lost:
                text = (
                    f"{path} {self._expected[path]}: {lost}\nLoad into a wider dtype, or allow_overflow=True."
                )
                raise CastError(text, {path: str(lost)})
        return array

    def __contains__(self, path: object) -> bool:
        return path in self._state

    def __iter__(self) -> Any:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
