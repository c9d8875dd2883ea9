"""Same weights, other output: the plan says what differs beside them."""

import re
import warnings

import equinox
import jax
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import nn

from ml_switcheroo.errors import LoadError
from ml_switcheroo.load import load_into
from ml_switcheroo.planning.planner import make_plan


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


def of_mlx_model(module):
    model = nn.Module()
    model.m = module
    return model


def of_mlx(torch_layer, module):
    return notes(torch_layer, of_mlx_model(module), to="mlx")


def test_mlx_has_pytorchs_momentum_and_groups_otherwise_unless_told():
    assert not of_mlx(torch.nn.BatchNorm1d(4, momentum=0.1), nn.BatchNorm(4))
    (note,) = of_mlx(torch.nn.BatchNorm1d(4, momentum=0.2), nn.BatchNorm(4))
    assert "momentum is 0.1 in the target, momentum is 0.2 in PyTorch" in note
    (note,) = of_mlx(torch.nn.GroupNorm(2, 4), nn.GroupNorm(2, 4))
    assert "pytorch_compatible is False in the target" in note
    assert not of_mlx(torch.nn.GroupNorm(2, 4), nn.GroupNorm(2, 4, pytorch_compatible=True))


def test_another_number_of_heads_is_said():
    layer = torch.nn.MultiheadAttention(4, 4, bias=False)
    (note,) = of_mlx(layer, nn.MultiHeadAttention(4, 2))
    assert "num_heads is 2 in the target, num_heads is 4 in PyTorch" in note
    x = keras.Input((3, 4))
    attention = keras.layers.MultiHeadAttention(2, 2, use_bias=False, name="m")
    model = keras.Model(x, attention(x, x))
    assert not notes(torch.nn.MultiheadAttention(4, 2, bias=False), model, to="keras")


def test_equinox_has_flaxs_momentum():
    class Model(equinox.Module):
        m: equinox.nn.BatchNorm

    def of(momentum):
        norm = equinox.nn.BatchNorm(4, "batch", momentum=momentum, mode="ema")
        return notes(torch.nn.BatchNorm1d(4, momentum=0.1), Model(norm), to="equinox")

    assert not of(0.9)
    (note,) = of(0.99)
    assert "momentum is 0.99 in the target, momentum is 0.1 in PyTorch (momentum 0.9 there)" in note


def test_an_immutable_model_warns_of_what_differs():
    class Model(equinox.Module):
        m: equinox.nn.LayerNorm

    holder = torch.nn.ModuleDict({"m": torch.nn.LayerNorm(4)})
    with pytest.warns(UserWarning, match="note .*eps is 0.001 in the target, eps is 1e-05 in PyTorch"):
        load_into(Model(equinox.nn.LayerNorm(4, eps=1e-3)), holder.state_dict(), layers=holder)


def keras_notes(torch_layer, layer, shape):
    x = keras.Input(shape)
    return notes(torch_layer, keras.Model(x, layer(x)), to="keras")


def test_the_activations_of_recurrent_layers_are_compared_in_every_target_that_shows_them():
    relu = torch.nn.RNN(3, 4, nonlinearity="relu")
    (note,) = keras_notes(relu, keras.layers.SimpleRNN(4, name="m"), (5, 3))
    assert "activation is tanh in the target, nonlinearity is relu in PyTorch" in note
    assert not keras_notes(relu, keras.layers.SimpleRNN(4, activation="relu", name="m"), (5, 3))
    (note,) = of_mlx(relu, nn.RNN(3, 4))
    assert "nonlinearity is tanh in the target, nonlinearity is relu in PyTorch" in note
    assert not of_mlx(relu, nn.RNN(3, 4, nonlinearity=nn.relu))
    lstm = torch.nn.LSTM(3, 4)
    layer = keras.layers.LSTM(4, recurrent_activation="hard_sigmoid", name="m")
    (note,) = keras_notes(lstm, layer, (5, 3))
    assert (
        note == "lstm: recurrent_activation is hard_sigmoid in the target, always sigmoid in PyTorch: m/cell"
    )
    cell = torch.nn.LSTMCell(3, 4)
    assert not nnx_notes(cell, lambda rngs: nnx.OptimizedLSTMCell(3, 4, rngs=rngs))
    (note,) = nnx_notes(
        cell, lambda rngs: nnx.OptimizedLSTMCell(3, 4, gate_fn=jax.nn.hard_sigmoid, rngs=rngs)
    )
    assert "gate_fn is hard_sigmoid in the target, always sigmoid in PyTorch" in note


def test_a_gru_that_resets_before_it_multiplies_is_said_where_no_bias_shows_it():
    gru = torch.nn.GRU(3, 4, bias=False)
    made = {"use_bias": False, "name": "m"}
    (note,) = keras_notes(gru, keras.layers.GRU(4, reset_after=False, **made), (5, 3))
    assert note == "gru: reset_after is False in the target, always True in PyTorch: m/cell"
    assert not keras_notes(gru, keras.layers.GRU(4, **made), (5, 3))


def of_equinox(module):
    class Model(equinox.Module):
        m: object

    return Model(module)


@pytest.mark.parametrize(
    ("to", "slopes", "make", "words"),
    [
        ("keras", 6, lambda: keras.layers.PReLU(name="m"), r"float32\[4,5,6\].*shared_axes"),
        ("keras", 1, lambda: keras.layers.PReLU(shared_axes=[1, 2], name="m"), "shared_axes.*or all of them"),
        (
            "keras",
            6,
            lambda: keras.layers.PReLU(shared_axes=[1, 2, 3], name="m"),
            "all axes but that of channels",
        ),
        ("mlx", 1, lambda: nn.PReLU(6), r'axis "channel" is 1, expected 6; MLX.s PReLU .* PReLU\(1\)'),
        ("mlx", 6, lambda: nn.PReLU(1), r'axis "channel" is 6, expected 1; MLX.s PReLU .* PReLU\(channels\)'),
        ("equinox", 1, lambda: equinox.nn.PReLU(jax.numpy.ones((6, 1, 1))), r"one is PReLU\(\)"),
        ("equinox", 6, equinox.nn.PReLU, r"PReLU\(jnp.zeros\(\(channels, 1, 1\)\)\)"),
        ("nnx", 6, nnx.PReLU, "Flax's PReLU has one slope for all channels"),
    ],
)
def test_slopes_of_another_shape_are_an_error_that_says_how_to_make_the_layer(to, slopes, make, words):
    if to == "keras":
        x = keras.Input((4, 5, 6))
        live = keras.Model(x, make()(x))
    else:
        live = {"mlx": of_mlx_model, "equinox": of_equinox, "nnx": lambda m: nnx.Dict(m=m)}[to](make())
    holder = torch.nn.ModuleDict({"m": torch.nn.PReLU(slopes)})
    with pytest.raises(LoadError) as caught:
        load_into(live, holder.state_dict(), layers=holder)
    assert re.search(words, str(caught.value), re.DOTALL)


def test_a_slope_for_each_channel_is_one_in_keras_too():
    x = keras.Input((4, 5, 6))
    assert not notes(
        torch.nn.PReLU(6), keras.Model(x, keras.layers.PReLU(shared_axes=[1, 2], name="m")(x)), to="keras"
    )
