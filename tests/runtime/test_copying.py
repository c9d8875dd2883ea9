"""Copies between live models: names and shapes as torch checks them, values and no aliases."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import warnings

import equinox as eqx
import jax
import numpy as np
import pytest
import torch
from flax import nnx
from mlx import core as mx
from mlx import nn as mnn

from ml_switcheroo.codemod.bundle import source_of
from ml_switcheroo.runtime import KeyMapper, into_equinox, into_haiku, into_keras, into_linen, into_mlx

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras


class Nnx(nnx.Module):
    def __init__(self, seed, out=2, more=False):
        self.rngs = nnx.Rngs(seed)
        self.fc = nnx.Linear(3, out, rngs=self.rngs)
        self.drop = nnx.Dropout(0.5, rngs=self.rngs)
        if more:
            self.head = nnx.Linear(2, 2, rngs=self.rngs)

    def values(self):
        return {"fc.weight": self.fc.kernel[...].T, "fc.bias": self.fc.bias[...]}


class Keras(keras.Model):
    def __init__(self, seed, out=2, more=False):
        super().__init__()
        keras.utils.set_random_seed(seed)
        self.fc = keras.layers.Dense(out, bias_initializer="normal")
        self.fc.build((1, 3))
        self.drop = keras.layers.Dropout(0.5, seed=seed)
        if more:
            self.head = keras.layers.Dense(2)
            self.head.build((1, 2))
        self.built = True

    def values(self):
        return {"fc.weight": np.asarray(self.fc.kernel).T, "fc.bias": np.asarray(self.fc.bias)}


class Mlx(mnn.Module):
    def __init__(self, seed, out=2, more=False):
        super().__init__()
        mx.random.seed(seed)
        self.fc = mnn.Linear(3, out)
        if more:
            self.head = mnn.Linear(2, 2)

    def values(self):
        return {"fc.weight": np.array(self.fc.weight), "fc.bias": np.array(self.fc.bias)}


class Equinox(eqx.Module):
    fc: eqx.nn.Linear
    head: eqx.nn.Linear | None
    key: jax.Array

    def __init__(self, seed, out=2, more=False):
        self.key = jax.random.key(seed)
        self.fc = eqx.nn.Linear(3, out, key=self.key)
        self.head = eqx.nn.Linear(2, 2, key=self.key) if more else None

    def values(self):
        return {"fc.weight": self.fc.weight, "fc.bias": self.fc.bias}


class Tree(dict):
    @classmethod
    def linen(cls, seed, out=2, more=False):
        return cls(params=cls._layers(seed, out, more, "fc", "head", "kernel", "bias"))

    @classmethod
    def haiku(cls, seed, out=2, more=False):
        return cls(cls._layers(seed, out, more, "net/~/fc", "net/~/head", "w", "b"))

    @staticmethod
    def _layers(seed, out, more, fc, head, weight, bias):
        made = np.random.default_rng(seed)
        sizes = {fc: (3, out), **({head: (2, 2)} if more else {})}
        return {
            name: {weight: jax.numpy.array(made.normal(size=size)), bias: jax.numpy.ones(size[1:])}
            for name, size in sizes.items()
        }

    def values(self):
        (weight, bias) = (self["params"]["fc"] if "params" in self else self["net/~/fc"]).values()
        return {"fc.weight": weight.T, "fc.bias": bias}


TARGETS = {
    "nnx": (KeyMapper, Nnx),
    "keras": (into_keras.KeyMapper, Keras),
    "mlx": (into_mlx.KeyMapper, Mlx),
    "equinox": (into_equinox.KeyMapper, Equinox),
    "linen": (into_linen.KeyMapper, Tree.linen),
    "haiku": (into_haiku.KeyMapper, Tree.haiku),
}
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(params=TARGETS)
def made(request):
    return TARGETS[request.param]


def frozen(model):
    return {name: np.array(value) for name, value in model.values().items()}


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_every_value_is_copied_and_the_source_stays(made):
    mapper, make = made
    target, online = make(0), make(1)
    before = frozen(online)
    assert not same(frozen(target), before)
    target, report = mapper.copy_into(target, online, with_report=True)
    assert same(frozen(target), before)
    assert same(frozen(online), before)
    assert report == ([], [])


@pytest.mark.parametrize("name", ["nnx", "keras", "mlx"])
def test_values_are_copied_and_not_shared(name):
    mapper, make = TARGETS[name]
    target, online = make(0), make(1)
    assert mapper.copy_into(target, online).missing_keys == []
    before = frozen(target)
    if name == "nnx":
        online.fc.kernel.get_value().delete()  # as a donated argument is
    elif name == "keras":
        online.fc.kernel.assign(online.fc.kernel * 2)
    else:
        online.fc.weight[0] = 7.0
    assert same(frozen(target), before)


@pytest.mark.parametrize("name", ["equinox", "linen", "haiku"])
def test_a_model_that_never_changes_is_returned_anew(name):
    mapper, make = TARGETS[name]
    target, online = make(0), make(1)
    before = frozen(target)
    new = mapper.copy_into(target, online)
    assert same(frozen(new), frozen(online))
    assert same(frozen(target), before)


def test_a_shape_that_differs_is_an_error_however_loose(made):
    mapper, make = made
    target, online = make(0), make(1, out=4)
    before = frozen(target)
    with pytest.raises(RuntimeError, match=r"size mismatch for fc\.bias.*\(4,\).*\(2,\)"):
        mapper.copy_into(target, online, strict=False)
    assert same(frozen(target), before)


@pytest.mark.parametrize("strict", [{}, {"strict": True}])
def test_names_must_be_the_same(made, strict):
    mapper, make = made
    few, many = make(0), make(1, more=True)
    before = frozen(few), frozen(many)
    with pytest.raises(RuntimeError, match=r"Unexpected.*head\.bias.*head\.weight"):
        mapper.copy_into(few, many, **strict)
    with pytest.raises(RuntimeError, match=r"Missing.*head\.bias.*head\.weight"):
        mapper.copy_into(many, few, **strict)
    assert same(frozen(few), before[0])
    assert same(frozen(many), before[1])


@pytest.mark.parametrize("given", [((False,), {}), ((), {"strict": False, "assign": True})])
def test_a_loose_copy_says_what_it_left_out(made, given):
    mapper, make = made
    few, many = make(0), make(1, more=True)
    new, report = mapper.copy_into(few, many, *given[0], with_report=True, **given[1])
    assert same(frozen(new), frozen(many))
    assert (report.missing_keys, sorted(report.unexpected_keys)) == ([], ["head.bias", "head.weight"])
    _, report = mapper.copy_into(many, few, *given[0], with_report=True, **given[1])
    assert sorted(report.missing_keys) == ["head.bias", "head.weight"]


def test_random_state_stays():
    target, online = Nnx(0), Nnx(1)
    online.rngs.params()
    count = int(target.rngs.default.count[...])
    assert int(online.rngs.default.count[...]) != count
    KeyMapper.copy_into(target, online)
    assert int(target.rngs.default.count[...]) == count
    assert jax.random.key_data(target.rngs.default.key[...]).tolist() == [0, 0]
    new = into_equinox.KeyMapper.copy_into(Equinox(0), Equinox(1))
    assert new.key == jax.random.key(0)


class Own:
    """An object with a load_state_dict of its own, loose by default."""

    def __init__(self, state=None):
        self.state, self.asked = state, None

    def state_dict(self):
        return self.state

    def load_state_dict(self, state, *given, **words):
        self.asked = (state, given, words)
        return "answer"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), {}),
        ((True,), {}),
        ((), {"strict": True}),
        ((False, True), {}),
        ((), {"assign": True, "strict": 1}),
    ],
)
@pytest.mark.parametrize("verb", ["load_into", "copy_into"])
def test_an_object_of_somebodys_own_gets_what_the_caller_wrote(made, verb, given, words):
    mapper, own = made[0], Own()
    source = {"a": 1} if verb == "load_into" else Own({"a": 1})
    answer = getattr(mapper, verb)(own, source, *given, **words)
    assert own.asked == ({"a": 1}, given, words)
    changes = made[1] in (Nnx, Keras, Mlx)
    assert answer == ("answer" if changes else own)
    assert getattr(mapper, verb)(own, source, with_report=True) == (own, "answer")


def test_a_state_dict_by_name_is_passed_on_by_name():
    class Named:
        def load_state_dict(self, *, state_dict, strict):
            return state_dict, strict

    assert KeyMapper.load_into(Named(), state_dict=3, strict=None) == (3, None)


@pytest.mark.parametrize("name", ["nnx", "keras", "mlx", "equinox"])
def test_a_port_and_a_model_that_is_none_are_refused_with_the_line_to_write(name):
    mapper, make = TARGETS[name]
    net, port = torch.nn.Linear(3, 2), make(0)
    for pair in ((port, net), (net, port)):
        with pytest.raises(TypeError, match=r"only one of both .* KeyMapper\.load_into\(target"):
            mapper.copy_into(*pair)


@pytest.mark.parametrize("name", TARGETS)
def test_the_text_that_is_injected_copies_too(name):
    names = {}
    exec(compile(source_of(name, ["copy_into"]), "<injected>", "exec"), names)
    make = TARGETS[name][1]
    target, online = make(0), make(1)
    target, _ = names["KeyMapper"].copy_into(target, online, with_report=True)
    assert same(frozen(target), frozen(online))
