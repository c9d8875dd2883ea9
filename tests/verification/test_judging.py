"""By how much the layers are off that some moves fill: the first that is off tells, the others do not."""

from ml_switcheroo.moves import Move
from ml_switcheroo.verification.judging import Trial
from ml_switcheroo.verification.pairs import BLOCK, Pair
from ml_switcheroo.verification.verdict import Layer

TOLERANCE = 1e-4


def move(name):
    return Move((f"{name}.weight",), (f"{name}/kernel",), ())


def trial(*layers):
    """Make a trial of layers: path, error, and the paths of the tensors below; a block has several."""
    pairs, found = [], []
    for path, error, *below in layers:
        kind = BLOCK if below else "linear"
        pairs.append(Pair(path, path, kind, tuple(map(move, below or [path]))))
        agrees = None if error is None else error <= TOLERANCE
        found.append(Layer(path, path, kind, 0.0, error, agrees, True))
    return Trial(pairs, found, 0.0, TOLERANCE)


def test_the_layer_that_holds_the_tensors_tells():
    one = trial(("a", 0.0), ("b", 0.5), ("c", 0.0))
    assert one.error_of([move("b")]) == 0.5
    assert one.error_of([move("a")]) == 0.0


def test_behind_a_layer_that_is_off_nothing_can_be_told():
    assert trial(("a", 0.5), ("b", 0.0)).error_of([move("b")]) is None
    assert trial(("a", None), ("b", 0.2)).error_of([move("b")]) == 0.2
    assert trial(("a", None)).error_of([move("a")]) is None


def test_of_several_layers_the_worst_counts_until_one_is_off():
    one = trial(("a", 1e-5), ("b", 5e-5), ("c", 0.5))
    assert one.error_of([move("a"), move("b")]) == 5e-5
    both = trial(("a", 0.5), ("b", 0.7))
    assert both.error_of([move("a"), move("b")]) == 0.5, "what follows a layer that is off says nothing"


def test_tensors_without_a_layer_are_judged_by_the_smallest_block_around_them():
    blocks = [("net", 0.9, "a", "b", "c"), ("net.part", 0.3, "a", "b")]
    assert trial(*blocks).error_of([move("a"), move("b")]) == 0.3
    assert trial(*blocks[:1]).error_of([move("z")]) is None


def test_a_block_before_does_not_hide_what_follows():
    assert trial(("block", 0.9, "x", "y"), ("fc", 0.2)).error_of([move("fc")]) == 0.2
