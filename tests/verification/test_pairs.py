"""Modules are paired by the moves of what is in them."""

from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Stack
from ml_switcheroo.recipes import Naming
from ml_switcheroo.verification.pairs import BLOCK, pair_modules


def rows(moves, sources, targets, naming=None):
    found = pair_modules(moves, sources, targets, naming or Naming())
    return {(pair.source, pair.target, pair.kind, pair.turn) for pair in found}


def test_layers_and_the_blocks_around_them():
    moves = [
        Move("h.0.fc.weight", "b.0.up.kernel", kind="linear"),
        Move("h.0.fc.bias", "b.0.up.bias", kind="linear"),
        Move("h.0.ln.weight", "b.0.norm.scale", kind="layer_norm"),
    ]
    assert rows(moves, {"h.0", "h.0.fc", "h.0.ln"}, {"b.0", "b.0.up", "b.0.norm"}) == {
        ("h.0.fc", "b.0.up", "linear", None),
        ("h.0.ln", "b.0.norm", "layer_norm", None),
        ("h.0", "b.0", BLOCK, None),
    }


def test_around_the_same_tensors_the_innermost_are_paired():
    moves = [Move("head.1.weight", "params/out/kernel", kind="linear")]
    naming = Naming("/", collections=True)
    assert rows(moves, {"head", "head.1"}, {"out"}, naming) == {("head.1", "out", "linear", None)}


def test_what_is_fused_on_one_side_is_paired_with_nothing():
    moves = [Move(("a.q.weight", "a.k.weight"), "a.qk.kernel", kind="linear")]
    assert rows(moves, {"a", "a.q", "a.k"}, {"a", "a.qk"}) == {("a", "a.qk", BLOCK, None)}
    assert not rows(moves, {"a.q", "a.k"}, {"a.qk"})


def test_a_stack_is_paired_call_by_call():
    moves = [Move(("h.0.fc.weight", "h.1.fc.weight"), "h.fc.kernel", (Stack(0),), kind="linear")]
    assert rows(moves, {"h.0.fc", "h.1.fc"}, {"h.fc"}) == {
        ("h.0.fc", "h.fc", "linear", 0),
        ("h.1.fc", "h.fc", "linear", 1),
    }
