"""A plan that somebody has saved, edited and loaded again."""

import json

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.errors import PlanError, UsageError
from ml_switcheroo.plan import Plan
from ml_switcheroo.rules import Drop

STATE = {
    "a.weight": np.arange(16, dtype="f4").reshape(4, 4),
    "b.weight": np.arange(20, dtype="f4").reshape(5, 4),
    "bias": np.arange(4, dtype="f4"),
    "inv_freq": np.arange(3, dtype="f4"),
}
LAYERS = {"a": "linear", "b": "linear", "bias": "parameter"}


@pytest.fixture
def edited(tmp_path):
    """Save a plan, edit it, and load it again."""
    file = tmp_path / "plan.json"

    def edit(change):
        ms.make_plan(STATE, to="nnx", layers=LAYERS, rules=[Drop("inv_freq")]).save(file)
        record = json.loads(file.read_text())
        change(record, {next(iter(move["sources"])): move for move in record["moves"]})
        file.write_text(json.dumps(record))
        return Plan.load(file)

    return edit


def test_another_layout(edited):
    plan = edited(lambda _, moves: moves["a.weight"].update(ops=[]))
    leaves = plan.apply(STATE)
    np.testing.assert_array_equal(leaves["a.kernel"], STATE["a.weight"])
    np.testing.assert_array_equal(leaves["b.kernel"], STATE["b.weight"].T)


def test_another_leaf(edited):
    def change(record, moves):
        moves["a.weight"]["leaves"] = {"first.kernel": ["float32", 4, 4]}

    np.testing.assert_array_equal(edited(change).apply(STATE)["first.kernel"], STATE["a.weight"].T)


def test_everything_that_is_wrong_is_listed(edited):
    def change(record, moves):
        moves["b.weight"]["ops"] = []
        moves["a.weight"]["sources"] = {"bias": ["float32", 4, 4]}
        record["dropped"]["b.weight"] = record["dropped"]["inv_freq"]
        record["missing"]["a.kernel"] = {"spec": ["float32", 4, 4], "why": "?"}

    with pytest.raises(UsageError) as caught:
        edited(change)
    text = str(caught.value)
    assert "3 of its entries make no sense" in text
    assert "moves[1], b.weight: b.kernel: expected (float32[4,5],), found (float32[5,4],)" in text
    assert "  bias: in two places of the plan" in text
    assert "  a.kernel: in two places of the plan" in text


def test_a_shape_that_the_checkpoint_does_not_have(edited):
    def change(record, moves):
        moves["bias"]["sources"] = {"bias": ["float32", 9]}
        moves["bias"]["leaves"] = {"bias": ["float32", 9]}

    with pytest.raises(PlanError, match=r"bias: float32\[9\] in the plan, float32\[4\] in the checkpoint"):
        edited(change).apply(STATE)


def test_a_tensor_that_the_plan_forgets_is_not_lost_silently(edited, tmp_path):
    plan = edited(lambda record, moves: record["moves"].remove(moves["b.weight"]))
    with pytest.raises(PlanError, match=r"does not mention 1 of 4 tensors: b\.weight") as caught:
        plan.apply(STATE)
    assert caught.value.unexpected == ("b.weight",)
    assert set(plan.apply(STATE, partial=True)) == {"a.kernel", "bias"}
    np.savez(tmp_path / "state.npz", **STATE)
    with pytest.raises(PlanError, match="does not mention"):
        ms.convert(tmp_path / "state.npz", tmp_path / "out.npz", to="nnx", plan=plan)
    assert not (tmp_path / "out.npz").exists()


def test_what_is_no_move_says_so(edited):
    with pytest.raises(UsageError, match="not a plan"):
        edited(lambda _, moves: moves["bias"].pop("sources"))
    with pytest.raises(UsageError, match="not a plan"):
        edited(lambda record, _: record.update(moves={"a": 1}))
