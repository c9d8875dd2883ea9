"""Same weights, other output: the plan says what differs beside them."""

import warnings

import jax
import numpy as np
import torch
from flax import nnx

from ml_switcheroo.load import load_into
from ml_switcheroo.planner import make_plan


def notes(torch_layer, live, to="nnx", known=True):
    holder = torch.nn.ModuleDict({"m": torch_layer})
    return make_plan(holder.state_dict(), to=to, layers=holder if known else None, like=live).notes


def nnx_notes(torch_layer, make, **more):
    return notes(torch_layer, nnx.eval_shape(lambda: nnx.Dict(m=make(nnx.Rngs(0)))), **more)


def test_an_epsilon_that_differs_is_said():
    (note,) = nnx_notes(torch.nn.LayerNorm(4), lambda rngs: nnx.LayerNorm(4, rngs=rngs))
    assert note == "layer_norm: epsilon is 1e-06 in the target, eps is 1e-05 in PyTorch: m"
    assert not nnx_notes(torch.nn.LayerNorm(4, eps=1e-6), lambda rngs: nnx.LayerNorm(4, rngs=rngs))


def test_without_the_model_pytorchs_default_is_compared():
    state = {"m.weight": np.ones(4), "m.bias": np.ones(4)}
    live = nnx.eval_shape(lambda: nnx.Dict(m=nnx.LayerNorm(4, rngs=nnx.Rngs(0))))
    (note,) = make_plan(state, to="nnx", layers={"m": "LayerNorm"}, like=live).notes
    assert "eps is 1e-05 by default in PyTorch" in note


def test_the_weight_of_the_new_batch_is_one_minus_flaxs_momentum():
    def norm(momentum):
        return lambda rngs: nnx.BatchNorm(4, epsilon=1e-5, momentum=momentum, rngs=rngs)

    assert not nnx_notes(torch.nn.BatchNorm1d(4, momentum=0.1), norm(0.9))
    (note,) = nnx_notes(torch.nn.BatchNorm1d(4, momentum=0.1), norm(0.1))
    assert "momentum is 0.1 in the target, momentum is 0.1 in PyTorch (momentum 0.9 there)" in note


def test_another_nonlinearity_and_number_of_groups_are_said():
    (note,) = nnx_notes(
        torch.nn.RNNCell(3, 4, nonlinearity="relu"), lambda rngs: nnx.SimpleCell(3, 4, rngs=rngs)
    )
    assert "activation_fn is tanh in the target, nonlinearity is relu in PyTorch" in note
    (note,) = nnx_notes(
        torch.nn.GroupNorm(2, 8), lambda rngs: nnx.GroupNorm(8, num_groups=4, epsilon=1e-5, rngs=rngs)
    )
    assert "num_groups is 4 in the target, num_groups is 2 in PyTorch" in note


def test_keras_has_another_epsilon_for_batch_norms():
    import keras

    norm = keras.layers.BatchNormalization(name="m")
    model = keras.Sequential([keras.Input((4,)), norm])
    found = notes(torch.nn.BatchNorm1d(4, momentum=0.1), model, to="keras")
    assert any("epsilon is 0.001 in the target, eps is 1e-05 in PyTorch" in note for note in found)
    assert any("momentum is 0.99 in the target" in note for note in found)


def test_equinox_agrees_with_pytorch_by_default():
    import equinox

    class Model(equinox.Module):
        m: equinox.nn.LayerNorm

    assert not notes(torch.nn.LayerNorm(4), Model(equinox.nn.LayerNorm(4)), to="equinox")
    (note,) = notes(torch.nn.LayerNorm(4), Model(equinox.nn.LayerNorm(4, eps=1e-3)), to="equinox")
    assert "eps is 0.001 in the target, eps is 1e-05 in PyTorch" in note


def test_many_modules_make_one_note():
    holder = torch.nn.ModuleList([torch.nn.LayerNorm(4) for _ in range(5)])
    live = nnx.eval_shape(lambda: nnx.List([nnx.LayerNorm(4, rngs=nnx.Rngs(0)) for _ in range(5)]))
    (note,) = make_plan(holder.state_dict(), to="nnx", layers=holder, like=live).notes
    assert note.endswith("in PyTorch: 0, 1, 2 and 2 more")


def test_load_into_carries_the_notes():
    model = nnx.Dict(m=nnx.LayerNorm(4, rngs=nnx.Rngs(0)))
    holder = torch.nn.ModuleDict({"m": torch.nn.LayerNorm(4)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_into(model, holder.state_dict(), layers=holder)
    assert tuple(loaded) == ([], [])
    assert "epsilon is 1e-06" in loaded.notes[0]
    assert isinstance(model.m.scale.get_value(), jax.Array)


def test_a_transposed_kernel_is_seen_on_the_live_model():
    layer = torch.nn.ConvTranspose1d(4, 4, 2)
    holder = torch.nn.ModuleDict({"m": layer})
    x = torch.randn(1, 4, 5)
    expected = layer(x).detach().numpy()
    for transposed in (False, True):
        model = nnx.Dict(
            m=nnx.ConvTranspose(4, 4, 2, padding=[(1, 1)], transpose_kernel=transposed, rngs=nnx.Rngs(0))
        )
        load_into(model, holder.state_dict(), layers=holder)
        found = np.asarray(model.m(x.numpy().transpose(0, 2, 1))).transpose(0, 2, 1)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
