"""Ports with one mistake, which leaves all names and shapes as they are; and what has to be said of it."""

import math

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F
from torch import nn

from attacking import Pair, of, tree

P = {n: s for one in "abcdefg" for n, s in ((one, (8, 8)), (f"{one}_", (8,)))} | dict.fromkeys(
    ("s", "t", "u", "v"), (8,)
)


class Net(nn.Module):
    """A block of a transformer, all of one width, and two heads."""

    def __init__(self):
        super().__init__()
        self.q = nn.Linear(8, 8)
        self.k = nn.Linear(8, 8)
        self.v = nn.Linear(8, 8)
        self.o = nn.Linear(8, 8)
        self.up = nn.Linear(8, 8)
        self.down = nn.Linear(8, 8)
        self.head = nn.Linear(8, 8)
        self.n1 = nn.LayerNorm(8)
        self.n2 = nn.LayerNorm(8)

    def forward(self, x):
        b, n, _ = x.shape
        y = self.n1(x)
        q, k, v = (one(y).view(b, n, 2, 4).transpose(1, 2) for one in (self.q, self.k, self.v))
        scores = q @ k.transpose(-2, -1) / math.sqrt(4)
        scores = scores.masked_fill(torch.triu(torch.ones(n, n, dtype=torch.bool), 1), float("-inf"))
        y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, 8)
        x = x + self.o(y)
        x = x + self.down(F.gelu(self.up(self.n2(x))))
        return self.head(x).mean(1), x


def port(
    *,
    eps=1e-5,
    scale=0.5,
    axis=-1,
    act=lambda x: jax.nn.gelu(x, approximate=False),
    mask=0,
    pre=True,
    skip=True,
    swapped=False,
    pool=lambda x: x.mean(1),
    turned=False,
    second=True,
    gain=1.0,
    drop=False,
    order="bnhe",
):
    def norm(x, g, h):
        y = x - x.mean(-1, keepdims=True)
        return y / jnp.sqrt((y * y).mean(-1, keepdims=True) + eps) * g + h

    def run(p, x):
        b, n, _ = x.shape
        y = norm(x, p["s"], p["t"]) if pre else x

        def heads(z, which):
            if order == "four heads":
                return z.reshape(b, n, 4, 2).swapaxes(1, 2)
            if order == "bnhe" or which not in ("abc" if order == "bneh" else "ab"):
                return z.reshape(b, n, 2, 4).swapaxes(1, 2)
            return z.reshape(b, n, 4, 2).transpose(0, 3, 1, 2)

        q, k, v = (heads(y @ p[one] + p[f"{one}_"], one) for one in "abc")
        scores = q @ k.swapaxes(-1, -2) * scale
        keep = jnp.tril(jnp.ones((n, n), bool), mask) if mask is not None else jnp.ones((n, n), bool)
        y = jax.nn.softmax(jnp.where(keep, scores, -1e30), axis) @ v
        y = y.transpose(0, 2, 3, 1) if order == "bneh" else y.swapaxes(1, 2)
        y = y.reshape(b, n, 8)
        y = y @ p["d"] + p["d_"]
        x = x + y if skip else y
        if not pre:
            x = norm(x, p["s"], p["t"])
        if second:
            y = norm(x, p["u"], p["v"]) @ (p["e"].T if turned else p["e"]) + p["e_"]
            y = gain * (act(y) @ p["f"] + p["f_"])
            x = x + y
        made = pool(x @ p["g"] + p["g_"]), x
        return made[::-1] if swapped else made

    return of(run)


def wrong(named, **how):
    return Pair(Net, tree(**P), "f2,5,8", call=port(**how), to="linen", right=False, named=named)


PAIRS = {
    "right": Pair(Net, tree(**P), "f2,5,8", call=port(), to="linen"),
    "the square turned (makes up for itself)": Pair(
        Net, tree(**P), "f2,5,8", call=port(turned=True), to="linen"
    ),
    "heads counted the other way (makes up for itself)": Pair(
        Net, tree(**P), "f2,5,8", call=port(order="bneh"), to="linen"
    ),
    "heads of q and k counted the other way (makes up for itself)": Pair(
        Net, tree(**P), "f2,5,8", call=port(order="qk"), to="linen", open="each of the three in its order"
    ),
    "four heads": wrong("", order="four heads"),
    "eps ten times as large": wrong("0.0001", eps=1e-4),
    "no scale": wrong("div", scale=1.0),
    "softmax over another axis": wrong("", axis=-2),
    "gelu by tanh": wrong("gelu", act=lambda x: jax.nn.gelu(x, approximate=True)),
    "relu": wrong("gelu", act=jax.nn.relu),
    "silu": wrong("gelu", act=jax.nn.silu),
    "no mask": wrong("", mask=None),
    "a mask of one more": wrong("", mask=1),
    "the norm behind": wrong("", pre=False),
    "no residual": wrong("", skip=False),
    "outputs swapped": wrong("output", swapped=True),
    "max instead of mean": wrong("mean", pool=lambda x: x.max(1)),
    "the last instead of the mean": wrong("mean", pool=lambda x: x[:, -1]),
    "a layer left out": wrong("", second=False),
    "a branch scaled, as dropout does": wrong("", gain=0.9),
}
