"""Fused projections: how ``forward`` divides the output of a Linear."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.sources.findings import Split
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

TIMM = """B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)"""

CASES = {
    "unbind": (TIMM, Split("part head dim", 3, 4, ("q", "k", "v"))),
    "index": (
        TIMM.replace("qkv.unbind(0)", "qkv[0], qkv[1], qkv[2]"),
        Split("part head dim", 3, 4, ("q", "k", "v")),
    ),
    "unpack": (TIMM.replace("qkv.unbind(0)", "qkv"), Split("part head dim", 3, 4, ("q", "k", "v"))),
    "chunk": ("q, k, v = self.qkv(x).chunk(3, dim=-1)", Split("part dim", 3, None, ("q", "k", "v"))),
    "torch.chunk": ("k, q, v = torch.chunk(self.qkv(x), 3, -1)", Split("part dim", 3, None, ("k", "q", "v"))),
    "split by a size": (
        "q, k, v = self.qkv(x).split(self.dim, dim=2)",
        Split("part dim", 3, None, ("q", "k", "v")),
    ),
    "split by sizes": (
        "a, b = self.qkv(x).split([self.dim, 2 * self.dim], dim=2)",
        Split("part dim", 2, None, ("a", "b"), (24, 48)),
    ),
    "interleaved": (
        """B, N, C = x.shape
        qkv = self.qkv(x).view(B, N, self.num_heads, 3 * self.head_dim)
        q, k, v = qkv.chunk(3, dim=-1)""",
        Split("head part dim", 3, 4, ("q", "k", "v")),
    ),
    "interleaved by an axis": (
        """B, N, C = x.shape
        qkv = self.qkv(x).view(B, N, self.num_heads, 3, self.head_dim).permute(3, 0, 2, 1, 4)
        q, k, v = qkv.unbind(0)""",
        Split("head part dim", 3, 4, ("q", "k", "v")),
    ),
    "heads alone": (
        "q = self.qkv(x).view(x.size(0), x.size(1), self.num_heads, 3 * self.head_dim)",
        Split("head dim", 1, 4),
    ),
}


def bare(split: Split | None) -> Split | None:
    return split and Split(split.axes, split.parts, split.heads, split.names, split.sizes)


@pytest.mark.parametrize("name", CASES)
def test_a_split_is_found_in_forward(tmp_path: Path, name: str) -> None:
    code, expected = CASES[name]
    knowledge = read_and_compare(tmp_path, NET.replace("{attend}", code))
    split = knowledge.findings["qkv"].split
    assert split is not None
    assert bare(split) == expected
    assert split.where.startswith("model.py:")
    assert knowledge.findings["proj"].split is None


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
    assert bare(findings["c_attn"].split) == Split("part dim", 3, None, ("q", "k", "v"))
    assert bare(findings["q_proj"].split) == Split("head dim", 1, None)
    assert bare(findings["k_proj"].split) == Split("head dim", 1, 2)


def test_a_projection_of_something_unknown_is_divided_by_sizes_that_make_it_up(tmp_path: Path) -> None:
    code = NET.replace("x = self.norm(x + self.pos)", "x = self.norm(torch.cat([x, self.pos]))")
    split = (
        read_and_compare(
            tmp_path, code.replace("{attend}", TIMM.replace("C // self.num_heads", "self.head_dim"))
        )
        .findings["qkv"]
        .split
    )
    assert bare(split) == Split("part head dim", 3, 4, ("q", "k", "v"))


@pytest.mark.parametrize(
    "attend",
    [
        "x = mystery(self.qkv(x))",
        "q, k, v = self.qkv(x).chunk(self.training, dim=-1)",
        "q = self.qkv(x).reshape(4, 5, 6, 7)",
        "a, b = self.qkv(x).chunk(2, -1) if self.training else self.qkv(x).split([8, 64], -1)",
    ],
)
def test_what_is_not_clear_stays_open(tmp_path: Path, attend: str) -> None:
    assert read_and_compare(tmp_path, NET.replace("{attend}", attend)).findings["qkv"].split is None


def test_a_live_module_is_followed_as_well(tmp_path: Path) -> None:
    model = run(tmp_path, NET.replace("{attend}", TIMM)).Net(num_heads=3)
    assert bare(read_module(model, specs_of(model)).findings["qkv"].split) == Split(
        "part head dim", 3, 3, ("q", "k", "v")
    )
