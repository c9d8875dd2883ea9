"""Operations that move elements: against the same thing done by hand."""

import numpy as np
import pytest

from ml_switcheroo import ops
from ml_switcheroo.errors import AxesError
from ml_switcheroo.tensors import spec_of


def test_gates_take_the_block_that_the_order_names():
    (result,) = ops.Gates((0, 2, 1))((np.array([0, 0, 1, 1, 2, 2]),))
    assert result.tolist() == [0, 0, 2, 2, 1, 1]


def test_flip_turns_only_the_spatial_axes():
    kernel = np.arange(12).reshape(2, 2, 3)
    (result,) = ops.Flip("in out *space")((kernel,))
    np.testing.assert_array_equal(result, kernel[:, :, ::-1])


def test_axes_rearrange_every_tensor_and_sizes_tell_what_shapes_do_not():
    op = ops.Axes("(heads dim) in -> in heads dim", (("heads", 2),))
    table = np.arange(24).reshape(6, 4)
    assert np.array_equal(op((table,))[0], table.T.reshape(4, 2, 3))
    both = ops.Axes("a b -> b a")((table, table[:2]))
    assert [array.shape for array in both] == [(4, 6), (4, 2)]
    with pytest.raises(AxesError):
        ops.Axes("(heads dim) in -> in heads dim")((table,))


def test_the_inverse_of_several_axes_in_one_names_their_sizes():
    table = np.arange(24).reshape(2, 3, 4)
    op = ops.Axes("c *space -> (*space c)")
    back = op.inverse((spec_of(table),))
    assert np.array_equal(back(op((table,)))[0], table)


def test_flip_of_one_axis_leaves_the_others():
    kernel = np.arange(6).reshape(2, 3)
    assert ops.Flip("out in", "in")((kernel,))[0].tolist() == [[2, 1, 0], [5, 4, 3]]


def test_gates_of_another_axis():
    (result,) = ops.Gates((1, 0), axis=1)((np.array([[1, 2, 3, 4]]),))
    assert result.tolist() == [[3, 4, 1, 2]]
