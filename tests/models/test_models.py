"""Complete models: the same outputs in every framework, and every bit of the weights back."""

import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo.targets import TARGETS
from models.run import SAMPLES, SOURCE, error_of, port_of, trained
from parity import FRAMEWORKS

# What cannot come back bit for bit: two biases that were added up.
SUMMED = ("bias_ih", "bias_hh")


def loaded_into(target, model, state, **more):
    """Load a state dict and return the model that has it."""
    new = ms.load_into(model, state, **more)
    if target.live.immutable:
        return new
    assert (new.missing_keys, new.unexpected_keys) == ([], [])
    return model


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_hand_written_port_gives_the_same_output(framework, name):
    target, model = TARGETS[framework], trained(name)
    port, state = port_of(framework, name), model.state_dict()
    new = loaded_into(target, port.model, state, layers=f"{SOURCE}:{name}")
    assert error_of(name, model, port, new, last=target.channels == "last") < 1e-4
    back = ms.to_torch(new, like=state, layers=f"{SOURCE}:{name}")
    assert list(back) == list(state)
    for key, tensor in state.items():
        if not any(word in key for word in SUMMED):
            assert torch.equal(back[key], tensor), key


@pytest.mark.parametrize("name", SAMPLES)
def test_a_live_module_shows_the_same_as_its_source(name):
    model = trained(name)
    port = port_of("nnx", name)
    plans = [
        ms.make_plan(model.state_dict(), to="nnx", layers=layers, like=port.model)
        for layers in (f"{SOURCE}:{name}", model)
    ]
    assert plans[0].digest != ""
    assert [(move.sources, move.leaves, move.ops) for move in plans[0].moves] == [
        (move.sources, move.leaves, move.ops) for move in plans[1].moves
    ]
    assert plans[0].dropped == plans[1].dropped


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_converted_file_is_the_same_as_the_live_model(framework, tmp_path):
    name, target = "ResNet", TARGETS[framework]
    model = trained(name)
    port = port_of(framework, name)
    torch.save(model.state_dict(), tmp_path / "net.pt")
    layers = f"{SOURCE}:{name}"
    ms.convert(
        tmp_path / "net.pt", tmp_path / "out.safetensors", to=framework, layers=layers, like=port.model
    )
    new = loaded_into(target, port.model, tmp_path / "out.safetensors")
    assert error_of(name, model, port, new, last=target.channels == "last") < 1e-4
