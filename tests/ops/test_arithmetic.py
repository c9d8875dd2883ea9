"""Operations that change values: as torch computes them, in the dtype that the tensor has."""

import ml_dtypes
import numpy as np
import pytest
import torch

from ml_switcheroo import ops
from ml_switcheroo.errors import UsageError
from ml_switcheroo.tensors import TensorSpec, spec_of


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


def test_cast_changes_the_dtype_and_nothing_else():
    (result,) = ops.Cast("bfloat16")((np.float32([1.5, -2]),))
    assert result.dtype == ml_dtypes.bfloat16
    assert result.astype(float).tolist() == [1.5, -2]


def test_an_unknown_dtype_is_an_error():
    with pytest.raises(UsageError, match="unknown dtype 'float7'"):
        ops.Cast("float7").specs((TensorSpec((1,), "float32"),))


def test_a_scale_goes_back_by_its_inverse_and_keeps_the_dtype():
    weight = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    (result,) = ops.Scale(4.0)((weight,))
    assert (result.dtype, result.astype(float).tolist()) == (weight.dtype, [6.0, -8.0])
    assert ops.Scale(4.0).inverse((spec_of(weight),)) == ops.Scale(0.25)
    with pytest.raises(UsageError, match="factor of 0"):
        ops.Scale(0.0).specs((spec_of(weight),))


def test_a_sum_of_three_keeps_the_dtype():
    (result,) = ops.Sum()(tuple(np.array([n], ml_dtypes.bfloat16) for n in (1, 2, 4)))
    assert (result.dtype, float(result[0])) == (ml_dtypes.bfloat16, 7.0)


def test_a_weight_that_is_split_again_has_its_own_length():
    weight = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)
    length, direction = ops.WeightNormSplit((2, 1))((weight,))
    assert length.tolist() == [[5.0], [2.0]]
    assert np.array_equal(direction, weight)
