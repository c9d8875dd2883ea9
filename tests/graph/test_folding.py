"""Weights that are made of several tensors are told by what they compute."""

import pytest

from ml_switcheroo.graph.folding import folded
from ml_switcheroo.graph.graph import Draft
from ml_switcheroo.ops import WeightNorm


def weight_norm(draft, *, half=False):
    g, v = draft.leaf("scale", (3, 1), "float32"), draft.leaf("direction", (3, 4), "float32")
    squares = draft.add("reshape", draft.add("sum", draft.add("mul", v, v), axes=(1,)), shape=(3, 1))
    length = draft.add("sqrt", squares)
    made = draft.add("mul", v, draft.add("div", g, length))
    return draft.add("mul", made, draft.constant(0.5, "float32")) if half else made


def test_a_weight_norm_is_told_whatever_its_tensors_are_called():
    draft = Draft()
    made = weight_norm(draft)
    assert folded(draft.finished([made]), made) == (("scale", "direction"), (WeightNorm(),))


def test_what_no_operation_makes_is_told_from_one():
    draft = Draft()
    made = weight_norm(draft, half=True)
    assert folded(draft.finished([made]), made) is None


@pytest.mark.parametrize("given", ["input", "one leaf"])
def test_what_depends_on_data_or_is_one_leaf_is_no_such_weight(given):
    draft = Draft()
    leaf = draft.leaf("w", (3,), "float32")
    made = draft.add("mul", leaf, draft.input((3,), "float32") if given == "input" else leaf)
    assert folded(draft.finished([made]), made) is None


def test_a_weight_of_many_tensors_is_not_tried_in_all_orders():
    draft = Draft()
    made = draft.add("concat", *(draft.leaf(f"w{place}", (1, 2), "float32") for place in range(14)), axis=0)
    assert folded(draft.finished([made]), made) is None
