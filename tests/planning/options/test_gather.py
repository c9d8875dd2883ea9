"""What is put together to a weight: the norms of torch.nn.utils, and nothing that only looks like one."""

import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import ml_switcheroo as ms
from ml_switcheroo.errors import LoadError
from ml_switcheroo.planning.options.gather import is_length
from ml_switcheroo.runtime import KeyMapper


class Two(nn.Module):
    def forward(self, a, b):
        return a @ b

    def right_inverse(self, weight):
        return weight, torch.eye(weight.shape[-1])


class Length(nn.Module):
    def forward(self, length, rows):
        return length * rows

    def right_inverse(self, weight):
        return torch.full((len(weight), 1), 3.0), weight / 3


class Squared(nn.Module):
    def forward(self, weight):
        return weight**2


class Port(nnx.Module):
    def __init__(self):
        self.m = nnx.Linear(4, 4, rngs=nnx.Rngs(0))


def model(*makers):
    layer = nn.Linear(4, 4)
    for make in makers:
        if isinstance(make, type):
            parametrize.register_parametrization(layer, "weight", make(), unsafe=True)
        else:
            make(layer)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.rand_like(parameter))
    return nn.ModuleDict({"m": layer})


@pytest.mark.parametrize(
    ("makers", "named"),
    [
        ((Two,), "Two"),
        ((Length,), "Length"),
        ((parametrizations.weight_norm, Squared), "_WeightNorm, then Squared"),
    ],
)
def test_a_parametrisation_that_is_no_norm_of_torch_is_refused_by_its_name(makers, named):
    source = model(*makers)
    with pytest.raises(LoadError, match=f"{named}; remove the parametrisation"):
        ms.load_into(Port(), source.state_dict(), layers=source)


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("live", [True, False])
def test_a_weight_norm_over_any_axis_is_folded(dim, live):
    source, port = model(lambda layer: parametrizations.weight_norm(layer, dim=dim)), Port()
    ms.load_into(port, source.state_dict(), **({"layers": source} if live else {}))
    np.testing.assert_allclose(port.m.kernel[...], source["m"].weight.detach().numpy().T, rtol=1e-5)


def test_what_is_no_length_is_no_weight_norm_without_a_model_either():
    state = model(Two).state_dict()
    with pytest.raises(LoadError, match=r"is no length of m\.parametrizations"):
        ms.load_into(Port(), state)
    with pytest.raises(ValueError, match=r"m: .* is no length of a weight"):
        KeyMapper.load_into(Port(), state)


@pytest.mark.parametrize(
    ("shape", "whole", "expected"),
    [
        ((4, 1), (4, 3), True),
        ((1, 3), (4, 3), True),
        ((1, 1), (4, 3), True),
        ((), (4, 3), True),
        ((4, 3), (4, 3), False),
        ((4,), (4, 3), False),
        ((3, 1), (4, 3), False),
        ((4, 1, 1, 1), (4, 3, 2, 2), True),
        ((4, 1, 2, 1), (4, 3, 2, 2), False),
    ],
)
def test_a_length_is_one_for_the_whole_or_for_each_place_of_an_axis(shape, whole, expected):
    assert is_length(shape, whole) is expected


def test_parametrisations_are_read_in_source(tmp_path):
    (tmp_path / "model.py").write_text(
        "import torch\nfrom torch import nn\nfrom torch.nn.utils import parametrize\n\n"
        "class Length(nn.Module):\n    def forward(self, a, b):\n        return a * b\n\n"
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.m = nn.Linear(4, 4)\n"
        "        parametrize.register_parametrization(self.m, 'weight', Length())\n"
    )
    with pytest.raises(LoadError, match="Length; remove the parametrisation"):
        ms.load_into(Port(), model(Length).state_dict(), layers=f"{tmp_path / 'model.py'}:Net")


def test_a_layer_without_its_weight_is_reported_and_no_crash():
    with pytest.raises(RuntimeError, match=r"missing: m\.weight"):
        KeyMapper.load_into(Port(), {"m.bias": np.zeros(4, np.float32)})


def test_a_tensor_that_no_layer_has_shows_a_class_of_the_users_own():
    state = {"m.weight": np.ones(4), "m.bias": np.ones(4), "m.alpha": np.ones(1)}
    plan = ms.make_plan(state, to="nnx")
    assert {name for entry in plan.ambiguous for name in entry.names} == {"m.weight", "m.bias"}
    assert any(note.startswith("m: alpha stands beside it") for note in plan.notes)
    rules = [ms.Kind("m", "layer_norm")]
    assert "m.scale" in ms.make_plan(state, to="nnx", rules=rules).outputs
    readings = KeyMapper.possible_kinds({name: value.shape for name, value in state.items()})["m"]
    assert ("parameter", "alpha stands beside it, which no layer has") in readings
    del state["m.alpha"]
    ms.make_plan(state, to="nnx").check()
