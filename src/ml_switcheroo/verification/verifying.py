"""Run a PyTorch model and its port on the same input, and say where they part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo.ops import Array
from ml_switcheroo.plan import Plan
from ml_switcheroo.rules import Rule
from ml_switcheroo.verification.calls import Call
from ml_switcheroo.verification.comparing import compare, tolerance_of
from ml_switcheroo.verification.doubting import doubts_of
from ml_switcheroo.verification.layerwise import compare_layers
from ml_switcheroo.verification.locating import locate
from ml_switcheroo.verification.pairs import Pair, pair_modules
from ml_switcheroo.verification.readings import AS_IT_IS, Reading, readings_of_output, stated
from ml_switcheroo.verification.sides import Inputs, Run, Sides, given_to_target, run_source, run_target
from ml_switcheroo.verification.verdict import Layer, Output, Verification

__all__ = ["compared_layers", "compared_outputs", "verify"]


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
    layout: str | None = None,
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
        layout: Where the target model has the channels of its images, as in :func:`make_plan`.
        load: Fill the target model with what the plan gives first; otherwise it is run as it is.
        tolerance: The relative error (largest difference over largest value) that counts as agreement; by
            default 1e-4, and 2e-2 where a dtype of 16 bits takes part.

    Returns:
        The verification: ``verdict``, ``agrees``, ``first``, ``layers``, ``outputs``, ``weights``.

    Raises:
        PlanError: A plan that is made here is ambiguous.
        UsageError: An argument cannot be meant.
    """
    sides = Sides.of(plan, source_model, target_model, to, rules, layout)
    state = source_model.state_dict()
    model = target_model
    if load:
        model = sides.live.write(model, sides.plan.apply(state, partial=True))
    mine = run_source(source_model, source_call, inputs)
    given, remarks = given_to_target(inputs, target_inputs, input_axes, mine, sides)
    other = run_target(sides.target, model, target_call, given)
    return _verdict(sides, state, model, mine, other, output_axes, tolerance, remarks)


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
    _, layers = compared_layers(sides, mine, other, limit)
    outputs = compared_outputs(sides, mine, other, output_axes, limit)
    weights = _other_weights(sides, state, model)
    first = locate(layers, outputs, weights, _last(mine.calls), _last(other.calls), limit)
    notes = [*remarks, *sides.plan.notes]
    if len(weights) == len(sides.plan.outputs) > 0:
        notes.append("no leaf is what the plan gives: was the target model loaded? (load=True, --load)")
    plan = sides.plan
    return Verification(
        sides.source,
        sides.target.name,
        outputs,
        layers,
        weights,
        first,
        limit,
        tuple(dict.fromkeys(notes)),
        tuple(doubts_of(outputs, layers, plan.notes, limit)),
        (len(plan.outputs), len(plan.outputs) + len(plan.missing)),
    )


def compared_layers(
    sides: Sides, mine: Run, other: Run, tolerance: float
) -> tuple[tuple[Pair, ...], tuple[Layer, ...]]:
    """Pair the modules that ran, in the order in which PyTorch ran them, and compare them."""
    here, there = ({call.path for call in run.calls} for run in (mine, other))
    order = {path: number for number, path in enumerate(dict.fromkeys(call.path for call in mine.calls))}
    found = pair_modules(sides.plan.moves, here, there, sides.target.naming)
    pairs = tuple(sorted(found, key=lambda pair: order[pair.source]))
    args = {path: finding.args for path, finding in sides.findings.items()}
    channels = sides.target.channels
    layers = compare_layers(
        pairs, mine.calls, other.calls, channels, args, images=sides.images, tolerance=tolerance
    )
    return pairs, layers


def compared_outputs(
    sides: Sides, mine: Run, other: Run, axes: str | None, tolerance: float
) -> tuple[Output, ...]:
    """Compare the outputs of the models; the axes are stated, or those of the layer that gives the output."""
    if axes:
        return _outputs(mine.arrays, other.arrays, [stated(axes)], tolerance)
    kinds = {path: finding.kind for path, finding in sides.findings.items()}
    gives = next((kinds.get(call.path, "") for call in mine.calls if call.gives), "")
    ways = readings_of_output(gives, sides.target.channels, images=sides.images)
    return _outputs(mine.arrays, other.arrays, ways, tolerance)


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
        found.append(Output(name, compared.error, agrees, note, compared.weak))
    more = len(mine) - len(found), len(other) - len(found)
    if any(more) and found:
        extra = f"{more[0]} more outputs in PyTorch and {more[1]} in the target are not compared"
        found[-1] = replace(found[-1], note=f"{found[-1].note} {extra}".strip())
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
