"""A fused tensor that stays one leaf: its rows have an order that a name does not prove."""

import numpy as np

from match.built import unit_of
from ml_switcheroo.match.assignment.pairing import Match
from ml_switcheroo.match.candidates.candidate import candidate_of
from ml_switcheroo.match.making.spread import is_spread, spread_as, spreads
from ml_switcheroo.moves import Move
from ml_switcheroo.ops import Axes, run
from ml_switcheroo.sources.findings import Part
from ml_switcheroo.tensors import TensorSpec

SPREAD = Axes("(part heads dim) in -> in part heads dim", (("heads", 2), ("dim", 2)))


def move(op=SPREAD):
    return Move(("qkv.weight",), ("qkv/kernel",), (op,) if op else ()).bind(
        {"qkv.weight": TensorSpec((12, 5), "float32")}
    )


def match(name="qkv.weight"):
    source, target = unit_of({name: (12, 5)}), unit_of({name.replace(".weight", "/kernel"): (5, 3, 2, 2)})
    return Match(source, target, candidate_of(source, target, "oi", {}), "")


def test_only_a_fused_role_whose_rows_become_axes_is_spread():
    assert is_spread(match(), [move()])
    assert not is_spread(match(), [move(Axes("out in -> in out"))])
    assert not is_spread(match(), [])
    assert not is_spread(match("fc.weight"), [move()])


def test_every_order_of_the_rows_is_offered_once_and_gives_the_same_shape():
    found = list(spreads([move()]))
    assert len({words for words, _ in found}) == len(found) == 6
    assert found[0][0] == "its rows are (part heads dim)"
    leaves = [run(made.ops, [np.arange(60.0).reshape(12, 5)])[0] for _, (made,) in found]
    assert {leaf.shape for leaf in leaves} == {(5, 3, 2, 2)}
    assert len({leaf.tobytes() for leaf in leaves}) == 6


def parts(head_first):
    """Return q, k and v of two heads of two rows: one after another, or head by head."""
    step, start = (6, 2) if head_first else (2, 4)
    return [Part(role, start * n, ((2, step), (2, 1)), 2) for n, role in enumerate("qkv")]


def test_rows_that_are_known_give_the_order():
    (blocks,) = spread_as([move()], parts(head_first=False), "forward says")
    (turns,) = spread_as([move()], parts(head_first=True), "forward says")
    table = np.arange(60.0).reshape(12, 5)
    assert np.array_equal(run(blocks.ops, [table])[0], table.T.reshape(5, 3, 2, 2))
    assert np.array_equal(run(turns.ops, [table])[0], table.T.reshape(5, 2, 3, 2).swapaxes(1, 2))
    assert "forward says: its rows are (head part dim)" in turns.reason


def test_rows_with_other_axes_than_the_leaf_are_refused():
    four = [Part(role, 3 * n, ((3, 1),), 3) for n, role in enumerate("qkvz")]
    assert spread_as([move()], four, "forward says") is None
    other_heads = [Part(role, 4 * n, ((4, 1),), 4) for n, role in enumerate("qkv")]
    assert spread_as([move()], other_heads, "forward says") is None


def test_a_leaf_with_an_axis_of_parts_and_none_of_heads_takes_parts_without_heads():
    flat = move(Axes("(part dim) in -> in part dim", (("dim", 4),)))
    table = np.arange(60.0).reshape(12, 5)
    whole = [Part(role, 4 * n, ((4, 1),)) for n, role in enumerate("qkv")]
    (blocks,) = spread_as([flat], whole, "forward says")
    assert np.array_equal(run(blocks.ops, [table])[0], table.T.reshape(5, 3, 4))
    assert spread_as([flat], parts(head_first=False), "forward says") is None, "its heads have no axis there"


def test_a_leaf_without_an_axis_of_parts_must_begin_as_the_rows_do():
    def split(count):
        return move(Axes("(heads dim) in -> in heads dim", (("dim", 12 // count),)))

    (kept,) = spread_as([split(3)], parts(head_first=False), "forward says")
    assert kept.ops == split(3).ops
    assert spread_as([split(6)], parts(head_first=False), "forward says") is None
    assert spread_as([split(2)], parts(head_first=True), "forward says") is None
