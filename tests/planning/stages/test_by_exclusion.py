"""Modules that neither spelling nor words have placed: where they fit, and nothing else does."""

import numpy as np
import torch
from flax import nnx

import ml_switcheroo as ms


def like(**modules):
    return {f"{path}/{leaf}": shape for path, leaves in modules.items() for leaf, shape in leaves.items()}


def places_of(net, tree, to="haiku"):
    plan = ms.make_plan(net.state_dict(), to=to, layers=net, like=tree)
    found = {source: move.leaves[0] for move in plan.moves for source in move.sources}
    return plan, {name.rpartition(".")[0]: path.rpartition("/")[0] for name, path in found.items()}


def linear(into, out):
    return {"w": (into, out), "b": (out,)}


def test_numbers_tell_modules_apart_that_are_alike_in_all_else():
    net = torch.nn.Sequential(*(torch.nn.LayerNorm(4) for _ in range(3)))
    norm = {"scale": (4,), "offset": (4,)}
    plan, found = places_of(net, like(layer_norm=norm, layer_norm_1=norm, layer_norm_2=norm))
    plan.check()
    assert found == {"0": "layer_norm", "1": "layer_norm_1", "2": "layer_norm_2"}
    assert "counted in order" in plan.moves[0].reason


def test_words_come_before_numbers():
    net = torch.nn.ModuleDict(
        {f"{part}{number}_net": torch.nn.Linear(3, 3) for part in ("down", "conv") for number in (1, 2)}
    )
    names = {f"{part}_{number}": linear(3, 3) for part in ("conv", "down") for number in (5, 6)}
    plan, found = places_of(net, like(**names))
    plan.check()
    assert found["down1_net"] == "down_5"
    assert found["conv2_net"] == "conv_6"


def test_names_that_share_nothing_are_left_open():
    net = torch.nn.ModuleDict({"alpha": torch.nn.Linear(3, 3), "beta": torch.nn.Linear(3, 3)})
    plan, found = places_of(net, like(gamma=linear(3, 3), delta=linear(3, 3)))
    assert found == {}
    assert set(plan.missing) == {"gamma/w", "gamma/b", "delta/w", "delta/b"}


def test_the_head_of_another_task_is_not_filled_because_it_fits():
    net = torch.nn.ModuleDict({"body": torch.nn.Linear(3, 4), "decoder": torch.nn.Linear(4, 5)})
    plan, found = places_of(net, like(body=linear(3, 4), zorp=linear(4, 5), more=linear(4, 2)))
    assert found == {"body": "body"}
    assert set(plan.unexpected) == {"decoder.weight", "decoder.bias"}


def test_a_layer_of_several_tensors_goes_as_a_whole():
    net = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(3, 4, 2, bidirectional=True)})

    def rnn(size):
        return nnx.RNN(nnx.OptimizedLSTMCell(size, 4, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))

    def both(size):
        return nnx.Bidirectional(rnn(size), rnn(size), rngs=nnx.Rngs(0))

    port = nnx.Dict(reader=nnx.List([both(3), both(8)]))
    assert ms.load_into(port, net.state_dict(), layers=net) == ([], [])
    kernel = port.reader[1].backward_rnn.cell.dense_i.kernel.get_value()
    np.testing.assert_array_equal(kernel, net["rnn"].weight_ih_l1_reverse.detach().numpy().T)


def test_a_tree_that_keeps_its_kernels_otherwise_gets_no_square_ones_by_place():
    net = torch.nn.ModuleDict({"fc1": torch.nn.Linear(3, 5), "zorp": torch.nn.Linear(3, 3)})
    plan, found = places_of(net, like(fc1={"w": (5, 3), "b": (5,)}, gnarl=linear(3, 3)))
    assert "zorp" not in found
    assert "gnarl/w" in plan.missing
