"""What has the right shape and nearly the right name, and is not filled: something is said instead."""

import numpy as np
import pytest

import ml_switcheroo as ms


def weights(**shapes):
    return {f"{name.replace('__', '.')}.weight": np.zeros(shape) for name, shape in shapes.items()}


def sources(source, leaves, to="linen", layers=None):
    """Return what fills each leaf."""
    plan = ms.make_plan(source, to=to, like=leaves, layers=layers)
    return {move.leaves[0]: move.sources[0] for move in plan.moves}


def test_what_some_blocks_lack_is_not_stacked_from_a_part_of_another_name():
    source = {
        f"encoder.layer.{i}.{part}.weight": np.zeros((4, 4))
        for i in range(3)
        for part in ("attention.output.dense", "output.dense", "intermediate.dense")
    }
    del source["encoder.layer.1.output.dense.weight"]
    home = "encoder/layer"
    leaves = {f"{home}/{part}/kernel": (3, 4, 4) for part in ("zorp", "output/dense", "intermediate/dense")}
    assert sources(source, leaves).keys() == {f"{home}/intermediate/dense/kernel"}


@pytest.mark.parametrize("name", ["attention/zorp_proj", "zorp/wo"])
def test_a_name_that_is_half_known_is_no_part_of_a_network(name):
    source = weights(h__0__attn__c_proj=(4, 4), h__0__mlp__fc2=(4, 4), h__0__mlp__fc1=(6, 4))
    leaves = {f"h/0/{name}/kernel": (4, 4), "h/0/mlp/fc1/kernel": (4, 6)}
    assert sources(source, leaves).keys() == {"h/0/mlp/fc1/kernel"}


def test_a_name_with_a_word_more_is_another_one():
    names = ("q_proj", "k_proj", "up_proj")
    shapes = dict(zip(names, ((4, 4), (4, 4), (6, 4)), strict=True))
    source = {f"layers.{i}.attn.{n}.weight": np.zeros(shapes[n]) for i in range(2) for n in names}
    leaves = {f"layers_{i}/attn/{n}/kernel": shapes[n][::-1] for i in range(2) for n in names}
    source["layers.1.attn.shadow_q_proj.weight"] = source.pop("layers.1.attn.q_proj.weight")
    assert "layers_1/attn/q_proj/kernel" not in sources(source, leaves)
    assert "layers_1/attn/q_proj/kernel" not in sources(
        source, leaves, layers=dict.fromkeys((name.removesuffix(".weight") for name in source), "linear")
    )


@pytest.mark.parametrize("leaf", ["self_attention_norm_shadow", "shadow_self_attention_norm"])
def test_a_norm_with_a_word_that_nobody_knows_is_in_doubt(leaf):
    source = weights(h__0__ln_1=(4,), h__0__ln_2=(4,), h__0__mlp__fc1=(6, 4))
    leaves = {
        "layer_0/self_attention_norm/scale": (4,),
        "layer_0/snarf/scale": (4,),
        f"layer_0/{leaf}/scale": (4,),
        "layer_0/mlp/fc1/kernel": (4, 6),
    }
    assert f"layer_0/{leaf}/scale" not in sources(source, leaves)


def test_a_tensor_of_one_block_fills_nothing_outside_of_blocks():
    source = {
        f"layers.{i}.{part}.weight": np.zeros(shape)
        for i in range(2)
        for part, shape in {"mlp.up_proj": (6, 4), "input_layernorm": (4,)}.items()
    }
    source["layers.1.extra.weight"] = np.zeros(4)
    leaves = {
        "layers/mlp/up_proj/kernel": (2, 4, 6),
        "layers/input_layernorm/scale": (2, 4),
        "rotary/inv_freq": (4,),
    }
    assert "rotary/inv_freq" not in sources(source, leaves)


def test_the_last_norm_of_a_block_is_not_the_one_behind_all_blocks():
    source = weights(transformer__h__2__ln_2=(4,), transformer__h__0__mlp__c_fc=(6, 4))
    assert "transformer/ln_f/scale" not in sources(source, {"transformer/ln_f/scale": (4,)})


def test_numbers_that_belong_to_a_name_do_not_count_blocks():
    source = {f"block.{i}.mlp.wi_{n}.weight": np.zeros((6, 4)) for i, n in ((0, 0), (1, 1), (2, 0))}
    source |= {f"block.{i}.mlp.wo.weight": np.zeros((4, 6)) for i in range(3)}
    leaves = {f"layers/{i}/dense/wi_{n}/weight": (6, 4) for i in range(3) for n in range(2)}
    leaves |= {f"layers/{i}/dense/wo/weight": (4, 6) for i in range(3)}
    found = sources(source, leaves, "mlx")
    assert all(leaf.split("/")[3] == name.split(".")[3] for leaf, name in found.items())


def test_a_bias_of_a_block_does_not_leave_its_weight():
    source = {"h.0.attn.o_proj.weight": np.zeros((6, 4)), "h.0.attn.o_proj.bias": np.zeros(6)}
    leaves = {"h/0/attention/output/extra/bias": (6,), "h/0/zorp/kernel": (4, 6), "h/0/zorp/bias": (6,)}
    assert "h/0/attention/output/extra/bias" not in sources(source, leaves)


def test_a_square_matrix_is_in_doubt_where_nothing_fills_what_would_show_its_layout():
    source = weights(head=(8, 8), h__1__mlp__fc1=(10, 8))
    leaves = {"head/kernel": (8, 8), "h/mlp/fc1/kernel": (10, 8, 3)}
    plan = ms.make_plan(source, to="linen", like=leaves)
    assert not plan.moves
    assert [one.names for one in plan.ambiguous] == [("head.weight",)]


@pytest.mark.parametrize("layers", [None, {"a.conv1": "conv", "a.conv2": "conv"}])
def test_a_square_kernel_is_in_doubt_beside_one_that_is_turned(layers):
    source = weights(a__conv1=(6, 4, 3, 3), a__conv2=(6, 6, 3, 3))
    leaves = {"a/conv1/kernel": (3, 3, 6, 4), "a/conv2/kernel": (3, 3, 6, 6)}
    plan = ms.make_plan(source, to="keras", like=leaves, layers=layers)
    assert "a/conv2/kernel" not in {leaf for move in plan.moves for leaf in move.leaves}
    assert any("a.conv2.weight" in one.names for one in plan.ambiguous)


def test_a_turned_kernel_is_not_silently_a_transposed_convolution():
    plan = ms.make_plan(
        weights(a__convolution=(10, 3, 5, 5)), to="linen", like={"params/a/convolution/kernel": (5, 5, 10, 3)}
    )
    assert not plan.moves


def test_a_batch_norm_without_its_statistics_is_still_one():
    source = {f"a.bn.{slot}": np.zeros(4) for slot in ("weight", "bias")}
    source["a.bn.num_batches_tracked"] = np.zeros(())
    leaves = {"a/bn/scale": (4,), "a/bn/bias": (4,)}
    assert sources(source, leaves) == {"a/bn/scale": "a.bn.weight", "a/bn/bias": "a.bn.bias"}
