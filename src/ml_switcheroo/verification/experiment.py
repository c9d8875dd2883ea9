"""Two models and one input: do they agree, and which candidates of a plan make them agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.rule_lines import rules_given
from ml_switcheroo.rules import Rule
from ml_switcheroo.verification.reference import Reference
from ml_switcheroo.verification.settling import settled
from ml_switcheroo.verification.sides import Inputs, Sides, given_to_target, run_source
from ml_switcheroo.verification.verdict import Verification
from ml_switcheroo.verification.verifying import verified

__all__ = ["Experiment", "settle", "verify"]


@dataclass(frozen=True, repr=False)
class Experiment:
    """A PyTorch model, its port, and the input that both run on.

    Both run in evaluation mode, and are left as they were.

    Attributes:
        source_model: The ``torch.nn.Module``.
        target_model: The live model of any target: an ``nnx``, Equinox or MLX module, a Keras model, the
            variables of Linen, the params (and state) of Haiku.
        inputs: What PyTorch takes: an array, a sequence of arrays, or a mapping of keyword arguments.
        to: Name of the target; needed where the model is a plain tree that does not show it.
        target_inputs: What the target takes, if that differs.
        source_call: Runs the PyTorch model: ``f(model, *inputs)``; None calls the model.
        target_call: Runs the target model, likewise. Linen and Haiku need one: ``module.apply``. Without
            one, Equinox models are mapped over the first axis of every input.
        input_axes: How the inputs lie in the target: ``"n c h w -> n h w c"``, or one for each. Without it,
            an input that a convolution of PyTorch reads is moved to where the target has its channels.
        output_axes: How the output lies in the target, likewise.
        rules: The rules for a plan that is made here; for a given plan, those it was made with.
        layout: Where the target model has the channels of its images, as in
            :func:`~ml_switcheroo.planning.planner.make_plan`.
        tolerance: The relative error (largest difference over largest value) that counts as agreement. The
            default is 1e-4, or 2e-2 where one of the dtypes has 16 bits.
    """

    source_model: Any
    target_model: Any
    inputs: Inputs
    _: KW_ONLY
    to: str | None = None
    target_inputs: Inputs = None
    source_call: Callable[..., Any] | None = None
    target_call: Callable[..., Any] | None = None
    input_axes: str | Sequence[str | None] | None = None
    output_axes: str | None = None
    rules: Iterable[Rule] | str | Path = ()
    layout: str | None = None
    tolerance: float | None = None

    def __repr__(self) -> str:
        models = (type(model).__name__ for model in (self.source_model, self.target_model))
        return f"<Experiment: {' beside '.join(models)}>"

    def verify(self, plan: Plan | None = None, *, load: bool = False) -> Verification:
        """Run both models on the same input and name the first layer that differs.

        Layers are paired by the plan, and compared where their axes are known. The kind of a layer tells
        its axes; sizes do not.

        Args:
            plan: The plan that the target was loaded by; None to make it from both models.
            load: Fill the target model by the plan first; otherwise it runs as it is.

        Returns:
            The verification: ``verdict``, ``agrees``, ``first``, ``layers``, ``outputs``, ``weights``.

        Raises:
            PlanError: A plan that is made here is ambiguous.
            UsageError: A model or an argument does not fit the others.
        """
        read: dict[str, Any] | None = None
        if self.source_call is None:
            read = {
                "inputs": self.inputs,
                "target_inputs": self.target_inputs,
                "target_call": self.target_call,
            }
        sides = Sides.of(plan, self.source_model, self.target_model, self.to, self.rules, self.layout, read)
        state, model = self.source_model.state_dict(), self.target_model
        if load:
            model = sides.live.write(model, sides.plan.apply(state, partial=True))
        return verified(self._reference(sides), model)

    def settle(self, plan: Plan | None = None, *, layers: Any = None, runs: int = 100) -> Plan:
        """Run both models with each candidate of each ambiguity, and keep those whose outputs agree.

        A candidate is judged by the layer that holds its leaves, once all layers before it agree. So the
        number of runs adds up and does not multiply. What no layer shows is judged by the outputs of the
        model, all combinations at once. A candidate is kept only if its values agree and those of all others
        do not: two matrices that can stand for each other stay ambiguous.

        The target model has its own weights again at the end.

        Args:
            plan: The plan with ambiguities; None to make it from both models.
            layers: What the plan was made with, as in
                :func:`~ml_switcheroo.planning.planner.make_plan`; without a plan, by default the PyTorch
                model.
            runs: How often the target may run.

        Returns:
            The plan. What could be settled is a move of the origin ``settled``; its reason gives the errors
            of the candidate and of the next best. The rest stays ambiguous, and a note says why.

        Raises:
            UsageError: A model or an argument does not fit the others.
        """
        state, rules = self.source_model.state_dict(), self.rules
        rules = rules_given(rules)
        options: dict[str, Any] = {"layers": layers, "like": self.target_model, "layout": self.layout}
        if plan is None:
            options["layers"] = self.source_model if layers is None else layers
            target = Sides.target_of(self.target_model, self.to)
            plan = make_plan(state, to=target.name, rules=rules, **options)
        if not plan.ambiguous:
            return plan
        sides = Sides.of(plan, self.source_model, self.target_model, self.to, layout=self.layout)
        options["to"] = sides.target.name
        return settled(self._reference(sides), self.target_model, rules, options, runs)

    def _reference(self, sides: Sides) -> Reference:
        """Run the PyTorch model."""
        mine = run_source(self.source_model, self.source_call, self.inputs)
        given, remarks = given_to_target(self.inputs, self.target_inputs, self.input_axes, mine, sides)
        state = self.source_model.state_dict()
        return Reference(
            sides, state, mine, given, self.target_call, self.output_axes, self.tolerance, remarks
        )


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

    A shortcut for :meth:`Experiment.verify`, which documents ``plan`` and ``load``; the other arguments are
    the attributes of :class:`Experiment`.
    """
    experiment = Experiment(
        source_model,
        target_model,
        inputs,
        to=to,
        target_inputs=target_inputs,
        source_call=source_call,
        target_call=target_call,
        input_axes=input_axes,
        output_axes=output_axes,
        rules=rules,
        layout=layout,
        tolerance=tolerance,
    )
    return experiment.verify(plan, load=load)


def settle(
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
    layers: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    layout: str | None = None,
    tolerance: float | None = None,
    runs: int = 100,
) -> Plan:
    """Run both models with each candidate of each ambiguity, and keep those whose outputs agree.

    A shortcut for :meth:`Experiment.settle`, which documents ``plan``, ``layers`` and ``runs``; the other
    arguments are the attributes of :class:`Experiment`.
    """
    experiment = Experiment(
        source_model,
        target_model,
        inputs,
        to=to,
        target_inputs=target_inputs,
        source_call=source_call,
        target_call=target_call,
        input_axes=input_axes,
        output_axes=output_axes,
        rules=rules,
        layout=layout,
        tolerance=tolerance,
    )
    return experiment.settle(plan, layers=layers, runs=runs)
