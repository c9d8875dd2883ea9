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


# What keras-hub calls the inputs of each model.
INPUTS = {
    "bert": {"input_ids": "token_ids", "token_type_ids": "segment_ids"},
    "gpt2": {"input_ids": "token_ids"},
    "llama": {"input_ids": "token_ids"},
    "t5": {"input_ids": "encoder_token_ids", "decoder_input_ids": "decoder_token_ids"},
    "whisper": {"input_features": "encoder_features", "decoder_input_ids": "decoder_token_ids"},
}


@pytest.mark.parametrize(
    "name", ["bert", *(pytest.param(n, marks=pytest.mark.slow) for n in INPUTS if n != "bert")]
)
def test_both_programs_say_what_a_backbone_of_keras_hub_takes(foreign, name):
    """Its outputs are a mapping, in no order: transformers returns those of BERT the other way round."""
    made, port, inputs, output = foreign.KERAS_HUB[name]()
    model = foreign.trained(made)
    given = {mine: inputs[mine] for mine in INPUTS[name]}
    masks = [key for key in port.model.input if key.endswith("padding_mask")]

    def call(backbone, *arrays):
        named = dict(zip(INPUTS[name].values(), arrays, strict=True))
        for mask in masks:
            named[mask] = foreign.keras.ops.ones_like(named[mask.replace("padding_mask", "token_ids")])
        found = backbone(named)
        return backbone.token_embedding(found, reverse=True) if name == "llama" else found

    read = {
        "layers": model,
        "inputs": given,
        "target_inputs": tuple(np.moveaxis(x, 1, -1) if x.dtype.kind == "f" else x for x in given.values()),
        "target_call": call,
    }
    plan = ms.make_plan(model.state_dict(), to="keras", like=port.model, **read)
    plan.check()
    assert {move.origin for move in plan.moves} == {"graph"}
    ms.load_into(port.model, model.state_dict(), **read)
    arrays = {key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for key, x in inputs.items()}
    expected = getattr(model(**arrays), output)
    expected = expected[-1] if isinstance(expected, tuple) else expected
    assert error(expected, np.asarray(port.run(port.model, None))) < 1e-5


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
