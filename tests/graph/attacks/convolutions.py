"""Convolutions of every sort, in ports with channels last."""

import equinox as eqx
import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F
from attacking import Pair
from attention import of, tree
from flax import nnx
from torch import nn

IMAGE = "f2,4,8,8"
LAST = ((0, 2, 3, 1),)


def conv(x, w, stride=1, padding="SAME", dilation=1, groups=1):  # nhwc, hwio
    return jax.lax.conv_general_dilated(
        x, w, (stride,) * 2, padding, rhs_dilation=(dilation,) * 2, feature_group_count=groups,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def batch_norm(x, p, n):
    return (x - p[f"{n}m"]) / jnp.sqrt(p[f"{n}v"] + 1e-5) * p[f"{n}g"] + p[f"{n}b"]


def bn(n, size):
    return {f"{n}{one}": (size,) for one in "mvgb"}


class Chain(nn.Module):
    """Of one width: dilated, grouped, depthwise, plain."""

    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.c2 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.c3 = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.c4 = nn.Conv2d(4, 4, 3, padding=1, stride=2)

    def forward(self, x):
        return self.c4(F.silu(self.c3(F.gelu(self.c2(torch.relu(self.c1(x)))))))


class ChainNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        make = lambda **o: nnx.Conv(4, 4, (3, 3), rngs=r, **o)
        self.d, self.a = make(strides=2, padding=1), make(kernel_dilation=2)
        self.c, self.b = make(feature_group_count=4), make(feature_group_count=2)

    def __call__(self, x):
        x = jax.nn.gelu(self.b(jax.nn.relu(self.a(x))), approximate=False)
        return self.d(jax.nn.silu(self.c(x)))


class ChainEqx(eqx.Module):
    last: eqx.nn.Conv2d
    parts: list

    def __init__(self):
        keys = jax.random.split(jax.random.key(0), 4)
        self.parts = [
            eqx.nn.Conv2d(4, 4, 3, padding=2, dilation=2, key=keys[0]),
            eqx.nn.Conv2d(4, 4, 3, padding=1, groups=2, key=keys[1]),
            eqx.nn.Conv2d(4, 4, 3, padding=1, groups=4, key=keys[2]),
        ]
        self.last = eqx.nn.Conv2d(4, 4, 3, padding=1, stride=2, key=keys[3])

    def __call__(self, x):
        for part, act in zip(self.parts, (jax.nn.relu, lambda y: jax.nn.gelu(y, approximate=False), jax.nn.silu)):
            x = act(part(x))
        return self.last(x)


def chain_keras():
    import keras

    k = keras.layers
    x = keras.Input((8, 8, 4))
    y = k.Conv2D(4, 3, padding="same", dilation_rate=2, activation="relu", name="a")(x)
    y = keras.activations.gelu(k.Conv2D(4, 3, padding="same", groups=2, name="z")(y))
    y = k.DepthwiseConv2D(3, padding="same", activation="silu", name="q")(y)
    y = k.Conv2D(4, 3, strides=2, name="b")(k.ZeroPadding2D(1)(y))
    return keras.Model(x, y)


class Up(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1)
        self.b = nn.ConvTranspose2d(4, 4, 2, stride=2)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class UpEqx(eqx.Module):
    second: eqx.nn.ConvTranspose2d
    first: eqx.nn.ConvTranspose2d

    def __init__(self):
        one, two = jax.random.split(jax.random.key(0))
        self.first = eqx.nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1, key=one)
        self.second = eqx.nn.ConvTranspose2d(4, 4, 2, stride=2, key=two)

    def __call__(self, x):
        return self.second(jnp.tanh(self.first(x)))


class Up2(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.b = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class Up2Nnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        self.y = nnx.ConvTranspose(4, 3, (4, 4), strides=(2, 2), padding="SAME", rngs=r)
        self.x = nnx.ConvTranspose(4, 4, (2, 2), strides=(2, 2), padding="VALID", rngs=r)

    def __call__(self, x):
        return self.y(jnp.tanh(self.x(x)))


class Up2NnxTurned(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        o = {"transpose_kernel": True, "rngs": r, "strides": (2, 2)}
        self.y = nnx.ConvTranspose(4, 3, (4, 4), padding="SAME", **o)
        self.x = nnx.ConvTranspose(4, 4, (2, 2), padding="VALID", **o)

    def __call__(self, x):
        return self.y(jnp.tanh(self.x(x)))


def up2_keras():
    import keras

    x = keras.Input((8, 8, 4))
    y = keras.layers.Conv2DTranspose(4, 2, strides=2, activation="tanh", name="w")(x)
    return keras.Model(x, keras.layers.Conv2DTranspose(3, 4, strides=2, padding="same", name="v")(y))


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv1d(4, 6, 3, padding=1)
        self.b = nn.Conv1d(6, 6, 5, padding=4, dilation=2)
        self.l = nn.Linear(6 * 10, 5)

    def forward(self, x):
        return self.l(torch.relu(self.b(torch.relu(self.a(x)))).flatten(1))


class LineNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        self.l = nnx.Linear(60, 5, rngs=r)
        self.b, self.a = nnx.Conv(6, 6, (5,), kernel_dilation=2, rngs=r), nnx.Conv(4, 6, (3,), rngs=r)

    def __call__(self, x):  # n l c: flattened as l c
        x = jax.nn.relu(self.b(jax.nn.relu(self.a(x))))
        return self.l(x.reshape(len(x), -1))


class Space(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv3d(2, 4, 3, padding=1)
        self.b = nn.Conv3d(4, 4, (1, 3, 3))
        self.l = nn.Linear(4, 3)

    def forward(self, x):
        return self.l(F.leaky_relu(self.b(F.elu(self.a(x))), 0.2).mean((2, 3, 4)))


class SpaceNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        self.l = nnx.Linear(4, 3, rngs=r)
        self.b = nnx.Conv(4, 4, (1, 3, 3), padding="VALID", rngs=r)
        self.a = nnx.Conv(2, 4, (3, 3, 3), rngs=r)

    def __call__(self, x):
        return self.l(jax.nn.leaky_relu(self.b(jax.nn.elu(self.a(x))), 0.2).mean((1, 2, 3)))


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(4, 4, 3, padding=1)
        self.h = nn.Linear(4 * 4 * 4, 64)
        self.o = nn.Linear(64, 64)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.c(x)), 2)
        return self.o(torch.relu(self.h(torch.flatten(x, 1))))


def flat_last(p, x):
    x = jax.nn.relu(conv(x, p["k"]) + p["kb"])
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return jax.nn.relu(x.reshape(len(x), -1) @ p["h"] + p["hb"]) @ p["o"] + p["ob"]


def flat_first(p, x):
    x = jax.nn.relu(conv(x, p["k"]) + p["kb"])
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return jax.nn.relu(x.transpose(0, 3, 1, 2).reshape(len(x), -1) @ p["h"] + p["hb"]) @ p["o"] + p["ob"]


def flat_kept(p, x):
    """The head keeps the axes of the image."""
    x = jax.nn.relu(conv(x, p["k"]) + p["kb"])
    x = x.reshape(len(x), 4, 2, 4, 2, 4).max((2, 4))
    return jax.nn.relu(jnp.einsum("nhwc,hwco->no", x, p["h"]) + p["hb"]) @ p["o"] + p["ob"]


FLAT = {"k": (3, 3, 4, 4), "kb": (4,), "h": (64, 64), "hb": (64,), "o": (64, 64), "ob": (64,)}


class Squeeze(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(4, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.fc1 = nn.Conv2d(8, 8, 1)
        self.fc2 = nn.Conv2d(8, 8, 1)

    def forward(self, x):
        x = F.hardswish(self.bn(self.c(x)))
        s = F.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(s))))


def squeeze(p, x):
    x = batch_norm(conv(x, p["k"]), p, "n")
    x = x * jnp.clip(x + 3, 0, 6) / 6
    s = x.mean((1, 2))
    return x * jax.nn.sigmoid(jax.nn.relu(s @ p["a"] + p["ab"]) @ p["c"] + p["cb"])[:, None, None]


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.b1 = nn.Conv2d(4, 4, 3, padding=1)
        self.b2 = nn.Conv2d(4, 4, 3, padding=1)
        self.b3 = nn.Conv2d(4, 4, 3, padding=1)
        self.o = nn.Conv2d(12, 4, 1)

    def forward(self, x):
        return self.o(torch.cat([torch.relu(self.b1(x)), torch.relu(self.b2(x)), torch.relu(self.b3(x))], 1))


def inception(order):
    def run(p, x):
        y = [jax.nn.relu(conv(x, p[n]) + p[f"{n}b"]) for n in order]
        return conv(jnp.concatenate(y, -1), p["o"]) + p["ob"]

    return of(run)


INCEPTION = {"x": (3, 3, 4, 4), "y": (3, 3, 4, 4), "z": (3, 3, 4, 4), "xb": (4,), "yb": (4,), "zb": (4,),
             "o": (1, 1, 12, 4), "ob": (4,)}


class Parallel(nn.Module):
    """Branches that end in different functions, and are only summed."""

    def __init__(self):
        super().__init__()
        self.b1 = nn.Conv2d(4, 4, 3, padding=1)
        self.b2 = nn.Conv2d(4, 4, 3, padding=1)
        self.b3 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return torch.tanh(self.b1(x)) + torch.sigmoid(self.b2(x)) + torch.sigmoid(self.b3(x))


def parallel(p, x):
    one, two, three = (conv(x, p[n]) + p[f"{n}b"] for n in "zyx")
    return jax.nn.sigmoid(two) + jax.nn.sigmoid(three) + jnp.tanh(one)


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(4, 4, 3, padding=1)
        self.b = nn.Conv2d(8, 4, 3, padding=1)
        self.c = nn.Conv2d(12, 4, 3, padding=1)
        self.o = nn.Conv2d(16, 5, 1)

    def forward(self, x):
        for layer in (self.a, self.b, self.c):
            x = torch.cat([x, torch.relu(layer(x))], 1)
        return self.o(x)


def dense(p, x):
    for n in "cab":  # the newest first
        x = jnp.concatenate([jax.nn.relu(conv(x, p[n]) + p[f"{n}b"]), x], -1)
    return conv(x, p["o"]) + p["ob"]


DENSE = {"c": (3, 3, 4, 4), "a": (3, 3, 8, 4), "b": (3, 3, 12, 4), "o": (1, 1, 16, 5),
         "cb": (4,), "ab": (4,), "bb": (4,), "ob": (5,)}


class Shuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(4, 16, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return self.b(F.pixel_shuffle(torch.tanh(self.a(x)), 2))


def shuffle_torch_order(p, x):
    y = jnp.tanh(conv(x, p["a"]) + p["ab"])
    n, h, w, _ = y.shape
    y = y.reshape(n, h, w, 4, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(n, 2 * h, 2 * w, 4)
    return conv(y, p["b"]) + p["bb"]


def shuffle_tf_order(p, x):
    y = jnp.tanh(conv(x, p["a"]) + p["ab"])
    n, h, w, _ = y.shape
    y = y.reshape(n, h, w, 2, 2, 4).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, 4)
    return conv(y, p["b"]) + p["bb"]


SHUFFLE = {"a": (3, 3, 4, 16), "ab": (16,), "b": (3, 3, 4, 4), "bb": (4,)}


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(4, 4, 3, padding=1)
        self.gn = nn.GroupNorm(2, 4)
        self.c2 = nn.Conv2d(4, 4, 3, padding=1)
        self.inorm = nn.InstanceNorm2d(4, affine=True)
        self.c3 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return self.c3(torch.relu(self.inorm(self.c2(torch.relu(self.gn(self.c1(x)))))))


class NormsNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        make = lambda: nnx.Conv(4, 4, (3, 3), rngs=r)
        self.c, self.b, self.a = make(), make(), make()
        self.m = nnx.GroupNorm(4, num_groups=4, epsilon=1e-5, rngs=r)
        self.n = nnx.GroupNorm(4, num_groups=2, epsilon=1e-5, rngs=r)

    def __call__(self, x):
        return self.c(jax.nn.relu(self.m(self.b(jax.nn.relu(self.n(self.a(x)))))))


class WeightNormed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 3, padding=1))
        self.b = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 3, padding=1))

    def forward(self, x):
        return self.b(F.leaky_relu(self.a(x), 0.1))


class WeightNormedOld(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.utils.weight_norm(nn.Linear(4, 4))
        self.b = nn.utils.weight_norm(nn.Linear(4, 4))

    def forward(self, x):
        return self.b(F.leaky_relu(self.a(x), 0.1))


class WeightNormedNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        self.y, self.x = nnx.Conv(4, 4, (3,), rngs=r), nnx.Conv(4, 4, (3,), rngs=r)

    def __call__(self, x):
        return self.y(jax.nn.leaky_relu(self.x(x), 0.1))


class LinearsNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        self.y, self.x = nnx.Linear(4, 4, rngs=r), nnx.Linear(4, 4, rngs=r)

    def __call__(self, x):
        return self.y(jax.nn.leaky_relu(self.x(x), 0.1))


class LayerScale(nn.Module):
    def __init__(self):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(6))
        self.delta = nn.Parameter(torch.ones(6))
        self.a = nn.Linear(6, 6)
        self.b = nn.Linear(6, 6)

    def forward(self, x):
        x = x + self.gamma * torch.tanh(self.a(x))
        return x + self.delta * torch.tanh(self.b(x))


def layer_scale(p, x):
    x = x + jnp.tanh(x @ p["w1"] + p["b1"]) * p["s1"]
    return jnp.tanh(x @ p["w0"] + p["b0"]) * p["s0"] + x


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.d1 = nn.Conv2d(4, 4, 3, padding=1)
        self.d2 = nn.Conv2d(4, 4, 3, padding=1)
        self.mid = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.u1 = nn.Conv2d(8, 4, 3, padding=1)
        self.u2 = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x):
        a = torch.relu(self.d1(x))
        b = torch.relu(self.d2(F.max_pool2d(a, 2)))
        m = torch.relu(self.mid(b))
        y = torch.relu(self.u1(torch.cat([m, b], 1)))
        return self.u2(torch.cat([a, self.up(y)], 1))


class UnetNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        make = lambda n: nnx.Conv(n, 4, (3, 3), rngs=r)
        self.f, self.e, self.d, self.c, self.b = make(8), make(8), make(4), make(4), make(4)
        self.a = nnx.ConvTranspose(4, 4, (2, 2), strides=(2, 2), padding="VALID", rngs=r)

    def __call__(self, x):
        one = jax.nn.relu(self.d(x))
        two = jax.nn.relu(self.b(nnx.max_pool(one, (2, 2), (2, 2))))
        y = jax.nn.relu(self.e(jnp.concatenate([two, jax.nn.relu(self.c(two))], -1)))
        return self.f(jnp.concatenate([self.a(y), one], -1))


class Residual(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)
        self.down = nn.Sequential(nn.Conv2d(4, 4, 1, stride=stride, bias=False), nn.BatchNorm2d(4))

    def forward(self, x):
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + self.down(x))


class Resnet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(Residual(1), Residual(2), Residual(1))
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(self.layers(x).mean((2, 3)))


class ResidualNnx(nnx.Module):
    def __init__(self, stride, r):
        self.short = nnx.Conv(4, 4, (1, 1), strides=stride, use_bias=False, rngs=r)
        self.second = nnx.Conv(4, 4, (3, 3), use_bias=False, padding=1, rngs=r)
        self.first = nnx.Conv(4, 4, (3, 3), strides=stride, padding=1, use_bias=False, rngs=r)
        norm = lambda: nnx.BatchNorm(4, use_running_average=True, epsilon=1e-5, rngs=r)
        self.norms = nnx.List([norm(), norm(), norm()])

    def __call__(self, x):
        short = self.norms[0](self.short(x))
        return jax.nn.relu(short + self.norms[2](self.second(jax.nn.relu(self.norms[1](self.first(x))))))


class ResnetNnx(nnx.Module):
    def __init__(self, r=nnx.Rngs(0)):
        self.tail = nnx.Linear(4, 4, rngs=r)
        self.c, self.b, self.a = ResidualNnx(1, r), ResidualNnx(2, r), ResidualNnx(1, r)

    def __call__(self, x):
        return self.tail(self.c(self.b(self.a(x))).mean((1, 2)))


def linen(net, shapes, call, inputs=IMAGE, turned=LAST, **more):
    return Pair(net, tree(**shapes), inputs, turned, call=call if more.pop("raw", False) else of(call), to="linen", **more)


def nnx_pair(net, port, inputs=IMAGE, turned=LAST, **more):
    return Pair(net, port, inputs, turned, **more)


PAIRS = {
    "chain, nnx": nnx_pair(Chain, ChainNnx),
    "chain, equinox": Pair(Chain, ChainEqx, IMAGE),
    "chain, keras": nnx_pair(Chain, chain_keras),
    "transposed, equinox": Pair(Up, UpEqx, IMAGE),
    "transposed, nnx": nnx_pair(Up2, Up2Nnx),
    "transposed, nnx, kernel turned": nnx_pair(Up2, Up2NnxTurned),
    "transposed, keras": nnx_pair(Up2, up2_keras),
    "one axis, flat head": nnx_pair(Line, LineNnx, "f2,4,10", ((0, 2, 1),)),
    "three axes": nnx_pair(Space, SpaceNnx, "f2,2,4,5,6", ((0, 2, 3, 4, 1),)),
    "flat head, rows first": linen(Flat, FLAT, flat_last),
    "flat head, channels first": linen(Flat, FLAT, flat_first),
    "flat head, axes kept": linen(Flat, FLAT | {"h": (4, 4, 4, 64)}, flat_kept),
    "squeeze and excite": linen(
        Squeeze, {"k": (3, 3, 4, 8), "a": (8, 8), "c": (8, 8), "ab": (8,), "cb": (8,)} | bn("n", 8), squeeze
    ),
    "branches": linen(Inception, INCEPTION, inception("xyz"), raw=True),
    "branches, joined in another order": linen(Inception, INCEPTION, inception("yzx"), raw=True),
    "branches, summed": linen(Parallel, {k: v for k, v in INCEPTION.items() if "o" not in k}, parallel, tied=True),
    "dense connections, the newest first": linen(Dense, DENSE, dense),
    "pixel shuffle": linen(Shuffle, SHUFFLE, shuffle_torch_order),
    "pixel shuffle of TensorFlow": linen(Shuffle, SHUFFLE, shuffle_tf_order),
    "group norm, instance norm": nnx_pair(Norms, NormsNnx),
    "weight norm": nnx_pair(WeightNormed, WeightNormedNnx, "f2,4,10", ((0, 2, 1),)),
    "weight norm, old, linear": Pair(WeightNormedOld, LinearsNnx, "f3,4"),
    "layer scale": linen(
        LayerScale, {"s0": (6,), "s1": (6,), "w0": (6, 6), "w1": (6, 6), "b0": (6,), "b1": (6,)}, layer_scale,
        "f3,6", (),
    ),
    "U-Net, joined in another order": nnx_pair(Unet, UnetNnx),
    "residual of one width": nnx_pair(Resnet, ResnetNnx),
}
