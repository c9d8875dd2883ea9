"""Run a case in PyTorch and in a framework, the way a user would: plan, check, apply, load."""

from dataclasses import dataclass

import numpy as np
import torch

from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.recipes import parts_of
from ml_switcheroo.targets import TARGETS
from parity import by_rank_of, ports
from parity.cases import inputs_of, randomised, run_torch


@dataclass(frozen=True)
class Outcome:
    """What came of a case: the relative error of the output, or why the target refuses the layer.

    ``prepared`` is the code without which the framework's layer lacks a leaf.
    """

    error: float = 0.0
    refused: str = ""
    prepared: str = ""

    @property
    def cell(self):
        """What docs/layers.md says of the case."""
        return self.refused or (f"yes: {self.prepared}" if self.prepared else "yes")


def planned(case, layer, to, like=None):
    """Plan a layer that stands under the name m; return its state dict and the plan."""
    holder = torch.nn.ModuleDict({"m": layer})
    state = holder.state_dict()
    return state, make_plan(state, to=to, layers=holder, like=like, rules=case.rules)


def outcome(framework, case):
    """Convert the layer of a case, load it into the framework's layer, and compare what both give."""
    target = TARGETS[framework]
    layer = randomised(case)
    state, plan = planned(case, layer, framework)
    by_rank = case.port in by_rank_of(framework)
    if plan.unexpected and not by_rank:
        return Outcome(refused=next(iter(plan.unexpected.values())).why.replace(" at m:", ":"))
    port = ports(framework)[case.port](layer)
    state, fitted = planned(case, layer, framework, port.model)
    fitted.check()
    assert by_rank or dict(fitted.outputs) == dict(plan.outputs), "without a template the plan is another"
    model = target.live.write(port.model, dict(fitted.apply(state)))
    inputs = inputs_of(case)
    expected = run_torch(layer, inputs)
    if case.images and target.channels == "last":
        found = np.moveaxis(np.asarray(port.run(model, *(np.moveaxis(x, 1, -1) for x in inputs))), -1, 1)
    else:
        found = np.asarray(port.run(model, *inputs))
    assert found.shape == expected.shape
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    return Outcome(error, prepared=_prepared(target, case) if port.prepared else "")


def _prepared(target, case):
    """Return the code of a target's row that prepares its layer of a kind."""
    (text,) = {one.prepared for one in parts_of(target.kinds[case.port]) if one.prepared}
    return f"{case.port}: {text}"
