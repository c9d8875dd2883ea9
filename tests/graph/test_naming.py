"""Outputs under names have no order; those under the same names are each other's."""

import jax.numpy as jnp
import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.errors import PlanError, SwitcherooError
from ml_switcheroo.graph.graph import Draft
from ml_switcheroo.graph.naming import outputs_in_order

SOURCE = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Linear(6, 5)
        self.side = nn.Linear(6, 5)

    def forward(self, x):
        return {RETURNED}
"""


def graph(**shapes):
    draft = Draft()
    return draft.finished([draft.input(shape, "float32") for shape in shapes.values()], tuple(shapes))


def in_place(*shapes):
    draft = Draft()
    return draft.finished([draft.input(shape, "float32") for shape in shapes])


def orders(source, target):
    return [one.outputs for one in outputs_in_order(source, target)]


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        (in_place((2,), (2,)), in_place((2,), (2,)), [(0, 1)]),
        (graph(a=(2,), b=(2,)), graph(b=(2,), a=(2,)), [(1, 0)]),
        (graph(a=(2,), b=(3,)), graph(x=(3,), y=(2,)), [(1, 0)]),
        (in_place((2,), (3,)), graph(x=(3,), y=(2,)), [(1, 0)]),
        (in_place((2,), (2,)), graph(x=(2,), y=(2,)), [(0, 1), (1, 0)]),
        (graph(a=(2,), b=(2,), c=(2,)), graph(x=(2,), a=(2,), y=(2,)), [(1, 0, 2), (1, 2, 0)]),
        (in_place((2, 3, 4)), graph(x=(2, 4, 3)), [(0,)]),
        (in_place((2, 3, 4), (2,)), graph(x=(2,), y=(2, 4, 3)), [(1, 0)]),
        (in_place((2,), (3,)), graph(x=(3,), y=(4,)), [(0, 1)]),
        (in_place((2,), (3,)), graph(x=(3,)), [(0,)]),
    ],
)
def test_the_orders_that_outputs_may_have(source, target, found):
    assert orders(source, target) == found


def test_more_orders_than_can_be_tried_are_said():
    with pytest.raises(SwitcherooError, match="many outputs of one shape"):
        orders(in_place(*[(2,)] * 5), graph(**dict.fromkeys("abcde", (2,))))


def plan_of(tmp_path, returned, port):
    path = tmp_path / "model.py"
    path.write_text(SOURCE.replace("{RETURNED}", returned))
    state = {
        f"{name}.{slot}": np.zeros(shape, np.float32)
        for name in ("main", "side")
        for slot, shape in (("weight", (5, 6)), ("bias", (5,)))
    }
    like = {"params": {name: jnp.zeros((6, 5) if name in "ab" else (5,)) for name in ("a", "b", "c", "d")}}

    def call(variables, x):
        p = variables["params"]
        return port(x @ p["a"] + p["c"], x @ p["b"] + p["d"])

    return ms.make_plan(
        state, to="linen", like=like, layers=f"{path}:Net", inputs="float32[3,6]", target_call=call
    )


def leaves(plan):
    return {move.sources[0]: move.leaves[0] for move in plan.moves}


STRAIGHT = {
    "main.weight": "params/a",
    "main.bias": "params/c",
    "side.weight": "params/b",
    "side.bias": "params/d",
}


@pytest.mark.parametrize(
    ("returned", "port"),
    [
        ("self.main(x), self.side(x)", lambda one, other: (one, other)),
        (
            '{"logits": self.main(x), "aux": self.side(x)}',
            lambda one, other: {"aux": other, "logits": one},
        ),
        ('{"logits": self.main(x), "aux": self.side(x)}', lambda one, other: {"x": other, "logits": one}),
        ("self.main(x), self.side(x).sum(-1)", lambda one, other: {"z": one, "a": other.sum(-1)}),
    ],
)
def test_outputs_are_each_others_by_name_place_and_shape(tmp_path, returned, port):
    plan = plan_of(tmp_path, returned, port)
    plan.check()
    assert leaves(plan) == STRAIGHT


def test_outputs_under_other_names_that_both_fit_are_asked_for(tmp_path):
    plan = plan_of(tmp_path, "self.main(x), self.side(x)", lambda one, other: {"z": one, "a": other})
    assert not plan.moves
    assert {name for doubt in plan.ambiguous for name in doubt.names} == set(STRAIGHT)
    with pytest.raises(PlanError, match="under other names"):
        plan.check()


def test_what_only_one_order_computes_is_moved(tmp_path):
    plan = plan_of(
        tmp_path,
        "self.main(x), self.side(x).relu()",
        lambda one, other: {"z": one, "a": jnp.maximum(other, 0)},
    )
    plan.check()
    assert leaves(plan) == STRAIGHT


def test_exchanged_names_are_another_program(tmp_path):
    """A port that returns under each name what the model returns under the other is refused."""
    returned = '{"logits": self.main(x), "aux": self.side(x).relu()}'
    plan = plan_of(tmp_path, returned, lambda one, other: {"logits": jnp.maximum(other, 0), "aux": one})
    assert plan.differences
