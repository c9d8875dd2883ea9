"""Attempts to have a tensor moved to a wrong leaf without a word: what outputs do not show, or hardly."""

import jax
import jax.numpy as jnp
import torch
import torch.nn.functional as F
from torch import nn

from attacking import Pair, of, tree


class Scores(nn.Module):
    """What is given is a square that q and k are only told apart by the order of its axes in."""

    def __init__(self):
        super().__init__()
        self.q = nn.Linear(6, 6)
        self.k = nn.Linear(6, 6)

    def forward(self, x):
        return self.q(x) @ self.k(x).transpose(-1, -2)


def scores(p, x):
    return (x @ p["b"] + p["bb"]) @ (x @ p["a"] + p["ab"]).swapaxes(-1, -2)


def scores_turned(p, x):
    return (x @ p["a"] + p["ab"]) @ (x @ p["b"] + p["bb"]).swapaxes(-1, -2)


SCORES = {"a": (6, 6), "b": (6, 6), "ab": (6,), "bb": (6,)}


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)
        self.b = nn.Linear(6, 6)

    def forward(self, x, y):
        one, two = F.normalize(self.a(x), dim=-1), F.normalize(self.b(y), dim=-1)
        made = one @ two.T
        return made, made.T


def towers(p, x, y):
    one, two = x @ p["b"] + p["bb"], y @ p["a"] + p["ab"]
    one = one / jnp.linalg.norm(one, axis=-1, keepdims=True)
    two = two / jnp.linalg.norm(two, axis=-1, keepdims=True)
    return one @ two.T, two @ one.T


def towers_crossed(p, x, y):
    return towers(p, x, y)[::-1]


class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(6))
        self.b = nn.Parameter(torch.zeros(6))

    def forward(self, x):
        return torch.cat([x * self.a, x * self.b], -1)


def joined(p, x):
    return jnp.concatenate([x * p["b"], x * p["a"]], -1)


class JoinedAdded(Joined):
    def forward(self, x):
        return torch.cat([x + self.a, x + self.b], -1)


def joined_added(p, x):
    return jnp.concatenate([x + p["b"], x + p["a"]], -1)


class Stacked(Joined):
    def forward(self, x):
        return torch.stack([x * self.a, x * self.b])


def stacked(p, x):
    return jnp.stack([x * p["b"], x * p["a"]])


class Dead(nn.Module):
    """Two matrices of one shape, one of which nothing uses, and one whose effect is multiplied by zero."""

    def __init__(self):
        super().__init__()
        self.dead = nn.Linear(6, 6)
        self.live = nn.Linear(6, 6)
        self.none = nn.Linear(6, 6)

    def forward(self, x):
        return self.live(x) + 0 * self.none(x)


def dead(p, x):
    return x @ p["a"] + p["ab"] + (x @ p["b"] + p["bb"]) * 0


DEAD = {"a": (6, 6), "b": (6, 6), "c": (6, 6), "ab": (6,), "bb": (6,), "cb": (6,)}


class Cancel(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)
        self.b = nn.Linear(6, 6)

    def forward(self, x):
        return self.a(x) - self.b(x)


def cancel(p, x):
    return -(x @ p["a"] + p["ab"]) + (x @ p["b"] + p["bb"])


class Product(Cancel):
    def forward(self, x):
        return self.a(x) * self.b(x)


def product(p, x):
    return (x @ p["b"] + p["bb"]) * (x @ p["a"] + p["ab"])


class Gate(Cancel):
    def forward(self, x):
        return torch.sigmoid(self.a(x)) * self.b(x)


def gate(p, x):
    return (x @ p["a"] + p["ab"]) * jax.nn.sigmoid(x @ p["b"] + p["bb"])


class DeadUnits(nn.Module):
    """Units that die whatever they are given."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 2)
        self.b = nn.Linear(2, 2)
        self.c = nn.Linear(2, 2)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


def dead_units(p, x):
    for n in "zyx":
        x = x @ p[n] + p[f"{n}b"]
        x = jax.nn.relu(x) if n != "x" else x
    return x


TWO = {n: s for one in "xyz" for n, s in ((one, (2, 2)), (f"{one}b", (2,)))}


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(60)])

    def forward(self, x):
        for layer in self.layers:
            x = x + torch.relu(layer(x))
        return x


def deep(p, x):
    for n in reversed(range(60)):
        x = jax.nn.relu(x @ p[f"l{n:02}"] + p[f"b{n:02}"]) + x
    return x


DEEP = {n: s for one in range(60) for n, s in ((f"l{one:02}", (4, 4)), (f"b{one:02}", (4,)))}


class DeepPlain(Deep):
    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x


def deep_plain(p, x):
    for n in reversed(range(60)):
        x = jnp.tanh(x @ p[f"l{n:02}"] + p[f"b{n:02}"])
    return x


class DeepNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(60)])
        self.norms = nn.ModuleList([nn.LayerNorm(4) for _ in range(60)])

    def forward(self, x):
        for norm, layer in zip(self.norms, self.layers):
            x = x + layer(norm(x))
        return x


def deep_norm(p, x):
    for n in reversed(range(60)):
        y = x - x.mean(-1, keepdims=True)
        y = y / jnp.sqrt((y * y).mean(-1, keepdims=True) + 1e-5) * p[f"s{n:02}"] + p[f"t{n:02}"]
        x = y @ p[f"l{n:02}"] + p[f"b{n:02}"] + x
    return x


DEEP_NORM = DEEP | {n: (4,) for one in range(60) for n in (f"s{one:02}", f"t{one:02}")}


class Cube(nn.Module):
    """Batch, length and width are all of one size."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(4, 4)
        self.map = nn.Linear(4, 4)

    def forward(self, x):
        x = x + self.mix(x.transpose(1, 2)).transpose(1, 2)
        return x + torch.relu(self.map(x))


def cube(p, x):
    x = x + jnp.einsum("bnd,nm->bmd", x, p["b"]) + p["bb"][:, None]
    return x + jax.nn.relu(jnp.einsum("bnd,de->bne", x, p["a"]) + p["ab"])


def cube_other_axis(p, x):
    x = x + jnp.einsum("bnd,de->bne", x, p["b"]) + p["bb"]
    return x + jax.nn.relu(jnp.einsum("bnd,de->bne", x, p["a"]) + p["ab"])


CUBE = {"a": (4, 4), "b": (4, 4), "ab": (4,), "bb": (4,)}


class ConstantInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)

    def forward(self, x, mask):
        return self.a(x) * mask + self.b(x) * (1 - mask)


def constant_input(p, x, mask):
    return (x @ p["a"] + p["ab"]) * (1 - mask) + (x @ p["b"] + p["bb"]) * mask


def constant_input_ignored(p, x, mask):
    return (x @ p["a"] + p["ab"]) * mask + 0 * (x @ p["b"] + p["bb"])


class MaskedBool(ConstantInput):
    def forward(self, x, keep):
        return torch.where(keep, self.a(x), self.b(x))


def masked_bool(p, x, keep):
    return jnp.where(keep, x @ p["b"] + p["bb"], x @ p["a"] + p["ab"])


def masked_bool_other(p, x, keep):
    return jnp.where(keep, x @ p["b"] + p["bb"], 0.0) + 0 * (x @ p["a"] + p["ab"])


class Bias(nn.Module):
    """The bias of one layer is shared by another."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4, bias=False)
        self.c = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return torch.tanh(self.a(x)) + torch.sigmoid(self.b(x)) * self.c


def bias_elsewhere(p, x):
    """The bias is added behind the function."""
    return jnp.tanh(x @ p["w"]) + p["wb"] + jax.nn.sigmoid(x @ p["v"]) * p["c"]


def bias_right(p, x):
    return jax.nn.sigmoid(x @ p["v"]) * p["c"] + jnp.tanh(x @ p["w"] + p["wb"])


BIAS = {"v": (4, 4), "w": (4, 4), "wb": (4,), "c": (4,)}


class TwoBiases(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)

    def forward(self, x):
        return torch.relu(self.a(x)), torch.relu(self.b(x))


def one_bias(p, x):
    return jax.nn.relu(x @ p["w"] + p["b"]), jax.nn.relu(x @ p["v"] + p["b"])


def two_biases_crossed(p, x):
    return jax.nn.relu(x @ p["w"] + p["b"]), jax.nn.relu(x @ p["v"] + p["c"])


class Subtracted(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.b = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return torch.relu(self.a(x) - self.b)


def added(p, x):
    return jax.nn.relu(x @ p["w"] + p["b"])


class AcrossRows(nn.Module):
    """A bias along the length, in the place of one along the width, of the same size."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.b = nn.Parameter(torch.zeros(4, 1))

    def forward(self, x):
        return torch.relu(self.a(x) + self.b)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.g = nn.Parameter(torch.ones(4))
        self.l = nn.Linear(4, 4)

    def forward(self, x):
        return self.l(F.rms_norm(x, (4,), None, 1e-6) * (1 + self.g))


def scale_plain(p, x):
    x = x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * p["g"]
    return x @ p["w"] + p["b"]


def scale_shifted(p, x):
    x = x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * (p["g"] + 1)
    return x @ p["w"] + p["b"]


class ScalePlain(Scale):
    def forward(self, x):
        return self.l(F.rms_norm(x, (4,), self.g, 1e-6))


class Powers(nn.Module):
    """A parameter that is used twice."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(4))
        self.b = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return x * self.a + self.a * self.b


def powers(p, x):
    return x * p["b"] + p["b"] * p["a"]


def powers_other(p, x):
    return x * p["b"] + p["a"]


class Grid(nn.Module):
    """Positions of rows and of columns, of one size."""

    def __init__(self):
        super().__init__()
        self.rows = nn.Parameter(torch.zeros(4, 6))
        self.columns = nn.Parameter(torch.zeros(4, 6))
        self.l = nn.Linear(6, 6)

    def forward(self, x):
        return torch.relu(self.l(x + self.rows[:, None] + self.columns[None])).sum((1, 2))


class GridKept(Grid):
    def forward(self, x):
        return torch.relu(self.l(x + self.rows[:, None] + self.columns[None]))


def grid(p, x):
    return jax.nn.relu((x + p["a"][None] + p["b"][:, None]) @ p["w"] + p["wb"]).sum((1, 2))


def grid_kept(p, x):
    return jax.nn.relu((x + p["a"][None] + p["b"][:, None]) @ p["w"] + p["wb"])


GRID = {"a": (4, 6), "b": (4, 6), "w": (6, 6), "wb": (6,)}


class SquarePlain(nn.Module):
    """A square that enters element by element."""

    def __init__(self):
        super().__init__()
        self.m = nn.Parameter(torch.zeros(4, 4))

    def forward(self, x):
        return x * self.m


def square_plain(p, x):
    return x * p["m"]


def square_plain_turned(p, x):
    return x * p["m"].T


class SquareSum(SquarePlain):
    def forward(self, x):
        return (x + self.m).sum((1, 2))


def square_sum(p, x):
    return (x + p["m"].T).sum((1, 2))


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(4, 3, bias=False)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4)) for _ in range(3)]
        )

    def forward(self, x):
        weights = self.gate(x).softmax(-1)
        return sum(weights[..., n : n + 1] * expert(x) for n, expert in enumerate(self.experts))


def experts(p, x):
    weights = jax.nn.softmax(x @ p["r"])
    y = jax.nn.relu(jnp.einsum("bd,edh->beh", x, p["up"]) + p["upb"])
    y = jnp.einsum("beh,ehd->bed", y, p["down"]) + p["downb"]
    return jnp.einsum("be,bed->bd", weights, y)


EXPERTS = {"r": (4, 3), "up": (3, 4, 8), "upb": (3, 8), "down": (3, 8, 4), "downb": (3, 4)}


# ---- what is added to the results of kernels


class Once(nn.Module):
    """A matrix is used twice, its bias once."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x, y):
        return torch.relu(self.a(x)), torch.relu(F.linear(y, self.a.weight))


def once(p, x, y):
    return jax.nn.relu(x @ p["w"] + p["b"]), jax.nn.relu(y @ p["w"])


def once_elsewhere(p, x, y):
    return jax.nn.relu(x @ p["w"]), jax.nn.relu(y @ p["w"] + p["b"])


class OneBias(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        return torch.relu(self.a(x))


def bias_in_two(p, x):
    return jax.nn.relu(x @ p["w"] + p["b"] + p["c"])


def bias_twice(p, x):
    return jax.nn.relu(x @ p["w"] + p["b"] + p["b"])


def bias_and_one(p, x):
    return jax.nn.relu((x @ p["w"] + p["b"]) + 1.0)


def one_alone(p, x):
    return jax.nn.relu(x @ p["w"] + 1.0)


def named_linear(**more):
    """Return what makes a layer under the names that PyTorch's would have."""
    return lambda: {"params": {"a": {"kernel": jnp.zeros((4, 4)), "bias": jnp.zeros(4), **more}}}


def bias_forgotten(p, x):
    return jax.nn.relu(x @ p["a"]["kernel"])


def bias_and_another(p, x):
    return jax.nn.relu(x @ p["a"]["kernel"] + p["a"]["bias"] + p["a"]["dead"])


class BiasDead(OneBias):
    """A tensor that nothing uses, under the name of a leaf that the port adds."""

    def __init__(self):
        super().__init__()
        self.a.dead = nn.Parameter(torch.zeros(4))


class BiasesSummed(nn.Module):
    """Two layers are added up; one of them is used by itself, too."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)

    def forward(self, x, y):
        return torch.relu(self.a(x) + self.b(y)), self.b(x)


def biases_summed(p, x, y):
    return jax.nn.relu(x @ p["w"] + y @ p["v"] + p["wb"] + p["vb"]), x @ p["v"] + p["vb"]


def biases_summed_in_part(p, x, y):
    return jax.nn.relu(x @ p["w"] + p["wb"] + y @ p["v"]), x @ p["v"] + p["vb"]


def one_of_two_and_one(p, x, y):
    return jax.nn.relu(x @ p["w"] + y @ p["v"] + p["wb"] + p["vb"] + 1), x @ p["v"] + p["vb"]


def both_and_one(p, x, y):
    return jax.nn.relu(x @ p["w"] + y @ p["v"] + p["wb"] + p["vb"] + 1), x @ p["v"] + p["vb"] + 1


class SumOfThree(nn.Module):
    """One bias behind the sum of three products with one matrix."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.b = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return torch.relu(self.a(x) + self.a(x * x) + self.a(x.sin()) + self.b)


def sum_of_three(p, x):
    """The bias is added to each of the three products."""
    return jax.nn.relu((jnp.stack([x, x * x, jnp.sin(x)]) @ p["w"] + p["b"]).sum(0))


def sum_of_three_once(p, x):
    return jax.nn.relu((jnp.stack([x, x * x, jnp.sin(x)]) @ p["w"]).sum(0) + p["b"])


ONE_BIAS = {"w": (4, 4), "b": (4,)}
SUMMED = {"v": (4, 4), "w": (4, 4), "vb": (4,), "wb": (4,)}


def linen(net, shapes, call, inputs, **more):
    return Pair(net, tree(**shapes), inputs, call=of(call), to="linen", **more)


TWO_SIX = {"a": (6,), "b": (6,)}


class Heads(nn.Module):
    """Two heads of one shape on the same data: only what they are returned as tells them apart."""

    def __init__(self):
        super().__init__()
        self.main = nn.Linear(6, 5)
        self.side = nn.Linear(6, 5)

    def forward(self, x):
        return self.main(x), self.side(x)


class NamedHeads(Heads):
    def forward(self, x):
        return {"logits": self.main(x), "aux": self.side(x)}


class NestedHeads(Heads):
    def forward(self, x):
        return {"z": (self.main(x), self.side(x)), "a": x.sum(-1)}


HEADS = {"a": (6, 5), "b": (6, 5), "ab": (5,), "bb": (5,)}


def heads(p, x):
    return x @ p["a"] + p["ab"], x @ p["b"] + p["bb"]


def named_heads(p, x):
    return dict(zip(("logits", "aux"), heads(p, x), strict=True))


def renamed_heads(p, x):
    return dict(zip(("second", "first"), heads(p, x), strict=True))


def nested_heads(p, x):
    return {"z": heads(p, x), "a": x.sum(-1)}


class Plain(nn.Module):
    """Two square layers; names say which is which, so that nothing but what is computed can refuse a port."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(6, 6)
        self.two = nn.Linear(6, 6)

    def forward(self, x):
        return self.two(torch.tanh(self.one(x)))


class Halved(Plain):
    def forward(self, x):
        y = torch.tanh(F.linear(x, self.one.weight * 0.5, self.one.bias))
        return F.linear(y, self.two.weight * 0.5, self.two.bias)


class Standardised(nn.Module):
    """Weights are standardised before each convolution."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3)
        self.two = nn.Conv2d(4, 4, 3)

    def standard(self, weight):
        mean = weight.mean((1, 2, 3), keepdim=True)
        return (weight - mean) / (weight.var((1, 2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()

    def forward(self, x):
        x = F.conv2d(x, self.standard(self.one.weight), self.one.bias).relu()
        return F.conv2d(x, self.standard(self.two.weight), self.two.bias)


def layers(first, second):
    """Return what makes variables with two layers under the names of the source, or others."""
    return lambda: {
        "params": {name: {"kernel": jnp.zeros(k), "bias": jnp.zeros(b)} for name, k, b in (first, second)}
    }


NAMED = layers(("one", (6, 6), (6,)), ("two", (6, 6), (6,)))
RENAMED = layers(("b", (6, 6), (6,)), ("a", (6, 6), (6,)))


def made_by(change, one="one", two="two"):
    """Return a port that makes something of its kernels first."""

    def port(p, x):
        y = jnp.tanh(x @ change(p[one]["kernel"]) + p[one]["bias"])
        return y @ change(p[two]["kernel"]) + p[two]["bias"]

    return of(port)


def standardised(axes):
    def convolved(x, kernel, bias):
        mean = kernel.mean(axes, keepdims=True)
        made = (kernel - mean) / jnp.sqrt(kernel.var(axes, keepdims=True) + 1e-5)
        return (
            jax.lax.conv_general_dilated(x, made, (1, 1), "VALID", dimension_numbers=("NCHW", "HWIO", "NCHW"))
            + bias[:, None, None]
        )

    def port(p, x):
        x = jax.nn.relu(convolved(x, p["b"]["kernel"], p["b"]["bias"]))
        return convolved(x, p["a"]["kernel"], p["a"]["bias"])

    return of(port)


FILTERS = layers(("a", (3, 3, 4, 4), (4,)), ("b", (3, 3, 3, 4), (4,)))
UNMADE = "not made into the weight in the same way"


PAIRS = {
    "scores": linen(Scores, SCORES, scores, "f2,5,6"),
    "scores, names in order": linen(Scores, SCORES, scores_turned, "f2,5,6"),
    "scores, one sequence": linen(Scores, SCORES, scores, "f5,6"),
    "two towers": linen(Towers, SCORES, towers, "f4,6 f4,6"),
    "two towers, outputs crossed": linen(Towers, SCORES, towers_crossed, "f4,6 f4,6", right=False),
    "joined products": linen(Joined, TWO_SIX, joined, "f3,6"),
    "joined sums": linen(JoinedAdded, TWO_SIX, joined_added, "f3,6"),
    "stacked products": linen(Stacked, TWO_SIX, stacked, "f3,6"),
    "dead parameters": linen(Dead, DEAD, dead, "f3,6", open="nothing says where the dead ones belong"),
    "a difference of two": linen(Cancel, SCORES, cancel, "f3,6"),
    "a product of two": linen(Product, SCORES, product, "f3,6", tied=True),
    "a gate": linen(Gate, SCORES, gate, "f3,6"),
    "a gate, batch of one": linen(Gate, SCORES, gate, "f1,6"),
    "units that die, two wide": linen(DeadUnits, TWO, dead_units, "f3,2"),
    "units that die, batch of one": linen(DeadUnits, TWO, dead_units, "f1,2"),
    "60 layers with residuals": linen(Deep, DEEP, deep, "f2,4"),
    "60 layers without": linen(DeepPlain, DEEP, deep_plain, "f2,4"),
    "60 layers with norms": linen(DeepNorm, DEEP_NORM, deep_norm, "f2,4"),
    "all sizes one": linen(Cube, CUBE, cube, "f4,4,4"),
    "all sizes one, another axis": linen(Cube, CUBE, cube_other_axis, "f4,4,4", right=False),
    "a mask": linen(ConstantInput, CUBE, constant_input, "f3,4 f3,4"),
    "a mask, half ignored": linen(ConstantInput, CUBE, constant_input_ignored, "f3,4 f3,4", right=False),
    "a mask of truths": linen(MaskedBool, CUBE, masked_bool, "f3,4 b3,4"),
    "a mask of truths, half ignored": linen(MaskedBool, CUBE, masked_bool_other, "f3,4 b3,4", right=False),
    "a bias": linen(Bias, BIAS, bias_right, "f3,4"),
    "a bias elsewhere": linen(Bias, BIAS, bias_elsewhere, "f3,4", right=False),
    "one bias for two": linen(
        TwoBiases, {"w": (4, 4), "v": (4, 4), "b": (4,)}, one_bias, "f3,4", right=False
    ),
    "two biases": linen(
        TwoBiases, {"v": (4, 4), "w": (4, 4), "c": (4,), "b": (4,)}, two_biases_crossed, "f3,4"
    ),
    "a bias subtracted": linen(Subtracted, {"w": (4, 4), "b": (4,)}, added, "f3,4", right=False),
    "a bias along another axis": linen(AcrossRows, {"w": (4, 4), "b": (4,)}, added, "f2,4,4", right=False),
    "1 + scale into scale": linen(Scale, {"g": (4,), "w": (4, 4), "b": (4,)}, scale_plain, "f3,4"),
    "1 + scale into 1 + scale": linen(Scale, {"g": (4,), "w": (4, 4), "b": (4,)}, scale_shifted, "f3,4"),
    "scale into 1 + scale": linen(ScalePlain, {"g": (4,), "w": (4, 4), "b": (4,)}, scale_shifted, "f3,4"),
    "a parameter used twice": linen(Powers, {"a": (4,), "b": (4,)}, powers, "f3,4"),
    "a parameter used twice, or once": linen(
        Powers, {"a": (4,), "b": (4,)}, powers_other, "f3,4", right=False
    ),
    "rows and columns, summed": linen(Grid, GRID, grid, "f2,4,4,6"),
    "rows and columns": linen(GridKept, GRID, grid_kept, "f2,4,4,6"),
    "a square by itself": linen(SquarePlain, {"m": (4, 4)}, square_plain, "f2,4,4"),
    "a square by itself, turned": linen(SquarePlain, {"m": (4, 4)}, square_plain_turned, "f2,4,4"),
    "a square, summed": linen(SquareSum, {"m": (4, 4)}, square_sum, "f2,4,4"),
    "experts": linen(Experts, EXPERTS, experts, "f3,4"),
    "a matrix used twice, its bias once": linen(Once, ONE_BIAS, once, "f3,4 f5,4"),
    "a matrix used twice, its bias elsewhere": linen(
        Once, ONE_BIAS, once_elsewhere, "f3,4 f5,4", right=False
    ),
    "a bias in two leaves": linen(
        OneBias, ONE_BIAS | {"c": (4,)}, bias_in_two, "f3,4", open="either leaf may have the bias"
    ),
    "a bias added twice": linen(OneBias, ONE_BIAS, bias_twice, "f3,4", open="half of the bias is needed"),
    "a bias and 1": linen(OneBias, ONE_BIAS, bias_and_one, "f3,4"),
    "1 for a bias": linen(OneBias, {"w": (4, 4)}, one_alone, "f3,4", right=False, named="add"),
    "a bias forgotten, its leaf there": Pair(
        OneBias, named_linear(), "f3,4", call=of(bias_forgotten), to="linen", right=False, named="a.bias"
    ),
    "a dead tensor for a second bias": Pair(
        BiasDead,
        named_linear(dead=jnp.zeros(4)),
        "f3,4",
        call=of(bias_and_another),
        to="linen",
        open="no operation makes zeros",
    ),
    "biases added up": linen(BiasesSummed, SUMMED, biases_summed, "f3,4 f3,4"),
    "biases added up, one left out": linen(
        BiasesSummed, SUMMED, biases_summed_in_part, "f3,4 f3,4", right=False
    ),
    "biases added up, and 1": linen(BiasesSummed, SUMMED, one_of_two_and_one, "f3,4 f3,4"),
    "biases added up, and 1 to both": linen(BiasesSummed, SUMMED, both_and_one, "f3,4 f3,4"),
    "a bias behind a sum of three": linen(SumOfThree, ONE_BIAS, sum_of_three_once, "f5,4"),
    "a bias before a sum of three": linen(
        SumOfThree, ONE_BIAS, sum_of_three, "f5,4", open="a third of the bias is needed"
    ),
    "heads under the same names, sorted otherwise": Pair(
        NamedHeads, tree(**HEADS), "f3,6", call=of(named_heads)
    ),
    "heads in a tuple under one name": linen(NestedHeads, HEADS, nested_heads, "f3,6"),
    "heads in a tuple": linen(Heads, HEADS, heads, "f3,6"),
    "heads under other names": linen(NamedHeads, HEADS, renamed_heads, "f3,6"),
    "heads under names, of a tuple": linen(Heads, HEADS, named_heads, "f3,6"),
    "a kernel that is doubled": Pair(
        Plain, NAMED, "f3,6", call=made_by(lambda k: 2 * k), to="linen", right=False, named=UNMADE
    ),
    "a kernel behind tanh": Pair(
        Plain, NAMED, "f3,6", call=made_by(jnp.tanh), to="linen", right=False, named=UNMADE
    ),
    "a kernel that is made symmetric": Pair(
        Plain, NAMED, "f3,6", call=made_by(lambda k: (k + k.T) / 2), to="linen", right=False, named=UNMADE
    ),
    "a kernel that only the source halves": Pair(
        Halved, NAMED, "f3,6", call=made_by(lambda k: k), to="linen", right=False, named=UNMADE
    ),
    "a kernel that is halved by more": Pair(
        Halved, NAMED, "f3,6", call=made_by(lambda k: k * 0.51), to="linen", right=False, named=UNMADE
    ),
    "kernels that both halve": Pair(
        Halved, RENAMED, "f3,6", call=made_by(lambda k: k / 2, "b", "a"), to="linen"
    ),
    "kernels that both standardise": Pair(
        Standardised, FILTERS, "f2,3,8,8", call=standardised((0, 1, 2)), to="linen"
    ),
    "kernels standardised along other axes": Pair(
        Standardised, FILTERS, "f2,3,8,8", call=standardised((0, 1, 3)), to="linen", right=False, named=UNMADE
    ),
}
