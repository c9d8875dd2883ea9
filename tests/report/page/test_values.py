"""Samples of values: evenly spaced, the same each time, and nothing odd is lost."""

import json

import ml_dtypes
import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.report.page.values import sampled, samples


def test_a_sample_has_at_most_4096_elements_and_is_the_same_each_time():
    array = np.random.default_rng(1).normal(size=(1000, 333)).astype("f4")
    found = sampled(array)
    assert found.size == array.size
    assert found.taken <= 4096
    assert sum(found.counts) == found.taken
    assert found == sampled(array)
    assert abs(found.mean - array.mean()) < 0.1
    assert (found.low, found.high) == (array.min(), array.max())


def test_every_nan_and_infinity_of_the_whole_tensor_is_counted():
    array = np.zeros(3_000_000, "f4")
    array[[7, 2_999_999]], array[1_500_000] = np.nan, -np.inf
    found = sampled(array)
    assert (found.nans, found.infinite) == (2, 1)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), "f4"),
        np.array(2.5),
        np.full(5, np.nan, "f4"),
        np.array([-1.7e308, 1.7e308]),
        np.array([True, False]),
        np.array([1 + 1j, 0], "c8"),
        np.array([1, 2, 448], ml_dtypes.float8_e4m3fn),
        np.array([2**63, 1], "u8"),
        np.array([5e-324, 0.0]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
@pytest.mark.filterwarnings("error")
def test_every_dtype_and_size_gives_json(array):
    found = sampled(array)
    assert len(found.counts) == 24
    assert sum(found.counts) == np.isfinite(np.abs(array).astype("f8")).sum()
    json.dumps(found.record(), allow_nan=False)


def test_the_leaf_is_computed_and_what_does_not_move_is_sampled_too():
    state = {"fc.weight": np.arange(24, dtype="f4").reshape(6, 4), "extra": np.ones(3, "f4")}
    plan = ms.make_plan(state, to="nnx", layers={"fc": "linear"}, like={"fc.kernel": (4, 6)})
    found = samples(plan, state)
    assert set(found) == {("tensor", "fc.weight"), ("leaf", "fc.kernel"), ("tensor", "extra")}
    assert found["leaf", "fc.kernel"].high == 23
