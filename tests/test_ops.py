import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_switcheroo import ops
from ml_switcheroo.errors import AxesError, UsageError
from ml_switcheroo.tensors import DTYPES, TensorSpec, spec_of

EXACT = [
    ([(6, 4)], ops.Axes("out in -> in out")),
    ([(6, 4, 3, 2)], ops.Axes("out in *space -> *space in out")),
    ([(6, 4)], ops.Axes("(heads dim) in -> in heads dim", (("heads", 2),))),
    ([(6, 2, 3)], ops.Axes("in heads dim -> in (heads dim)")),
    ([(6, 4), (6, 4)], ops.Axes("out in -> in out")),
    ([(6, 4, 3)], ops.Axes("*channel -> (*channel)")),
    ([(2, 4, 3)], ops.Axes("c *space -> (*space c)")),
    ([(6, 4, 3, 2)], ops.Flip("in out *space")),
    ([(8, 3)], ops.Gates((0, 2, 1, 3))),
    ([(3, 9)], ops.Gates((2, 0, 1), axis=1)),
    ([(9, 2)], ops.Split(0, (2, 3, 4))),
    ([(2, 3), (2, 5)], ops.Concat(1)),
    ([(2, 3), (2, 3)], ops.Stack(0)),
    ([(2, 3), (2, 3)], ops.Stack(-1)),
    ([(3, 4)], ops.Unstack(0)),
    ([(3, 4), (2,), (5,)], ops.Order((2, 0, 1))),
    ([(3, 4)], ops.Copy(3)),
    ([(3, 4), (3, 4)], ops.Branch(((), (ops.Axes("out in -> in out"), ops.Gates((1, 0)))))),
    ([], ops.Filled(1.0, (3, 2), "bfloat16")),
]
# Their inverse gives the same layer, or there is none.
ARITHMETIC = [
    *(
        ops.Shift(-1.0),
        ops.Shift(-1.0, 4, 2),
        ops.Scale(0.5),
        ops.Sum(),
        ops.SumParted(2),
        ops.GateSum(3, 2),
        ops.GateSumParted(3, 2),
    ),
    *(ops.WeightNorm(), ops.WeightNormSplit((4, 1)), ops.SpectralNorm(0), ops.Tie(), ops.Cast("bfloat16")),
    *(ops.Discarded(0.0, (2,), "float32"), ops.Skip(2)),
    *(ops.SpectralState(folded=False, sigma=True), ops.SpectralRestored(folded=False, sigma=True)),
]


def bits(shape, dtype, seed):
    """Return random bits as an array of a dtype (NaNs and infinities among them)."""
    row = DTYPES[dtype]
    count = int(np.prod(shape, dtype=int)) * row.itemsize
    raw = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 256, count, dtype=np.uint8)
    return raw.view(row.numpy).reshape(shape)


@pytest.mark.parametrize(("shapes", "op"), EXACT, ids=lambda value: str(value))
@given(dtype=st.sampled_from(sorted(DTYPES)), seed=st.integers(0, 99))
def test_the_inverse_brings_back_every_bit(shapes, op, dtype, seed):
    arrays = tuple(bits(shape, dtype, seed + i) for i, shape in enumerate(shapes))
    specs = tuple(map(spec_of, arrays))
    there = op(arrays)
    assert tuple(map(spec_of, there)) == op.specs(specs)
    back = op.inverse(specs)(there)
    assert [a.tobytes() for a in back] == [a.tobytes() for a in arrays]
    assert tuple(map(spec_of, back)) == specs


@pytest.mark.parametrize("op", [op for _, op in EXACT] + ARITHMETIC, ids=str)
def test_an_operation_survives_json(op):
    assert ops.op_from_json(json.loads(json.dumps(ops.op_to_json(op)))) == op


def test_every_operation_is_registered_and_tested():
    tested = {type(op) for _, op in EXACT} | {type(op) for op in ARITHMETIC}
    assert set(ops.OPS.values()) == tested == set(ops.Op.__subclasses__())


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (ops.Split(0, (1, 2)), [(4, 2)], "cannot be split"),
        (ops.Concat(0), [(2, 3), (2, 4)], "cannot be joined"),
        (ops.Stack(0), [(2, 3), (2, 4)], "cannot be stacked"),
        (ops.Sum(), [(2,), (3,)], "cannot be added"),
        (ops.Tie(), [(2,), (3,)], "cannot be tied"),
        (ops.Gates((1, 0, 2)), [(4,)], "3 equal blocks"),
        (ops.GateSum(3, 2), [(6,), (3,)], "3 blocks each"),
        (ops.Shift(-1.0, 4, 2), [(6,)], "4 equal blocks"),
        (ops.WeightNorm(), [(3, 1), (4, 2)], "no g and v"),
        (ops.SpectralNorm(0), [(3, 4), (4,), (3,)], "no weight, u and v"),
        (ops.Filled(0.0, (2,), "float32"), [(2,)], "made of nothing"),
        (ops.Discarded(0.0, (2,), "float32"), [(3,)], "expected float32"),
        (ops.Axes("out in -> in out"), [(4,)], "2 dimensions"),
    ],
)
def test_shapes_that_do_not_fit_are_errors(op, shapes, message):
    with pytest.raises(AxesError, match=message):
        op.specs(tuple(TensorSpec(shape, "float32") for shape in shapes))


@pytest.mark.parametrize("record", [{"op": "eval"}, {"op": "split", "where": 1}, {}])
def test_an_unknown_record_is_an_error(record):
    with pytest.raises(UsageError, match="no operation is written as"):
        ops.op_from_json(record)
