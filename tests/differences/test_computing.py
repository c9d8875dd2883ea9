"""Another GELU, pool, activation or attention scale: seen on the live model and in its source, and said."""

from functools import partial

import equinox as eqx
import jax
import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from flax import nnx
from mlx import nn as mlx

import ml_switcheroo as ms

KEY = jax.random.key(0)
IS_TANH = "gelu: by tanh in the target, by erf in PyTorch: mlp"
IS_ERF = "gelu: by erf in the target, by tanh in PyTorch: mlp"


class Mlp(torch.nn.Module):
    def __init__(self, act):
        super().__init__()
        self.fc1, self.fc2, self.act = torch.nn.Linear(3, 5), torch.nn.Linear(5, 3), act

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class Called(Mlp):
    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class WrittenOut(torch.nn.Module):
    def forward(self, x):
        return 0.5 * x * (1.0 + torch.tanh(0.7978845608 * (x + 0.044715 * torch.pow(x, 3.0))))


def notes(torch_module, live, to, name="mlp"):
    holder = torch.nn.ModuleDict({name: torch_module})
    return ms.make_plan(holder.state_dict(), to=to, layers=holder, like=live).notes


class NnxMlp(nnx.Module):
    def __init__(self, act=None):
        rngs = nnx.Rngs(0)
        self.fc1, self.fc2, self.act = nnx.Linear(3, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs), act

    def __call__(self, x):
        return self.fc2(self.act(self.fc1(x)))


class NnxCalls(NnxMlp):
    def __call__(self, x):
        return self.fc2(nnx.gelu(self.fc1(x)))


class NnxCallsByErf(NnxMlp):
    def __call__(self, x):
        return self.fc2(jax.nn.gelu(self.fc1(x), approximate=False))


def of_nnx(module):
    return nnx.Dict(mlp=module)


class EqxMlp(eqx.Module):
    fc1: eqx.nn.Linear
    fc2: eqx.nn.Linear
    act: object = eqx.field(static=True)

    def __init__(self, act=None):
        self.fc1, self.fc2 = eqx.nn.Linear(3, 5, key=KEY), eqx.nn.Linear(5, 3, key=KEY)
        self.act = act

    def __call__(self, x):
        return self.fc2(self.act(self.fc1(x)))


class EqxCalls(EqxMlp):
    def __call__(self, x):
        return self.fc2(jax.nn.gelu(self.fc1(x)))


class Holder(eqx.Module):
    mlp: eqx.Module


class KerasMlp(keras.Model):
    def __init__(self, act=None, **more):
        super().__init__()
        self.fc1, self.fc2 = keras.layers.Dense(5, **more), keras.layers.Dense(3)
        self.act = act

    def call(self, x):
        return self.fc2(self.act(self.fc1(x)) if self.act else self.fc1(x))


class KerasCalls(KerasMlp):
    def call(self, x):
        return self.fc2(keras.ops.gelu(self.fc1(x)))


class KerasHolder(keras.Model):
    def __init__(self, mlp):
        super().__init__()
        self.mlp = mlp

    def call(self, x):
        return self.mlp(x)


def of_keras(module):
    model = KerasHolder(module)
    model(np.zeros((1, 3), "f4"))
    return model


def functional():
    x = keras.Input((3,))
    hidden = keras.ops.gelu(keras.layers.Dense(5, name="fc1")(x))
    return keras.Model(x, keras.layers.Dense(3, name="fc2")(hidden), name="mlp")


class MlxMlp(mlx.Module):
    def __init__(self, act=None):
        super().__init__()
        self.fc1, self.fc2, self.act = mlx.Linear(3, 5), mlx.Linear(5, 3), act

    def __call__(self, x):
        return self.fc2(self.act(self.fc1(x)))


class MlxCalls(MlxMlp):
    def __call__(self, x):
        return self.fc2(mlx.gelu_approx(self.fc1(x)))


def of_mlx(module):
    model = mlx.Module()
    model.mlp = module
    return model


by_tanh = pytest.mark.parametrize(
    ("to", "make"),
    [
        ("nnx", lambda: of_nnx(NnxCalls())),
        ("nnx", lambda: of_nnx(NnxMlp(nnx.gelu))),
        ("nnx", lambda: of_nnx(NnxMlp(partial(jax.nn.gelu, approximate=True)))),
        ("equinox", lambda: Holder(EqxCalls())),
        ("equinox", lambda: Holder(EqxMlp(jax.nn.gelu))),
        ("equinox", lambda: Holder(EqxMlp(lambda x: jax.nn.gelu(x, approximate=True)))),
        ("keras", lambda: of_keras(KerasCalls())),
        ("keras", lambda: of_keras(KerasMlp(keras.ops.gelu))),
        ("keras", lambda: of_keras(KerasMlp(partial(keras.activations.gelu, approximate=True)))),
        ("keras", lambda: of_keras(functional())),
        ("mlx", lambda: of_mlx(MlxCalls())),
        ("mlx", lambda: of_mlx(MlxMlp(mlx.gelu_approx))),
        ("mlx", lambda: of_mlx(MlxMlp(mlx.GELU("tanh")))),
    ],
)
by_erf = pytest.mark.parametrize(
    ("to", "make"),
    [
        ("nnx", lambda: of_nnx(NnxCallsByErf())),
        ("nnx", lambda: of_nnx(NnxMlp(partial(jax.nn.gelu, approximate=False)))),
        ("equinox", lambda: Holder(EqxMlp(lambda x: jax.nn.gelu(x, approximate=False)))),
        ("keras", lambda: of_keras(KerasMlp(activation="gelu"))),
        ("keras", lambda: of_keras(KerasMlp(keras.layers.Activation("gelu")))),
        ("mlx", lambda: of_mlx(MlxMlp(mlx.gelu))),
        ("mlx", lambda: of_mlx(MlxMlp(mlx.GELU()))),
    ],
)


@by_tanh
def test_a_gelu_by_tanh_is_said_where_pytorch_has_the_exact_one(to, make):
    (note,) = notes(Mlp(torch.nn.GELU()), make(), to)
    assert note.startswith(IS_TANH)
    for act in (torch.nn.GELU("tanh"), WrittenOut()):
        assert not notes(Mlp(act), make(), to)
    assert not notes(Called(None), make(), to)


@by_erf
def test_an_exact_gelu_is_said_where_pytorch_has_that_by_tanh(to, make):
    for module in (Mlp(torch.nn.GELU("tanh")), Mlp(WrittenOut()), Called(None)):
        (note,) = notes(module, make(), to)
        assert note.startswith(IS_ERF)
    assert not notes(Mlp(torch.nn.GELU()), make(), to)


SOURCE = """
from functools import partial
import torch
import torch.nn.functional as F
from torch import nn

class Mlp(nn.Module):
    def __init__(self, act_layer=partial(nn.GELU, approximate="tanh")):
        super().__init__()
        self.fc1, self.fc2, self.act = nn.Linear(3, 5), nn.Linear(5, 3), act_layer()

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))

class Tanh(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = Mlp()

class Erf(Tanh):
    def __init__(self):
        super().__init__()
        self.mlp = Calls(None)

class Calls(Mlp):
    def __init__(self, act):
        super().__init__(nn.Identity)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))
"""


def test_the_source_of_the_model_shows_it_as_well(tmp_path):
    (tmp_path / "model.py").write_text(SOURCE)
    state = torch.nn.ModuleDict({"mlp": Mlp(None)}).state_dict()

    def noted(name, live):
        return ms.make_plan(state, to="nnx", layers=f"{tmp_path}/model.py:{name}", like=live).notes

    assert noted("Erf", of_nnx(NnxCalls())) == (IS_TANH,)
    assert noted("Tanh", of_nnx(NnxCallsByErf())) == (IS_ERF,)
    assert noted("Erf", of_nnx(NnxCallsByErf())) == noted("Tanh", of_nnx(NnxCalls())) == ()


def test_load_into_carries_the_note_and_names_every_block_once():
    net = torch.nn.ModuleDict({"blocks": torch.nn.ModuleList(Mlp(torch.nn.GELU()) for _ in range(5))})
    port = nnx.Dict(blocks=nnx.List([NnxCalls() for _ in range(5)]))
    loaded = ms.load_into(port, net.state_dict(), layers=net)
    assert loaded.notes == (
        "gelu: by tanh in the target, by erf in PyTorch: blocks.0, blocks.1, blocks.2 and 2 more",
    )


def test_an_immutable_model_warns():
    net = torch.nn.ModuleDict({"mlp": Mlp(torch.nn.GELU())})
    with pytest.warns(UserWarning, match="note .*gelu: by tanh in the target, by erf in PyTorch: mlp"):
        ms.load_into(Holder(EqxCalls()), net.state_dict(), layers=net)


def test_another_activation_is_said_where_both_have_one():
    (note,) = notes(Mlp(torch.nn.ReLU()), of_nnx(NnxMlp(jax.nn.silu)), "nnx")
    assert note == "activation: silu in the target, relu in PyTorch: mlp"
    (note,) = notes(Mlp(torch.nn.LeakyReLU()), of_keras(KerasMlp(keras.layers.LeakyReLU())), "keras")
    assert note == "leaky_relu: 0.3 in the target, 0.01 in PyTorch: mlp"
    layer = keras.layers.LeakyReLU(negative_slope=0.01)
    assert not notes(Mlp(torch.nn.LeakyReLU()), of_keras(KerasMlp(layer)), "keras")


@pytest.mark.parametrize("act", [lambda x: x, print, torch.nn.Identity()])
def test_what_cannot_be_seen_is_not_guessed(act):
    assert not notes(Mlp(act), of_nnx(NnxCalls()), "nnx")
    chosen = {"tanh": True}
    hidden = of_nnx(NnxMlp(lambda x: jax.nn.gelu(x, approximate=chosen["tanh"])))
    assert not notes(Mlp(torch.nn.GELU()), hidden, "nnx")


class Pooled(torch.nn.Module):
    def __init__(self, **more):
        super().__init__()
        self.conv, self.pool = torch.nn.Conv2d(2, 2, 1), torch.nn.AvgPool2d(3, 1, **more)


class PooledByCall(Pooled):
    def __init__(self):
        super().__init__()
        del self.pool

    def forward(self, x):
        return F.avg_pool2d(self.conv(x), 3, 1, 1, count_include_pad=False)


class NnxPooled(nnx.Module):
    def __init__(self, pool=None):
        self.conv, self.pool = nnx.Conv(2, 2, (1, 1), rngs=nnx.Rngs(0)), pool

    def __call__(self, x):
        return nnx.avg_pool(self.conv(x), (3, 3), padding="SAME")


class EqxPooled(eqx.Module):
    conv: eqx.nn.Conv2d
    pool: eqx.nn.AvgPool2d


class MlxPooled(mlx.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.pool = mlx.Conv2d(2, 2, 1), mlx.AvgPool2d(3, 1, 1)


def keras_pooled():
    model = keras.Sequential(
        [keras.layers.Conv2D(2, 1, name="conv"), keras.layers.AveragePooling2D(3, 1, "same")]
    )
    model.build((None, 5, 5, 2))
    return model


@pytest.mark.parametrize("to", ["nnx", "mlx"])
def test_a_pool_that_counts_its_padding_is_said(to):
    live = nnx.Dict(mlp=NnxPooled()) if to == "nnx" else of_mlx(MlxPooled())
    text = "avg_pool: with the padding counted in the target, with the padding left out in PyTorch: mlp"
    assert notes(Pooled(padding=1, count_include_pad=False), live, to) == (text,)
    assert notes(PooledByCall(), live, to) == (text,)
    assert not notes(Pooled(padding=1), live, to)


def test_equinox_counts_the_padding_too():
    live = Holder(EqxPooled(eqx.nn.Conv2d(2, 2, 1, key=KEY), eqx.nn.AvgPool2d(3, 1, 1)))
    (note,) = notes(Pooled(padding=1, count_include_pad=False), live, "equinox")
    assert "with the padding counted in the target" in note
    assert not notes(Pooled(padding=1), live, "equinox")


def test_kerass_same_padding_is_left_out_of_the_average():
    x = np.random.default_rng(0).normal(size=(1, 5, 5, 2)).astype("f4")
    image = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    for counted in (True, False):
        net = torch.nn.Sequential()
        net.add_module("conv", torch.nn.Conv2d(2, 2, 1))
        net.add_module("pool", torch.nn.AvgPool2d(3, 1, 1, count_include_pad=counted))
        model = keras_pooled()
        loaded = ms.load_into(model, net.state_dict(), layers=net)
        with torch.no_grad():
            expected = np.moveaxis(net(image).numpy(), 1, -1)
        same = np.allclose(model(x), expected, rtol=1e-4, atol=1e-5)
        assert same == (not loaded.notes) == (not counted)
    assert not notes(Pooled(), nnx.Dict(mlp=NnxPooled()), "nnx")  # PyTorch pads nothing: nothing to compare


class Attention(torch.nn.Module):
    def __init__(self, scale=0.5):
        super().__init__()
        self.qkv, self.scale = torch.nn.Linear(8, 24), scale


class NnxAttention(nnx.Module):
    def __init__(self, scale):
        self.qkv, self.scale = nnx.Linear(8, 24, rngs=nnx.Rngs(0)), scale


def test_another_scale_of_an_attention_is_said():
    # Two heads of 4: the scale is 4**-0.5, not 8**-0.5.
    (note,) = notes(Attention(4**-0.5), of_nnx(NnxAttention(8**-0.5)), "nnx")
    assert note == "attention scale: 0.353553 in the target, 0.5 in PyTorch: mlp"
    assert not notes(Attention(4**-0.5), of_nnx(NnxAttention(4**-0.5)), "nnx")


class MlxAttention(mlx.Module):
    def __init__(self, scale):
        super().__init__()
        self.query_proj, self.key_proj, self.value_proj, self.out_proj = (
            mlx.Linear(8, 8, bias=False) for _ in range(4)
        )
        self.scale = scale


def test_a_hand_written_attention_must_scale_as_pytorchs():
    layer = torch.nn.MultiheadAttention(8, 2, bias=False)
    (note,) = notes(layer, of_mlx(MlxAttention(8**-0.5)), "mlx")
    assert note == "attention scale: 0.353553 in the target, 0.5 in PyTorch: mlp"
    assert not notes(layer, of_mlx(MlxAttention(4**-0.5)), "mlx")
