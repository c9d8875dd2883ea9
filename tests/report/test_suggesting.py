"""Where a leaf is missing, a possible rule is printed, and works when it is pasted."""

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.errors import LoadError, PlanError, RuleError
from ml_switcheroo.renaming import one_rename
from ml_switcheroo.rule_lines import parse_rules
from ml_switcheroo.rules import Rename, match


def linear(path, into, out):
    return {f"{path}.weight": np.zeros((out, into), "f4"), f"{path}.bias": np.zeros(out, "f4")}


def dense(path, into, out):
    return {f"{path}/kernel": (into, out), f"{path}/bias": (out,)}


def merged(dictionaries):
    return {key: value for one in dictionaries for key, value in one.items()}


CASES = {
    "one module": ([("aux", 4, 3)], [("params/uncertainty", 4, 3)], 1),
    "two of different sizes": ([("a", 4, 3), ("b", 5, 2)], [("params/x", 4, 3), ("params/y", 5, 2)], 2),
    "counted from one": (
        [(f"row{i + 1}.fcx.{j}", 4, 3) for i in range(3) for j in range(2)],
        [(f"params/col_{i}/zorp_{j}", 4, 3) for i in range(3) for j in range(2)],
        1,
    ),
}


@pytest.mark.parametrize(("mine", "other", "lines"), CASES.values(), ids=CASES)
def test_the_rules_of_an_error_work_when_they_are_pasted(mine, other, lines):
    state = merged(linear(*one) for one in mine)
    like = merged(dense(*one) for one in other)
    kinds = {path: "linear" for path, *_ in mine}
    with pytest.raises(PlanError) as error:
        ms.make_plan(state, to="linen", layers=kinds, like=like).check()
    rules = [line.strip().partition("  ")[0] for line in str(error.value).splitlines() if "  Rename(" in line]
    assert len(rules) == lines
    parsed = [rule for line in rules for rule in parse_rules(line)]
    ms.make_plan(state, to="linen", layers=kinds, like=like, rules=parsed).check()


def test_several_modules_of_one_size_are_offered_one_by_one():
    state = linear("a", 4, 3) | linear("b", 4, 3)
    like = {**dense("params/x", 4, 3)}
    with pytest.raises(PlanError, match="2 unused modules of these sizes, 1 places"):
        ms.make_plan(state, to="linen", layers={"a": "linear", "b": "linear"}, like=like).check()


def test_an_error_has_forty_lines_at_most_and_all_of_them_on_request():
    words = "ash birch cedar elm fir gorse hazel ivy juniper lime maple oak pine rowan sorrel thuja".split()
    state = merged(linear(word, size + 3, size + 2) for size, word in enumerate(words))
    like = merged(dense(f"params/{word[::-1]}q", size + 4, size + 1) for size, word in enumerate(words))
    with pytest.raises(PlanError) as error:
        ms.make_plan(state, to="linen", layers=dict.fromkeys(words, "linear"), like=like).check()
    assert len(str(error.value).splitlines()) == 40
    assert "more (--full; error.full)" in str(error.value)
    assert "thuja.weight" in error.value.full
    assert len(error.value.full.splitlines()) > 60


def test_a_live_model_says_it_too():
    from flax import nnx

    class Port(nnx.Module):
        def __init__(self):
            self.uncertainty = nnx.Linear(4, 3, rngs=nnx.Rngs(0))

    state = linear("aux", 4, 3)
    with pytest.raises(LoadError, match=r'a possible rule: Rename\("aux", "uncertainty"\)') as error:
        ms.load_into(Port(), state, layers={"aux": "linear"})
    # Each leaf stands beside its own name in PyTorch.
    kernel = "uncertainty.kernel float32[4,3]: no source; unused: aux.weight"
    assert f"{kernel} (in PyTorch it would be uncertainty.weight)" in str(error.value)
    assert ms.load_into(Port(), state, layers={"aux": "linear"}, rules=[Rename("aux", "uncertainty")]) == (
        [],
        [],
    )


@pytest.mark.parametrize(
    ("pairs", "rule"),
    [
        ([("a.0", "b.0"), ("a.1", "b.1")], Rename("a.{i}", "b.{i}")),
        ([("a.0", "b1"), ("a.1", "b2")], Rename("a.{i}", "b{i+1}")),
        ([("a2.x", "b.0"), ("a3.x", "b.1")], Rename("a{i+2}.x", "b.{i}")),
        (
            [("a.0.b.1", "b.1.a.0"), ("a.1.b.1", "b.1.a.1"), ("a.0.b.2", "b.2.a.0")],
            Rename("a.{j}.b.{i}", "b.{i}.a.{j}"),
        ),
        ([("a.0", "b.0"), ("a.1", "b.2")], None),
        ([("a.0", "b.x"), ("a.1", "b.0")], None),
        ([("conv1", "x")], Rename("conv1", "x")),
    ],
)
def test_one_rule_says_many_renames(pairs, rule):
    assert one_rename(pairs) == rule


def test_numbers_are_shifted_in_patterns():
    assert match("layer{i+1}.{j}", "layer2.0") == {"i": "1", "j": "0"}
    assert match("layer{i+1}", "layer0") is None
    assert match("a{i}.b{i+1}", "a1.b2") == {"i": "1"}
    assert match("a{i}.b{i+1}", "a1.b3") is None
    assert Rename("stages.{i}", "layer{i+1}").apply("stages.9.fc") == "layer10.fc"
    with pytest.raises(RuleError, match="only numbers are counted"):
        Rename("x.{name+1}", "y.{name}")


def test_each_layer_of_a_recurrent_module_is_sent_where_its_sizes_are():
    names = {"weight_ih": (32, 5), "weight_hh": (32, 8), "bias_ih": (32,), "bias_hh": (32,)}
    state = {f"rnn.{name}_l0": np.random.rand(*shape).astype("f4") for name, shape in names.items()}
    names["weight_ih"] = (32, 8)
    state |= {f"rnn.{name}_l1": np.random.rand(*shape).astype("f4") for name, shape in names.items()}
    # Keras counts layers as they are made, which may be from the last to the first.
    like = {
        f"{layer}/cell/{leaf}": shape
        for layer, width in (("lstm", 8), ("lstm_1", 5))
        for leaf, shape in {"kernel": (width, 32), "recurrent_kernel": (8, 32), "bias": (32,)}.items()
    }
    with pytest.raises(PlanError) as error:
        ms.make_plan(state, to="keras", layers={"rnn": "lstm"}, like=like).check()
    rules = [Rename("rnn.0", "lstm_1"), Rename("rnn.1", "lstm")]
    for rule in rules:
        assert f'Rename("{rule.source}", "{rule.target}")' in str(error.value)
    plan = ms.make_plan(state, to="keras", layers={"rnn": "lstm"}, like=like, rules=rules)
    leaves = plan.apply(state)
    assert leaves["lstm_1/cell/kernel"].shape == (5, 32)
    with pytest.raises(RuleError, match="match nothing"):
        ms.make_plan(state, to="keras", layers={"rnn": "lstm"}, like=like, rules=[Rename("rnn.2", "lstm")])
