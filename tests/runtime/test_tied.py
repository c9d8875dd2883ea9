"""One tensor under two names: what PyTorch takes is taken, and the report of a loose load is PyTorch's."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import warnings

import numpy as np
import pytest
import torch
from flax import nnx

from ml_switcheroo.runtime import KeyMapper, into_keras

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras


class Torch(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 3)
        self.last = torch.nn.Linear(3, 3)
        self.shared = self.first
        self.free = torch.nn.Parameter(torch.zeros(3))
        self.bound = self.free


class Nnx(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.first = nnx.Linear(3, 3, rngs=rngs)
        self.last = nnx.Linear(3, 3, rngs=rngs)
        self.shared = self.first
        self.free = nnx.Param(np.zeros(3, np.float32))
        self.bound = self.free
        self.first.above = nnx.List([self.shared])  # a way back is no name


class Keras(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = keras.layers.Dense(3), keras.layers.Dense(3)
        self.shared = self.first
        for layer in (self.first, self.last):
            layer.build((1, 3))
        self.built = True


TARGETS = {"nnx": (KeyMapper, Nnx), "keras": (into_keras.KeyMapper, Keras)}
NAMES = [f"{layer}.{slot}" for layer in ("first", "last", "shared") for slot in ("weight", "bias")]


@pytest.fixture(params=TARGETS)
def made(request):
    mapper, make = TARGETS[request.param]
    return mapper, make()


def state(made):
    """Return a state dict of the PyTorch model, as it is saved: tied names are one tensor."""
    net = Torch()
    return {name: value for name, value in net.state_dict().items() if name in mapped_names(made)}


def mapped_names(made):
    return {*NAMES, *(("free", "bound") if isinstance(made[1], Nnx) else ())}


def theirs(given, made):
    """Return what PyTorch reports of a loose load, of the names that the port has."""
    missing, unexpected = Torch().load_state_dict(given, strict=False)
    return sorted(set(missing) & mapped_names(made)), sorted(unexpected)


def test_a_state_dict_of_a_tied_model_is_taken_as_a_whole(made):
    mapper, port = made
    given = state(made)
    assert tuple(mapper.load_into(port, given)) == ([], [])
    back = mapper.to_torch(port)
    assert back.keys() == given.keys()
    assert all(torch.equal(back[name], given[name]) for name in given)


def test_tied_names_that_are_stored_twice_are_taken_too(made):
    mapper, port = made
    given = {name: value.clone() for name, value in state(made).items()}
    assert tuple(mapper.load_into(port, given)) == ([], [])


@pytest.mark.parametrize("lacking", ["first", "shared"])
def test_one_of_the_names_is_enough_and_the_report_names_the_other(made, lacking):
    mapper, port = made
    whole = state(made)
    given = without(whole, lacking)
    report = mapper.load_into(port, given, strict=False)
    assert (sorted(report[0]), sorted(report[1])) == theirs(given, made)
    assert report[0]
    assert torch.equal(mapper.to_torch(port)["first.weight"], whole["first.weight"])
    assert tuple(mapper.load_into(port, given)) == ([], [])


def without(given, layer):
    return {name: value for name, value in given.items() if not name.startswith(layer)}


def test_a_leaf_without_any_of_its_names_is_missing(made):
    mapper, port = made
    given = without(without(state(made), "first"), "shared")
    missing = {"first.weight", "first.bias", "shared.weight", "shared.bias"}
    assert set(mapper.load_into(port, given, strict=False)[0]) == missing
    with pytest.raises(RuntimeError, match=r"missing: first\.bias, first\.weight, shared\.bias"):
        mapper.load_into(port, given)


def test_two_values_of_one_leaf_are_said(made):
    mapper, port = made
    given = state(made)
    given["shared.weight"] = given["first.weight"] + 1
    with pytest.warns(UserWarning, match=r"are one leaf, and their values differ") as caught:
        mapper.load_into(port, given)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    taken = "shared" if "that of shared" in str(caught[0].message) else "first"
    assert torch.equal(mapper.to_torch(port)["first.weight"], given[f"{taken}.weight"])


def test_a_name_that_is_no_tie_is_unexpected(made):
    mapper, port = made
    given = state(made)
    given["old.weight"] = given["last.weight"].T  # the same memory, another tensor
    assert tuple(mapper.load_into(port, given, strict=False)) == ([], ["old.weight"])
    arrays = {name: value.numpy() for name, value in given.items()}
    assert tuple(mapper.load_into(port, arrays, strict=False)) == ([], ["old.weight"])


def test_a_copy_takes_one_of_the_names(made):
    mapper, port = made
    online = type(port)()
    mapper.load_into(online, state(made))
    assert tuple(mapper.copy_into(port, online)) == ([], [])
    assert torch.equal(mapper.to_torch(port)["shared.weight"], mapper.to_torch(online)["first.weight"])


def test_what_is_read_from_a_file_is_tied_as_it_was(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    torch.save({"a.weight": weight, "b.weight": weight, "c.weight": weight.clone()}, tmp_path / "tied.pt")
    read = KeyMapper.read(tmp_path / "tied.pt")
    assert read["a.weight"] is read["b.weight"]
    assert read["c.weight"] is not read["a.weight"]
