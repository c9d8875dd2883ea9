"""Every way gives the shape that is wanted, and no way that gives it is left out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_switcheroo.match.candidates.ways import cuts, joins, later_rows, stacked, ways
from ml_switcheroo.ops import run, trace
from ml_switcheroo.tensors import TensorSpec

SIZES = st.sampled_from([2, 3, 4, 6])


def layouts(*arguments):
    return list(dict.fromkeys(way.layout for way in ways(*arguments)))


@given(kind=st.sampled_from(["linear", "conv", "embedding", "norm", "parameter", "vector"]), data=st.data())
def test_what_a_way_does_gives_the_wanted_shape(kind, data):
    rank = {"conv": 4, "vector": 1, "norm": 1}.get(kind, 2)
    shape = tuple(data.draw(st.lists(SIZES, min_size=rank, max_size=rank)))
    wanted = tuple(data.draw(st.permutations(shape)))
    for way in ways(kind, "oi", shape, wanted):
        assert trace(way.ops, (TensorSpec(shape, "float32"),))[-1][0].shape == wanted


@pytest.mark.parametrize(
    ("kind", "shape", "wanted", "found"),
    [
        ("linear", (4, 6), (4, 6), ["oi"]),
        ("linear", (4, 6), (6, 4), ["io"]),
        ("linear", (4, 4), (4, 4), ["oi", "io"]),
        ("linear", (4, 6), (1, 1, 6, 4), ["io"]),
        ("linear", (4, 6), (5, 4), []),
        ("conv", (8, 3, 5, 5), (5, 5, 3, 8), ["io"]),
        ("conv", (8, 3, 5, 5), (8, 5, 5, 3), ["osi"]),
        ("conv", (8, 1, 5, 5), (5, 5, 8, 1), ["soi"]),
        ("conv", (3, 3, 5, 5), (5, 5, 3, 3), ["io", "soi"]),
        ("conv", (8, 3, 1, 1), (3, 8), ["io"]),
        ("embedding", (9, 4), (9, 4), ["same"]),
        ("embedding", (9, 4), (4, 9), ["turned"]),
        ("parameter", (1, 4, 1), (4,), ["same"]),
        ("vector", (12,), (3, 4), ["same"]),
        ("norm", (3, 5, 5), (5, 5, 3), ["channels last"]),
    ],
)
def test_all_layouts_that_fit_are_found(kind, shape, wanted, found):
    assert layouts(kind, "oi", shape, wanted) == found


def test_heads_are_split_on_the_side_that_has_them():
    assert layouts("linear", "oi", (8, 6), (6, 2, 4), "out") == ["io"]
    assert layouts("linear", "oi", (8, 6), (6, 2, 4), "in") == []
    assert layouts("linear", "oi", (6, 8), (2, 4, 6), "in") == ["io"]
    assert layouts("linear", "oi", (24, 6), (6, 3, 2, 4), "qkv") == ["io"]
    assert layouts("linear", "oi", (24, 6), (6, 2, 3, 4), "qkv") == []


def test_in_out_reads_the_matrix_the_other_way_round():
    assert layouts("linear", "io", (4, 6), (4, 6)) == ["io"]
    assert layouts("linear", "io", (4, 6), (6, 4)) == ["oi"]


def test_a_part_of_a_fused_tensor_is_cut_along_its_rows():
    (cut,) = cuts("linear", "oi", (12, 5), (5, 4), "")
    assert (cut.layout, cut.axis, cut.size) == ("io", 0, 4)
    (whole,) = cuts("linear", "oi", (12, 5), (5, 12), "", whole=True)
    assert whole.size == 12
    assert not list(cuts("linear", "oi", (12, 5), (5, 12), ""))


def test_a_tensor_is_joined_on_the_axis_of_the_outputs():
    found = [(way.layout, way.axis, way.size) for way in joins("linear", "oi", (4, 5), (5, 12))]
    assert found == [("io", 1, 4)]
    assert not list(joins("linear", "oi", (4, 5), (7, 12)))


def test_the_rows_of_padding_are_left_out():
    (way,) = later_rows((12, 4), (10, 4))
    table = np.arange(48.0).reshape(12, 4)
    assert np.array_equal(run(way.ops, [table])[0], table[2:])
    assert not list(later_rows((12, 4), (11, 4)))
    assert not list(later_rows((12, 4), (10, 5)))


def test_a_stack_lies_on_the_first_axes_or_on_the_last():
    assert list(stacked([3], (3, 4, 3))) == [(0, (4, 3)), (2, (3, 4))]
    assert list(stacked([2, 3], (2, 3, 5))) == [(0, (5,))]
    assert not list(stacked([3], (4, 3, 5)))
