"""A Linear whose output becomes an image: its output axis is (c h w), seen in the code or suspected."""

import numpy as np
import pytest
import torch
from torch import nn

import ml_switcheroo as ms
from ml_switcheroo.runtime.key_mapper import KeyMapper
from ml_switcheroo.sources.live import read_module
from sources.reading import read_and_compare, run, specs_of

CODE = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 32)
        self.norm = nn.BatchNorm1d(32)
        self.unflatten = nn.Unflatten(1, (8, 2, 2))
        self.deconv = nn.ConvTranspose2d(8, 4, 2)

    def forward(self, z):
        x = torch.relu(self.norm(self.fc(z)))
        x = {}
        return self.deconv(x)
"""
WAYS = (
    "self.unflatten(x)",
    "x.view(-1, 8, 2, 2)",
    "x.view(x.size(0), 8, 2, 2)",
    "x.reshape(len(z), 8, 2, 2)",
    "x.unflatten(1, (8, 2, 2))",
    "torch.unflatten(x, 1, (8, 2, 2))",
)


@pytest.mark.parametrize("way", WAYS)
def test_the_code_shows_the_image(tmp_path, way):
    knowledge = read_and_compare(tmp_path, CODE.format(way))
    linear, norm = knowledge.findings["fc"], knowledge.findings["norm"]
    assert (linear.unflatten.channels, linear.unflatten.of) == (8, "deconv")
    assert linear.parts is None
    assert norm.flatten.channels == 8


def test_a_live_module_shows_it_too(tmp_path):
    net = run(tmp_path, CODE.format(WAYS[0])).Net()
    findings = read_module(net, specs_of(net)).findings
    assert findings["fc"].unflatten.channels == findings["norm"].flatten.channels == 8


def test_an_image_that_is_channels_last_in_pytorch_is_not_permuted(tmp_path):
    knowledge = read_and_compare(tmp_path, CODE.format("x.view(-1, 2, 2, 8).permute(0, 3, 1, 2)"))
    assert knowledge.findings["fc"].unflatten.channels == 1


def test_heads_are_no_image(tmp_path):
    code = CODE.format("x.view(-1, 8, 4)").replace("self.deconv(x)", "x.softmax(-1)")
    assert read_and_compare(tmp_path, code).findings["fc"].unflatten is None


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 32)
        self.deconv = nn.ConvTranspose2d(8, 4, 2)


def rows(array):
    return array.reshape(8, 4, -1).swapaxes(0, 1).reshape(array.shape)


def test_without_the_code_it_is_asked_and_a_rule_answers():
    state = Decoder().state_dict()
    layers = {"deconv": "ConvTranspose2d"}
    plan = ms.make_plan(state, to="nnx", layers=layers)
    (doubt,) = plan.ambiguous
    assert doubt.rules == (
        'Kind("fc", "linear", unflatten=1)',
        'Kind("fc", "linear", unflatten=8)',
    )
    for channels, expected in ((1, lambda array: array), (8, rows)):
        rule = ms.Kind("fc", "linear", unflatten=channels)
        leaves = ms.make_plan(state, to="nnx", layers=layers, rules=[rule]).apply(state)
        np.testing.assert_array_equal(leaves["fc.kernel"], expected(state["fc.weight"].numpy()).T)
        np.testing.assert_array_equal(leaves["fc.bias"], expected(state["fc.bias"].numpy()))
    assert not ms.make_plan(state, to="equinox", layers=layers).ambiguous, "channels first: nothing to ask"


def test_a_number_of_channels_that_cannot_be_is_an_error():
    state = Decoder().state_dict()
    rules = [ms.Kind("fc", "linear", unflatten=5)]
    plan = ms.make_plan(state, to="nnx", layers={"deconv": "ConvTranspose2d"}, rules=rules)
    assert "32, no multiple of the 5 channels" in plan.unexpected["fc.weight"].why


def test_key_mapper_says_and_does_the_same():
    state = {name: tensor.numpy() for name, tensor in Decoder().state_dict().items()}
    kinds = {"fc": "linear_to_image(c=8)", "deconv": "conv_transpose"}
    found = KeyMapper.from_torch(state, kinds=kinds)
    plan = ms.make_plan(
        state,
        to="jax",
        layers={"deconv": "ConvTranspose2d"},
        rules=[ms.Kind("fc", "linear", unflatten=8)],
    )
    for path, leaf in plan.apply(state).items():
        np.testing.assert_array_equal(found[path], leaf)
    with pytest.warns(UserWarning, match=r"linear_to_image\(c=8\)"):
        KeyMapper.from_torch(state, kinds={"deconv": "conv_transpose"})


def test_there_and_back_bit_for_bit():
    state = Decoder().state_dict()
    rules = [ms.Kind("fc", "linear", unflatten=8)]
    plan = ms.make_plan(state, to="nnx", layers={"deconv": "ConvTranspose2d"}, rules=rules)
    back = (~plan).apply(plan.apply(state))
    assert all(torch.equal(torch.from_numpy(np.array(back[name])), state[name]) for name in state)
