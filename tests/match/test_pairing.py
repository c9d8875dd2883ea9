"""What must not be paired, though it has the right shape."""

import numpy as np

import ml_switcheroo as ms


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
