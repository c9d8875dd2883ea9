"""Two moves to one leaf: none is made, and each rule that settles it is shown."""

from ml_switcheroo.moves import Move
from ml_switcheroo.planning.ledger import Ledger
from ml_switcheroo.planning.stages.clashes import without_clashes
from ml_switcheroo.tensors import TensorSpec

SPECS = {name: TensorSpec((2,), "float32") for name in "abc"}


def test_moves_to_one_leaf_are_taken_back_and_asked_about():
    ledger = Ledger(SPECS, None)
    moves = [Move((name,), (leaf,)).bind(SPECS) for name, leaf in (("a", "x"), ("b", "y"), ("c", "x"))]
    ledger.move("by name", moves)
    without_clashes(ledger)
    assert ledger.moves == (moves[1],)
    (doubt,) = ledger.asked
    assert doubt.names == ("a", "c")
    assert doubt.candidates == ("a -> x", "c -> x")
    assert doubt.rules == ('Drop("c")', 'Drop("a")')


def test_moves_to_leaves_of_their_own_are_left_alone():
    ledger = Ledger(SPECS, None)
    moves = [Move((name,), (name,)).bind(SPECS) for name in "abc"]
    ledger.move("by name", moves)
    without_clashes(ledger)
    assert ledger.moves == tuple(moves)
    assert not ledger.asked
