"""What is drawn of layers and models of Keras on TensorFlow computes what they do.

A process has one backend of Keras, so another process draws them all.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graph.of_tensorflow.keras_layers import CASES

HERE = Path(__file__).parent


def on_tensorflow(*arguments):
    """Return what a script prints last, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def compared():
    pytest.importorskip("tensorflow")
    backend, found = on_tensorflow(HERE / "keras_layers.py")
    assert backend == "tensorflow"
    return found


@pytest.mark.parametrize("name", CASES)
def test_what_is_drawn_computes_what_keras_does(name, compared):
    assert isinstance(compared[name], float), compared[name]
    assert compared[name] < 1e-4


PORT = """
import json
import sys

import keras
import numpy as np
import torch

import ml_switcheroo as ms

sys.path.insert(0, {folder!r})
from network import Net

layers = keras.layers


class Block(keras.layers.Layer):
    def __init__(self, width, stride):
        super().__init__()
        self.first = layers.Conv2D(width, 3, stride, padding="valid", use_bias=False)
        self.second = layers.DepthwiseConv2D(3, padding="same", use_bias=False)
        self.norms = [layers.BatchNormalization(epsilon=1e-5), layers.BatchNormalization(epsilon=1e-5)]
        self.edge, self.stride = layers.ZeroPadding2D(1), stride

    def call(self, x):
        y = keras.ops.silu(self.norms[0](self.first(self.edge(x))))
        return x[:, :: self.stride, :: self.stride] + self.norms[1](self.second(y))


class Port(keras.Model):
    def __init__(self, width=8):
        super().__init__()
        self.start = layers.Dense(width)
        self.stages = [Block(width, pace) for pace in (1, 2)]
        self.reader = layers.LSTM(width)
        self.verdict = layers.Dense(width)

    def call(self, images):
        x = self.start(images)
        for stage in self.stages:
            x = stage(x)
        x = keras.ops.reshape(x, (x.shape[0], -1, x.shape[-1]))
        return self.verdict(self.reader(x))


torch.manual_seed(0)
net = Net().eval()
for name, tensor in net.state_dict().items():
    if tensor.is_floating_point():
        tensor.copy_(1 + 0.2 * torch.rand(tensor.shape) if "var" in name else 0.4 * torch.randn(tensor.shape))
images = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("float32")
port = Port()
port(images.transpose(0, 2, 3, 1))
state = {{name: tensor.numpy() for name, tensor in net.state_dict().items()}}
ms.load_into(port, state, layers={folder!r} + "/network.py:Net", inputs="float32[2,3,8,8]")
with torch.no_grad():
    apart = net(torch.from_numpy(images)).numpy() - np.asarray(port(images.transpose(0, 2, 3, 1)))
print(json.dumps([keras.backend.backend(), float(abs(apart).max())]))
"""

NETWORK = """
import torch
from torch import nn
from torch.nn import functional as F


class Unit(nn.Module):
    def __init__(self, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, groups=width, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride = stride

    def forward(self, x):
        out = F.silu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(out)) + x[:, :, :: self.stride, :: self.stride]


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 1)
        self.body = nn.Sequential(Unit(width, 1), Unit(width, 2))
        self.rnn = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, width)

    def forward(self, x):
        x = self.body(self.stem(x)).flatten(2).transpose(1, 2)
        return self.head(self.rnn(x)[0][:, -1])
"""


def test_a_port_with_names_of_its_own_is_filled_by_what_both_compute(tmp_path):
    pytest.importorskip("tensorflow")
    (tmp_path / "network.py").write_text(NETWORK)
    script = tmp_path / "script.py"
    script.write_text(PORT.format(folder=str(tmp_path)))
    backend, apart = on_tensorflow(script)
    assert backend == "tensorflow"
    assert apart < 1e-4
