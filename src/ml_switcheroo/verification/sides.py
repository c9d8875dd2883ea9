"""The two models with the plan between them, and how each is run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo.errors import UsageError, described
from ml_switcheroo.ops import Array
from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.recipes import Target
from ml_switcheroo.rules import Rule
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.sources.live import read_module
from ml_switcheroo.targets import live_target
from ml_switcheroo.targets.ports import layout_shown, with_layout
from ml_switcheroo.tensors import as_numpy, spec_of
from ml_switcheroo.verification import observers
from ml_switcheroo.verification.calls import Call, Recorder, arrays_in
from ml_switcheroo.verification.readings import Reading, channels_last, stated

__all__ = ["Inputs", "Run", "Sides", "given_to_target", "run_source", "run_target"]

Inputs = Any
"""One array, a sequence of arrays, or a mapping of keyword arguments."""


@dataclass(frozen=True)
class Run:
    """What a run of a model gave.

    Attributes:
        output: What the model gave.
        calls: The calls of its modules, in the order in which they ended.
        arrays: The arrays of the output as NumPy's, by number or by key.
    """

    output: Any
    calls: list[Call]
    arrays: dict[str, Array]


@dataclass(frozen=True)
class Sides:
    """A plan with the two models it is between.

    Attributes:
        plan: The plan.
        source: Class of the PyTorch model.
        target: The target.
        findings: What the modules of the PyTorch model are.
    """

    plan: Plan
    source: str
    target: Target
    findings: Mapping[str, Finding]

    @property
    def live(self) -> Any:
        """How live models of the target are read and written."""
        return self.target.live

    @classmethod
    def of(
        cls,
        plan: Plan | None,
        source_model: Any,
        target_model: Any,
        to: str | None,
        rules: Iterable[Rule] | str | Path = (),
        layout: str | None = None,
        read: Mapping[str, Any] | None = None,
    ) -> Sides:
        """Find out what the models are.

        Names and shapes make the plan; where they leave something open, what both programs compute does.

        Args:
            plan: The plan, where there is one.
            source_model: The PyTorch model.
            target_model: The target's.
            to: Name of the target.
            rules: The rules of a plan that is made here.
            layout: Where the target model has its channels.
            read: The inputs of both, with which both programs are read.

        Raises:
            PlanError: A plan that is made here is ambiguous.
            UsageError: A model is of no known target, or the plan is for another model.
        """
        if not hasattr(source_model, "state_dict") or "torch" not in sys.modules:
            raise UsageError(f"source_model= is {described(source_model)}, not a torch.nn.Module")
        target = cls.target_of(target_model, plan.target if plan is not None else to)
        state = source_model.state_dict()
        if plan is None:
            options = {"like": target_model, "rules": rules, "layout": layout}
            plan = make_plan(state, to=target.name, layers=source_model, **options)
            if read is not None and (plan.missing or plan.ambiguous):
                with suppress(UsageError):  # what a model is run with may be more than shapes
                    other = make_plan(state, to=target.name, layers=source_model, **options, **read)
                    plan = _more_filled(plan, other)
            if not plan.differences:  # which the run shows
                plan.check(allow_missing=True, allow_unexpected=True)
        absent = sorted(name for name in plan.inputs if name not in state)
        if absent:
            raise UsageError(f"the plan is for another model: PyTorch's has no {', '.join(absent[:5])}")
        findings = read_module(source_model, {name: spec_of(value) for name, value in state.items()}).findings
        if layout is None and target.channels == "last":
            layout = layout_shown(target_model).layout or None
        return cls(plan, type(source_model).__name__, with_layout(target, layout), findings)

    @staticmethod
    def target_of(model: Any, name: str | None) -> Target:
        """Return the target of a live model.

        Raises:
            UsageError: It is a model of no target, or of another target than the named one.
        """
        target = live_target(model, name, "target_model=")
        if target is None or target.live is None:
            raise UsageError(f"target_model= is {described(model)}, not a model of a known target; say to=")
        return target

    @property
    def images(self) -> bool:
        """Whether any layer has its channels before axes of space."""
        kinds = {finding.kind for finding in self.findings.values()} | {m.kind for m in self.plan.moves}
        return any(channels_last(kind) is not None for kind in kinds)


def _more_filled(plan: Plan, other: Plan) -> Plan:
    """Return the plan that fills more leaves; where both fill as many, the first."""
    return other if len(other.outputs) > len(plan.outputs) or other.differences else plan


def run_source(model: Any, call: Callable[..., Any] | None, inputs: Inputs) -> Run:
    """Run the PyTorch model."""
    from ml_switcheroo.verification.observers import pytorch

    recorder = Recorder()
    args, kwargs = _arguments(inputs)
    output = pytorch.run(model, call, args, kwargs, recorder)
    return Run(output, recorder.calls, _named(output, as_numpy))


def run_target(target: Target, model: Any, call: Callable[..., Any] | None, inputs: Inputs) -> Run:
    """Run the model of a target; the inputs are NumPy arrays or what else it takes."""
    observer = observers.observer_of(target)
    recorder = Recorder()
    args, kwargs = _arguments(inputs)
    here = tuple(observer.write(value) if _is_array(value) else value for value in args)
    named = {key: observer.write(value) if _is_array(value) else value for key, value in kwargs.items()}
    output = observer.run(model, call, here, named, recorder)
    return Run(output, recorder.calls, _named(output, observer.read))


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic)


def _arguments(inputs: Inputs) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    if inputs is None:
        raise UsageError("inputs= is None: both models run, and need something to run on")
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, list | tuple) else ((inputs,), {})


def _named(output: Any, read: Callable[[Any], Array]) -> dict[str, Array]:
    if isinstance(output, Mapping):
        return {str(key): read(found) for key, value in output.items() for found in arrays_in(value)}
    return {str(index): read(value) for index, value in enumerate(arrays_in(output))}


def given_to_target(
    inputs: Inputs,
    target_inputs: Inputs,
    axes: str | Sequence[str | None] | None,
    mine: Run,
    sides: Sides,
) -> tuple[Inputs, list[str]]:
    """Return what the target is called with, and how PyTorch's inputs were moved for it."""
    if target_inputs is not None:
        return target_inputs, []
    args, kwargs = _arguments(inputs)
    values = [*args, *kwargs.values()]
    texts = [axes] * len(values) if axes is None or isinstance(axes, str) else list(axes)
    if len(texts) != len(values):
        raise UsageError(f"input_axes= are {len(texts)}, the inputs are {len(values)}")
    remarks: list[str] = []
    moved = []
    for number, (value, text) in enumerate(zip(values, texts, strict=True)):
        array = as_numpy(value) if hasattr(value, "shape") else value
        reading = stated(text) if text else _reading_of_input(number, mine.calls, sides)
        if reading is not None and _is_array(array) and (text or array.ndim > 2):
            array = np.ascontiguousarray(reading.apply(array))
            remarks.append(f"input {number} is given to the target as {reading.text}")
        moved.append(array)
    if kwargs:
        return dict(zip(kwargs, moved, strict=True)), remarks
    return tuple(moved), remarks


def _reading_of_input(number: int, calls: Sequence[Call], sides: Sides) -> Reading | None:
    """Return how a channels-last target takes an input that a layer of PyTorch reads as it is."""
    if sides.target.channels == "first":
        return None
    for call in calls:
        if number in call.reads and call.path in sides.findings:
            return channels_last(sides.findings[call.path].kind)
    return None
