from pathlib import Path

import numpy as np
import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError
from ml_switcheroo.explain import explain

DIGITS = Path(__file__).parents[1] / "examples" / "digits"


@pytest.fixture(scope="module")
def state():
    with ms.open_checkpoint(DIGITS / "weights.pt") as opened:
        yield opened


def test_every_source_is_heard_and_the_winner_named(state):
    text = explain("fc1.weight", state, to="nnx", layers=f"{DIGITS}/model.py:Net")
    assert "3. static    fc1 is linear" in text
    assert "behind a Flatten of 32 channels" in text
    assert "5. evidence  fc1 can be linear" in text
    assert "believed: weight of fc1, linear (static)" in text
    assert "moved: out (c *space) -> (*space c) out" in text
    assert "fc1.kernel float32[128,48]" in text


def test_a_rule_wins(state):
    rules = [ms.Kind("fc1", "linear", flatten=1)]
    text = explain("fc1.weight", state, to="nnx", layers=f"{DIGITS}/model.py:Net", rules=rules)
    assert "1. rules" in text
    assert "believed: weight of fc1, linear (rules)" in text
    assert "moved: out in -> in out" in text


def test_what_is_ambiguous_shows_its_rules(state):
    text = explain("fc1.weight", state, to="nnx")
    assert 'Kind("fc1", "linear", flatten=32)' in text


def test_what_is_dropped_says_why(state):
    rules = [ms.Drop("fc2.*", "a new head")]
    assert "dropped: a new head" in explain("fc2.bias", state, to="nnx", rules=rules)
    text = explain("features.0.1.num_batches_tracked", state, to="nnx")
    assert "keeps no counter" in text


def test_a_wrapped_name_is_peeled(state):
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    text = explain("module.fc2.bias", wrapped, to="nnx", layers=f"{DIGITS}/model.py:Net")
    assert "peeled to fc2.bias" in text


def test_a_misspelled_name_is_an_error_with_a_hint(state):
    with pytest.raises(UsageError, match=r"did you mean 'fc1\.weight'"):
        explain("fc1.wieght", state, to="nnx")


def shapes(**leaves):
    return {path.replace("__", "/"): shape for path, shape in leaves.items()}


def test_what_the_structure_weighed_is_shown_for_a_tensor_and_for_a_leaf():
    tensors = {f"encoder.{name}.weight": np.zeros((4, 6)) for name in ("query", "key")}
    like = shapes(enc__q_proj__kernel=(6, 4), enc__k_proj__kernel=(6, 4))
    text = explain("encoder.query.weight", tensors, to="linen", like=like)
    assert "asked of the structure: nothing in the target is spelled like it" in text
    assert "weighed: encoder.query, taken for the queries" in text
    assert "enc/q_proj  taken (assignment: both are the queries)" in text
    assert "ruled out, another part of the network: enc/k_proj" in text
    assert "needed 0.25; else nothing" in text
    assert text.endswith("moved: out in -> in out -> enc/q_proj/kernel float64[6,4]")
    leaf = explain("enc/k_proj/kernel", tensors, to="linen", like=like)
    assert leaf.startswith("enc/k_proj/kernel float32[6,4]\n  weighed: enc/k_proj, taken for the keys")
    assert "filled: encoder.key.weight, out in -> in out" in leaf


def test_a_tie_shows_both_and_no_stage_that_took_one():
    like = shapes(tower__left__proj__kernel=(6, 4), tower__right__proj__kernel=(6, 4))
    text = explain("tower.proj.weight", {"tower.proj.weight": np.zeros((4, 6))}, to="linen", like=like)
    assert " taken (" not in text.replace("not taken (", "")
    assert "margin 0.00" in text
    assert "in doubt: another pair is nearly as good" in text
    assert 'Rename("tower.proj", "tower/left/proj")' in text


def test_the_structure_is_not_asked_where_the_name_says_it():
    layers = {"fc": "Linear"}
    state = {"fc.weight": np.zeros((4, 6))}
    text = explain("fc.weight", state, to="linen", layers=layers, like={"params/fc/kernel": (6, 4)})
    assert "not asked of the structure" in text
    assert "weighed" not in text
    square = {"fc.weight": np.zeros((4, 4))}
    text = explain("fc.weight", square, to="linen", layers=layers, like={"params/fc/kernel": (4, 4)})
    assert "asked of the structure: two of its sizes are equal, so its shape does not show its layout" in text
    assert "weighed: fc" in text


def test_what_is_left_over_says_that_this_proves_nothing():
    state = {"zorp.weight": np.zeros((4, 6)), "zorp.bias": np.zeros(4)}
    like = {"params/gnarl/kernel": (6, 4), "params/gnarl/bias": (4,)}
    text = explain("zorp.weight", state, to="linen", layers={"zorp": "Linear"}, like=like)
    assert "left over: zorp fits gnarl" in text
    assert "being left over proves nothing" in text
    leaf = explain("params/gnarl/bias", state, to="linen", layers={"zorp": "Linear"}, like=like)
    assert "left over: zorp fits gnarl" in leaf
    assert "missing: no source" in leaf


def test_neither_a_tensor_nor_a_leaf_is_an_error():
    with pytest.raises(
        UsageError, match=r"no tensor and no leaf is called x/kernle \(did you mean 'x/kernel'\?\)"
    ):
        explain("x/kernle", {"x.weight": np.zeros((2, 3))}, to="linen", like={"x/kernel": (3, 2)})


def test_each_stage_says_what_it_has_made_of_a_tensor():
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tok = torch.nn.Embedding(5, 3)
            self.head = torch.nn.Linear(3, 5, bias=False)
            self.head.weight = self.tok.weight

    class Port(nnx.Module):
        def __init__(self):
            self.tok = nnx.Embed(5, 3, param_dtype=np.float16, rngs=nnx.Rngs(0))

    net = Tied()
    lines = explain("head.weight", net.state_dict(), to="nnx", layers=net, like=Port()).splitlines()
    start = lines.index("  by structure: refused, the target has no leaf head.kernel")
    assert lines[start + 1 : start + 4] == [
        "  ties: changed, tied",
        "  ties: admitted, it is the same tensor as one that has a leaf",
        "  dtypes: changed, tied, cast to float16",
    ]
    lines = explain("tok.embedding", net.state_dict(), to="nnx", layers=net, like=Port()).splitlines()
    assert [line.split(",")[0].strip() for line in lines[-5:-2]] == [
        "by name: moved",
        "ties: changed",
        "dtypes: changed",
    ]
