import json

import ml_dtypes
import numpy as np
import pytest
import torch
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


def test_gates_take_the_block_that_the_order_names():
    (result,) = ops.Gates((0, 2, 1))((np.array([0, 0, 1, 1, 2, 2]),))
    assert result.tolist() == [0, 0, 2, 2, 1, 1]


def test_flip_turns_only_the_spatial_axes():
    kernel = np.arange(12).reshape(2, 2, 3)
    (result,) = ops.Flip("in out *space")((kernel,))
    np.testing.assert_array_equal(result, kernel[:, :, ::-1])


def test_shift_keeps_the_dtype():
    scale = np.array([0.5, 1.0], ml_dtypes.bfloat16)
    (result,) = ops.Shift(1.0)((scale,))
    assert result.dtype == scale.dtype
    assert result.astype(float).tolist() == [1.5, 2.0]


def test_shift_of_one_block_leaves_the_others():
    bias = np.arange(8, dtype="f4")
    op = ops.Shift(-1.0, 4, 2)
    (result,) = op((bias,))
    assert result.tolist() == [0, 1, 2, 3, 3, 4, 6, 7]
    assert bias.tolist() == list(range(8))
    assert op.inverse((spec_of(bias),))((result,))[0].tolist() == bias.tolist()


def test_a_sum_goes_back_to_the_first_term():
    first, second = np.float32([1, 2]), np.float32([3, 5])
    (result,) = ops.Sum()((first, second))
    assert result.tolist() == [4, 7]
    back = ops.Sum().inverse((spec_of(first), spec_of(second)))((result,))
    assert [array.tolist() for array in back] == [[4, 7], [0, 0]]
    assert not ops.Sum.exact


def test_a_sum_of_gates_keeps_the_last_one_apart():
    first, second = np.float32([1, 2, 3, 4, 5, 6]), np.float32([10, 20, 30, 40, 50, 60])
    op = ops.GateSum(3, 2)
    specs = (spec_of(first), spec_of(second))
    results = op((first, second))
    assert [array.tolist() for array in results] == [[11, 22, 33, 44, 5, 6], [50, 60]]
    assert tuple(map(spec_of, results)) == op.specs(specs)
    back = op.inverse(op.specs(specs))(results)
    assert [array.tolist() for array in back] == [[11, 22, 33, 44, 5, 6], [0, 0, 0, 0, 50, 60]]


@pytest.mark.parametrize("dim", [0, 1, 2, None])
def test_a_folded_weight_norm_is_torchs_weight(dim):
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(4, 6, 3), dim=dim)
    g, v = (layer.state_dict()[f"parametrizations.weight.original{i}"] * 1.5 for i in range(2))
    layer.parametrizations.weight.original0.data, layer.parametrizations.weight.original1.data = g, v
    arrays = (g.numpy(), v.numpy())
    (weight,) = ops.WeightNorm()(arrays)
    np.testing.assert_allclose(weight, layer.weight.detach().numpy(), rtol=1e-5)
    specs = tuple(map(spec_of, arrays))
    back = ops.WeightNorm().inverse(specs)((weight,))
    assert tuple(map(spec_of, back)) == specs
    np.testing.assert_allclose(ops.WeightNorm()(back)[0], weight, rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "dim"), [(torch.nn.Conv1d(4, 6, 3), 0), (torch.nn.ConvTranspose1d(4, 6, 3), 1)]
)
def test_a_folded_spectral_norm_is_torchs_weight(layer, dim):
    layer = torch.nn.utils.parametrizations.spectral_norm(layer).eval()
    names = ("original", "0._u", "0._v")
    arrays = tuple(layer.state_dict()[f"parametrizations.weight.{name}"].numpy() for name in names)
    op = ops.SpectralNorm(dim)
    np.testing.assert_allclose(op(arrays)[0], layer.weight.detach().numpy(), rtol=1e-5, atol=1e-7)
    assert op.specs(tuple(map(spec_of, arrays))) == (spec_of(arrays[0]),)
    assert op.inverse(tuple(map(spec_of, arrays))) is None


@pytest.mark.parametrize("folded", [False, True])
def test_the_state_of_a_spectral_norm_is_kept_and_comes_back(folded):
    rng = np.random.default_rng(0)
    weight, u = rng.normal(size=(4, 3, 2)).astype("f4"), rng.normal(size=4).astype("f4")
    v = u @ weight.reshape(4, 6)
    v /= np.linalg.norm(v)
    op = ops.SpectralState(folded, sigma=not folded)
    sigma = float(u @ weight.reshape(4, 6) @ v)
    kept = op((weight, u, v))
    np.testing.assert_allclose(kept[0], weight / sigma if folded else weight, rtol=1e-5)
    assert kept[1] is u
    if not folded:
        assert float(kept[2]) == pytest.approx(sigma, rel=1e-5)
    specs = tuple(map(spec_of, (weight, u, v)))
    assert op.specs(specs) == tuple(map(spec_of, kept))
    back = op.inverse(specs)
    assert back.specs(op.specs(specs)) == specs
    np.testing.assert_allclose(back(kept)[2], v, rtol=1e-5)
    assert back.inverse(specs) == op


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


def test_cast_changes_the_dtype_and_nothing_else():
    (result,) = ops.Cast("bfloat16")((np.float32([1.5, -2]),))
    assert result.dtype == ml_dtypes.bfloat16
    assert result.astype(float).tolist() == [1.5, -2]


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


def test_an_unknown_dtype_is_an_error():
    with pytest.raises(UsageError, match="unknown dtype float7"):
        ops.Cast("float7").specs((TensorSpec((1,), "float32"),))


def test_trace_gives_the_specs_of_every_station():
    stations = ops.trace([ops.Split(0, (2, 4)), ops.Concat(0)], (TensorSpec((6, 2), "int8"),))
    assert [str(station) for station in stations] == [
        "(int8[6,2],)",
        "(int8[2,2], int8[4,2])",
        "(int8[6,2],)",
    ]


def test_rows_that_are_left_out_do_not_come_back():
    table = np.arange(10, dtype="f4").reshape(5, 2)
    np.testing.assert_array_equal(ops.Skip(2)((table,))[0], table[2:])
    specs = (spec_of(table),)
    assert ops.Skip(2).specs(specs)[0].shape == (3, 2)
    assert ops.Skip(2).inverse(specs) is None
    with pytest.raises(AxesError, match="no 6 rows"):
        ops.Skip(6).specs(specs)
