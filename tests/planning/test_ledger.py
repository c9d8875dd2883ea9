"""The ledger: what holds at the end, and who said what on the way."""

from dataclasses import replace

import pytest

from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Ambiguity, Unmoved

SPECS = {name: TensorSpec((2, 3), "float32") for name in ("a", "b", "c", "d")}
LEAVES = {name: TensorSpec((3, 2), "float32") for name in ("x", "y", "z")}


def move(name, leaf, why="its name says so"):
    return Move((name,), (leaf,), (Axes("out in -> in out"),), reason=why).bind(SPECS)


def said(ledger, name):
    return [(entry.stage, entry.what) for entry in ledger.history(name)]


@pytest.fixture
def ledger():
    return Ledger(SPECS, LEAVES)


def test_a_move_is_told_of_its_tensor_and_of_its_leaf(ledger):
    ledger.move("by name", [move("a", "x")])
    assert ledger.moved == {"a"}
    for name in ("a", "x"):
        (entry,) = ledger.history(name)
        assert (entry.stage, entry.what, entry.names) == ("by name", "moved", ("a", "x"))
        assert entry.why == "out in -> in out: its name says so"
    assert not list(ledger.history("b"))


def test_a_move_that_is_taken_back_stays_in_the_history(ledger):
    ledger.move("by name", [move("a", "x"), move("b", "y")])
    ledger.take_back("kernels", lambda one: "a" in one.sources, "it fits either way")
    ledger.take_back("clashes", lambda one: "c" in one.sources, "never said: nothing is taken back")
    assert ledger.moved == {"b"}
    assert said(ledger, "a") == said(ledger, "x") == [("by name", "moved"), ("kernels", "taken back")]
    assert said(ledger, "b") == [("by name", "moved")]


def test_only_moves_that_changed_are_told(ledger):
    first, second = move("a", "x"), move("b", "y")
    ledger.move("by name", [first, second])
    other = move("b", "y", "cast")
    ledger.change("dtypes", [first, other])
    assert ledger.moves == (first, other)
    assert said(ledger, "a") == [("by name", "moved")]
    assert said(ledger, "b") == [("by name", "moved"), ("dtypes", "changed")]


def test_what_was_refused_can_find_a_place(ledger):
    ledger.refuse("by structure", {"a": "nothing answers to it", "b": "nor to this"})
    ledger.admit("by exclusion", ["a", "c"], "it fits one place")
    assert dict(ledger.refused) == {"b": Unmoved(SPECS["b"], "nor to this")}
    assert said(ledger, "a") == [("by structure", "refused"), ("by exclusion", "admitted")]
    assert said(ledger, "c") == []


def test_a_doubt_that_is_answered_is_asked_no_more(ledger):
    doubts = [Ambiguity((name,), ("this", "that"), ("Rule1", "Rule2")) for name in ("a", "b")]
    ledger.ask("by structure", doubts)
    ledger.answer("by exclusion", lambda doubt: "a" in doubt.names, "it has found a place")
    assert ledger.asked == (replace(doubts[1], specs=(SPECS["b"],)),)
    assert said(ledger, "a") == [("by structure", "asked"), ("by exclusion", "answered")]
    assert next(iter(ledger.history("b"))).why == "this; or that"


def test_the_rest_is_left_with_its_spec_and_reason(ledger):
    ledger.drop("by rule", {"d": "a rule says so"})
    ledger.keep("what is left", {"y": "a rule keeps it"})
    ledger.lack("what is left", {"z": "no source"})
    ledger.note(["one"])
    ledger.note(["two"])
    assert dict(ledger.dropped) == {"d": Unmoved(SPECS["d"], "a rule says so")}
    assert dict(ledger.kept) == {"y": Unmoved(LEAVES["y"], "a rule keeps it")}
    assert dict(ledger.missing) == {"z": Unmoved(LEAVES["z"], "no source")}
    assert ledger.notes == ("one", "two")


def test_what_it_shows_cannot_be_changed_from_outside(ledger):
    ledger.drop("by rule", {"d": "a rule says so"})
    with pytest.raises(TypeError):
        ledger.dropped["a"] = None
