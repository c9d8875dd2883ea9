"""A port in MLX with names of its own is filled by what both programs compute."""

import mlx.core as mx
import numpy as np
import pytest
import torch
from mlx import nn

import ml_switcheroo as ms
from drawing import module_of
from ml_switcheroo.errors import PlanError

SOURCE = """
import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)

    def turn(self, x):
        half = x.shape[-1] // 2
        pace = 10000.0 ** (-torch.arange(half) / half)
        angle = torch.arange(x.shape[-2])[:, None] * pace
        one, other = x[..., :half], x[..., half:]
        cos, sin = angle.cos(), angle.sin()
        return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(self.turn(q), self.turn(k), v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Net(nn.Module):
    def __init__(self, width=16, heads=2):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(2))
        self.rnn = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, width)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn(self.stem(x))), 2).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.rnn(x)[0].mean(1))
"""


class Block(nn.Module):
    """One layer, with a matrix for each of query, key and value."""

    def __init__(self, width, heads, step=nn.gelu):
        super().__init__()
        self.a, self.b, self.c, self.d, self.e, self.f = (nn.Linear(width, width) for _ in range(6))
        self.one, self.two = nn.LayerNorm(width), nn.LayerNorm(width)
        self.places = nn.RoPE(width // heads)
        self.heads, self.step = heads, step

    def __call__(self, x):
        y = self.one(x)
        k, q, v = (
            layer(y).reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2)
            for layer in (self.a, self.b, self.c)
        )
        scale = q.shape[-1] ** -0.5
        y = mx.fast.scaled_dot_product_attention(
            self.places(q), self.places(k), v, scale=scale, mask="causal"
        )
        x = self.d(y.swapaxes(1, 2).flatten(-2)) + x
        return self.f(self.step(self.e(self.two(x)))) + x


class Port(nn.Module):
    """The same network: channels last, other names."""

    def __init__(self, width=16, heads=2, step=nn.gelu):
        super().__init__()
        self.filters = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.scale = nn.BatchNorm(width)
        self.tower = [Block(width, heads, step) for _ in range(2)]
        self.reader = nn.LSTM(width, width)
        self.verdict = nn.Linear(width, width)
        self.pool = nn.MaxPool2d(2)

    def __call__(self, x):
        x = self.pool(nn.relu(self.scale(self.filters(x)))).flatten(1, 2)
        for block in self.tower:
            x = block(x)
        return self.verdict(self.reader(x)[0].mean(1))


@pytest.fixture
def source(tmp_path):
    """Return the file of the PyTorch network, and a network with random numbers."""
    path = tmp_path / "network.py"
    path.write_text(SOURCE)
    torch.manual_seed(0)
    net = module_of(path).Net().eval()
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                numbers = torch.rand if "var" in name else torch.randn
                tensor.copy_(0.3 * numbers(tensor.shape) + ("var" in name))
    return path, net


def options(path, port):
    return {"layers": f"{path}:Net", "to": "mlx", "like": port, "inputs": "float32[2,3,8,8]"}


def test_every_leaf_is_filled_and_the_outputs_are_the_same(source):
    path, net = source
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    port = Port()
    ms.make_plan(state, **options(path, port)).check()
    ms.load_into(port, state, layers=f"{path}:Net", inputs="float32[2,3,8,8]")
    images = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("float32")
    port.eval()
    with torch.no_grad():
        wanted = net(torch.from_numpy(images)).numpy()
    assert np.abs(np.array(port(mx.array(images.transpose(0, 2, 3, 1)))) - wanted).max() < 1e-4


def test_another_activation_is_a_difference(source):
    path, net = source
    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    plan = ms.make_plan(state, **options(path, Port(step=nn.gelu_approx)))
    with pytest.raises(PlanError, match="gelu"):
        plan.check()


def test_an_error_of_the_port_says_its_line(source):
    path, net = source

    def step(_):
        raise ValueError("not today")

    state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    plan = ms.make_plan(state, **options(path, Port(step=step)))
    line = step.__code__.co_firstlineno + 1
    assert "cannot be traced: " in str(plan)
    assert f"not today (test_ports.py:{line})" in str(plan)
