"""Square kernels in a tree: a tree does not show whether they are transposed convolutions."""

import numpy as np
import pytest

import ml_switcheroo as ms

LEAVES = {
    "linen": ("params/{}/kernel", (3, 3, 4, 4)),
    "nnx": ("{}.kernel", (3, 3, 4, 4)),
    "haiku": ("{}/w", (3, 3, 4, 4)),
    "keras": ("{}/kernel", (3, 3, 4, 4)),
    "equinox": ("{}.weight", (4, 4, 3, 3)),
    "mlx": ("{}.weight", (4, 3, 3, 4)),
}
BOTH = ('Kind("up", "conv")', 'Kind("up", "conv_transpose")')


def square(*names, size=3):
    return {f"{name}.weight": np.random.default_rng(0).normal(size=(4, 4, size, size)) for name in names}


@pytest.mark.parametrize("target", LEAVES)
def test_a_tree_does_not_remove_the_doubt(target):
    path, shape = LEAVES[target]
    plan = ms.make_plan(square("up"), to=target, like={path.format("up"): shape})
    assert [doubt.rules for doubt in plan.ambiguous] == [BOTH]


@pytest.mark.parametrize("kind", ["conv", "conv_transpose"])
def test_a_rule_or_a_class_removes_it(kind):
    like = {"params/up/kernel": (3, 3, 4, 4)}
    ruled = ms.make_plan(square("up"), to="linen", like=like, rules=[ms.Kind("up", kind)])
    told = ms.make_plan(square("up"), to="linen", like=like, layers={"up": kind})
    for plan in (ruled, told):
        (move,) = plan.moves
        assert move.kind == kind
        assert not plan.ambiguous


def test_a_bias_of_another_size_removes_it():
    state = {"up.weight": np.zeros((4, 4, 3, 3)), "up.bias": np.zeros(8)}
    like = {"params/up/kernel": (3, 3, 4, 4), "params/up/bias": (8,)}
    plan = ms.make_plan(state, to="linen", like=like)
    assert all(doubt.rules != BOTH for doubt in plan.ambiguous)


def test_convolutions_of_the_same_name_show_what_it_is():
    state = {**square("blocks.0.conv"), "blocks.1.conv.weight": np.zeros((8, 4, 3, 3))}
    like = {"blocks.0.conv.kernel": (3, 3, 4, 4), "blocks.1.conv.kernel": (3, 3, 4, 8)}
    plan = ms.make_plan(state, to="nnx", like=like)
    assert not plan.ambiguous
    assert {move.kind for move in plan.moves} == {"conv"}


def test_others_of_other_names_show_nothing():
    state = {**square("up"), "conv.weight": np.zeros((8, 4, 3, 3))}
    like = {"up.kernel": (3, 3, 4, 4), "conv.kernel": (3, 3, 4, 8)}
    plan = ms.make_plan(state, to="nnx", like=like)
    assert [doubt.rules for doubt in plan.ambiguous] == [BOTH]


def test_a_tree_that_keeps_others_as_pytorch_does_leaves_square_ones_open():
    state = {**square("a", size=4), "b.weight": np.zeros((4, 6, 4, 4))}
    layers = {"a": "ConvTranspose2d", "b": "ConvTranspose2d"}
    turned = ms.make_plan(
        state, to="nnx", layers=layers, like={"a.kernel": (4,) * 4, "b.kernel": (4, 6, 4, 4)}
    )
    assert ("a.weight",) in [doubt.names for doubt in turned.ambiguous]
    usual = ms.make_plan(
        state, to="nnx", layers=layers, like={"a.kernel": (4,) * 4, "b.kernel": (4, 4, 4, 6)}
    )
    assert not usual.ambiguous
