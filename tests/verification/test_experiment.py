"""One experiment, asked twice; the functions are its shortcuts."""

import dataclasses
import inspect

import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError
from ml_switcheroo.verification import Experiment


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 4)
        self.second = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


class Port(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.first = nnx.Linear(4, 4, rngs=rngs)
        self.second = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.second(nnx.relu(self.first(x)))


def experiment(**changed):
    return Experiment(Net(), Port(), torch.randn(5, 4), **changed)


def test_one_experiment_is_asked_again_with_the_model_it_has_loaded():
    both = experiment()
    assert both.verify().verdict == "differ"
    assert both.verify(load=True).agrees
    assert both.verify().agrees, "the port keeps what was loaded"


def test_an_experiment_settles_and_verifies_by_the_same_plan():
    both = experiment()
    plan = both.settle()
    assert not plan.ambiguous
    assert both.verify(plan, load=True).agrees


def test_what_an_experiment_says_goes_for_both():
    both = experiment(tolerance=1e9)
    assert both.verify().agrees
    both = experiment(to="keras")
    for ask in (both.verify, both.settle):
        with pytest.raises(UsageError, match="one of nnx, not of keras"):
            ask()


def parameters(function):
    """Return the parameters of a function with their defaults, without self."""
    found = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in found if each.name != "self"}


@pytest.mark.parametrize("name", ["settle", "verify"])
def test_the_functions_have_the_fields_of_an_experiment_and_the_parameters_of_its_methods(name):
    method = parameters(getattr(Experiment, name))
    assert parameters(getattr(ms, name)) == {**parameters(Experiment), **method}


def test_every_field_is_documented():
    for field in dataclasses.fields(Experiment):
        assert f"\n        {field.name}: " in Experiment.__doc__, field.name
