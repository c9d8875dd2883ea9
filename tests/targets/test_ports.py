"""Where a live port has the channels of its images: it says so, its code shows it, or it is asked."""

import json
import os
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.errors import PlanError, UsageError
from ml_switcheroo.planning import planner
from ml_switcheroo.targets.ports import Shown, layout_shown


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 6, 3, padding=1)
        self.fc = torch.nn.Linear(96, 5)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).flatten(1))


class Last(nnx.Module):
    def __init__(self):
        self.conv = nnx.Conv(3, 6, (3, 3), rngs=nnx.Rngs(0))
        self.fc = nnx.Linear(96, 5, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.fc(nnx.relu(self.conv(x)).reshape((x.shape[0], -1)))


def around(layer, x):
    return jnp.moveaxis(layer(jnp.moveaxis(x, 1, -1)), -1, 1)


class First(Last):
    def __call__(self, x):
        return self.fc(nnx.relu(around(self.conv, x)).reshape((x.shape[0], -1)))


class Said(First):
    channels = "first"


class Entry(Last):
    def __call__(self, x):
        return super().__call__(jnp.transpose(x, (0, 2, 3, 1)))


class Wrapped(nnx.Module):
    def __init__(self):
        self.inner = nnx.List([First()])

    def __call__(self, x):
        return self.inner[0](x)


NET = Net()
IMAGE = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype("float32")


@pytest.mark.parametrize(
    ("port", "layout"), [(Last, "last"), (First, ""), (Said, "first"), (Entry, "last"), (Wrapped, "")]
)
def test_what_a_port_shows(port, layout):
    shown = layout_shown(port())
    assert shown.layout == layout
    assert shown.why
    if not layout:
        assert "test_ports.py:" in shown.why


def test_a_port_that_moves_axes_is_asked():
    with pytest.raises(PlanError) as error:
        ms.load_into(First(), NET.state_dict(), layers=NET)
    for words in (
        "test_ports.py:",
        "layout=",
        'Kind("fc", "linear", flatten=6)',
        'Kind("fc", "linear", flatten=1)',
    ):
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("port", "options", "axes"),
    [
        (Last, {}, (0, 2, 3, 1)),
        (Entry, {}, (0, 1, 2, 3)),
        (Said, {}, (0, 1, 2, 3)),
        (First, {"layout": "first"}, (0, 1, 2, 3)),
        (First, {"rules": [ms.Kind("fc", "linear", flatten=1)]}, (0, 1, 2, 3)),
    ],
)
def test_what_is_loaded_computes_the_same(port, options, axes):
    model = port()
    ms.load_into(model, NET.state_dict(), layers=NET, **options)
    with torch.no_grad():
        expected = NET(torch.from_numpy(IMAGE)).numpy()
    np.testing.assert_allclose(model(jnp.asarray(IMAGE.transpose(axes))), expected, atol=1e-5)


def test_there_and_back_with_a_layout():
    model = First()
    ms.load_into(model, NET.state_dict(), layers=NET, layout="first")
    back = ms.to_torch(model, like=NET.state_dict(), layers=NET, layout="first")
    assert all(torch.equal(back[name], value) for name, value in NET.state_dict().items())


def test_verify_takes_the_layout():
    report = ms.verify(
        source_model=NET,
        target_model=First(),
        inputs=IMAGE,
        layout="first",
        load=True,
        input_axes="n c h w -> n c h w",
    )
    assert report.agrees, str(report)


def test_a_tree_of_shapes_keeps_the_convention():
    like = {"conv.kernel": (3, 3, 3, 6), "conv.bias": (6,), "fc.kernel": (96, 5), "fc.bias": (5,)}
    plan = ms.make_plan(NET.state_dict(), to="nnx", layers=NET, like=like)
    assert not plan.ambiguous
    assert "(c *space)" in " ".join(map(str, plan.moves))
    first = ms.make_plan(NET.state_dict(), to="nnx", layers=NET, like=like, layout="first")
    assert "(c *space)" not in " ".join(map(str, first.moves))


def test_a_layout_that_is_none():
    with pytest.raises(UsageError, match="first"):
        ms.make_plan(NET.state_dict(), to="nnx", layers=NET, layout="nchw")


KERAS = """
import json, sys
import keras, numpy as np, torch
import ml_switcheroo as ms

class Port(keras.Model):
    def __init__(self):
        super().__init__()
        self.one = keras.layers.Dense(4)
        self.two = keras.layers.Dense(4)
        self.more = [keras.layers.Dense(4)]

    def call(self, x):
        return self.more[0](self.two(self.one(x)))

port = Port()
port(np.zeros((1, 4), "float32"))
state = {f"{name}.{slot}": np.random.rand(*size).astype("float32")
         for name in ("one", "two", "more.0") for slot, size in (("weight", (4, 4)), ("bias", (4,)))}
loaded = ms.load_into(port, state)
same = [np.array_equal(keras.ops.convert_to_numpy(layer.kernel), state[name + ".weight"].T)
        for name, layer in (("one", port.one), ("two", port.two), ("more.0", port.more[0]))]
first = keras.Sequential([keras.Input((3, 4, 4)), keras.layers.Conv2D(6, 3, data_format="channels_first")])
from ml_switcheroo.targets.ports import layout_shown
print(json.dumps([keras.backend.backend(), list(loaded), same, layout_shown(first).layout]))
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_attributes_of_a_keras_model_are_its_names_on_every_backend(backend):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KERAS],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [backend, [[], []], [True] * 3, "first"]


@pytest.mark.parametrize(
    ("rule", "shape", "depends"),
    [
        (ms.Kind("fc", "linear"), (4, 12), False),
        (ms.Kind("fc", "linear", flatten=3), (4, 12), True),
        (ms.Kind("fc", "linear", unflatten=2), (4, 12), True),
        (ms.Kind("fc", "linear", flatten=1), (4, 12), False),
        (ms.Kind("fc", "layer_norm"), (12,), False),
        (ms.Kind("fc", "layer_norm"), (4, 3), True),
    ],
)
def test_the_code_of_a_port_is_read_only_where_its_layout_matters(rule, shape, depends, monkeypatch):
    asked = []
    monkeypatch.setattr(planner, "layout_shown", lambda model: asked.append(model) or Shown("last", ""))

    class Port(nnx.Module):
        def __init__(self):
            self.fc = nnx.Param(np.zeros(shape))

    ms.make_plan({"fc.weight": np.zeros(shape, "f4")}, to="nnx", like=Port(), rules=[rule])
    assert bool(asked) == depends
