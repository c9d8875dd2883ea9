"""Weights of transformers in keras-hub's and mlx-lm's models of the same config: the outputs agree."""

import numpy as np
import pytest
import torch

import ml_switcheroo as ms

pytestmark = pytest.mark.filterwarnings("ignore")  # of other people's models


@pytest.fixture(scope="module")
def foreign():
    from models import foreign

    return foreign


def error(expected, found):
    expected = expected.detach().numpy()
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected).max()


MORE = [pytest.param(name, marks=pytest.mark.slow) for name in ("gpt2", "llama", "t5", "whisper", "clip")]


@pytest.mark.parametrize("name", ["bert", *MORE])
def test_a_backbone_of_keras_hub_gives_the_output_of_transformers(foreign, name):
    made, port, inputs, output = foreign.KERAS_HUB[name]()
    model = foreign.trained(made)
    # The positions that CLIP counts are no weights of PyTorch's.
    rules = [ms.Keep("*position_ids")] if name == "clip" else []
    loaded = ms.load_into(port.model, model.state_dict(), layers=model, rules=rules)
    assert tuple(loaded) == ([], [])
    arrays = {key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for key, x in inputs.items()}
    expected = getattr(model(**arrays), output)
    expected = expected[-1] if isinstance(expected, tuple) else expected
    assert error(expected, np.asarray(port.run(port.model, None))) < 1e-4
    # keras-hub's CLIP ends its text with an epsilon of its own.
    assert [note.split(":")[0] for note in loaded.notes] == (["layer_norm"] if name == "clip" else [])


def test_an_activation_of_another_kind_in_keras_hub_is_said(foreign):
    made, port, inputs, output = foreign.KERAS_HUB["bert"]()
    exact = type(made)(type(made.config)(**{**made.config.to_dict(), "hidden_act": "gelu"}))
    model = foreign.trained(exact)
    (note,) = ms.load_into(port.model, model.state_dict(), layers=model).notes
    assert note == (
        "gelu: by tanh in the target, by erf in PyTorch: transformer_layer_0/feedforward_intermediate_dense,"
        " transformer_layer_1/feedforward_intermediate_dense"
    )
    expected = getattr(model(**{key: torch.from_numpy(x) for key, x in inputs.items()}), output)
    assert 1e-5 < error(expected, np.asarray(port.run(port.model, None))) < 1e-2


@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt2"])
def test_a_model_of_mlx_lm_gives_the_output_of_transformers(foreign, name):
    made, port = foreign.in_mlx_lm(name)
    model = foreign.trained(made)
    assert ms.load_into(port.model, model.state_dict(), layers=model) == ([], [])
    expected = model(torch.from_numpy(foreign.IDS)).logits
    assert error(expected, port.run(port.model, foreign.IDS)) < 1e-4
    back = ms.to_torch(port.model, like=model.state_dict(), layers=model)
    assert all(torch.equal(back[key], tensor) for key, tensor in model.state_dict().items())
