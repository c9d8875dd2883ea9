"""Operations that take tensors apart and put them together."""

import numpy as np
import pytest

from ml_switcheroo import ops
from ml_switcheroo.errors import AxesError
from ml_switcheroo.tensors import spec_of


def test_a_leaf_that_was_filled_goes_back_to_nothing_unless_it_was_changed():
    (array,) = ops.Filled(1.0, (2,), "float32")(())
    back = ops.Filled(1.0, (2,), "float32").inverse(())
    assert back((array,)) == ()
    with pytest.raises(AxesError, match="was changed"):
        back((array + 1,))


def test_tied_tensors_must_be_the_same_bits():
    nan = np.float32([np.nan, 1])
    assert ops.Tie()((nan, nan.copy()))[0] is nan
    with pytest.raises(AxesError, match="their values differ"):
        ops.Tie()((nan, np.float32([np.nan, 2])))


def test_rows_that_are_left_out_do_not_come_back():
    table = np.arange(10, dtype="f4").reshape(5, 2)
    np.testing.assert_array_equal(ops.Skip(2)((table,))[0], table[2:])
    specs = (spec_of(table),)
    assert ops.Skip(2).specs(specs)[0].shape == (3, 2)
    assert ops.Skip(2).inverse(specs) is None
    with pytest.raises(AxesError, match="no 6 rows"):
        ops.Skip(6).specs(specs)


def test_cuts_joins_and_stacks_are_numpys():
    table = np.arange(12).reshape(6, 2)
    first, second = ops.Split(0, (2, 4))((table,))
    assert np.array_equal(first, table[:2])
    assert np.array_equal(second, table[2:])
    assert np.array_equal(ops.Concat(1)((table, table))[0], np.concatenate([table, table], 1))
    assert np.array_equal(ops.Stack(1)((table, table))[0], np.stack([table, table], 1))
    assert [array.tolist() for array in ops.Unstack(1)((table,))] == [
        table[:, 0].tolist(),
        table[:, 1].tolist(),
    ]


def test_a_branch_does_something_else_to_each():
    op = ops.Branch(((), (ops.Axes("a b -> b a"),)))
    table = np.arange(6).reshape(2, 3)
    kept, turned = op(ops.Copy(2)((table,)))
    assert np.array_equal(kept, table)
    assert np.array_equal(turned, table.T)
    assert op.exact
    assert not ops.Branch(((ops.Shift(1.0),), ())).exact


def test_what_is_discarded_must_be_of_the_one_value():
    op = ops.Discarded(0.0, (2,), "float32")
    assert op((np.zeros(2, np.float32),)) == ()
    with pytest.raises(AxesError):
        op((np.float32([0, 1]),))
    (again,) = op.inverse((spec_of(np.zeros(2, np.float32)),))(())
    assert again.tolist() == [0.0, 0.0]
