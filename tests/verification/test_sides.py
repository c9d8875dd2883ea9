"""The two models, how each is run, and what the target is given."""

import numpy as np
import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError
from ml_switcheroo.verification.sides import Sides, given_to_target, run_source, run_target


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return {"image": self.conv(x)}


class Port(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(3, 4, (3, 3), padding="VALID", rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.conv(x)


def sides(net=None, port=None, plan=None, to=None):
    return Sides.of(plan, net or Net(), port or Port(), to)


def test_the_target_is_found_from_its_model():
    found = sides()
    assert (found.target.name, found.source, found.images) == ("nnx", "Net", True)
    assert found.findings["conv"].kind == "conv"


def test_models_that_are_none_are_refused():
    with pytest.raises(UsageError, match="source_model= is a list"):
        Sides.of(None, [], Port(), None)
    with pytest.raises(UsageError, match="not a model of a known target"):
        Sides.of(None, Net(), object(), None)
    with pytest.raises(UsageError, match="is one of nnx, not of keras"):
        sides(to="keras")


def test_a_plan_of_another_model_is_refused():
    plan = ms.make_plan({"other.weight": np.zeros((4, 3))}, to="nnx", layers={"other": "Linear"})
    with pytest.raises(UsageError, match=r"PyTorch's has no other\.weight"):
        sides(plan=plan)


def test_a_run_keeps_outputs_and_calls_by_name():
    image = np.random.default_rng(0).random((1, 3, 5, 5)).astype("f4")
    mine = run_source(Net(), None, torch.from_numpy(image))
    assert list(mine.arrays) == ["image"]
    assert [call.path for call in mine.calls if call.path] == ["conv"]
    assert mine.arrays["image"].shape == (1, 4, 3, 3)


def test_an_image_is_given_to_a_channels_last_target_as_it_takes_it():
    both, image = sides(), torch.rand(1, 3, 5, 5)
    mine = run_source(Net(), None, image)
    (given,), remarks = given_to_target(image, None, None, mine, both)
    assert np.array_equal(given, np.moveaxis(image.numpy(), 1, -1))
    assert remarks == ["input 0 is given to the target as n c *space -> n *space c"]
    other = run_target(both.target, Port(), None, given)
    assert other.arrays["0"].shape == (1, 3, 3, 4)


def test_what_the_user_says_goes_before():
    both, image = sides(), torch.rand(1, 3, 5, 5)
    mine = run_source(Net(), None, image)
    (given,), _ = given_to_target(image, None, "n c h w -> n w h c", mine, both)
    assert np.array_equal(given, image.numpy().transpose(0, 3, 2, 1))
    assert given_to_target(image, "as it is", None, mine, both) == ("as it is", [])
    with pytest.raises(UsageError, match="input_axes= are 2, the inputs are 1"):
        given_to_target(image, None, ["n c -> n c"] * 2, mine, both)


def test_inputs_by_name_keep_their_names():
    both, image = sides(), torch.rand(1, 3, 5, 5)
    mine = run_source(Net(), None, {"x": image})
    given, _ = given_to_target({"x": image}, None, None, mine, both)
    assert given["x"].shape == (1, 5, 5, 3)
