"""What must not be paired, though it has the right shape."""

import numpy as np

import ml_switcheroo as ms
from match.built import field_of
from ml_switcheroo.match.assignment.field import weigh
from ml_switcheroo.match.assignment.pairing import pair


def filled(source, leaves, to="keras"):
    return ms.make_plan(source, to=to, like=leaves).apply(source, partial=True)


def test_a_norm_outside_of_blocks_is_not_taken_for_any_norm():
    source = {f"bn1.{slot}": np.arange(4.0) for slot in ("weight", "bias", "running_mean", "running_var")}
    slots = ("gamma", "beta", "moving_mean", "moving_variance")
    leaves = {f"{home}/{slot}": (4,) for home in ("stem_bn", "block1a_dwconv_bn") for slot in slots}
    assert dict(filled(source, leaves)) == {}


def test_a_table_of_tokens_is_not_put_where_positions_belong():
    source = {"decoder.embed_tokens.weight": np.arange(48.0).reshape(12, 4)}
    assert dict(filled(source, {"decoder_position_embedding/embeddings": (12, 4)})) == {}


def test_a_part_of_the_encoder_is_not_put_into_the_decoder():
    source = {"encoder.block.norm1.weight": np.arange(4.0), "encoder.block.norm1.bias": np.arange(4.0)}
    assert dict(filled(source, {"decoder/stage/norm1/gamma": (4,), "decoder/stage/norm1/beta": (4,)})) == {}


def test_blocks_are_recognised_where_children_are_counted_over_the_whole_model():
    parts = ("gate", "up_proj", "down_proj")
    source = {
        f"layers.{i}.moe.{part}.weight": np.arange(20.0).reshape(4, 5) + 100 * i + n
        for i in range(2)
        for n, part in enumerate(parts)
    }
    homes = {0: "layer_0/moe_block", 1: "layer_1/moe_block_1"}
    leaves = {f"{homes[i]}/{part}/kernel": (5, 4) for i in range(2) for part in parts}
    found = filled(source, leaves)
    assert len(found) == len(leaves)
    for i in range(2):
        for part in parts:
            assert np.array_equal(
                found[f"{homes[i]}/{part}/kernel"], source[f"layers.{i}.moe.{part}.weight"].T
            )


def test_the_input_embedding_is_that_of_the_tokens():
    table, head = np.arange(28.0).reshape(7, 4), np.arange(28.0, 56.0).reshape(7, 4)
    source = {"model.embed_tokens.weight": table, "lm_head.weight": head}
    leaves = {"embedder/input_embedding": (7, 4)}
    for i in range(2):
        for part in ("attn.q_proj", "attn.k_proj", "attn.v_proj", "mlp.up_proj", "mlp.gate_proj"):
            source[f"model.layers.{i}.{part}.weight"] = np.zeros((6, 4))
            leaves[f"layers/{i}/{part.replace('.', '/')}/kernel"] = (4, 6)
        source[f"model.layers.{i}.input_layernorm.weight"] = np.ones(4)
        leaves[f"layers/{i}/input_layernorm/w"] = (4,)
    assert np.array_equal(filled(source, leaves, to="nnx")["embedder/input_embedding"], table)


def paired(tensors, leaves, forced=None):
    field = field_of(tensors, leaves, forced)
    return pair(field, weigh(field))


def shown(found):
    return {str(match.source): (str(match.target), match.why) for match in found.matches}


def test_what_wins_by_enough_is_matched_with_the_reason():
    found = paired(
        {"enc.query.weight": (4, 6), "enc.fc.weight": (8, 6)},
        {"e/q_proj/kernel": (6, 4), "enc/fc/kernel": (6, 8)},
    )
    assert shown(found) == {
        "enc.query": ("e.qproj", "both are the queries"),
        "enc.fc": ("enc.fc", "the same path"),
    }
    assert not found.rivalries
    assert all(
        not verdict.doubt and verdict.choice.margin >= verdict.needed for verdict in found.verdicts.values()
    )


def test_what_wins_by_less_is_a_rivalry_of_all_that_is_near():
    found = paired(
        {"t.fc.weight": (4, 6)}, {f"t/{side}/fc/kernel": (6, 4) for side in ("x", "y", "far_off_and")}
    )
    (rivalry,) = found.rivalries
    assert {str(target) for target in rivalry.targets} >= {"t.x.fc", "t.y.fc"}
    assert not found.matches
    assert found.verdicts[0].doubt == "another pair is nearly as good"


def test_a_rule_goes_before_all_words():
    found = paired(
        {"a.fc.weight": (4, 6), "b.fc.weight": (4, 6)}, {"a/fc/kernel": (6, 4), "b/fc/kernel": (6, 4)}, {0: 1}
    )
    assert shown(found)["a.fc"] == ("b.fc", "a rule names it")


def test_a_kernel_that_alone_is_left_is_matched_by_its_shape_and_a_vector_is_not():
    kernels = paired({"model.net.zorp.weight": (8, 3, 3, 3)}, {"model/net/gnarl/kernel": (3, 3, 3, 8)})
    assert shown(kernels) == {"model.net.zorp": ("model.net.gnarl", "nothing else has this shape")}
    assert not kernels.verdicts
    assert not paired({"model.net.zorp": (8,)}, {"model/net/gnarl": (8,)}).matches


def test_what_competes_with_a_doubt_is_not_left_over():
    tensors = {"model.net.zorp.weight": (8, 3, 3, 3), "model.net.mink.weight": (8, 3, 3, 3)}
    assert not paired(tensors, {"model/net/gnarl/kernel": (3, 3, 3, 8)}).matches


def block(sep, *names, slot="weight", shape=(8, 8, 3, 3)):
    return {
        f"h{sep}{i}{'.' if sep == '.' else '/'}{name}{'.' if sep == '.' else '/'}{slot}": shape
        for i in range(2)
        for name in names
    }


def test_the_last_convolution_of_a_block_takes_the_last_leaf_of_it():
    tensors, leaves = (
        block(".", "reduce", "zorp"),
        block("_", "reduce", "gnarl", slot="kernel", shape=(3, 3, 8, 8)),
    )
    assert shown(paired(tensors, leaves))["h.#.zorp"] == (
        "h#.gnarl",
        "everything else in this block has its place",
    )


def test_it_does_not_where_another_leaf_of_the_block_waits_or_for_a_matrix():
    tensors, leaves = (
        block(".", "reduce", "zorp"),
        block("_", "reduce", "gnarl", slot="kernel", shape=(3, 3, 8, 8)),
    )
    waiting = {f"h_{i}/blick/kernel": (5, 7) for i in range(2)}
    assert "h.#.zorp" not in shown(paired(tensors, {**leaves, **waiting}))
    matrices = (
        block(".", "reduce", "zorp", shape=(8, 6)),
        block("_", "reduce", "gnarl", slot="kernel", shape=(6, 8)),
    )
    assert "h.#.zorp" not in shown(paired(*matrices))
