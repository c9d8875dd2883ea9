import numpy as np
import pytest

from ml_switcheroo.errors import PlanError, RuleError, UsageError
from ml_switcheroo.moves import Move
from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.drawing import draw_plan
from ml_switcheroo.planning.request import Request
from ml_switcheroo.rules import Drop, Keep, Rename
from ml_switcheroo.sources.findings import NO_FLATTEN, Finding, Flatten, Knowledge
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.tensors import TensorSpec, spec_of
from ml_switcheroo.tree import Template, template_of_tree

STATE = {
    "conv.weight": np.arange(4 * 2 * 3 * 3, dtype="f4").reshape(4, 2, 3, 3),
    "conv.bias": np.arange(4, dtype="f4"),
    "bn.weight": np.arange(4, dtype="f4"),
    "bn.running_mean": np.arange(4, dtype="f4"),
    "bn.num_batches_tracked": np.array(3),
    "fc.weight": np.arange(5 * 24, dtype="f4").reshape(5, 24),
    "tok.weight": np.arange(6, dtype="f4").reshape(3, 2),
    "pos": np.arange(6, dtype="f4").reshape(1, 6),
}


def said(kind, **more):
    return Finding(kind, "static", f"nn.{kind}", **more)


KNOWN = Knowledge(
    {
        "conv": said("conv"),
        "bn": said("batch_norm"),
        "fc": said("linear", flatten=Flatten(4, "conv", "model.py:9")),
        "tok": said("embedding"),
        "pos": said("parameter"),
    }
)


def draw(to="nnx", knowledge=KNOWN, state=STATE, like=None, **more):
    template = template_of_tree(like) if like is not None and not isinstance(like, Template) else like
    specs = {name: spec_of(value) for name, value in state.items()}
    return draw_plan(Request(specs, TARGETS[to], [knowledge], template, **more))


def test_every_tensor_is_moved_or_dropped_with_a_reason():
    plan = draw()
    assert set(plan.inputs) | set(plan.dropped) == set(STATE)
    assert "keeps no counter" in plan.dropped["bn.num_batches_tracked"].why
    assert dict(plan.outputs) == {
        "conv.kernel": TensorSpec((3, 3, 2, 4), "float32"),
        "conv.bias": TensorSpec((4,), "float32"),
        "bn.scale": TensorSpec((4,), "float32"),
        "bn.mean": TensorSpec((4,), "float32"),
        "fc.kernel": TensorSpec((24, 5), "float32"),
        "tok.embedding": TensorSpec((3, 2), "float32"),
        "pos": TensorSpec((1, 6), "float32"),
    }
    plan.check()


def test_a_flatten_permutes_the_input_axis_of_a_channels_last_target():
    leaves = draw().apply(STATE)
    expected = STATE["fc.weight"].reshape(5, 4, 6).transpose(2, 1, 0).reshape(24, 5)
    np.testing.assert_array_equal(leaves["fc.kernel"], expected)
    assert "a Flatten stands before this Linear (from conv model.py:9)" in str(draw())


def test_a_flatten_is_nothing_to_a_channels_first_target():
    np.testing.assert_array_equal(draw("numpy").apply(STATE)["fc.weight"], STATE["fc.weight"])


def test_a_flatten_that_does_not_fit_is_not_ignored():
    knowledge = Knowledge({**KNOWN.findings, "fc": said("linear", flatten=Flatten(7))})
    assert "no multiple of the 7 channels" in draw(knowledge=knowledge).unexpected["fc.weight"].why


@pytest.mark.parametrize("to", sorted(TARGETS))
def test_the_inverse_brings_back_every_bit(to):
    plan = draw(to)
    leaves = dict(plan.apply(STATE))
    back = dict((~plan).apply(leaves, partial=True))
    assert set(back) == set(STATE) - set(plan.dropped) - set(plan.unexpected)
    # The rank of a batch norm's tensors is that of the input in Haiku; only a model tells.
    assert set(plan.unexpected) == ({"bn.weight", "bn.running_mean"} if to == "haiku" else set())
    for name, array in back.items():
        assert array.dtype == STATE[name].dtype
        np.testing.assert_array_equal(array, STATE[name])


@pytest.mark.parametrize("to", sorted(TARGETS))
def test_a_saved_plan_is_the_same_plan(to, tmp_path):
    plan = draw(to)
    plan.save(tmp_path / "plan.json")
    loaded = Plan.load(tmp_path / "plan.json")
    assert loaded == plan
    assert loaded.digest == plan.digest
    assert str(loaded) == str(plan)


def test_what_nobody_knows_is_ambiguous_and_says_what_to_write():
    plan = draw(knowledge=Knowledge({k: v for k, v in KNOWN.findings.items() if k != "pos"}))
    with pytest.raises(PlanError, match=r'nothing shows what it is\s+Kind\("pos", "parameter"\)') as caught:
        plan.check()
    assert caught.value.ambiguous == ("pos",)
    with pytest.raises(PlanError):
        plan.apply(STATE)
    assert "pos" not in plan.apply(STATE, partial=True)


OPEN = Knowledge(
    {k: v for k, v in KNOWN.findings.items() if k not in ("tok", "fc")},
    {
        "tok": (said("linear", flatten=NO_FLATTEN), said("embedding")),
        "fc": (said("linear", flatten=Flatten(4)), said("linear", flatten=NO_FLATTEN)),
    },
)


def test_two_kinds_that_differ_are_ambiguous():
    plan = draw(knowledge=OPEN)
    assert [entry.names for entry in plan.ambiguous] == [("fc.weight",), ("tok.weight",)]
    assert plan.ambiguous[0].rules == ('Kind("fc", "linear", flatten=4)', 'Kind("fc", "linear", flatten=1)')
    assert plan.ambiguous[1].rules == ('Kind("tok", "linear", flatten=1)', 'Kind("tok", "embedding")')


def test_two_kinds_that_do_the_same_are_not_ambiguous():
    assert not draw("numpy", knowledge=OPEN).ambiguous


LEAVES = {
    "conv": {"kernel": (3, 3, 2, 4), "bias": (4,)},
    "bn": {"scale": (4,), "mean": (4,)},
    "fc": {"kernel": (24, 5)},
    "tok": {"embedding": (3, 2)},
    "pos": (1, 6),
}


def test_the_target_decides_what_the_source_left_open():
    plan = draw(knowledge=OPEN, like=LEAVES)
    (tok,) = [move for move in plan.moves if move.sources == ("tok.weight",)]
    assert (tok.kind, tok.origin) == ("embedding", "target")
    assert "linear does not" in tok.reason
    assert [entry.names for entry in plan.ambiguous] == [("fc.weight",)]


def test_a_template_tells_what_is_missing_and_unexpected():
    like = {**LEAVES, "head": {"kernel": (5, 24)}, "rope": (9,)}
    del like["pos"]
    plan = draw(like=like, rules=(Keep("rope", "computed"),))
    assert list(plan.missing) == ["head.kernel"]
    assert plan.unexpected["pos"].why == "the target has no leaf pos"
    assert plan.kept["rope"].why == "computed"
    with pytest.raises(PlanError) as caught:
        plan.check()
    assert caught.value.missing == ("head.kernel",)
    assert caught.value.unexpected == ("pos",)
    plan.check(allow_missing=True, allow_unexpected=True)


def test_a_missing_leaf_names_the_unused_tensors_that_fit():
    plan = draw(like={**{k: v for k, v in LEAVES.items() if k != "pos"}, "stamp": (1, 6)})
    assert plan.missing["stamp"].why == "no source; unused: pos"


def test_a_leaf_of_another_name_is_found_by_what_the_name_means():
    plan = draw(like={**{k: v for k, v in LEAVES.items() if k != "pos"}, "position": (1, 6)})
    (pos,) = [move for move in plan.moves if move.sources == ("pos",)]
    assert (pos.leaves, pos.ops) == (("position",), ())
    assert "both are called pos" in pos.reason


def test_a_leaf_of_another_shape_names_the_axis():
    like = {**LEAVES, "conv": {"kernel": (3, 3, 2, 5), "bias": (4,)}}
    plan = draw(like=like)
    assert 'axis "out" is 4, expected 5' in plan.unexpected["conv.weight"].why
    assert "conv.kernel" in plan.missing


def test_rules_rename_drop_and_move():
    rules = (
        Rename("conv", "stem.conv"),
        Drop("pos", "not needed"),
        Move("tok.weight", "table", "vocab dim -> dim vocab"),
    )
    plan = draw(rules=rules)
    assert "stem.conv.kernel" in plan.outputs
    assert plan.dropped["pos"].why == "not needed"
    assert plan.outputs["table"].shape == (2, 3)


def test_a_move_to_no_leaf_or_of_another_shape_is_an_error():
    with pytest.raises(RuleError, match="no leaf table"):
        draw(like=LEAVES, rules=(Move("tok.weight", "table"),))
    with pytest.raises(RuleError, match=r"gives float32\[3,2\], the target has float32\[1,6\]"):
        draw(like=LEAVES, rules=(Move("tok.weight", "pos"),))
    with pytest.raises(UsageError, match="not in the checkpoint: nothing"):
        draw(rules=(Move("nothing", "pos"),))


def test_two_tensors_for_one_leaf_are_an_error_that_names_both():
    state = {"a.0.weight": STATE["fc.weight"], "a_0.weight": STATE["fc.weight"]}
    knowledge = Knowledge({"a.0": said("linear"), "a_0": said("linear")})
    plan = draw("jax", knowledge, state)
    assert plan.ambiguous[0].names == ("a.0.weight", "a_0.weight")
    assert not plan.moves


def test_a_dtype_changes_only_where_asked():
    assert {spec.dtype for spec in draw().outputs.values()} == {"float32"}
    plan = draw(dtype="bfloat16")
    assert {spec.dtype for spec in plan.outputs.values()} == {"bfloat16"}
    assert "cast to bfloat16" in str(plan)
    assert draw(like={"pos": np.zeros((1, 6), "f2")}).outputs["pos"].dtype == "float16"
    assert draw(like={"pos": (1, 6)}).outputs["pos"].dtype == "float32"


def test_containers_decide_the_path_in_a_sequential():
    state = {"net.0.weight": STATE["tok.weight"], "list.0.weight": STATE["tok.weight"]}
    knowledge = Knowledge(
        {"net.0": said("embedding"), "list.0": said("embedding")},
        containers={"net": "sequential", "list": "list"},
    )
    assert list(draw("nnx", knowledge, state).outputs) == ["net.layers.0.embedding", "list.0.embedding"]
    assert list(draw("linen", knowledge, state).outputs) == [
        "params/net/layers_0/embedding",
        "params/list_0/embedding",
    ]
    template = Template(
        {path: spec_of((3, 2)) for path in ("net.layers.0.embedding", "list.0.embedding")},
        containers={"net": "sequential"},
    )
    without = Knowledge(knowledge.findings)
    draw("nnx", without, state, like=template).check()


def test_applying_to_another_checkpoint_is_an_error():
    plan = draw()
    other = {**STATE, "conv.bias": np.zeros(5, "f4")}
    del other["pos"]
    with pytest.raises(PlanError) as caught:
        plan.apply(other)
    assert "conv.bias: float32[4] in the plan, float32[5] in the checkpoint" in str(caught.value)
    assert "pos: float32[1,6] in the plan, not in the checkpoint" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 99}'])
def test_a_file_that_is_no_plan_is_an_error(tmp_path, text):
    file = tmp_path / "plan.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"plan\.json"):
        Plan.load(file)


def test_that_a_target_cannot_hold_a_kind_proves_nothing_of_the_tensors():
    state = {"m.weight": np.zeros((4, 3, 2), "f4")}
    knowledge = Knowledge({}, {"m": (said("conv"), said("bilinear"))})
    unsupported = [
        name for name, target in TARGETS.items() if not isinstance(target.kinds.get("bilinear"), tuple)
    ]
    for to in unsupported:
        assert [entry.names for entry in draw(to, knowledge, state).ambiguous] == [("m.weight",)]
    assert unsupported
