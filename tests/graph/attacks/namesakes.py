"""Ports with the names of the network, where the name says one thing and what is computed another."""

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F
from torch import nn

from attacking import Pair, of, tree

P = {"fc": (8, 8), "fc_": (8,), "a": (8,), "b": (8,), "w": (8, 8)}


class Net(nn.Module):
    """A layer, two vectors and a square matrix."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.a = nn.Parameter(torch.zeros(8))
        self.b = nn.Parameter(torch.zeros(8))
        self.w = nn.Parameter(torch.zeros(8, 8))


class Affine(Net):
    def forward(self, x):
        return self.fc(x) * self.a + self.b, x @ self.w


class Twice(Net):
    def forward(self, x):
        return self.fc(x) * self.a + self.a, x @ self.w


class TwiceInside(Net):
    def forward(self, x):
        return (self.fc(x) * self.a + self.a) @ self.w


class Halves(Net):
    def forward(self, x):
        return torch.cat([x[:, :4] * self.a[:4], x[:, 4:] * self.b[4:]], -1) + self.fc(x), x @ self.w


class Flipped(Net):
    def forward(self, x):
        return self.fc(x) * self.a.flip(0) + self.b, x @ self.w


class Softplus(Net):
    def forward(self, x):
        return self.fc(x) * F.softplus(self.a) + self.b, x @ self.w


class Difference(Net):
    def forward(self, x):
        return self.fc(x) + (self.a - self.b), x @ self.w


class Gathered(Net):
    def forward(self, x):
        return self.fc(x) * self.a + self.b, x @ self.w[torch.tensor([1, 0, 2, 3, 4, 5, 6, 7])]


def fc(p, x):
    return x @ p["fc"] + p["fc_"]


def same(net, run):
    return Pair(net, tree(**P), "f3,8", call=of(run), to="linen")


def other(net, run, named=""):
    return Pair(net, tree(**P), "f3,8", call=of(run), to="linen", right=False, named=named)


PAIRS = {
    "right": same(Affine, lambda p, x: (fc(p, x) * p["a"] + p["b"], x @ p["w"])),
    "exchanged": same(Affine, lambda p, x: (fc(p, x) * p["b"] + p["a"], x @ p["w"])),
    "the square turned": same(Affine, lambda p, x: (fc(p, x) * p["a"] + p["b"], x @ p["w"].T)),
    "exponential": other(Affine, lambda p, x: (fc(p, x) * jnp.exp(p["a"]) + p["b"], x @ p["w"])),
    "squared": other(Affine, lambda p, x: (fc(p, x) * p["a"] ** 2 + p["b"], x @ p["w"])),
    "negated": other(Affine, lambda p, x: (fc(p, x) * p["a"] - p["b"], x @ p["w"])),
    "halved": other(Affine, lambda p, x: (fc(p, x) * p["a"] + p["b"] / 2, x @ p["w"])),
    "one of them twice": other(
        Affine, lambda p, x: (fc(p, x) * p["a"] + p["a"], x @ p["w"]), "not used alike"
    ),
    "two in place of one": other(
        Twice, lambda p, x: (fc(p, x) * p["a"] + p["b"], x @ p["w"]), "not used alike"
    ),
    "one twice in both": same(Twice, lambda p, x: (fc(p, x) * p["a"] + p["a"], x @ p["w"])),
    "two in place of one, before a kernel": other(
        TwiceInside, lambda p, x: (fc(p, x) * p["a"] + p["b"]) @ p["w"], "not used alike"
    ),
    "halves of two": same(
        Halves,
        lambda p, x: (
            jnp.concatenate([x[:, :4] * p["a"][:4], x[:, 4:] * p["b"][4:]], -1) + fc(p, x),
            x @ p["w"],
        ),
    ),
    "the other halves": same(
        Halves,
        lambda p, x: (
            jnp.concatenate([x[:, :4] * p["b"][:4], x[:, 4:] * p["a"][4:]], -1) + fc(p, x),
            x @ p["w"],
        ),
    ),
    "flipped": other(Flipped, lambda p, x: (fc(p, x) * p["a"] + p["b"], x @ p["w"])),
    "softplus": same(Softplus, lambda p, x: (fc(p, x) * jax.nn.softplus(p["a"]) + p["b"], x @ p["w"])),
    "no softplus": other(Softplus, lambda p, x: (fc(p, x) * p["a"] + p["b"], x @ p["w"])),
    "a difference the other way": same(Difference, lambda p, x: (fc(p, x) + (p["b"] - p["a"]), x @ p["w"])),
    "rows exchanged": other(Gathered, lambda p, x: (fc(p, x) * p["a"] + p["b"], x @ p["w"])),
}
