"""The best assignment, against trying them all; the margin, against leaving the pair out."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_switcheroo.match.assignment.best import assign

PAIRS = st.dictionaries(
    st.tuples(st.integers(0, 3), st.integers(0, 3)), st.integers(1, 40).map(lambda n: n / 8), max_size=16
)


def total(scores):
    """Return the highest sum over all assignments, found by trying each."""
    best = 0.0
    for order in permutations(range(4)):
        best = max(best, sum(scores.get((source, target), 0.0) for source, target in enumerate(order)))
    return best


@settings(deadline=None)  # the first call imports scipy
@given(PAIRS)
def test_no_assignment_is_better(scores):
    found = assign(scores)
    assert sum(scores[choice.source, choice.target] for choice in found) == pytest.approx(total(scores))
    assert len({choice.source for choice in found}) == len({choice.target for choice in found}) == len(found)


@settings(deadline=None)  # the first call imports scipy
@given(PAIRS)
def test_the_margin_is_what_is_lost_without_the_pair(scores):
    for choice in assign(scores):
        rest = {pair: score for pair, score in scores.items() if pair != (choice.source, choice.target)}
        assert choice.margin == pytest.approx(total(scores) - total(rest))


def test_the_rival_is_what_takes_the_place_of_the_pair():
    scores = {(0, 0): 3.0, (0, 1): 2.0, (1, 1): 0.5}
    (first,) = [choice for choice in assign(scores) if choice.source == 0]
    assert (first.target, first.rival, first.margin) == (0, (0, 1), 1.5)


def test_what_costs_more_than_it_gives_is_left_alone():
    assert assign({(0, 0): -1.0}) == []
    assert [choice.source for choice in assign({(0, 0): -1.0, (1, 0): 2.0})] == [1]
