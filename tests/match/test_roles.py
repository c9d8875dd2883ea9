"""Which part of a network a unit is, by its words and its neighbours."""

import pytest

from match.built import named, units_of
from ml_switcheroo.match.units.roles import ROLE_NAMES, routed, ungated


def roles(*paths):
    shapes = dict.fromkeys(paths, (4, 4))
    return {str(unit): unit.role for unit in units_of(shapes)}


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("attn.q_proj.weight", "q"),
        ("attention.self.key.weight", "k"),
        ("attn.out_proj.weight", "o"),
        ("attn.in_proj.weight", "qkv"),
        ("attn.query_key_value.weight", "mixed"),
        ("mlp.fc1.weight", "up"),
        ("mlp.gate_up_proj.weight", "gate_up"),
        ("mlp.c_proj.weight", "down"),
        ("head.weight", ""),
    ],
)
def test_words_say_the_role(path, role):
    assert list(roles(path).values()) == [role]
    assert role in ROLE_NAMES or role in ("", "mixed")


def test_w1_is_the_way_up_of_two_and_the_gate_of_three():
    two = roles("mlp.w1.weight", "mlp.w2.weight")
    three = roles("mlp.w1.weight", "mlp.w2.weight", "mlp.w3.weight")
    assert two == {"mlp.w1": "up", "mlp.w2": "down"}
    assert three == {"mlp.w1": "gate", "mlp.w2": "down", "mlp.w3": "up"}


def test_the_value_of_a_gated_unit_is_its_way_up():
    assert roles("mlp.value.weight", "mlp.gate.weight") == {"mlp.value": "up", "mlp.gate": "gate"}


def test_the_matrix_of_an_attention_that_holds_its_queries_is_the_way_out():
    found = roles("attn.weight", "attn.query.weight", "attn.key.weight")
    assert found["attn"] == "o"
    assert roles("attn.weight")["attn"] == ""


def test_the_first_of_two_may_be_a_gate_where_the_other_tree_has_one():
    mine = units_of({"mlp.w1.weight": (4, 4), "mlp.w2.weight": (4, 4)})
    gated = units_of({"mlp/gate/kernel": (4, 4), "mlp/down/kernel": (4, 4)})
    assert [unit.role for unit in ungated(mine, gated)] == ["", "down"]
    assert [unit.role for unit in ungated(mine, mine)] == ["up", "down"]


def test_a_gate_beside_experts_routes_where_the_other_tree_has_a_router():
    mine = units_of({"moe.gate.weight": (2, 4), "moe.experts.up.weight": (4, 4)})
    other = units_of({"moe/router/kernel": (4, 2), "moe/experts/up/kernel": (4, 4)})
    assert named(routed(mine, other), "moe.gate").role == "router"
    assert named(routed(mine, mine), "moe.gate").role == "gate"


def test_a_plain_ffn_is_the_way_up_beside_its_output_only():
    assert roles("h.ffn.weight", "h.ffn_output.weight") == {"h.ffn": "up", "h.ffnoutput": "down"}
    assert roles("h.ffn.weight") == {"h.ffn": ""}


def test_the_second_of_two_gates_is_the_way_up():
    found = roles("mlp.gating.weight", "mlp.gating_2.weight")
    assert sorted(found.values()) == ["gate", "up"]
    assert found["mlp.gating"] == "gate"


def test_a_fused_cross_attention_beside_queries_holds_keys_and_values():
    beside = roles("cross_attn.qkv.weight", "cross_attn.query.weight")
    assert beside["cross_attn.qkv".replace("_", "")] == "kv"
    assert list(roles("cross_attn.qkv.weight").values()) == ["qkv"]
    assert roles("attn.qkv.weight", "attn.query.weight")["attn.qkv"] == "qkv"
