"""Tied weights: stored once, stored twice, or under one name in the target."""

import mlx.core as mx
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import nn

import ml_switcheroo as ms
from ml_switcheroo.errors import AxesError


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.tok.weight


class OneLeaf(nnx.Module):
    def __init__(self):
        self.tok = nnx.Embed(5, 3, rngs=nnx.Rngs(0))


class TwoLeaves(OneLeaf):
    def __init__(self):
        super().__init__()
        self.head = nnx.Linear(3, 5, use_bias=False, rngs=nnx.Rngs(0))


def arrays(module):
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("known", ["live", "the state itself"])
def test_two_names_for_one_leaf_go_together_and_come_back(known):
    net, port = Tied(), OneLeaf()
    layers = net if known == "live" else {"tok": "embedding", "head": "linear"}
    state = net.state_dict()
    assert ms.load_into(port, state, layers=layers) == ([], [])
    np.testing.assert_array_equal(port.tok.embedding.get_value(), net.tok.weight.detach())
    back = ms.to_torch(port, like=state, layers=layers)
    assert torch.equal(back["head.weight"], net.head.weight)


def test_copies_that_nobody_calls_tied_are_not_taken_for_one():
    net, port = Tied(), OneLeaf()
    plan = ms.make_plan(arrays(net), to="nnx", layers={"tok": "embedding", "head": "linear"}, like=port)
    assert list(plan.unexpected) == ["head.weight"]


def test_tied_names_whose_values_differ_are_an_error():
    net, port, state = Tied(), OneLeaf(), arrays(Tied())
    state["head.weight"][0, 0] += 1
    plan = ms.make_plan(state, to="nnx", layers=net, like=port)
    with pytest.raises(AxesError, match="their values differ"):
        dict(plan.apply(state))


@pytest.mark.parametrize("name", ["tok.weight", "head.weight"])
def test_what_is_stored_once_fills_both_leaves(name, tmp_path):
    net, port = Tied(), TwoLeaves()
    state = {name: net.state_dict()[name]}
    plan = ms.make_plan(state, to="nnx", layers=net, like=port)
    plan.save(tmp_path / "plan.json")
    assert ms.Plan.load(tmp_path / "plan.json") == plan
    assert ms.load_into(port, state, layers=net) == ([], [])
    expected = net.tok.weight.detach().numpy()
    np.testing.assert_array_equal(port.tok.embedding.get_value(), expected)
    np.testing.assert_array_equal(port.head.kernel.get_value(), expected.T)
    assert torch.equal(ms.to_torch(port, like=state, layers=net)[name], net.tok.weight)
    port.head.kernel.set_value(port.head.kernel.get_value() + 1)
    with pytest.raises(AxesError, match="their values differ"):
        ms.to_torch(port, like=state, layers=net)


def test_the_source_shows_a_tie_of_which_one_name_is_stored(tmp_path):
    (tmp_path / "model.py").write_text(
        "from torch import nn\n"
        "class Tied(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.tok = nn.Embedding(5, 3)\n"
        "        self.head = nn.Linear(3, 5, bias=False)\n"
        "        self.head.weight = self.tok.weight\n"
    )
    port = TwoLeaves()
    state = {"tok.weight": np.arange(15, dtype="f4").reshape(5, 3)}
    assert ms.load_into(port, state, layers=f"{tmp_path}/model.py:Tied") == ([], [])
    np.testing.assert_array_equal(port.head.kernel.get_value(), state["tok.weight"].T)


def test_without_a_tree_only_the_names_that_are_there_are_planned():
    net = Tied()
    plan = ms.make_plan({"tok.weight": net.tok.weight.detach()}, to="nnx", layers=net)
    assert list(plan.outputs) == ["tok.embedding"]


def test_a_leaf_of_mlx_is_shared_too():
    class Port(nn.Module):
        def __init__(self):
            super().__init__()
            self.tok = nn.Embedding(5, 3)

    net, port = Tied(), Port()
    assert ms.load_into(port, net.state_dict(), layers=net) == ([], [])
    assert mx.array_equal(port.tok.weight, mx.array(net.tok.weight.detach().numpy()))


@pytest.mark.parametrize("to", ["nnx", "linen", "equinox", "haiku", "keras", "mlx", "numpy", "jax"])
def test_tied_names_reach_every_target_and_come_back_tied_and_bit_for_bit(tmp_path, to):
    net = Tied()
    torch.save(net.state_dict(), tmp_path / "tied.pt")
    layers = {"tok": "Embedding", "head": "Linear"}
    with ms.open_checkpoint(tmp_path / "tied.pt") as state:
        assert state.tied == (("tok.weight", "head.weight"),)
        plan = ms.make_plan(state, to=to, layers=layers)
        leaves = dict(plan.apply(state))
        assert len(leaves) == 2
        back = ms.to_torch(leaves, like=net.state_dict(), to=to, layers=layers)
    for name in ("tok.weight", "head.weight"):
        assert torch.equal(back[name], net.tok.weight)
    again = Tied()
    again.load_state_dict(back)
    assert again.head.weight is again.tok.weight
    assert torch.equal(again.head.weight, net.head.weight)
