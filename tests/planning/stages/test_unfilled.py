"""What no move fills: kept by a rule, or missing with a possible rule."""

from ml_switcheroo.moves import Move
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.request import Request
from ml_switcheroo.planning.stages.unfilled import unfilled
from ml_switcheroo.rules import Keep
from ml_switcheroo.targets import TARGETS
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.tree import Template

SPECS = {
    "fc.weight": TensorSpec((3, 2), "float32"),
    "old.head.weight": TensorSpec((2, 2), "float32"),
    "old.tail.weight": TensorSpec((4,), "float32"),
}
LEAVES = {name: TensorSpec((2, 2), "float32") for name in ("fc.kernel", "head.kernel", "mask")}


def after(rules=(), template=True):
    shown = Template(LEAVES) if template else None
    ledger = Ledger(SPECS, shown and shown.specs)
    ledger.move("by name", [Move(("fc.weight",), ("fc.kernel",)).bind(SPECS)])
    ledger.refuse("by structure", dict.fromkeys([*SPECS][1:], "nothing answers to it"))
    unfilled(Request(SPECS, TARGETS["nnx"], (), shown, tuple(rules)), ledger)
    return ledger


def test_a_leaf_is_missing_with_the_tensors_of_its_size_the_most_alike_first():
    ledger = after()
    assert ledger.missing["head.kernel"].why == "no source; unused: old.head.weight, old.tail.weight"
    assert "fc.kernel" not in ledger.missing
    assert not ledger.kept


def test_a_rule_keeps_a_leaf_as_it_is():
    ledger = after([Keep("mask", "made at the start")])
    assert ledger.kept["mask"].why == "made at the start"
    assert [*ledger.missing] == ["head.kernel"]


def test_without_a_tree_nothing_is_missing():
    ledger = after(template=False)
    assert not ledger.missing
    assert not ledger.kept
