"""Both models on the same input, in all frameworks: what agrees, and where ports with a mistake part."""

import json

import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError
from ml_switcheroo.targets import TARGETS
from verification.ports import ATTENTIONS, FRAMEWORKS, NETS, Attention, Net, images, seeded, tokens


def verified(make, ports, framework, fault="", **options):
    source = seeded(make)
    model, call = ports[framework](fault)
    inputs = images() if make is Net else tokens()
    return ms.verify(
        source_model=source,
        target_model=model,
        target_call=call,
        inputs=inputs,
        to=framework,
        load=True,
        **options,
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("make", "ports", "count"), [(Net, NETS, 4), (Attention, ATTENTIONS, 6)])
def test_a_right_port_agrees_layer_by_layer(framework, make, ports, count):
    report = verified(make, ports, framework)
    assert report.agrees, str(report)
    assert report.first is None
    assert report.error < 1e-5
    assert len(report.layers) == count
    assert not report.weights
    for layer in report.layers:
        assert layer.agrees, f"{layer}\n{report}"
        assert layer.takes_the_same, f"{layer}\n{report}"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_wrong_epsilon_is_inside_of_the_norm(framework):
    report = verified(Net, NETS, framework, "epsilon")
    assert not report.agrees
    assert (report.first.where, report.first.layer.source) == ("inside", "bn"), str(report)
    assert "epsilon" in report.first.text


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_forgotten_activation_is_before_the_next_layer(framework):
    report = verified(Net, NETS, framework, "activation")
    assert (report.first.where, report.first.layer.source) == ("before", "fc2"), str(report)
    assert "everything up to fc1 agrees" in report.first.text


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_flatten_in_another_order_is_before_the_linear(framework):
    report = verified(Net, NETS, framework, "flatten")
    assert (report.first.where, report.first.layer.source) == ("before", "fc1"), str(report)
    assert "the same numbers in another order" in report.first.text


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_queries_and_keys_swapped_in_use_are_before_the_projection(framework):
    report = verified(Attention, ATTENTIONS, framework, "swapped in use")
    assert (report.first.where, report.first.layer.source) == ("before", "o"), str(report)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_queries_and_keys_swapped_in_the_weights_are_named(framework):
    source = seeded(Attention)
    model, call = ATTENTIONS[framework]("")
    plan = ms.make_plan(source.state_dict(), to=framework, layers=source, like=model)
    leaves = dict(plan.apply(source.state_dict()))
    of = {move.sources[0]: move.leaves[0] for move in plan.moves}
    for slot in ("weight", "bias"):
        q, k = of[f"q.{slot}"], of[f"k.{slot}"]
        leaves[q], leaves[k] = leaves[k], leaves[q]
    model = TARGETS[framework].live.write(model, leaves)
    report = ms.verify(plan, source_model=source, target_model=model, target_call=call, inputs=tokens())
    assert (report.first.where, report.first.layer.source) == ("inside", "q"), str(report)
    assert "k gives in PyTorch: are the two swapped?" in report.first.text
    assert len(report.weights) == 4
    assert report.to_json()["agrees"] is False
    json.dumps(report.to_json())


def test_models_are_left_as_they_were():
    source = seeded(Net).train()
    model, _ = NETS["nnx"]("")
    before = {name: value.clone() for name, value in source.state_dict().items()}
    ms.verify(source_model=source, target_model=model, inputs=images())
    assert all(module.training for module in source.modules())
    assert not any(module._forward_hooks for module in source.modules())
    assert not any("_path" in name for name in vars(model.conv))
    assert model.bn.use_running_average is False
    for name, value in source.state_dict().items():
        assert torch.equal(value, before[name])


def test_inputs_in_either_layout_and_calls_of_ones_own():
    source, (model, _) = seeded(Net), NETS["mlx"]("")
    options = {"source_model": source, "target_model": model, "load": True}
    report = ms.verify(inputs=[images()], input_axes="n c h w -> n h w c", **options)
    assert report.agrees
    moved = images().transpose(0, 2, 3, 1)
    assert ms.verify(inputs=torch.from_numpy(images()), target_inputs=moved, **options).agrees
    twice = ms.verify(inputs={"x": images()}, source_call=lambda m, x: {"logits": 2 * m(x)}, **options)
    assert not twice.agrees
    assert twice.first.where == "after"
    assert "fc2" in twice.first.text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source_model": 3}, "not a torch.nn.Module"),
        ({"target_model": object()}, "not a model of a known target"),
        ({"to": "numpy"}, "is one of mlx, not of numpy"),
        ({"input_axes": "n c h w"}, "no axis equation"),
        ({"input_axes": ["n c h w -> n h w c"] * 2}, "input_axes= are 2, the inputs are 1"),
    ],
)
def test_what_cannot_be_meant_is_said(changed, message):
    options = {"source_model": seeded(Net), "target_model": NETS["mlx"]("")[0], "inputs": images()}
    with pytest.raises((UsageError, TypeError), match=message):
        ms.verify(**{**options, **changed})


def test_variables_need_a_call():
    model, _ = NETS["linen"]("")
    with pytest.raises(UsageError, match=r"target_call=module\.apply"):
        ms.verify(source_model=seeded(Net), target_model=model, inputs=images())


def test_an_output_of_unknown_axes_is_not_guessed():
    class Images(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 2, 1)

        def forward(self, x):
            return torch.relu(self.conv(x))

    from flax import nnx

    class Port(nnx.Module):
        def __init__(self, scale):
            self.conv = nnx.Conv(2, 2, (1, 1), rngs=nnx.Rngs(0))
            self.factor = scale

        def __call__(self, x):
            return nnx.relu(self.conv(x)) * self.factor

    options = {"source_model": seeded(Images), "inputs": images()[:, :, :2, :2], "load": True}
    assert ms.verify(target_model=Port(1.0), **options).agrees
    report = ms.verify(target_model=Port(2.0), **options)
    assert not report.agrees
    assert "its axes are not known" in str(report)
    known = ms.verify(target_model=Port(2.0), output_axes="n c h w -> n h w c", **options)
    assert known.error == pytest.approx(1.0)
    assert known.first.where == "after"
