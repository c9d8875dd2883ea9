"""Copies between layers of two kinds: as PyTorch copies where both lie alike, else refused."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import warnings

import equinox as eqx
import jax
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import nn as mnn

from ml_switcheroo.codemod.bundle import source_of
from ml_switcheroo.runtime import KeyMapper, into_equinox, into_haiku, into_keras, into_linen, into_mlx

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TORCH = {
    "linear": lambda: torch.nn.Linear(4, 4, bias=False),
    "embedding": lambda: torch.nn.Embedding(4, 4),
    "conv": lambda: torch.nn.Conv2d(4, 4, 3, bias=False),
    "conv_transpose": lambda: torch.nn.ConvTranspose2d(4, 4, 3, bias=False),
    "layer_norm": lambda: torch.nn.LayerNorm(4),
    "group_norm": lambda: torch.nn.GroupNorm(2, 4),
    "batch_norm": lambda: torch.nn.BatchNorm2d(4),
    "own": lambda: torch.nn.Linear(4, 4, bias=False),
}


class Own(nnx.Module):
    """A layer of somebody's own, which calls its weight as Flax does."""

    def __init__(self):
        self.kernel = nnx.Param(jax.numpy.ones((4, 4)))


def in_nnx(kind):
    rngs = nnx.Rngs(0)
    bare = {"use_bias": False, "rngs": rngs}

    class Net(nnx.Module):
        def __init__(self):
            self.at = {
                "linear": lambda: nnx.Linear(4, 4, **bare),
                "embedding": lambda: nnx.Embed(4, 4, rngs=rngs),
                "conv": lambda: nnx.Conv(4, 4, (3, 3), **bare),
                "conv_transpose": lambda: nnx.ConvTranspose(4, 4, (3, 3), **bare),
                "layer_norm": lambda: nnx.LayerNorm(4, rngs=rngs),
                "group_norm": lambda: nnx.GroupNorm(4, 2, rngs=rngs),
                "batch_norm": lambda: nnx.BatchNorm(4, rngs=rngs),
                "own": Own,
            }[kind]()

    return Net()


def in_keras(kind):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            nn = keras.layers
            layer, shape = {
                "linear": (nn.Dense(4, use_bias=False), (1, 4)),
                "embedding": (nn.Embedding(4, 4), (1, 4)),
                "conv": (nn.Conv2D(4, 3, use_bias=False), (1, 5, 5, 4)),
                "conv_transpose": (nn.Conv2DTranspose(4, 3, use_bias=False), (1, 5, 5, 4)),
                "layer_norm": (nn.LayerNormalization(), (1, 4)),
                "group_norm": (nn.GroupNormalization(2), (1, 4)),
                "batch_norm": (nn.BatchNormalization(), (1, 4)),
            }[kind]
            layer.build(shape)
            self.at = layer
            self.built = True

    return Net()


def in_mlx(kind):
    class Net(mnn.Module):
        def __init__(self):
            super().__init__()
            self.at = {
                "linear": lambda: mnn.Linear(4, 4, bias=False),
                "embedding": lambda: mnn.Embedding(4, 4),
                "conv": lambda: mnn.Conv2d(4, 4, 3, bias=False),
                "conv_transpose": lambda: mnn.ConvTranspose2d(4, 4, 3, bias=False),
                "layer_norm": lambda: mnn.LayerNorm(4),
                "group_norm": lambda: mnn.GroupNorm(2, 4),
                "batch_norm": lambda: mnn.BatchNorm(4),
            }[kind]()

    return Net()


def in_equinox(kind):
    key = jax.random.key(0)

    class Net(eqx.Module):
        at: eqx.Module

    return Net(
        {
            "linear": lambda: eqx.nn.Linear(4, 4, use_bias=False, key=key),
            "embedding": lambda: eqx.nn.Embedding(4, 4, key=key),
            "conv": lambda: eqx.nn.Conv2d(4, 4, 3, use_bias=False, key=key),
            "conv_transpose": lambda: eqx.nn.ConvTranspose2d(4, 4, 3, use_bias=False, key=key),
            "layer_norm": lambda: eqx.nn.LayerNorm(4),
            "group_norm": lambda: eqx.nn.GroupNorm(2, 4),
        }[kind]()
    )


def in_tree(words, wrap):
    def made(kind):
        slot, size = words[kind], (4,) if kind.endswith("norm") else (4, 4)
        found = {slot: jax.numpy.ones(size)}
        if len(size) == 1:
            found[words["bias"]] = jax.numpy.zeros(size)
        return wrap(found)

    return made


LINEN = {"linear": "kernel", "embedding": "embedding", "layer_norm": "scale", "group_norm": "scale"}
HAIKU = {"linear": "w", "embedding": "embeddings", "layer_norm": "scale", "group_norm": "scale"}
TARGETS = {
    "nnx": (KeyMapper, in_nnx),
    "keras": (into_keras.KeyMapper, in_keras),
    "mlx": (into_mlx.KeyMapper, in_mlx),
    "equinox": (into_equinox.KeyMapper, in_equinox),
    "linen": (
        into_linen.KeyMapper,
        in_tree({**LINEN, "bias": "bias"}, lambda found: {"params": {"at": found}}),
    ),
    "haiku": (into_haiku.KeyMapper, in_tree({**HAIKU, "bias": "offset"}, lambda found: {"net/~/at": found})),
}

REFUSED = [
    *[(to, *pair) for to in ("nnx", "mlx", "equinox") for pair in (("conv", "conv_transpose"),)],
    *[(to, "linear", "embedding") for to in ("nnx", "keras", "linen", "haiku")],
]
COPIED = [
    ("keras", "conv", "conv_transpose"),
    ("mlx", "linear", "embedding"),
    ("equinox", "linear", "embedding"),
    *[(to, "layer_norm", "group_norm") for to in TARGETS],
    *[(to, "layer_norm", "batch_norm") for to in ("nnx", "keras", "mlx")],
    ("nnx", "linear", "own"),
]
WAY_BACK = [row for row in REFUSED if row[0] not in ("linen", "haiku")]


def both_ways(rows):
    return [row for to, one, other in rows for row in ((to, one, other), (to, other, one))]


def values(mapper, model):
    return {key: np.asarray(mapper._value(row[-1])) for key, row in mapper._named(model).items()}


def numbered(mapper, model):
    """Give every value of a model a number of its own, so that no two ways to lie are the same."""
    made = mapper._write(
        model,
        [
            (row[-1], np.arange(np.prod(row[1]), dtype=np.float32).reshape(mapper._value(row[-1]).shape))
            for row in mapper._named(model).values()
        ],
    )
    return model if made is None else made


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("to", "one", "other"), both_ways(REFUSED))
def test_layers_that_lie_otherwise_are_refused_however_loose(to, one, other, strict):
    mapper, make = TARGETS[to]
    target, online = make(one), make(other)
    before = values(mapper, target)
    with pytest.raises(RuntimeError, match=r"at\.weight: .* is of another kind of layer"):
        mapper.copy_into(target, online, strict=strict)
    assert all(np.array_equal(value, before[key]) for key, value in values(mapper, target).items())


@pytest.mark.parametrize(("to", "one", "other"), both_ways(COPIED))
def test_layers_that_lie_alike_are_copied_as_pytorch_copies_them(to, one, other):
    mapper, make = TARGETS[to]
    strict = "batch_norm" not in (one, other)
    target, online = make(one), numbered(mapper, make(other))
    target, report = mapper.copy_into(target, online, strict=strict, with_report=True)
    assert all(not name.endswith(("weight", "bias", "kernel")) for name in [*report[0], *report[1]])
    pair = torch.nn.ModuleDict({"at": TORCH[one]()}), torch.nn.ModuleDict({"at": TORCH[other]()})
    pair[0].load_state_dict(pair[1].state_dict(), strict=strict)
    if to not in ("linen", "haiku", "keras") and "own" not in (one, other):
        theirs, ours = mapper.to_torch(online), mapper.to_torch(target)
        assert all(torch.equal(ours[f"at.{slot}"], theirs[f"at.{slot}"]) for slot in ("weight",))


def test_a_transposed_convolution_of_keras_lies_like_a_convolution():
    mapper = into_keras.KeyMapper
    target, online = in_keras("conv_transpose"), numbered(mapper, in_keras("conv"))
    mapper.copy_into(target, online)
    assert torch.equal(mapper.to_torch(target)["at.weight"], mapper.to_torch(online)["at.weight"])


@pytest.mark.parametrize(("to", "one", "other"), both_ways(WAY_BACK))
def test_the_cure_copies_what_pytorch_copies(to, one, other):
    mapper, make = TARGETS[to]
    target, online = make(one), numbered(mapper, make(other))
    state = mapper.to_torch(online)
    target, _ = mapper.load_into(target, state, with_report=True)
    nets = torch.nn.ModuleDict({"at": TORCH[one]()}), torch.nn.ModuleDict({"at": TORCH[other]()})
    nets[1].load_state_dict(state)
    nets[0].load_state_dict(nets[1].state_dict())
    assert torch.equal(mapper.to_torch(target)["at.weight"], nets[0].state_dict()["at.weight"])


def test_a_size_that_differs_is_said_of_two_kinds_too():
    target, online = in_mlx("linear"), in_mlx("layer_norm")
    with pytest.raises(RuntimeError, match=r"size mismatch for at\.weight.*\(4,\).*\(4, 4\)"):
        into_mlx.KeyMapper.copy_into(target, online, strict=False)


@pytest.mark.parametrize(("to", "one", "other"), REFUSED)
def test_the_text_that_is_injected_refuses_too(to, one, other):
    names = {}
    exec(compile(source_of(to, ["copy_into"]), "<injected>", "exec"), names)
    make = TARGETS[to][1]
    with pytest.raises(RuntimeError, match="another kind of layer"):
        names["KeyMapper"].copy_into(make(one), make(other))
