import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

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
