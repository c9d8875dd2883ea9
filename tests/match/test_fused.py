"""Fused projections: cut as forward says, and asked where nobody knows."""

import numpy as np
import pytest

import ml_switcheroo as ms
from match.built import units_of
from ml_switcheroo.errors import PlanError
from ml_switcheroo.match.units.fused import cut as taken_apart
from ml_switcheroo.rule_lines import parse_rules
from ml_switcheroo.sources.findings import Part, Parts

SOURCE = """
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block(i) for i in range(2))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Block(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.number = number
        self.mix, self.out = nn.Linear(6, 18), nn.Linear(6, 6)

    def forward(self, x):
        b, n, e = x.shape
        {cut}
        y = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(1, 2).reshape(b, n, e))
"""
KEYS_FIRST = "k, q, v = (t.view(b, n, 3, 2).transpose(1, 2) for t in self.mix(x).chunk(3, -1))"
BY_HEAD = "q, k, v = self.mix(x).view(b, n, 3, 6).transpose(1, 2).chunk(3, -1)"
DIMS_FIRST = "q, k, v = (t.view(b, n, 2, 3).permute(0, 3, 1, 2) for t in self.mix(x).chunk(3, -1))"
OTHERWISE = f"""{BY_HEAD}
        if self.number == 1:
            q, k = k, q"""
UNREAD = "q, k, v = elsewhere(self.mix(x))"
WHOLE = np.arange(18)


def state(name="mix"):
    found = {}
    for i in range(2):
        found[f"blocks.{i}.{name}.weight"] = np.arange(108, dtype="f4").reshape(18, 6) + 1000 * i
        found[f"blocks.{i}.{name}.bias"] = np.arange(18, dtype="f4") + 1000 * i
        found[f"blocks.{i}.out.weight"] = np.arange(36, dtype="f4").reshape(6, 6)
        found[f"blocks.{i}.out.bias"] = np.arange(6, dtype="f4")
    return found


def like(*, heads):
    leaves = {}
    for i in range(2):
        for name in ("query", "key", "value"):
            leaves[f"blocks.{i}.{name}.kernel"] = (6, 3, 2) if heads else (6, 6)
            leaves[f"blocks.{i}.{name}.bias"] = (3, 2) if heads else (6,)
        leaves[f"blocks.{i}.out.kernel"] = (3, 2, 6) if heads else (6, 6)
        leaves[f"blocks.{i}.out.bias"] = (6,)
    return leaves


def plan_of(cut, tmp_path, *, heads):
    (tmp_path / "model.py").write_text(SOURCE.format(cut=cut))
    return ms.make_plan(state(), to="nnx", layers=f"{tmp_path / 'model.py'}:Net", like=like(heads=heads))


def rows(plan, i, name):
    """Return which rows of the fused bias a leaf has, in order."""
    leaves = plan.apply(state())
    kernel = np.asarray(leaves[f"blocks.{i}.{name}.kernel"]).reshape(6, -1)
    bias = np.asarray(leaves[f"blocks.{i}.{name}.bias"]).ravel() - 1000 * i
    assert np.array_equal(kernel, state()[f"blocks.{i}.mix.weight"][bias.astype(int)].T)
    return bias.astype(int).tolist()


@pytest.mark.parametrize("heads", [True, False], ids=["by heads", "plain"])
@pytest.mark.parametrize(
    ("cut", "query", "key"),
    [
        (KEYS_FIRST, [6, 7, 8, 9, 10, 11], [0, 1, 2, 3, 4, 5]),
        (BY_HEAD, [0, 1, 6, 7, 12, 13], [2, 3, 8, 9, 14, 15]),
    ],
    ids=["keys first", "by head"],
)
def test_forward_decides_how_a_fused_projection_is_cut(cut, query, key, heads, tmp_path):
    plan = plan_of(cut, tmp_path, heads=heads)
    plan.check()
    for i in range(2):
        assert rows(plan, i, "query") == query
        assert rows(plan, i, "key") == key
    reason = next(move.reason for move in plan.moves if "blocks.1.mix.weight" in move.sources)
    assert "cut as forward says, model.py:26" in reason
    back = (~plan).apply(plan.apply(state()))
    assert all(np.array_equal(back[name], value) for name, value in state().items())


def test_each_block_is_cut_as_it_says_itself(tmp_path):
    plan = plan_of(OTHERWISE, tmp_path, heads=True)
    plan.check()
    assert rows(plan, 0, "query") == rows(plan, 1, "key") == [0, 1, 6, 7, 12, 13]


def test_heads_that_are_counted_last_are_turned_where_the_leaf_has_them(tmp_path):
    plan = plan_of(DIMS_FIRST, tmp_path, heads=True)
    plan.check()
    assert rows(plan, 0, "query") == [0, 3, 1, 4, 2, 5]


def test_a_plain_matrix_does_not_say_which_of_the_two_comes_first(tmp_path):
    plan = plan_of(DIMS_FIRST, tmp_path, heads=False)
    with pytest.raises(PlanError, match="each in the order of the rows"):
        plan.check()


@pytest.mark.parametrize("heads", [True, False], ids=["by heads", "plain"])
@pytest.mark.parametrize("name", ["qkv", "mixed_qkv", "query_key_value"])
def test_a_name_proves_neither_order_nor_layout(name, heads):
    plan = ms.make_plan(state(name), to="nnx", like=like(heads=heads))
    (asked,) = plan.ambiguous
    assert len(asked.names) == 4
    assert {"q, k, v one after another", "k, q, v in turns, head by head of 2 rows"} <= set(asked.candidates)
    assert "q, k, v in turns, row by row" in asked.candidates
    effects = set()
    for line in asked.rules:
        settled = ms.make_plan(state(name), to="nnx", like=like(heads=heads), rules=parse_rules(line))
        settled.check()
        leaves = settled.apply(state(name))
        effects.add(tuple(np.asarray(leaves[f"blocks.0.{part}.bias"]).tobytes() for part in ("query", "key")))
    assert len(effects) == len(asked.rules)


def test_forward_that_is_not_understood_leaves_the_question(tmp_path):
    text = SOURCE.format(cut=UNREAD).replace("self.mix", "self.qkv")
    (tmp_path / "model.py").write_text(text)
    plan = ms.make_plan(state("qkv"), to="nnx", layers=f"{tmp_path / 'model.py'}:Net", like=like(heads=True))
    assert {name.rpartition(".")[0] for name in plan.doubted} == {"blocks.0.qkv", "blocks.1.qkv"}


GATES = {
    f"mlp.{name}.{slot}": np.arange(size, dtype="f4").reshape(shape)
    for name in ("gate_proj", "up_proj")
    for slot, size, shape in (("weight", 24, (6, 4)), ("bias", 6, (6,)))
} | {"mlp.down_proj.weight": np.zeros((4, 6), "f4")}


def test_a_leaf_that_is_fused_has_its_parts_in_an_order_that_nobody_knows():
    leaves = {
        "mlp.gate_up_proj.kernel": (4, 12),
        "mlp.gate_up_proj.bias": (12,),
        "mlp.down_proj.kernel": (6, 4),
    }
    plan = ms.make_plan(GATES, to="nnx", like=leaves)
    (asked,) = plan.ambiguous
    assert "up, gate in turns, row by row" in asked.candidates
    for words, line in zip(asked.candidates, asked.rules, strict=True):
        settled = ms.make_plan(GATES, to="nnx", like=leaves, rules=parse_rules(line))
        settled.check()
        bias = np.asarray(settled.apply(GATES)["mlp.gate_up_proj.bias"])
        if words == "gate, up in turns, row by row":
            assert bias.tolist() == np.repeat(np.arange(6), 2).tolist()
        back = (~settled).apply(settled.apply(GATES))
        assert all(np.array_equal(back[name], value) for name, value in GATES.items())


def test_the_layer_of_gpt2_is_known_by_how_it_is_kept():
    held = {
        "h.0.attn.c_attn.weight": np.arange(432, dtype="f4").reshape(12, 36),
        "h.0.attn.c_proj.weight": np.eye(12),
    }
    leaves = {f"h.0.attn.{name}.kernel": (12, 12) for name in ("query", "key", "value", "c_proj")}
    plan = ms.make_plan(held, to="nnx", like=leaves)
    moved = [move for move in plan.moves if "h.0.attn.c_attn.weight" in move.sources]
    assert [move.leaves[0].split(".")[3] for move in moved] == ["query"]
    assert "Conv1D of transformers" in moved[0].reason
    as_linear = {**held, "h.0.attn.c_attn.weight": np.zeros((36, 12), "f4")}
    assert ms.make_plan(as_linear, to="nnx", like=leaves).ambiguous


@pytest.mark.parametrize(
    ("cut", "order"),
    [(BY_HEAD, [0, 1, 6, 7, 12, 13]), (KEYS_FIRST, [0, 1, 2, 3, 4, 5])],
    ids=["by head", "blocks"],
)
def test_a_leaf_with_axes_for_parts_and_heads_takes_the_rows_as_they_are(cut, order, tmp_path):
    text = SOURCE.format(cut=cut).replace("self.mix", "self.qkv")
    (tmp_path / "model.py").write_text(text)
    leaves = {}
    for i in range(2):
        leaves |= {f"blocks.{i}.qkv.kernel": (6, 3, 3, 2), f"blocks.{i}.qkv.bias": (3, 3, 2)}
        leaves |= {f"blocks.{i}.out.kernel": (6, 6), f"blocks.{i}.out.bias": (6,)}
    plan = ms.make_plan(state("qkv"), to="nnx", layers=f"{tmp_path / 'model.py'}:Net", like=leaves)
    plan.check()
    assert np.asarray(plan.apply(state("qkv"))["blocks.0.qkv.bias"])[0].ravel().tolist() == order
    asked = ms.make_plan(state("qkv"), to="nnx", like=leaves).ambiguous
    assert {text for entry in asked for text in entry.candidates} >= {
        "its rows are (part heads dim)",
        "its rows are (heads part dim)",
    }


def test_the_gate_of_a_leaf_with_an_axis_for_the_parts_is_where_forward_has_it(tmp_path):
    text = """
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_up_proj, self.down_proj = nn.Linear(4, 12), nn.Linear(6, 4, bias=False)

    def forward(self, x):
        y = self.gate_up_proj(x)
        gate, up = {cut}
        return self.down_proj(F.silu(gate) * up)
"""
    held = {
        "gate_up_proj.weight": np.arange(48, dtype="f4").reshape(12, 4),
        "gate_up_proj.bias": np.arange(12, dtype="f4"),
        "down_proj.weight": np.zeros((4, 6), "f4"),
    }
    leaves = {"gate_up_proj.kernel": (4, 2, 6), "gate_up_proj.bias": (2, 6), "down_proj.kernel": (6, 4)}
    for name, cut in (("blocks", "y.chunk(2, -1)"), ("turns", "(y[..., ::2], y[..., 1::2])")):
        (tmp_path / f"{name}.py").write_text(text.format(cut=cut))
        plan = ms.make_plan(held, to="nnx", layers=f"{tmp_path / name}.py:Net", like=leaves)
        assert bool(plan.ambiguous) is (name == "turns")
    assert ms.make_plan(held, to="nnx", like=leaves).ambiguous


def test_a_rule_for_the_kind_leaves_what_forward_says(tmp_path):
    (tmp_path / "model.py").write_text(SOURCE.format(cut=KEYS_FIRST))
    plan = ms.make_plan(
        state(),
        to="nnx",
        layers=f"{tmp_path / 'model.py'}:Net",
        like=like(heads=False),
        rules=[ms.Kind("blocks.{i}.mix", "linear")],
    )
    plan.check()
    assert rows(plan, 1, "key") == [0, 1, 2, 3, 4, 5]


def test_the_attention_of_torch_is_documented():
    held = {
        "attn.in_proj_weight": np.arange(108, dtype="f4").reshape(18, 6),
        "attn.in_proj_bias": np.arange(18, dtype="f4"),
        "attn.out_proj.weight": np.eye(6, dtype="f4"),
        "attn.out_proj.bias": np.zeros(6, "f4"),
    }
    leaves = {"attn.out.kernel": (3, 2, 6), "attn.out.bias": (6,)}
    for name in ("query", "key", "value"):
        leaves |= {f"attn.{name}.kernel": (6, 3, 2), f"attn.{name}.bias": (3, 2)}
    plan = ms.make_plan(
        held, to="nnx", layers={"attn": ("MultiheadAttention", {"num_heads": 3})}, like=leaves
    )
    plan.check()
    assert np.asarray(plan.apply(held)["attn.key.bias"]).ravel().tolist() == [6, 7, 8, 9, 10, 11]


def test_a_fused_unit_is_cut_where_the_other_tree_has_its_parts():
    shapes = {f"attn.{name}.weight": (4, 4) for name in ("q", "k", "v")}
    fused, apart = units_of({"attn.qkv.weight": (12, 4)}), units_of(shapes)
    parts = taken_apart(fused, apart)
    assert [(part.role, part.piece.number, part.piece.count) for part in parts] == [
        ("q", 0, 3),
        ("k", 1, 3),
        ("v", 2, 3),
    ]
    assert all(part.piece.part is None for part in parts), "a name does not say how the rows lie"
    assert taken_apart(fused, fused) == fused
    assert taken_apart(fused, apart[:2]) == fused, "one of the parts is not there"


def test_what_is_read_of_a_fused_unit_goes_before_its_name():
    said = Parts((Part("v", 0, ((4, 1),)), Part("q", 4, ((4, 1),))))
    (fused,) = units_of({"attn.qkv.weight": (8, 4)})
    apart = units_of({f"attn/{name}/kernel": (4, 4) for name in ("q", "k", "v")})
    parts = taken_apart([fused], apart, lambda _: (said, "forward says"))
    assert [(part.role, part.piece.part.start, part.piece.why) for part in parts] == [
        ("v", 0, "forward says"),
        ("q", 4, "forward says"),
    ]
