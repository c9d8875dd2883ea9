"""How a row of operations is run and traced."""

import numpy as np
import pytest

from ml_switcheroo import ops
from ml_switcheroo.errors import AxesError
from ml_switcheroo.tensors import TensorSpec


def test_trace_gives_the_specs_of_every_station():
    stations = ops.trace([ops.Split(0, (2, 4)), ops.Concat(0)], (TensorSpec((6, 2), "int8"),))
    assert [str(station) for station in stations] == [
        "(int8[6,2],)",
        "(int8[2,2], int8[4,2])",
        "(int8[6,2],)",
    ]


def test_operations_run_in_their_order():
    table = np.arange(6.0).reshape(2, 3)
    (found,) = ops.run([ops.Axes("a b -> b a"), ops.Shift(1.0)], (table,))
    assert np.array_equal(found, table.T + 1)
    assert ops.run([], (table,)) == (table,)


def test_a_trace_fails_at_the_operation_that_does_not_fit():
    spec = TensorSpec((6, 2), "int8")
    with pytest.raises(AxesError, match="cannot be split"):
        ops.trace([ops.Axes("a b -> b a"), ops.Split(0, (2, 4))], (spec,))


def test_the_base_leaves_everything_to_the_operations():
    base = ops.Op()
    for call in (base.specs, base, base.inverse):
        with pytest.raises(NotImplementedError):
            call(())
