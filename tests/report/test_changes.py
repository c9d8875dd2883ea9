import numpy as np

import ml_switcheroo as ms
from ml_switcheroo.rules import Drop, Kind

STATE = {f"blocks.{i}.q.weight": np.zeros((4, 4), "f4") for i in range(3)} | {"pos": np.zeros((1, 4), "f4")}


def plan(*rules, to="jax", state=STATE):
    return ms.make_plan(state, to=to, rules=rules)


def test_the_same_plan_has_no_changes():
    assert plan().changes(plan()) == ""


def test_what_changes_is_said_once_for_all_layers():
    before, after = plan(), plan(Kind("blocks.{i}.q", "linear"))
    head, old, new = before.changes(after).split("\n")
    assert head == "blocks.{0..2}.q.weight"
    assert old.startswith("  -  ambiguous: linear")
    assert new == "  +  moved: linear, out in -> in out -> blocks_{0..2}.q.kernel"


def test_a_reason_that_changes_is_a_change():
    before, after = plan(Drop("pos", "unused")), plan(Drop("pos", "computed"))
    assert before.changes(after) == "pos\n  -  dropped: unused\n  +  dropped: computed"


def test_a_leaf_that_is_filled_now_is_a_change():
    like = {"pos": (1, 4)}
    before = ms.make_plan({}, to="jax", like=like)
    after = ms.make_plan({"pos": STATE["pos"]}, to="jax", like=like, layers={"pos": "parameter"})
    assert "leaf pos\n  -  missing: no source\n  +  filled" in before.changes(after)


def test_tensors_of_one_side_only_and_another_target():
    before, after = plan(to="jax"), plan(to="numpy", state={"pos": STATE["pos"]})
    text = before.changes(after)
    assert text.startswith("target: jax -> numpy\n")
    assert "+  not in the plan" in text
