"""Pools have no tensors, and decide the output: what differs is said, and what a target cannot do."""

import equinox as eqx
import jax
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import nn as mlx

import ml_switcheroo as ms
from ml_switcheroo.targets import TARGETS

KEY = jax.random.key(0)
KERAS = {"max": keras.layers.MaxPooling2D, "avg": keras.layers.AveragePooling2D}
STANDARD = {
    "keras": lambda kind, kernel_size, stride: KERAS[kind](kernel_size, stride),
    "equinox": lambda kind, **more: getattr(eqx.nn, f"{kind.title()}Pool2d")(**more),
    "mlx": lambda kind, **more: getattr(mlx, f"{kind.title()}Pool2d")(**more),
}


class Net(torch.nn.Module):
    def __init__(self, *pools):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 2, 1)
        self.pools = torch.nn.ModuleList(pools)


class EqxNet(eqx.Module):
    conv: eqx.nn.Conv2d
    pools: list


class KerasNet(keras.Model):
    def __init__(self, pools):
        super().__init__()
        self.conv, self.pools = keras.layers.Conv2D(2, 1), pools

    def call(self, x):
        return [pool(self.conv(x)) for pool in (lambda x: x, *self.pools)]


class NnxNet(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(2, 2, (1, 1), rngs=nnx.Rngs(0))

    def __call__(self, x):
        return nnx.max_pool(self.conv(x), (3, 3))


def live(to, *pools):
    if to == "equinox":
        return EqxNet(eqx.nn.Conv2d(2, 2, 1, key=KEY), list(pools))
    if to == "keras":
        model = KerasNet(list(pools))
        model(np.zeros((1, 9, 9, 2), "f4"))
        return model
    model = mlx.Module()
    model.conv, model.pools = mlx.Conv2d(2, 2, 1), list(pools)
    return model


def notes(net, model, to):
    return ms.make_plan(net.state_dict(), to=to, layers=net, like=model).notes


every = pytest.mark.parametrize("to", sorted(STANDARD))
either = pytest.mark.parametrize("kind", ["max", "avg"])
MADE = {"max": torch.nn.MaxPool2d, "avg": torch.nn.AvgPool2d}


def place(to, index=0):
    return f"pools{TARGETS[to].naming.separator}{index}"


@every
@either
def test_a_pool_of_another_step_is_said(to, kind):
    word = "strides" if to == "keras" else "stride"
    model = live(to, STANDARD[to](kind, kernel_size=3, stride=1))
    (note,) = notes(Net(MADE[kind](3)), model, to)
    assert note.startswith(f"{kind}_pool: {word} is ")
    assert note.endswith(f" in the target, stride is 3 in PyTorch: {place(to)}")
    assert "1" in note
    assert not notes(Net(MADE[kind](3, 1)), model, to)
    assert not notes(Net(MADE[kind]((3, 3), (1, 1))), model, to)


@every
def test_a_pool_of_another_window_is_said(to):
    (note,) = notes(Net(MADE["max"](2, 2)), live(to, STANDARD[to]("max", kernel_size=3, stride=2)), to)
    assert "in the target, kernel_size is 2 in PyTorch" in note


@pytest.mark.parametrize("to", ["equinox", "mlx"])
def test_a_pool_of_another_padding_is_said(to):
    model = live(to, STANDARD[to]("max", kernel_size=3, stride=2))
    (note,) = notes(Net(MADE["max"](3, 2, 1)), model, to)
    assert "padding is 1 in PyTorch (right where the port pads before this layer)" in note
    assert not notes(Net(MADE["max"](3, 2)), model, to)


def test_kerass_same_is_not_a_padding_of_one():
    model = live("keras", keras.layers.MaxPooling2D(3, 2, padding="same"))
    (note,) = notes(Net(MADE["max"](3, 2, 1)), model, "keras")
    assert note == (
        "max_pool: padding is same in the target, padding is 1 in PyTorch"
        " (the same only for inputs whose sizes leave 1 when divided by the stride): pools/0"
    )
    by_one = live("keras", keras.layers.MaxPooling2D(3, 1, "same"))
    assert not notes(Net(MADE["max"](3, 1, 1)), by_one, "keras")


def test_a_port_that_pads_before_the_pool_may_be_right():
    model = live("keras", keras.layers.ZeroPadding2D(1), keras.layers.MaxPooling2D(3, 2))
    assert not notes(Net(MADE["max"](3, 2, 1)), model, "keras")


def test_equinox_can_round_up():
    up, down = (eqx.nn.MaxPool2d(3, 2, use_ceil=ceil) for ceil in (True, False))
    (note,) = notes(Net(MADE["max"](3, 2, ceil_mode=True)), live("equinox", down), "equinox")
    assert note == "max_pool: use_ceil is False in the target, ceil_mode is True in PyTorch: pools.0"
    assert not notes(Net(MADE["max"](3, 2, ceil_mode=True)), live("equinox", up), "equinox")
    (note,) = notes(Net(MADE["max"](3, 2)), live("equinox", up), "equinox")
    assert "ceil_mode is False in PyTorch" in note


LACKING = (
    "{} is always {} in the target's own layer, {} in PyTorch (right where the port makes up for it): pools.0"
)


@pytest.mark.parametrize("to", ["keras", "mlx", "nnx"])
@either
def test_a_target_that_cannot_round_up_is_said(to, kind):
    model = NnxNet() if to == "nnx" else live(to, STANDARD[to](kind, kernel_size=3, stride=2))
    (note,) = notes(Net(MADE[kind](3, 2, ceil_mode=True)), model, to)
    assert note == f"{kind}_pool: " + LACKING.format("ceil_mode", False, True)
    assert not notes(Net(MADE[kind](3, 2)), model, to)


@pytest.mark.parametrize("to", ["keras", "mlx", "equinox", "nnx"])
def test_a_target_that_has_no_dilated_pool_is_said(to):
    model = NnxNet() if to == "nnx" else live(to)
    (note,) = notes(Net(MADE["max"](3, 1, dilation=2)), model, to)
    assert note == "max_pool: " + LACKING.format("dilation", 1, 2)
    assert not notes(Net(MADE["max"](3, 1, dilation=(1, 1))), model, to)


@pytest.mark.parametrize(("to", "counts"), [("keras", False), ("mlx", True), ("equinox", True)])
def test_whether_a_target_can_count_the_padding_is_said(to, counts):
    net = Net(MADE["avg"](3, 1, 1, count_include_pad=not counts))
    (note,) = notes(net, live(to), to)
    assert note == "avg_pool: " + LACKING.format("count_include_pad", counts, not counts)
    assert not notes(Net(MADE["avg"](3, 1, 1, count_include_pad=counts)), live(to), to)
    assert not notes(Net(MADE["avg"](3, 1, count_include_pad=not counts)), live(to), to)
    assert not notes(net, NnxNet(), "nnx")  # which can do both


def test_what_both_compute_is_said_once():
    net = Net(MADE["avg"](3, 1, 1))
    (note,) = notes(net, live("keras", keras.layers.AveragePooling2D(3, 1, "same")), "keras")
    assert "left out in the target, with the padding counted in PyTorch" in note


@pytest.mark.parametrize("to", ["linen", "haiku"])
def test_a_tree_shows_no_pool_but_its_framework_has_no_other(to):
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.MaxPool2d(2, ceil_mode=True))
    conv = {"haiku": {"w": (1, 1, 2, 2), "b": (2,)}, "linen": {"kernel": (1, 1, 2, 2), "bias": (2,)}}[to]
    tree = {"layers_0": conv} if to == "haiku" else {"params": {"layers_0": conv}}
    (note,) = ms.make_plan(net.state_dict(), to=to, layers=net, like=tree).notes
    assert note.startswith("max_pool: ceil_mode is always False")
    tree = {"0": {"weight": (2, 2, 1, 1), "bias": (2,)}}
    assert not ms.make_plan(net.state_dict(), to="numpy", layers=net, like=tree).notes  # has no layers


@every
def test_as_many_pools_in_the_same_order_are_pairs_whatever_they_are_called(to):
    net = torch.nn.Module()
    net.conv, net.first, net.second = torch.nn.Conv2d(2, 2, 1), MADE["max"](2), MADE["max"](3, 2)
    model = live(to, *(STANDARD[to]("max", kernel_size=size, stride=2) for size in (2, 5)))
    (note,) = notes(net, model, to)
    assert "kernel_size is 3 in PyTorch" in note
    assert note.endswith(place(to, 1))


@every
def test_pools_in_another_order_may_be_used_in_the_same(to):
    net = torch.nn.Module()
    net.conv, net.first, net.second = torch.nn.Conv2d(2, 2, 1), MADE["max"](2), MADE["max"](3, 2)
    model = live(to, *(STANDARD[to]("max", kernel_size=size, stride=2) for size in (3, 2)))
    assert not notes(net, model, to)


@every
def test_where_there_are_more_pools_on_one_side_nothing_is_a_pair(to):
    two = [STANDARD[to]("max", kernel_size=5, stride=2) for _ in range(2)]
    net = torch.nn.Module()
    net.conv, net.pool = torch.nn.Conv2d(2, 2, 1), MADE["max"](2)
    assert not notes(net, live(to, *two), to)
    assert not notes(Net(MADE["max"](2)), live(to, *two), to)  # by its number it is none either
    assert not notes(Net(MADE["avg"](2)), live(to, two[0]), to)  # another kind


def test_a_name_makes_a_pair_where_the_numbers_differ():
    net, model = torch.nn.Module(), mlx.Module()
    net.conv, model.conv = torch.nn.Conv2d(2, 2, 1), mlx.Conv2d(2, 2, 1)
    net.pool, model.pool, model.more = MADE["max"](2), mlx.MaxPool2d(3, 2), mlx.MaxPool2d(2)
    (note,) = notes(net, model, "mlx")
    assert note.endswith("kernel_size is 2 in PyTorch: pool")


def test_a_sequential_is_seen_through():
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), MADE["max"](2), MADE["max"](2, 1))
    model = mlx.Sequential(mlx.Conv2d(2, 2, 1), mlx.MaxPool2d(2, 1), mlx.MaxPool2d(2))
    # By their numbers they would not be the same; they are the same in the other order.
    assert len(notes(net, model, "mlx")) == 2


def test_a_wrapped_model_has_each_pool_once():
    net = torch.nn.DataParallel(Net(MADE["max"](2)))
    (note,) = notes(net, live("mlx", mlx.MaxPool2d(2, 1)), "mlx")
    assert "stride is [1, 1]" in note


class Same(torch.nn.MaxPool2d):
    def forward(self, x):
        return super().forward(torch.nn.functional.pad(x, (0, 1, 0, 1)))


def test_a_class_with_its_own_forward_pools_as_it_likes():
    assert not notes(Net(Same(3, ceil_mode=True)), live("mlx", mlx.MaxPool2d(2)), "mlx")


SOURCE = """
from torch import nn

class Same(nn.MaxPool2d):
    def forward(self, x):
        return super().forward(x[:, :, 1:])

class Net(nn.Module):
    POOL = nn.MaxPool2d

    def __init__(self, size=2):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.pool = self.POOL(size, ceil_mode=True)

class Own(Net):
    POOL = Same
"""


def test_the_source_shows_it_as_well(tmp_path):
    (tmp_path / "model.py").write_text(SOURCE)
    model = mlx.Module()
    model.conv, model.down = mlx.Conv2d(2, 2, 1), mlx.MaxPool2d(2, 1)
    state = Net().state_dict()

    def noted(name):
        return ms.make_plan(state, to="mlx", layers=f"{tmp_path}/model.py:{name}", like=model).notes

    assert noted("Own") == ()
    assert noted("Net") == (
        "max_pool: ceil_mode is always False in the target's own layer, True in PyTorch"
        " (right where the port makes up for it): pool",
        "max_pool: stride is [1, 1] in the target, stride is 2 in PyTorch: down",
    )


def test_it_is_true_and_load_into_says_it():
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 2)).astype("f4")
    for ceil in (True, False):
        net = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.MaxPool2d(3, 2, ceil_mode=ceil))
        model = keras.Sequential([keras.layers.Conv2D(2, 1), keras.layers.MaxPooling2D(3, 2)])
        model.build((None, 6, 6, 2))
        loaded = ms.load_into(model, net.state_dict(), layers=net)
        with torch.no_grad():
            there = net(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
        assert (tuple(there.shape[2:]) == tuple(model(x).shape[1:3])) == (not loaded.notes) == (not ceil)
