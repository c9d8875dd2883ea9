"""Every stateful layer of torch.nn, in every target: both run on the same input, and the outputs agree."""

import numpy as np
import pytest

from ml_switcheroo.draw import Request, draw_plan
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.targets import TARGETS, template_of
from ml_switcheroo.tensors import as_numpy, spec_of
from parity import FRAMEWORKS, by_rank_of, ports
from parity.cases import CASES, inputs_of, knowledge_of, randomised, run_torch


def planned(case, layer, target, model=None):
    """Plan a torch layer that stands under the name m; return its state dict and the plan."""
    state = {f"m.{name}": tensor for name, tensor in layer.state_dict().items()}
    specs = {name: spec_of(tensor) for name, tensor in state.items()}
    template = template_of(model, target)
    return state, draw_plan(Request(specs, target, [knowledge_of(layer, "m", case.flatten)], template))


def relative_error(found, expected):
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_layer_of_the_framework_gives_the_same_output(framework, case):
    target = TARGETS[framework]
    layer = randomised(case)
    state, plan = planned(case, layer, target)
    by_rank = case.port in by_rank_of(framework)
    if plan.unexpected and not by_rank:
        assert all(left.why for left in plan.unexpected.values())
        pytest.skip(f"unsupported: {next(iter(plan.unexpected.values())).why}")
    port = ports(framework)[case.port](layer)
    state, fitted = planned(case, layer, target, port.model)
    fitted.check()
    assert by_rank or dict(fitted.outputs) == dict(plan.outputs), "without a template the plan is another"
    model = target.live.write(port.model, dict(fitted.apply(state)))
    inputs = inputs_of(case)
    expected = run_torch(layer, inputs)
    if case.images and target.channels == "last":
        found = np.moveaxis(np.asarray(port.run(model, *(np.moveaxis(x, 1, -1) for x in inputs))), -1, 1)
    else:
        found = np.asarray(port.run(model, *inputs))
    assert relative_error(found, expected) < case.tolerance


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_numpy_keeps_names_and_bits(case):
    state, plan = planned(case, randomised(case), TARGETS["numpy"])
    plan.check()
    leaves = plan.apply(state)
    folded = {name for move in plan.moves if move.ops for name in move.sources}
    for name in set(state) - folded:
        assert leaves[name].tobytes() == as_numpy(state[name]).tobytes()
    pieces = {
        name for name in state if "parametrizations" in name or name.endswith(("_g", "_v", "_orig", "_u"))
    }
    assert folded == pieces - {"m.bias_v"}


def test_every_kind_has_a_case_and_a_port():
    tested = {case.port for case in CASES}
    known = {kind for kind, layer in LAYERS.items() if not layer.refused} - {"parameter", "buffer"}
    assert known <= tested
    for framework in FRAMEWORKS:
        supported = {
            kind for kind in tested & set(LAYERS) if isinstance(TARGETS[framework].kinds.get(kind), tuple)
        }
        assert supported <= set(ports(framework)), f"{framework}: no layer to compare with"
