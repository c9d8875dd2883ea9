"""Run a PyTorch model and its port on the same input, and say where they part."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo.errors import UsageError
from ml_switcheroo.ops import Array
from ml_switcheroo.plan import Plan
from ml_switcheroo.planner import make_plan
from ml_switcheroo.recipes import Target
from ml_switcheroo.rules import Rule
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.sources.live import read_module
from ml_switcheroo.targets import find_target, owner_of
from ml_switcheroo.tensors import as_numpy, spec_of
from ml_switcheroo.verification import observers
from ml_switcheroo.verification.calls import Call, Recorder, arrays_in
from ml_switcheroo.verification.comparing import compare, tolerance_of
from ml_switcheroo.verification.layerwise import compare_layers
from ml_switcheroo.verification.locating import locate
from ml_switcheroo.verification.pairs import pair_modules
from ml_switcheroo.verification.readings import AS_IT_IS, Reading, channels_last, readings_of_output, stated
from ml_switcheroo.verification.verdict import Output, Verification

__all__ = ["Run", "Sides", "run_source", "run_target", "verify"]

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


def verify(
    plan: Plan | None = None,
    *,
    source_model: Any,
    target_model: Any,
    inputs: Inputs,
    to: str | None = None,
    target_inputs: Inputs = None,
    source_call: Callable[..., Any] | None = None,
    target_call: Callable[..., Any] | None = None,
    input_axes: str | Sequence[str | None] | None = None,
    output_axes: str | None = None,
    rules: Iterable[Rule] | str | Path = (),
    load: bool = False,
    tolerance: float | None = None,
) -> Verification:
    """Run both models on the same input and name the first layer that differs.

    Both run in evaluation mode and are left as they were. Layers are paired by the plan, and compared
    where their axes are known: from the layer's kind, never from sizes.

    Args:
        plan: The plan that the target was loaded by; None to make it from both models.
        source_model: The ``torch.nn.Module``.
        target_model: The live model of any target: an ``nnx``, Equinox or MLX module, a Keras model, the
            variables of Linen, the params (and state) of Haiku.
        inputs: What PyTorch takes: an array, a sequence of arrays, or a mapping of keyword arguments.
        to: Name of the target, where the model is a plain tree that does not show it.
        target_inputs: What the target takes, where that is something else.
        source_call: A function of the PyTorch model and the inputs, where calling it is not what is meant.
        target_call: The same for the target. Linen and Haiku need one: ``module.apply``. Equinox models are
            mapped over the first axis of every input where there is none.
        input_axes: How the inputs lie in the target: ``"n c h w -> n h w c"``, or one for each. Without it,
            what a convolution of PyTorch reads is moved to where the target has its channels.
        output_axes: How the output lies in the target, likewise.
        rules: The rules for a plan that is made here.
        load: Fill the target model with what the plan gives first; otherwise it is run as it is.
        tolerance: The relative error (largest difference over largest value) that counts as agreement; by
            default 1e-4, and 2e-2 where a dtype of 16 bits takes part.

    Returns:
        The verification: ``agrees``, ``first``, ``layers``, ``outputs``, ``weights``.

    Raises:
        PlanError: A plan that is made here is ambiguous.
        UsageError: An argument cannot be meant.
    """
    sides = Sides.of(plan, source_model, target_model, to, rules)
    state = source_model.state_dict()
    model = target_model
    if load:
        model = sides.live.write(model, sides.plan.apply(state, partial=True))
    mine = run_source(source_model, source_call, inputs)
    given, remarks = _given(inputs, target_inputs, input_axes, mine, sides)
    other = run_target(sides.target, model, target_call, given)
    return _verdict(sides, state, model, mine, other, output_axes, tolerance, remarks)


@dataclass(frozen=True)
class Sides:
    """A plan with the two models it is between.

    Attributes:
        plan: The plan.
        source: Class of the PyTorch model.
        target: The target.
        findings: What the PyTorch model says of its modules.
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
    ) -> Sides:
        """Find out what the models are.

        Raises:
            PlanError: The plan is made here and ambiguous.
            UsageError: One is no model that is known, or the plan is of another one.
        """
        if not hasattr(source_model, "state_dict") or "torch" not in sys.modules:
            raise UsageError(f"source_model= is a {type(source_model).__name__}, not a torch.nn.Module")
        name = plan.target if plan is not None else to
        target = owner_of(target_model, find_target(name) if name else None)
        if target is None:
            raise UsageError(
                f"target_model= is a {type(target_model).__name__}, no model of a known target; say to="
            )
        if name and find_target(name) is not target:
            raise UsageError(f"target_model= is a model of {target.name}, not of {name}")
        state = source_model.state_dict()
        if plan is None:
            plan = make_plan(state, to=target.name, layers=source_model, like=target_model, rules=rules)
            plan.check(allow_missing=True, allow_unexpected=True)
        absent = sorted(name for name in plan.inputs if name not in state)
        if absent:
            raise UsageError(f"the plan is of another model: PyTorch's has no {', '.join(absent[:5])}")
        findings = read_module(source_model, {name: spec_of(value) for name, value in state.items()}).findings
        return cls(plan, type(source_model).__name__, target, findings)

    @property
    def images(self) -> bool:
        """Whether any layer has its channels before axes of space."""
        kinds = {finding.kind for finding in self.findings.values()} | {m.kind for m in self.plan.moves}
        return any(channels_last(kind) is not None for kind in kinds)


def run_source(model: Any, call: Callable[..., Any] | None, inputs: Inputs) -> Run:
    """Run the PyTorch model."""
    from ml_switcheroo.verification.observers import pytorch

    recorder = Recorder()
    args, kwargs = _arguments(inputs)
    output = pytorch.run(model, call, args, kwargs, recorder)
    return Run(output, recorder.calls, _named(output, as_numpy))


def run_target(target: Target, model: Any, call: Callable[..., Any] | None, inputs: Inputs) -> Run:
    """Run the model of a target; the inputs are NumPy arrays or what else it takes."""
    observer = observers.observer_of(target.name)
    recorder = Recorder()
    args, kwargs = _arguments(inputs)
    here = tuple(observer.write(value) if _is_array(value) else value for value in args)
    named = {key: observer.write(value) if _is_array(value) else value for key, value in kwargs.items()}
    output = observer.run(model, call, here, named, recorder)
    return Run(output, recorder.calls, _named(output, observer.read))


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic)


def _arguments(inputs: Inputs) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, list | tuple) else ((inputs,), {})


def _named(output: Any, read: Callable[[Any], Array]) -> dict[str, Array]:
    if isinstance(output, Mapping):
        return {str(key): read(found) for key, value in output.items() for found in arrays_in(value)}
    return {str(index): read(value) for index, value in enumerate(arrays_in(output))}


def _given(
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


def _verdict(
    sides: Sides,
    state: Mapping[str, Any],
    model: Any,
    mine: Run,
    other: Run,
    output_axes: str | None,
    tolerance: float | None,
    remarks: Sequence[str],
) -> Verification:
    arrays = [*mine.arrays.values(), *other.arrays.values()]
    limit = tolerance_of(arrays) if tolerance is None else tolerance
    pairs = pair_modules(
        sides.plan.moves,
        {call.path for call in mine.calls},
        {call.path for call in other.calls},
        sides.target.naming,
    )
    args = {path: finding.args for path, finding in sides.findings.items()}
    layers = compare_layers(
        pairs, mine.calls, other.calls, sides.target.channels, args, images=sides.images, tolerance=limit
    )
    given = {path: finding.kind for path, finding in sides.findings.items()}
    gives = next((given.get(call.path, "") for call in mine.calls if call.gives), "")
    ways = (
        [stated(output_axes)]
        if output_axes
        else readings_of_output(gives, sides.target.channels, images=sides.images)
    )
    outputs = _outputs(mine.arrays, other.arrays, ways, limit)
    weights = _other_weights(sides, state, model)
    first = locate(layers, outputs, weights, _last(mine.calls), _last(other.calls), limit)
    notes = [*remarks, *sides.plan.notes]
    if len(weights) == len(sides.plan.outputs) > 0:
        notes.append("no leaf is what the plan gives: was the target model loaded? (load=True, --load)")
    return Verification(
        sides.source, sides.target.name, outputs, layers, weights, first, limit, tuple(dict.fromkeys(notes))
    )


def _outputs(
    mine: Mapping[str, Array], other: Mapping[str, Array], ways: Sequence[Reading], tolerance: float
) -> tuple[Output, ...]:
    """Compare the outputs by their keys; by their order where they have others."""
    names = [name for name in mine if name in other]
    pairs = [(name, mine[name], other[name]) for name in names] or [
        (name, a, b) for (name, a), b in zip(mine.items(), other.values(), strict=False)
    ]
    found = []
    for name, a, b in pairs:
        compared = compare(a, b, ways if a.ndim > 2 else [AS_IT_IS], tolerance)
        agrees = compared.error is not None and compared.error <= tolerance
        note = f"{compared.note}; pass output_axes" if compared.open else compared.note
        found.append(Output(name, compared.error, agrees, note))
    more = len(mine) - len(found), len(other) - len(found)
    if any(more) and found:
        extra = f"{more[0]} more outputs in PyTorch and {more[1]} in the target are not compared"
        found[-1] = Output(
            found[-1].name, found[-1].error, found[-1].agrees, f"{found[-1].note} {extra}".strip()
        )
    return tuple(found)


def _other_weights(sides: Sides, state: Mapping[str, Any], model: Any) -> tuple[str, ...]:
    """Return the leaves of the model that are not what the plan makes of PyTorch's tensors."""
    now = sides.live.read(model)
    planned = sides.plan.apply(state, partial=True)
    return tuple(
        path
        for path in planned
        if path in now and not np.array_equal(now[path], planned[path].astype(now[path].dtype, copy=False))
    )


def _last(calls: Sequence[Call]) -> dict[str, Array]:
    return {call.path: call.outputs[0] for call in calls if call.outputs}
