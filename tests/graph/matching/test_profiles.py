"""What two programs compute is compared whatever the order of its axes, and no further."""

import numpy as np
import pytest

from ml_switcheroo.graph.matching.profiles import agree, columns_between, outputs_agree, profile, rows_among

RANDOM = np.random.default_rng(0)


def test_a_profile_has_no_order():
    rows = RANDOM.normal(size=(5, 4))
    turned = rows[RANDOM.permutation(5)][:, RANDOM.permutation(4)]
    assert agree(profile(rows), profile(turned))
    assert not agree(profile(rows), profile(rows + 0.01))


def test_columns_are_found():
    rows, order = RANDOM.normal(size=(6, 5)), RANDOM.permutation(5)
    assert columns_between(rows, rows[::-1]) is None
    np.testing.assert_array_equal(columns_between(rows, rows[:, order]), order)
    assert len(columns_between(rows, RANDOM.normal(size=(6, 5)))) == 0


@pytest.mark.parametrize("axes", [(0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 2, 3)])
def test_the_channels_of_an_output_may_lie_elsewhere_even_where_all_sizes_are_one(axes):
    value = RANDOM.normal(size=(2, 4, 4, 4))
    assert outputs_agree(value, value.transpose(axes))


@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 4)])
def test_a_square_that_is_turned_is_another_output(shape):
    value = RANDOM.normal(size=shape)
    assert outputs_agree(value, value)
    assert outputs_agree(value, value.swapaxes(-1, -2)) == (len(shape) == 3)


def test_axes_that_only_fit_in_one_order_may_come_in_any():
    value = RANDOM.normal(size=(2, 3, 5))
    assert outputs_agree(value, value.transpose(1, 0, 2))
    assert not outputs_agree(value, value[::-1].transpose(1, 0, 2))


def test_rows_are_found_among_others_whatever_the_order_of_both():
    many = np.random.default_rng(0).normal(size=(6, 4))
    order, columns = [4, 0, 3], [2, 0, 3, 1]
    found = rows_among(many[order][:, columns], many)
    assert found.tolist() == order


@pytest.mark.parametrize("other", ["another row", "one row twice", "as many", "other columns"])
def test_rows_that_are_not_all_among_others_are_none(other):
    many = np.random.default_rng(0).normal(size=(6, 4))
    few = {
        "another row": many[:3] + 1,
        "one row twice": many[[2, 2]],
        "as many": many,
        "other columns": many[:3, :3],
    }[other]
    assert rows_among(few, many) is None
