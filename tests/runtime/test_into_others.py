"""The same PyTorch network into live models of every other target: the outputs agree."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import warnings

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen
from mlx import core as mx
from mlx import nn as mnn

from ml_switcheroo.runtime import into_equinox, into_haiku, into_keras, into_linen, into_mlx

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

nn = torch.nn
KINDS = {"conv": "conv", "up": "conv_transpose", "out": "linear"}


class Torch(nn.Module):
    def __init__(self, norm=True):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.bn = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.up = nn.ConvTranspose2d(4, 6, 2, stride=2)
        self.tok = nn.Embedding(5, 6)
        self.norm = nn.LayerNorm(6)
        self.layers = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
        self.out = nn.Linear(6, 3, bias=False)

    def forward(self, x, i):
        x = self.up(self.bn(self.conv(x))).mean((2, 3)) + self.tok(i)
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


@pytest.fixture(params=["norm", "plain"])
def pair(request):
    torch.manual_seed(1)
    net = Torch(request.param == "norm")
    x, i = torch.randn(3, 2, 6, 6), torch.tensor([0, 4, 2])
    net(x, i)
    net.eval()
    with torch.no_grad():
        return net.state_dict(), x.numpy(), i.numpy(), net(x, i).numpy()


def last(x):
    return np.moveaxis(x, 1, -1)


class Mlx(mnn.Module):
    def __init__(self, norm):
        super().__init__()
        self.conv = mnn.Conv2d(2, 4, 3)
        if norm:
            self.bn = mnn.BatchNorm(4)
        self.up = mnn.ConvTranspose2d(4, 6, 2, stride=2)
        self.tok = mnn.Embedding(5, 6)
        self.norm = mnn.LayerNorm(6)
        self.layers = [mnn.Linear(6, 6), mnn.Linear(6, 6)]
        self.out = mnn.Linear(6, 3, bias=False)

    def __call__(self, x, i):
        x = self.conv(x)
        x = self.up(self.bn(x) if "bn" in self else x).mean((1, 2)) + self.tok(i)
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


def test_mlx(pair):
    state, x, i, expected = pair
    net = Mlx("bn.weight" in state)
    assert tuple(into_mlx.KeyMapper.load_into(net, state)) == ([], [])
    net.eval()
    assert np.allclose(np.array(net(mx.array(last(x)), mx.array(i))), expected, atol=1e-4)


def test_mlx_takes_bfloat16_and_keeps_its_own_dtype(pair):
    state = {name: v.bfloat16() if v.is_floating_point() else v for name, v in pair[0].items()}
    net = Mlx("bn.weight" in state)
    net.out.set_dtype(mx.bfloat16)
    into_mlx.KeyMapper.load_into(net, state)
    assert net.out.weight.dtype == mx.bfloat16
    assert net.tok.weight.dtype == mx.float32
    assert np.array_equal(np.array(net.out.weight.astype(mx.float32)), state["out.weight"].float().numpy())


class Keras(keras.Model):
    def __init__(self, norm):
        super().__init__()
        nn = keras.layers
        self.conv = nn.Conv2D(4, 3)
        self.bn = nn.BatchNormalization(epsilon=1e-5) if norm else nn.Identity()
        self.up = nn.Conv2DTranspose(6, 2, strides=2)
        self.tok = nn.Embedding(5, 6)
        self.norm = nn.LayerNormalization(epsilon=1e-5)
        self.layers_ = None
        self.blocks = [nn.Dense(6), nn.Dense(6)]
        self.out = nn.Dense(3, use_bias=False)

    def call(self, inputs, training=False):
        x, i = inputs
        x = self.up(self.bn(self.conv(x), training=training))
        x = self.norm(keras.ops.mean(x, (1, 2)) + self.tok(i))
        for layer in self.blocks:
            x = layer(x)
        return self.out(x)


def test_keras(pair):
    state, x, i, expected = pair
    state = {name.replace("layers.", "blocks."): value for name, value in state.items()}
    net = Keras("bn.weight" in state)
    net((last(x), i))
    assert tuple(into_keras.KeyMapper.load_into(net, state)) == ([], [])
    assert np.allclose(np.asarray(net((last(x), i))), expected, atol=1e-4)


def test_a_keras_sequential_is_numbered_as_pytorchs():
    source = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    net = keras.Sequential([keras.layers.Dense(4), keras.layers.ReLU(), keras.layers.Dense(2)])
    with pytest.raises(TypeError, match="build it"):
        into_keras.KeyMapper.load_into(net, source.state_dict())
    x = torch.randn(5, 3)
    net(x.numpy())
    into_keras.KeyMapper.load_into(net, source.state_dict())
    with torch.no_grad():
        assert np.allclose(np.asarray(net(x.numpy())), source(x).numpy(), atol=1e-5)


class Equinox(eqx.Module):
    conv: eqx.nn.Conv2d
    up: eqx.nn.ConvTranspose2d
    tok: eqx.nn.Embedding
    norm: eqx.nn.LayerNorm
    layers: list
    out: eqx.nn.Linear

    def __init__(self):
        key = jax.random.key(0)
        self.conv = eqx.nn.Conv2d(2, 4, 3, key=key)
        self.up = eqx.nn.ConvTranspose2d(4, 6, 2, stride=2, key=key)
        self.tok = eqx.nn.Embedding(5, 6, key=key)
        self.norm = eqx.nn.LayerNorm(6)
        self.layers = [eqx.nn.Linear(6, 6, key=key), eqx.nn.Linear(6, 6, key=key)]
        self.out = eqx.nn.Linear(6, 3, use_bias=False, key=key)

    def __call__(self, x, i):
        x = self.up(self.conv(x)).mean((1, 2)) + self.tok(i)
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


def test_equinox(pair):
    state, x, i, expected = pair
    old = Equinox()
    if "bn.weight" in state:
        with pytest.raises(RuntimeError, match=r"unexpected: bn\.bias, bn\.running_mean"):
            into_equinox.KeyMapper.load_into(old, state)
        return
    net = into_equinox.KeyMapper.load_into(old, state)
    assert isinstance(net, Equinox)
    assert np.allclose(jax.vmap(net)(jnp.asarray(x), jnp.asarray(i)), expected, atol=1e-4)
    assert not np.allclose(jax.vmap(old)(jnp.asarray(x), jnp.asarray(i)), expected, atol=1e-4)


class Linen(linen.Module):
    norm_: bool

    @linen.compact
    def __call__(self, x, i):
        x = linen.Conv(4, (3, 3), padding="VALID", name="conv")(x)
        if self.norm_:
            x = linen.BatchNorm(use_running_average=True, epsilon=1e-5, name="bn")(x)
        x = linen.ConvTranspose(6, (2, 2), (2, 2), padding="VALID", name="up")(x).mean((1, 2))
        x = linen.LayerNorm(epsilon=1e-5, name="norm")(x + linen.Embed(5, 6, name="tok")(i))
        for n in range(2):
            x = linen.Dense(6, name=f"layers_{n}")(x)
        return linen.Dense(3, use_bias=False, name="out")(x)


def test_linen(pair):
    state, x, i, expected = pair
    net = Linen("bn.weight" in state)
    variables = net.init(jax.random.key(0), last(x), i)
    filled = into_linen.KeyMapper.load_into(variables, state, kinds=KINDS)
    assert np.allclose(net.apply(filled, last(x), i), expected, atol=1e-4)
    assert not np.allclose(net.apply(variables, last(x), i), expected, atol=1e-4)
    del state["tok.weight"]
    with pytest.raises(RuntimeError, match=r"missing: tok\.weight"):
        into_linen.KeyMapper.load_into(variables, state, kinds=KINDS)


class Haiku(hk.Module):
    def __call__(self, x, i):
        x = hk.Conv2D(4, 3, padding="VALID", name="conv")(x).mean((1, 2))
        x = hk.Linear(6, name="fc")(x) + hk.Embed(5, 6, name="tok")(i)
        return hk.LayerNorm(-1, True, True, name="norm")(x)


def test_haiku():
    torch.manual_seed(2)
    source = nn.ModuleDict({"conv": nn.Conv2d(2, 4, 3), "fc": nn.Linear(4, 6), "tok": nn.Embedding(5, 6)})
    source["norm"] = nn.LayerNorm(6)
    x, i = torch.randn(3, 2, 6, 6), torch.tensor([0, 4, 2])
    with torch.no_grad():
        expected = source["norm"](source["fc"](source["conv"](x).mean((2, 3))) + source["tok"](i)).numpy()
    net = hk.without_apply_rng(hk.transform(lambda x, i: Haiku(name="net")(x, i)))
    params = net.init(jax.random.key(0), last(x.numpy()), i.numpy())
    filled = into_haiku.KeyMapper.load_into(params, source.state_dict(), kinds={"conv": "conv"})
    assert np.allclose(net.apply(filled, last(x.numpy()), i.numpy()), expected, atol=1e-4)


@pytest.mark.parametrize("target", [into_equinox, into_linen, into_haiku])
def test_where_models_never_change_a_torch_module_comes_back_itself(target):
    net, other = nn.Linear(2, 2), nn.Linear(2, 2)
    assert target.KeyMapper.load_into(net, other.state_dict()) is net
    assert torch.equal(net.weight, other.weight)


@pytest.mark.parametrize("target", [into_keras, into_mlx])
def test_where_models_change_a_torch_module_reports(target):
    net, other = nn.Linear(2, 2), nn.Linear(2, 2)
    assert tuple(target.KeyMapper.load_into(net, other.state_dict())) == ([], [])
    assert torch.equal(net.weight, other.weight)


def same(state, back):
    kept = {name: value for name, value in state.items() if "num_batches" not in name}
    assert back.keys() == kept.keys()
    assert all(torch.equal(back[name], kept[name]) for name in kept)


def test_every_live_target_goes_back_to_the_same_tensors(pair):
    state, x, i, _ = pair
    norm = "bn.weight" in state
    port = Mlx(norm)
    into_mlx.KeyMapper.load_into(port, state)
    same(state, into_mlx.KeyMapper.to_torch(port))
    Torch(norm).load_state_dict(into_mlx.KeyMapper.to_torch(port))
    blocks = {name.replace("layers.", "blocks."): value for name, value in state.items()}
    port = Keras(norm)
    port((last(x), i))
    into_keras.KeyMapper.load_into(port, blocks)
    same(blocks, into_keras.KeyMapper.to_torch(port))
    if not norm:
        same(state, into_equinox.KeyMapper.to_torch(into_equinox.KeyMapper.load_into(Equinox(), state)))


def test_mlx_goes_back_in_bfloat16_bit_for_bit():
    port = mnn.Linear(3, 2)
    port.set_dtype(mx.bfloat16)
    back = into_mlx.KeyMapper.to_torch(port)
    assert back["weight"].dtype == torch.bfloat16
    assert np.array_equal(back["weight"].float().numpy(), np.array(port.weight.astype(mx.float32)))


def test_quantized_weights_have_no_name_in_pytorch():
    port = mnn.QuantizedLinear(64, 32)
    with pytest.raises(RuntimeError, match="weight: uint32 values are quantized"):
        into_mlx.KeyMapper.to_torch(port)


@pytest.mark.parametrize("target", [into_linen, into_haiku])
def test_a_tree_does_not_show_pytorchs_names(target):
    with pytest.raises(TypeError, match=r"ml_switcheroo\.to_torch"):
        target.KeyMapper.to_torch({"params": {"fc": {"kernel": np.ones((2, 3))}}})


@pytest.mark.parametrize("target", [into_equinox, into_keras, into_linen, into_mlx])
def test_of_a_torch_module_it_is_its_own_state_dict(target):
    net = nn.Linear(2, 2)
    same(net.state_dict(), target.KeyMapper.to_torch(net))


def test_keras_keeps_the_scale_of_an_rms_norm_under_another_name():
    net = nn.ModuleDict({"norm": nn.RMSNorm(4)})
    net["norm"].weight.data = torch.arange(4.0)
    x = keras.Input((4,))
    port = keras.Model(x, keras.layers.RMSNormalization(name="norm", epsilon=2.0**-23)(x))
    assert into_keras.KeyMapper.load_into(port, net.state_dict()) == ([], [])
    value = torch.randn(3, 4)
    with torch.no_grad():
        assert np.allclose(port(value.numpy()), net["norm"](value), atol=1e-6)


def test_haiku_has_the_axes_of_a_transposed_convolution_turned():
    net = nn.ModuleDict({"up": nn.ConvTranspose1d(3, 3, 3)})  # square: a wrong order would pass by its shape
    port = hk.without_apply_rng(
        hk.transform(lambda x: hk.Conv1DTranspose(3, 3, padding="VALID", name="up")(x))
    )
    value = torch.randn(2, 3, 5)
    params = port.init(jax.random.key(0), last(value.numpy()))
    params = {f"net/~/{name}": leaves for name, leaves in params.items()}
    new = into_haiku.KeyMapper.load_into(params, net.state_dict(), kinds={"up": "conv_transpose"})
    with torch.no_grad():
        expected = last(net["up"](value).numpy())
    found = port.apply({"up": new["net/~/up"]}, last(value.numpy()))
    assert np.allclose(found, expected, atol=1e-5)
