"""One network and one attention in PyTorch and in every framework, each with the mistakes that ports have.

``NETS[framework](fault)`` and ``ATTENTIONS[framework](fault)`` give the live model and the function that runs
it (None where the model is called itself).
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import keras
import mlx.core as mx
import mlx.nn as mnn
import numpy as np
import torch
from flax import linen, nnx

EPS = 1e-5
WRONG_EPS = 1e-2
WIDTH, HEADS = 8, 2


class Net(torch.nn.Module):
    """Images (n, 2, 4, 4) to (n, 5)."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 6, 3)
        self.bn = torch.nn.BatchNorm2d(6)
        self.fc1 = torch.nn.Linear(6 * 2 * 2, 7)
        self.fc2 = torch.nn.Linear(7, 5)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        return self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))


class Attention(torch.nn.Module):
    """Tokens (n, t) to (n, t, WIDTH)."""

    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(11, WIDTH)
        self.q, self.k, self.v, self.o = (torch.nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.norm = torch.nn.LayerNorm(WIDTH)

    def forward(self, tokens):
        x = self.emb(tokens)
        q, k, v = (layer(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        weights = torch.softmax(q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5, -1)
        return self.norm(x + self.o((weights @ v).transpose(1, 2).flatten(2)))


def seeded(make):
    """Return a torch model of random numbers, statistics included."""
    torch.manual_seed(0)
    model = make()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                low = 0.05 if name.endswith("running_var") else -1.0
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (0.5 - low) + low)
    return model.eval()


def images():
    return np.random.default_rng(2).normal(size=(3, 2, 4, 4)).astype("f4")


def tokens():
    return np.random.default_rng(3).integers(0, 11, (2, 5))


def eps(fault):
    return WRONG_EPS if fault == "epsilon" else EPS


def net(layers, x, fault, relu, turn):
    """Run the port: ``turn`` swaps the axes of channels and space of an image."""
    conv, bn, fc1, fc2 = layers
    x = relu(bn(conv(x)))
    if fault == "flatten":
        x = turn(x)
    x = fc1(x.reshape(len(x), -1))
    return fc2(x if fault == "activation" else relu(x))


def attend(layers, x, fault, softmax):
    emb, q, k, v, o, norm = layers
    x = emb(x)
    q, k, v = (split(layer(x)) for layer in (q, k, v))
    if fault == "swapped in use":
        q, k = k, q
    weights = softmax(q @ k.swapaxes(-1, -2) / (WIDTH // HEADS) ** 0.5)
    return norm(x + o(merged(weights @ v)))


def split(x):
    return x.reshape(*x.shape[:-1], HEADS, WIDTH // HEADS).swapaxes(-2, -3)


def merged(x):
    x = x.swapaxes(-2, -3)
    return x.reshape(*x.shape[:-2], WIDTH)


def turned(x):
    return x.transpose(0, 3, 1, 2)


def nnx_net(fault):
    class Port(nnx.Module):
        channels = "last"  # though a fault moves axes

        def __init__(self):
            rngs = nnx.Rngs(0)
            self.conv = nnx.Conv(2, 6, (3, 3), padding="VALID", rngs=rngs)
            self.bn = nnx.BatchNorm(6, epsilon=eps(fault), momentum=0.9, rngs=rngs)
            self.fc1, self.fc2 = nnx.Linear(24, 7, rngs=rngs), nnx.Linear(7, 5, rngs=rngs)

        def __call__(self, x):
            return net((self.conv, self.bn, self.fc1, self.fc2), x, fault, nnx.relu, turned)

    return Port(), None


def nnx_attention(fault):
    class Port(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.emb = nnx.Embed(11, WIDTH, rngs=rngs)
            self.q, self.k, self.v, self.o = (nnx.Linear(WIDTH, WIDTH, rngs=rngs) for _ in range(4))
            self.norm = nnx.LayerNorm(WIDTH, epsilon=EPS, rngs=rngs)

        def __call__(self, x):
            layers = (self.emb, self.q, self.k, self.v, self.o, self.norm)
            return attend(layers, x, fault, jax.nn.softmax)

    # Compiled, as people run it: the modules within are others than those outside.
    return Port(), nnx.jit(lambda model, x: model(x))


def linen_net(fault):
    class Port(linen.Module):
        @linen.compact
        def __call__(self, x):
            layers = (
                linen.Conv(6, (3, 3), padding="VALID", name="conv"),
                linen.BatchNorm(use_running_average=True, epsilon=eps(fault), name="bn"),
                linen.Dense(7, name="fc1"),
                linen.Dense(5, name="fc2"),
            )
            return net(layers, x, fault, linen.relu, turned)

    return Port().init(jax.random.key(0), jnp.zeros((1, 4, 4, 2))), jax.jit(Port().apply)


def linen_attention(fault):
    class Port(linen.Module):
        @linen.compact
        def __call__(self, x):
            linears = [linen.Dense(WIDTH, name=name) for name in "qkvo"]
            emb, norm = linen.Embed(11, WIDTH, name="emb"), linen.LayerNorm(epsilon=EPS, name="norm")
            return attend((emb, *linears, norm), x, fault, jax.nn.softmax)

    return Port().init(jax.random.key(0), jnp.zeros((1, 5), int)), Port().apply


def equinox_net(fault):
    class Port(eqx.Module):
        conv: eqx.nn.Conv2d
        bn: eqx.nn.BatchNorm
        fc1: eqx.nn.Linear
        fc2: eqx.nn.Linear

        def __init__(self):
            keys = jax.random.split(jax.random.key(0), 3)
            self.conv = eqx.nn.Conv2d(2, 6, 3, key=keys[0])
            self.bn = eqx.nn.BatchNorm(6, "batch", eps=eps(fault), mode="ema")
            self.fc1 = eqx.nn.Linear(24, 7, key=keys[1])
            self.fc2 = eqx.nn.Linear(7, 5, key=keys[2])

        def __call__(self, x, state):
            x, state = self.bn(self.conv(x), state)
            x = jax.nn.relu(x)
            x = self.fc1((x.transpose(1, 2, 0) if fault == "flatten" else x).reshape(-1))
            return self.fc2(x if fault == "activation" else jax.nn.relu(x)), state

    return eqx.nn.make_with_state(Port)(), None


def equinox_attention(fault):
    class Port(eqx.Module):
        emb: eqx.nn.Embedding
        q: eqx.nn.Linear
        k: eqx.nn.Linear
        v: eqx.nn.Linear
        o: eqx.nn.Linear
        norm: eqx.nn.LayerNorm

        def __init__(self):
            keys = jax.random.split(jax.random.key(0), 5)
            self.emb = eqx.nn.Embedding(11, WIDTH, key=keys[0])
            self.q, self.k, self.v, self.o = (eqx.nn.Linear(WIDTH, WIDTH, key=key) for key in keys[1:])
            self.norm = eqx.nn.LayerNorm(WIDTH, eps=EPS)

        def __call__(self, x):
            layers = [jax.vmap(getattr(self, name)) for name in ("emb", "q", "k", "v", "o", "norm")]
            return attend(layers, x, fault, jax.nn.softmax)

    return Port(), eqx.filter_jit(lambda model, x: jax.vmap(model)(x))


def haiku_net(fault):
    def function(x):
        bn = hk.BatchNorm(True, True, 0.9, eps=eps(fault), name="bn")
        layers = (
            hk.Conv2D(6, 3, padding="VALID", name="conv"),
            lambda x: bn(x, is_training=hk.running_init()),
            hk.Linear(7, name="fc1"),
            hk.Linear(5, name="fc2"),
        )
        return net(layers, x, fault, jax.nn.relu, turned)

    made = hk.without_apply_rng(hk.transform_with_state(function))
    model = made.init(jax.random.key(0), jnp.zeros((1, 4, 4, 2)))
    return model, lambda model, x: made.apply(*model, x)[0]


def haiku_attention(fault):
    def function(x):
        linears = [hk.Linear(WIDTH, name=name) for name in "qkvo"]
        norm = hk.LayerNorm(-1, True, True, eps=EPS, name="norm")
        return attend((hk.Embed(11, WIDTH, name="emb"), *linears, norm), x, fault, jax.nn.softmax)

    made = hk.without_apply_rng(hk.transform(function))
    return made.init(jax.random.key(0), jnp.zeros((1, 5), int)), jax.jit(made.apply)


def keras_net(fault):
    class Port(keras.Model):
        channels = "last"  # though a fault moves axes

        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(6, 3)
            self.bn = keras.layers.BatchNormalization(epsilon=eps(fault), momentum=0.9)
            # The activation is part of the layer here, as Keras's users write it.
            self.fc1 = keras.layers.Dense(7, activation=None if fault == "activation" else "relu")
            self.fc2 = keras.layers.Dense(5)

        def call(self, x):
            x = keras.ops.relu(self.bn(self.conv(x)))
            if fault == "flatten":
                x = keras.ops.transpose(x, (0, 3, 1, 2))
            return self.fc2(self.fc1(keras.ops.reshape(x, (-1, 24))))

    model = Port()
    model(np.zeros((1, 4, 4, 2), "f4"))
    return model, None


def keras_attention(fault):
    class Port(keras.Model):
        def __init__(self):
            super().__init__()
            self.emb = keras.layers.Embedding(11, WIDTH)
            self.q, self.k, self.v, self.o = (keras.layers.Dense(WIDTH) for _ in range(4))
            self.norm = keras.layers.LayerNormalization(epsilon=EPS)

        def call(self, x):
            layers = (self.emb, self.q, self.k, self.v, self.o, self.norm)
            return attend(layers, x, fault, keras.ops.softmax)

    model = Port()
    model(np.zeros((1, 5), int))
    return model, None


def mlx_net(fault):
    class Port(mnn.Module):
        channels = "last"  # though a fault moves axes

        def __init__(self):
            super().__init__()
            self.conv, self.bn = mnn.Conv2d(2, 6, 3), mnn.BatchNorm(6, eps=eps(fault))
            self.fc1, self.fc2 = mnn.Linear(24, 7), mnn.Linear(7, 5)

        def __call__(self, x):
            return net((self.conv, self.bn, self.fc1, self.fc2), x, fault, mnn.relu, turned)

    return Port(), None


def mlx_attention(fault):
    class Port(mnn.Module):
        def __init__(self):
            super().__init__()
            self.emb = mnn.Embedding(11, WIDTH)
            self.q, self.k, self.v, self.o = (mnn.Linear(WIDTH, WIDTH) for _ in range(4))
            self.norm = mnn.LayerNorm(WIDTH, eps=EPS)

        def __call__(self, x):
            layers = (self.emb, self.q, self.k, self.v, self.o, self.norm)
            return attend(layers, x, fault, lambda x: mx.softmax(x, axis=-1))

    return Port(), None


FRAMEWORKS = ("nnx", "linen", "equinox", "haiku", "keras", "mlx")
NETS = {name: globals()[f"{name}_net"] for name in FRAMEWORKS}
ATTENTIONS = {name: globals()[f"{name}_attention"] for name in FRAMEWORKS}
