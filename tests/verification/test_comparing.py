"""How far two activations differ, and what is said of it."""

import numpy as np
import pytest

from ml_switcheroo.verification.comparing import compare, relative_error, tolerance_of
from ml_switcheroo.verification.readings import AS_IT_IS, stated

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("mine", "other", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, -4.0], [1.0, -3.0], 0.25),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([0.0, 0.0], [0.0, 1.0], INF),
        ([NAN, 1.0], [NAN, 1.0], 0.0),
        ([NAN, 1.0], [0.0, 1.0], INF),
        ([-INF, 1.0], [-INF, 1.0], 0.0),
        ([-INF, 1.0], [INF, 1.0], INF),
        ([], [], 0.0),
    ],
)
def test_relative_error(mine, other, error):
    assert relative_error(np.array(mine), np.array(other)) == error


def test_integers_are_equal_or_not():
    assert relative_error(np.array([1, 2]), np.array([1, 2])) == 0.0
    assert relative_error(np.array([1000000, 2]), np.array([1000001, 2])) == 1.0


def test_the_coarsest_dtype_decides_the_tolerance():
    assert tolerance_of([np.zeros(1, "f4"), np.zeros(1, "f2")]) == 2e-2
    assert tolerance_of([np.zeros(1, "f8"), np.zeros(1, "i2")]) == 1e-4


def test_the_same_numbers_in_another_order_are_called_so():
    mine = np.arange(6.0).reshape(2, 3)
    found = compare(mine, mine[:, ::-1].copy(), [AS_IT_IS], 1e-4)
    assert found.note == "the same numbers in another order"
    assert not found.open


def test_between_readings_the_values_decide_or_nothing_does():
    ways = [AS_IT_IS, stated("n c *space -> n *space c")]
    mine = np.random.default_rng(0).normal(size=(2, 3, 3, 3))
    moved = compare(mine, np.moveaxis(mine, 1, -1).copy(), ways, 1e-4)
    assert (moved.error, moved.note) == (0.0, "read as n c *space -> n *space c")
    neither = compare(mine, mine + 1, ways, 1e-4)
    assert neither.open
    assert "its axes are not known" in neither.note
    assert compare(mine, mine[0], ways, 1e-4).error is None
