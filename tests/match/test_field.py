"""Two sides laid out: all candidates, each with a score."""

from match.built import field_of
from ml_switcheroo.match.assignment.field import Beside, weigh

TENSORS = {"a.weight": (4, 6), "b.weight": (4, 6), "c.weight": (5, 7)}
LEAVES = {"a/kernel": (6, 4), "x/kernel": (6, 4)}


def test_every_pair_that_fits_is_a_candidate_and_has_a_score():
    field = field_of(TENSORS, LEAVES)
    assert field.candidates.keys() == weigh(field).keys() == {(0, 0), (0, 1), (1, 0), (1, 1)}
    scores = weigh(field)
    assert scores[0, 0] > max(scores[0, 1], scores[1, 0])


def test_a_rule_leaves_its_pair_alone():
    field = field_of(TENSORS, LEAVES, {1: 0})
    assert field.candidates.keys() == {(1, 0), (0, 1)}


def test_what_shares_a_source_or_a_target_stands_beside():
    beside = Beside.of({(0, 1): 1.0, (0, 2): 1.0, (3, 2): 1.0})
    assert beside.sources == {0: [1, 2], 3: [2]}
    assert beside.targets == {1: [0], 2: [0, 3]}
