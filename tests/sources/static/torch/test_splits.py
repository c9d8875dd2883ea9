"""Fused projections that are named and not attended: how ``forward`` divides the output of a Linear."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.sources.findings import Part, Parts
from ml_switcheroo.sources.live import read_module
from sources.reading import read_and_compare, run, specs_of

NET = """
class Net(nn.Module):
    def __init__(self, dim=24, num_heads=4):
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.dim = dim
        self.patch = nn.Conv2d(3, dim, 4, 4)
        self.pos = nn.Parameter(torch.zeros(1, 16, dim))
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = self.norm(x + self.pos)
        {attend}
        return self.proj(x)
"""


def parts(
    roles: str, steps: tuple[int, ...], *axes: tuple[int, int], heads: int | None = None
) -> tuple[Part, ...]:
    return tuple(Part(role, start, axes, heads) for role, start in zip(roles, steps, strict=True))


ONE_AFTER_THE_OTHER = parts("qkv", (0, 24, 48), (24, 1))
BLOCKS_OF_HEADS = parts("qkv", (0, 24, 48), (4, 6), (6, 1), heads=4)
BY_HEAD = parts("qkv", (0, 6, 12), (4, 18), (6, 1), heads=4)

TIMM = """B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)"""

CASES = {
    "unbind": (TIMM, BLOCKS_OF_HEADS),
    "index": (
        TIMM.replace("qkv.unbind(0)", "qkv[0], qkv[1], qkv[2]"),
        BLOCKS_OF_HEADS,
    ),
    "unpack": (TIMM.replace("qkv.unbind(0)", "qkv"), BLOCKS_OF_HEADS),
    "chunk": ("q, k, v = self.qkv(x).chunk(3, dim=-1)", ONE_AFTER_THE_OTHER),
    "torch.chunk": ("k, q, v = torch.chunk(self.qkv(x), 3, -1)", parts("kqv", (0, 24, 48), (24, 1))),
    "split by a size": (
        "q, k, v = self.qkv(x).split(self.dim, dim=2)",
        ONE_AFTER_THE_OTHER,
    ),
    "interleaved": (
        """B, N, C = x.shape
        qkv = self.qkv(x).view(B, N, self.num_heads, 3 * self.head_dim)
        q, k, v = qkv.chunk(3, dim=-1)""",
        BY_HEAD,
    ),
    "interleaved by an axis": (
        """B, N, C = x.shape
        qkv = self.qkv(x).view(B, N, self.num_heads, 3, self.head_dim).permute(3, 0, 2, 1, 4)
        q, k, v = qkv.unbind(0)""",
        BY_HEAD,
    ),
    "heads alone": (
        "q = self.qkv(x).view(x.size(0), x.size(1), self.num_heads, 3 * self.head_dim)",
        parts("q", (0,), (4, 18), (18, 1), heads=4),
    ),
}


def said(found: Parts | None) -> tuple[Part, ...] | None:
    return found and found.parts


@pytest.mark.parametrize("name", CASES)
def test_a_split_is_found_in_forward(tmp_path: Path, name: str) -> None:
    code, expected = CASES[name]
    knowledge = read_and_compare(tmp_path, NET.replace("{attend}", code))
    found = knowledge.findings["qkv"].parts
    assert found is not None
    assert found.parts == expected
    assert found.where.startswith("model.py:")
    assert knowledge.findings["proj"].parts is None


def test_sequences_of_an_embedding(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, config=None, heads=2):
        super().__init__()
        self.heads, self.head_dim = heads, 4
        self.embed = nn.Embedding(10, 8)
        self.c_attn = nn.Linear(8, 24)
        self.q_proj = nn.Linear(8, 8)
        self.k_proj = nn.Linear(8, 8)

    def forward(self, ids):
        x = self.embed(ids)
        shape = (*x.shape[:-1], -1, self.head_dim)
        q = self.q_proj(x).view(shape).transpose(1, 2)
        b, t, c = x.size()
        k = self.k_proj(x).view(b, -1, self.heads, self.head_dim)
        q, k, v = self.c_attn(x).split(8, dim=-1)
        return q
"""
    findings = read_and_compare(tmp_path, code).findings
    assert said(findings["c_attn"].parts) == parts("qkv", (0, 8, 16), (8, 1))
    assert said(findings["q_proj"].parts) == parts("q", (0,), (2, 4), (4, 1), heads=2)
    assert said(findings["k_proj"].parts) == parts("k", (0,), (2, 4), (4, 1), heads=2)


@pytest.mark.parametrize(
    "attend",
    [
        "x = mystery(self.qkv(x))",
        "q, k, v = self.qkv(x).chunk(self.training, dim=-1)",
        "q = self.qkv(x).reshape(4, 5, 6, 7)",
        "a, b = self.qkv(x).split([self.dim, 2 * self.dim], dim=2)",
        "a, b = self.qkv(x).chunk(2, -1) if self.training else self.qkv(x).split([8, 64], -1)",
    ],
)
def test_what_is_not_clear_stays_open(tmp_path: Path, attend: str) -> None:
    unknown = ("proj.weight", "proj.bias") if "mystery" in attend else ()  # it may be of an image
    knowledge = read_and_compare(tmp_path, NET.replace("{attend}", attend), unknown=unknown)
    assert knowledge.findings["qkv"].parts is None


def test_a_live_module_is_followed_as_well(tmp_path: Path) -> None:
    model = run(tmp_path, NET.replace("{attend}", TIMM)).Net(num_heads=3)
    assert said(read_module(model, specs_of(model)).findings["qkv"].parts) == parts(
        "qkv", (0, 24, 48), (3, 8), (8, 1), heads=3
    )


ATTENTION = """
import functools

def kept(function):
    @functools.wraps(function)
    def wrapper(self, *args, **kwargs):
        return function(self, *args, **kwargs)
    return wrapper

class Scale(nn.Module):
    def __init__(self, size, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x):
        x = x.to(torch.float32)
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * x.to(x.dtype)

class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm = Scale(config.width, config.eps)
        self.size, self.head = config.width, config.width // config.heads
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.q_proj = nn.Linear(config.width, config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, hidden, mask=None):
        x = self.norm(hidden)
        {attend}
        return hidden + self.out(q)

class Config:
    width, heads, eps = 24, 4, 1e-5

class Net(nn.Module):
    def __init__(self, config={config}):
        super().__init__()
        self.embed = nn.Embedding(11, config.width)
        self.layers = nn.ModuleList([Layer(config) for _ in range(3)])

    @kept
    def forward(self, ids=None, mask=None, embeds=None):
        if (ids is None) ^ (embeds is not None):
            raise ValueError("one of them")
        hidden = self.embed(ids) if embeds is None else embeds
        for layer in self.layers[:n]:
            hidden = layer(hidden, mask)
        return hidden

n = 3
"""

PROJECTIONS = {
    "a shape made of shapes": (
        "shape = (*x.shape[:-1], -1, self.head)\n        q = self.q_proj(x).view(shape).transpose(1, 2)",
        "q_proj",
        parts("q", (0,), (4, 6), (6, 1), heads=4),
    ),
    "a split along the third axis": (
        "q, k, v = self.qkv(x).split(self.size, dim=2)",
        "qkv",
        ONE_AFTER_THE_OTHER,
    ),
    "indices of a factor": (
        "b, n, _ = x.shape\n        x = self.qkv(x).view(b, n, self.heads, 3, self.head)\n"
        "        q, k, v = x[..., 0, :], x[..., 1, :], x[..., 2, :]\n        q = q.reshape(b, n, self.size)",
        "qkv",
        (Part("q", 0, ((4, 18), (6, 1))), *BY_HEAD[1:]),
    ),
    "a chunk behind turned axes": (
        "shape = (*x.shape[:-1], -1, 3 * self.head)\n        x = self.qkv(x).view(shape).transpose(1, 2)\n"
        "        q, k, v = x.chunk(3, dim=-1)",
        "qkv",
        BY_HEAD,
    ),
    "a split of a factor by a size that nobody knows": (
        "x = self.qkv(x)\n        x = x.reshape(x.shape[:-1] + (2, -1))\n"
        "        q, k, v = torch.split(x, int(x.shape[0]), dim=-1)",
        "qkv",
        None,
    ),
    "a chunk along the third axis": (
        "q, k, v = self.qkv(x).chunk(3, dim=2)",
        "qkv",
        ONE_AFTER_THE_OTHER,
    ),
}


@pytest.mark.parametrize("name", PROJECTIONS)
def test_attention_whose_inputs_have_defaults(tmp_path: Path, name: str) -> None:
    attend, layer, expected = PROJECTIONS[name]
    code = ATTENTION.replace("{attend}", attend).replace("{config}", "Config()")
    findings = read_and_compare(tmp_path, code).findings
    assert {said(findings[f"layers.{i}.{layer}"].parts) for i in range(3)} == {expected}


def test_tokens_put_before_others_leave_the_rest_as_it_is(tmp_path: Path) -> None:
    attend = "x = torch.cat([self.pos.mean(1, keepdim=True).expand(2, -1, -1), x], dim=1)\n        " + TIMM
    found = read_and_compare(tmp_path, NET.replace("{attend}", attend)).findings["qkv"].parts
    assert said(found) == BLOCKS_OF_HEADS
