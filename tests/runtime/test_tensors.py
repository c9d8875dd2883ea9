import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn
from torch.nn.utils import parametrizations

from ml_switcheroo.codemod.block import code_of
from ml_switcheroo.codemod.delivery import carry
from ml_switcheroo.codemod.known_plan import plan_of
from ml_switcheroo.runtime.key_mapper import KeyMapper


def test_pieces_that_are_not_all_there_stay_as_they_are():
    state = {"a.weight_v": np.ones(2), "weight_norm.g": np.ones(2), "b.weight_g": np.ones(2)}
    assert KeyMapper.folded(state) == state


def test_the_model_itself_may_have_the_norm():
    layer = parametrizations.weight_norm(nn.Linear(3, 4))
    (kernel,) = (a for key, a in KeyMapper.from_torch(layer.state_dict()).items() if key == "kernel")
    np.testing.assert_allclose(kernel.T, layer.weight.detach().numpy(), rtol=1e-6)


@pytest.mark.parametrize("make", [nn.Conv1d, nn.ConvTranspose1d])
@pytest.mark.parametrize("told", [True, False])
def test_the_axis_of_a_square_spectral_norm_is_told_or_proved(make, told):
    layer = parametrizations.spectral_norm(make(4, 4, 3)).eval()
    kind = {nn.Conv1d: "conv", nn.ConvTranspose1d: "conv_transpose"}[make]
    state = {f"m.{name}": tensor for name, tensor in layer.state_dict().items()}
    folded = KeyMapper.folded(state, {"m": kind} if told else {})
    np.testing.assert_allclose(folded["m.weight"], layer.weight.detach().numpy(), rtol=1e-5)


def test_an_axis_that_nothing_shows_is_asked_for():
    layer = parametrizations.spectral_norm(nn.Conv1d(4, 4, 3))
    state = {f"m.{name}": tensor.clone() for name, tensor in layer.state_dict().items()}
    state["m.parametrizations.weight.original"] = torch.randn(4, 4, 3)
    with pytest.raises(ValueError, match=r"m: over which axis .* say kinds=\{'m': \.\.\.\}"):
        KeyMapper.from_torch(state)
    assert KeyMapper.from_torch(state, kinds={"m": "conv"})["m.kernel"].shape == (3, 4, 4)


def test_a_norm_over_an_image_is_asked_for_and_its_channels_move_last():
    state = nn.ModuleDict({"norm": nn.LayerNorm((3, 4, 5))}).state_dict()
    state["norm.weight"] = torch.randn(3, 4, 5)
    with pytest.raises(ValueError, match=r'"layer_norm\(c=3\)" \(its first axis may be that of channels\)'):
        KeyMapper.from_torch(state, strict=True)
    found = KeyMapper.from_torch(state, strict=True, kinds={"norm": "layer_norm(c=3)"})
    np.testing.assert_array_equal(found["norm.scale"], state["norm.weight"].permute(1, 2, 0).numpy())
    found = KeyMapper.from_torch(state, strict=True, kinds={"norm": "layer_norm"})
    np.testing.assert_array_equal(found["norm.scale"], state["norm.weight"].numpy())


LARGE = np.float32([1, 1e6, 1e-9, np.inf, np.nan, 0])
SWALLOWED = {
    "overflow and underflow": (LARGE, "float16", "2 of 6 values do not survive as float16"),
    "of bfloat16": (LARGE.astype(ml_dtypes.bfloat16), "float16", "2 of 6 values"),
    "complex": (np.complex64([1]), "float32", "complex64 cannot be cast to the leaf's float32"),
    "fractions": (np.float32([1.5]), "int32", "float32 cannot be cast to the leaf's int32"),
    "truth": (np.float32([1]), "bool", "float32 cannot be cast to the leaf's bool"),
    "wrapped": (np.int64([1, 300]), "int8", "1 of 2 values do not survive as int8"),
    "unsigned": (np.uint8([1, 200]), "int8", "1 of 2 values"),
    "negative": (np.int32([-1]), "uint32", "1 of 1 values"),
}
KEPT = [
    (LARGE, "float32"),
    (LARGE, "float64"),
    (LARGE, "bfloat16"),
    (LARGE, "mlx.core.bfloat16"),
    (np.float32([1, 2]), "mlx.core.float16"),
    (np.int64([1, 3]), "int8"),
    (np.int64([1, 3]), "float32"),
    (np.float32([2]), "complex64"),
]


@pytest.mark.parametrize("name", SWALLOWED)
def test_what_a_dtype_would_swallow_is_said(name):
    array, dtype, text = SWALLOWED[name]
    (found,) = KeyMapper._lost("fc.weight", array, dtype)
    assert found.startswith("fc.weight: ")
    assert text in found


@pytest.mark.parametrize(("array", "dtype"), KEPT)
def test_what_survives_is_not(array, dtype):
    assert KeyMapper._lost("fc.weight", array, dtype) == []


@pytest.mark.parametrize("planned", [False, True])
def test_a_load_that_would_lose_values_writes_nothing(planned):
    net = nn.ModuleDict({"fc": nn.Linear(3, 2)})
    state = net.state_dict()
    state["fc.bias"] = torch.tensor([1.0, 1e6])

    class Port(nnx.Module):
        def __init__(self):
            self.fc = nnx.Linear(3, 2, param_dtype=jnp.float16, rngs=nnx.Rngs(0))

    table = plan_of(state, net, "nnx") if planned else None
    names = {}
    exec(code_of(carry("nnx", ["load_into"], {"table": table})), names)
    port = Port()
    before = np.array(port.fc.kernel.get_value())
    with pytest.raises(RuntimeError, match=r"fc\.bias: 1 of 2 values do not survive as float16"):
        names["KeyMapper"].load_into(port, state)
    assert np.array_equal(np.array(port.fc.kernel.get_value()), before)
    names["KeyMapper"].load_into(port, net.state_dict())
