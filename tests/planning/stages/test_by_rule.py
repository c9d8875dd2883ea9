"""What the user's rules settle before anything else."""

import pytest

from ml_switcheroo.errors import RuleError
from ml_switcheroo.moves import Move
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.by_rule import by_rule
from ml_switcheroo.rules import Drop
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

SPECS = {name: TensorSpec((2, 3), "float32") for name in ("a.0", "a.1", "b")}
LEAVES = {
    "x.0": TensorSpec((2, 3), "float32"),
    "x.1": TensorSpec((2, 3), "float32"),
    "y": TensorSpec((3,), "float32"),
}


def after(*rules):
    ledger = Ledger(SPECS, LEAVES)
    by_rule(Request(SPECS, TARGETS["nnx"], (), Template(LEAVES), rules), ledger)
    return ledger


def test_rules_drop_and_move_each_tensor_that_they_match():
    ledger = after(Drop("b", "not wanted"), Move(("a.{i}",), ("x.{i}",)))
    assert ledger.dropped["b"].why == "not wanted"
    assert [(move.sources, move.leaves) for move in ledger.moves] == [
        (("a.0",), ("x.0",)),
        (("a.1",), ("x.1",)),
    ]


@pytest.mark.parametrize(
    ("leaf", "text"), [("z", "the target has no leaf z"), ("y", r"gives float32\[2,3\], the target has")]
)
def test_a_move_to_a_leaf_that_cannot_take_it_is_an_error(leaf, text):
    with pytest.raises(RuleError, match=text):
        after(Move(("b",), (leaf,)))
