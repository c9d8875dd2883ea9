"""Whole trees against whole trees: what is found, and what is said where nothing can be found."""

import numpy as np
import pytest

from ml_switcheroo.planning.drawing import draw_plan
from ml_switcheroo.planning.request import Request
from ml_switcheroo.sources.stated import from_table
from ml_switcheroo.targets import find_target
from ml_switcheroo.tensors import spec_of
from ml_switcheroo.tree import template_of_tree


def draw(state, like, to="linen", layers=None, rules=()):
    target = find_target(to)
    specs = {name: spec_of(value) for name, value in state.items()}
    known = [from_table(layers)] if layers else []
    template = template_of_tree(like, target.naming.separator)
    return draw_plan(Request(specs, target, known, template, tuple(rules)))


def filled(*shapes):
    """Return a state dict of arrays that are all different."""
    start = 0
    state = {}
    for name, shape in shapes:
        size = int(np.prod(shape))
        state[name] = np.arange(start, start + size, dtype="f4").reshape(shape)
        start += size
    return state


def block(i, d=4, f=6):
    return [
        (f"encoder.layer.{i}.attention.self.query.weight", (d, d)),
        (f"encoder.layer.{i}.attention.self.query.bias", (d,)),
        (f"encoder.layer.{i}.attention.self.key.weight", (d, d)),
        (f"encoder.layer.{i}.attention.self.value.weight", (d, d)),
        (f"encoder.layer.{i}.attention.output.dense.weight", (d, d)),
        (f"encoder.layer.{i}.attention.output.LayerNorm.weight", (d,)),
        (f"encoder.layer.{i}.intermediate.dense.weight", (f, d)),
        (f"encoder.layer.{i}.output.dense.weight", (d, f)),
        (f"encoder.layer.{i}.output.LayerNorm.weight", (d,)),
    ]


BERT = filled(("embeddings.word_embeddings.weight", (9, 4)), *block(0), *block(1))


def hub(i, d=4, f=6, heads=2):
    return {
        f"transformer_layer_{i}": {
            "self_attention": {
                "query": {"kernel": (d, heads, d // heads), "bias": (heads, d // heads)},
                "key": {"kernel": (d, heads, d // heads)},
                "value": {"kernel": (d, heads, d // heads)},
                "attention_output": {"kernel": (heads, d // heads, d)},
            },
            "self_attention_layer_norm": {"gamma": (d,)},
            "feedforward_intermediate_dense": {"kernel": (d, f)},
            "feedforward_output_dense": {"kernel": (f, d)},
            "feedforward_layer_norm": {"gamma": (d,)},
        }
    }


HUB = {"token_embedding": {"embeddings": (9, 4)}, **hub(0), **hub(1)}


def test_other_names_split_heads_and_all_blocks():
    plan = draw(BERT, HUB)
    plan.check()
    leaves = plan.apply(BERT)
    np.testing.assert_array_equal(
        leaves["transformer_layer_1/self_attention/query/kernel"],
        BERT["encoder.layer.1.attention.self.query.weight"].T.reshape(4, 2, 2),
    )
    np.testing.assert_array_equal(
        leaves["transformer_layer_1/self_attention/attention_output/kernel"],
        BERT["encoder.layer.1.attention.output.dense.weight"].T.reshape(2, 2, 4),
    )
    np.testing.assert_array_equal(
        leaves["transformer_layer_0/feedforward_layer_norm/gamma"],
        BERT["encoder.layer.0.output.LayerNorm.weight"],
    )
    assert "both are the queries" in str(plan)


def test_the_way_back_gives_the_same_bits():
    plan = draw(BERT, HUB)
    back = dict((~plan).apply(dict(plan.apply(BERT))))
    assert set(back) == set(BERT)
    for name, array in back.items():
        np.testing.assert_array_equal(array, BERT[name])


def test_leaves_that_are_not_square_show_how_a_square_one_is_kept():
    """A target that keeps its kernels as (out, in), against its framework's convention."""
    state = filled(
        ("a.up.weight", (6, 4)), ("a.up.bias", (6,)), ("a.mid.weight", (4, 4)), ("a.mid.bias", (4,))
    )
    like = {"a": {"up": {"kernel": (6, 4), "bias": (6,)}, "mid": {"kernel": (4, 4), "bias": (4,)}}}
    plan = draw(state, like)
    np.testing.assert_array_equal(plan.apply(state)["a/mid/kernel"], state["a.mid.weight"])
    usual = {"a": {"up": {"kernel": (4, 6), "bias": (6,)}, "mid": {"kernel": (4, 4), "bias": (4,)}}}
    np.testing.assert_array_equal(draw(state, usual).apply(state)["a/mid/kernel"], state["a.mid.weight"].T)


def test_a_source_that_keeps_its_matrices_as_in_out_is_seen_by_its_biases():
    state = filled(("a.c_fc.weight", (4, 6)), ("a.c_fc.bias", (6,)), ("a.mid.weight", (4, 4)))
    like = {"a": {"c_fc": {"kernel": (4, 6), "bias": (6,)}, "mid": {"kernel": (4, 4)}}}
    plan = draw(state, like)
    np.testing.assert_array_equal(plan.apply(state)["a/mid/kernel"], state["a.mid.weight"])


def test_a_square_leaf_of_no_convention_is_ambiguous():
    state = filled(("a.mid.weight", (4, 4)))
    plan = draw(state, {"a": {"mid": {"matrix": (4, 4)}}}, layers={"a.mid": "linear"})
    assert [entry.names for entry in plan.ambiguous] == [("a.mid.weight",)]
    assert len(plan.ambiguous[0].rules) == 2
    assert not plan.moves


@pytest.mark.parametrize("last", [False, True])
def test_blocks_become_one_stacked_leaf_and_come_back(last):
    state = filled(*block(0), *block(1), *block(2))
    stack = (lambda *shape: (*shape, 3)) if last else (lambda *shape: (3, *shape))
    like = {
        "blocks": {
            "attention": {name: {"kernel": stack(4, 4)} for name in ("q", "k", "v", "o")},
            "mlp": {"up": {"kernel": stack(4, 6)}, "down": {"kernel": stack(6, 4)}},
            "attention_norm": {"scale": stack(4)},
            "mlp_norm": {"scale": stack(4)},
        }
    }
    plan = draw(state, like)
    assert not plan.missing
    np.testing.assert_array_equal(
        plan.apply(state, partial=True)["blocks/mlp/up/kernel"],
        np.stack(
            [state[f"encoder.layer.{i}.intermediate.dense.weight"].T for i in range(3)],
            axis=-1 if last else 0,
        ),
    )
    back = dict((~plan).apply(dict(plan.apply(state, partial=True)), partial=True))
    np.testing.assert_array_equal(
        back["encoder.layer.2.output.dense.weight"], state["encoder.layer.2.output.dense.weight"]
    )


def test_what_nobody_saved_is_missing_and_not_filled_with_what_fits():
    state = filled(("a.steps", (4,)), ("a.up.weight", (6, 4)))
    like = {"a": {"up": {"kernel": (4, 6), "bias": (6,)}, "rotary": {"inv_freq": (4,)}}}
    plan = draw(state, like)
    assert set(plan.missing) == {"a/up/bias", "a/rotary/inv_freq"}
    assert set(plan.unexpected) == {"a.steps"}
    assert set(plan.inputs) == {"a.up.weight"}


def test_two_that_answer_equally_are_ambiguous_with_the_rules_to_write():
    state = filled(("x.foo.weight", (3, 5)), ("x.bar.weight", (3, 5)))
    like = {"x": {"foo_bar": {"kernel": (5, 3)}, "bar_foo": {"kernel": (5, 3)}}}
    plan = draw(state, like)
    assert not plan.moves
    assert set(plan.ambiguous[0].rules) == {'Rename("x.foo", "x/foo_bar")', 'Rename("x.foo", "x/bar_foo")'}


def test_the_rules_that_an_ambiguity_prints_settle_it():
    from ml_switcheroo.rules import Rename

    state = filled(("x.foo.weight", (3, 5)), ("x.bar.weight", (3, 5)))
    like = {"x": {"foo_bar": {"kernel": (5, 3)}, "bar_foo": {"kernel": (5, 3)}}}
    plan = draw(state, like, rules=[Rename("x.foo", "x/bar_foo")])
    plan.check()
    np.testing.assert_array_equal(plan.apply(state)["x/bar_foo/kernel"], state["x.foo.weight"].T)


def test_numbered_norms_of_stacked_blocks_stand_at_the_attention_and_at_the_mlp():
    parts = {"self_attn.q_proj.weight": (4, 4), "self_attn_layer_norm.weight": (4,), "fc1.weight": (6, 4)}
    parts |= {"fc2.weight": (4, 6), "final_layer_norm.weight": (4,)}
    state = filled(*((f"layers.{i}.{name}", shape) for i in range(2) for name, shape in parts.items()))
    like = {
        "layers/attn/query_proj/weight": (2, 4, 4),
        "layers/layer_norm1/weight": (2, 4),
        "layers/linear1/weight": (2, 6, 4),
        "layers/linear2/weight": (2, 4, 6),
        "layers/layer_norm2/weight": (2, 4),
    }
    found = draw(state, like, to="equinox").apply(state, partial=True)
    for leaf, name in (("layer_norm1", "self_attn_layer_norm"), ("layer_norm2", "final_layer_norm")):
        rows = np.stack([state[f"layers.{i}.{name}.weight"] for i in range(2)])
        np.testing.assert_array_equal(found[f"layers/{leaf}/weight"], rows)


def test_square_experts_that_could_be_a_convolution_are_ambiguous():
    state = filled(("moe.output_linear.weight", (3, 4, 4)), ("moe.router.layer.weight", (3, 4)))
    like = {"moe/switch_mlp/down_proj/weight": (3, 4, 4), "moe/router/layer/weight": (3, 4)}
    plan = draw(state, like, to="mlx")
    assert plan.ambiguous[0].names == ("moe.output_linear.weight",)
    assert len(plan.ambiguous[0].rules) == 2


def test_a_root_that_only_the_target_has_hides_no_path():
    state = filled(("LayerNorm.weight", (4,)), ("norm.weight", (4,)), ("embeddings.LayerNorm.weight", (4,)))
    paths = ("LayerNorm/gamma", "norm/gamma", "embeddings/LayerNorm/gamma")
    found = draw(state, {f"tf_model/bert/{path}": (4,) for path in paths}, to="keras").apply(state)
    for path, name in zip(paths, state, strict=True):
        np.testing.assert_array_equal(found[f"tf_model/bert/{path}"], state[name])


def test_a_root_that_the_source_has_too_keeps_its_meaning():
    state = filled(("norm.weight", (4,)), ("decoder.norm.weight", (4,)), ("decoder.fc1.weight", (6, 4)))
    like = {"decoder/norm/gamma": (4,), "decoder/fc1/kernel": (4, 6)}
    found = draw(state, like, to="keras").apply(state, partial=True)
    np.testing.assert_array_equal(found["decoder/norm/gamma"], state["decoder.norm.weight"])


def test_the_second_of_two_numbered_parts_of_an_mlp_is_the_way_down():
    parts = {"fc1.weight": (6, 4), "fc2.weight": (4, 6)}
    state = filled(*((f"layers.{i}.{name}", shape) for i in range(2) for name, shape in parts.items()))
    like = {f"blocks/{i}/mlp{n}/weight": parts[f"fc{n}.weight"] for i in range(2) for n in (1, 2)}
    found = draw(state, like, to="mlx").apply(state)
    for i in range(2):
        np.testing.assert_array_equal(found[f"blocks/{i}/mlp2/weight"], state[f"layers.{i}.fc2.weight"])


def test_a_bias_with_a_name_of_its_own_belongs_to_the_module_beside_it():
    parts = {
        f"{part}_proj.{slot}": (4, 4)[: 2 - (slot == "bias")] for part in "qkv" for slot in ("weight", "bias")
    }
    state = filled(
        *((f"layers.{i}.self_attn.{name}", shape) for i in range(2) for name, shape in parts.items())
    )
    like = {}
    for i in range(2):
        like |= {f"layers/{i}/attn/{part}_proj/w": (4, 2, 2) for part in "qkv"}
        like |= {f"layers/{i}/attn/{part}_bias": (4,) for part in "qkv"}
    found = draw(state, like, to="nnx", layers={name.rpartition(".")[0]: "Linear" for name in state}).apply(
        state
    )
    for part in "qkv":
        bias = state[f"layers.1.self_attn.{part}_proj.bias"]
        np.testing.assert_array_equal(found[f"layers/1/attn/{part}_bias"], bias)


def test_the_gate_beside_experts_is_the_router():
    parts = {"mlp.gate.weight": (3, 4)}
    for expert in range(3):
        parts |= {f"mlp.experts.{expert}.{name}_proj.weight": (6, 4) for name in ("gate", "up")}
        parts |= {f"mlp.experts.{expert}.down_proj.weight": (4, 6)}
    state = filled(*((f"layers.{i}.{name}", shape) for i in range(2) for name, shape in parts.items()))
    stacks = {"gate_proj": (3, 4, 6), "up_proj": (3, 4, 6), "down_proj": (3, 6, 4), "router/kernel": (4, 3)}
    like = {f"layers/{i}/mlp/{name}": shape for i in range(2) for name, shape in stacks.items()}
    found = draw(state, like, to="nnx").apply(state)
    np.testing.assert_array_equal(found["layers/1/mlp/router/kernel"], state["layers.1.mlp.gate.weight"].T)
    gates = [state[f"layers.1.mlp.experts.{expert}.gate_proj.weight"].T for expert in range(3)]
    np.testing.assert_array_equal(found["layers/1/mlp/gate_proj"], np.stack(gates))
