"""Ports whose names say nothing are filled as both programs say, or not at all."""

import jax
import numpy as np
import pytest

import ml_switcheroo as ms
from attacking import KINDS, outcome_of, pairs_of, plan_of
from ml_switcheroo.errors import SwitcherooError

CASES = {f"{kind}: {name}": pair for kind in KINDS for name, pair in pairs_of(kind).items()}
COMPUTED = [name for name, pair in CASES.items() if pair.right]
OTHER = [name for name, pair in CASES.items() if not pair.right]

# What is not matched yet, and why; each is refused.
LOUD = {
    "attention: Swin table": "the index is a tensor of the checkpoint, and a plan reads no values",
    "attention: Swin table, constant index from the end": "the table is turned; leaves are not tried turned",
    "attention: class token with its own position": "a leaf is added to a part of another",
    "lies: dead parameters": "nothing says where the dead ones belong",
    "lies: a bias in two leaves": "either may have it; no operation makes the other zeros",
    "lies: a dead tensor for a second bias": "either may have it; no operation makes the other zeros",
    "lies: a bias added twice": "half of the bias is needed",
    "lies: a bias before a sum of three": "a third of the bias is needed",
    "lies: a square by itself, turned": "the target may be given its input turned",
    "lies: heads under other names": "which output is which is not said",
    "lies: heads under names, of a tuple": "which output is which is not said",
    "wrong: heads of q and k counted the other way (makes up for itself)": "one order is tried for all three",
}
FRAMEWORKS = ("nnx", "eqx", "equinox", "keras", "linen", "haiku")


def marked(names):
    """Mark what a whole framework has to be traced for as slow."""
    slow = [name for name in names if any(word in name for word in FRAMEWORKS) or CASES[name].call is None]
    return [pytest.param(name, marks=pytest.mark.slow if name in slow else ()) for name in names]


@pytest.fixture(autouse=True)
def quiet(recwarn):
    """Leave out what torch says of old weight norms and of odd heads."""


@pytest.mark.parametrize("name", marked(COMPUTED))
def test_a_port_that_computes_the_same_is_filled_right_or_not_at_all(name):
    found = outcome_of(CASES[name])
    assert found.word == ("loud" if name in LOUD else "right"), found.why


@pytest.mark.parametrize("name", OTHER)
def test_a_port_that_computes_something_else_is_refused_and_the_place_is_named(name):
    pair = CASES[name]
    assert outcome_of(pair).word == "loud"
    plan = plan_of(pair)
    assert plan.differences or plan.missing
    assert pair.named in "\n".join(plan.differences)
    with pytest.raises(SwitcherooError):
        plan.check()


@pytest.mark.parametrize("name", [name for name, pair in CASES.items() if pair.tied])
def test_a_choice_that_changes_nothing_is_said(name):
    said = [note for move in plan_of(CASES[name]).moves for note in move.notes]
    assert any("a symmetry of both programs left a choice" in note for note in said)


@pytest.mark.parametrize(
    "name", ["lies: a gate", "lies: scores", "lies: joined products", "lies: two biases"]
)
def test_nothing_is_left_to_choose_where_outputs_tell(name):
    plan = plan_of(CASES[name])
    assert not [note for move in plan.moves for note in move.notes]


def test_what_is_moved_behind_no_difference_is_right():
    right, wrong = CASES["wrong: right"], CASES["wrong: relu"]
    truth = moved(plan_of(right))
    found = moved(plan_of(wrong))
    assert found
    assert found.items() <= truth.items()


def moved(plan):
    return {move.leaves: (move.sources, move.ops) for move in plan.moves}


def test_neither_program_has_numbers():
    pair = CASES["lies: a gate"]
    shapes = {"a.weight": (6, 6), "b.weight": (6, 6), "a.bias": (6,), "b.bias": (6,)}
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    plan = ms.make_plan(state, like=jax.eval_shape(pair.make), **pair.options())
    plan.check()
    assert {move.sources: move.leaves for move in plan.moves}[("a.weight",)] == ("params/b",)
