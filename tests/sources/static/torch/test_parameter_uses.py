"""What ``forward`` was read to do, proven by running the models (``benchmarks/static_uses.py``)."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from ml_switcheroo.sources.findings import Flatten, Part

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"
FEW = [
    ("torchvision", "alexnet"),
    ("timm", "vit_tiny_patch16_224"),
    pytest.param("timm", "twins_svt_small", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def proofs() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("static_uses")
    finally:
        sys.path.remove(str(BENCHMARKS))


class Flat(nn.Module):
    """A convolution, what is kept per channel, and a Flatten in one of two orders."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.fc = nn.Linear(6 * 16, 5)
        self.last = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x)).relu()
        return self.fc((x.permute(0, 2, 3, 1) if self.last else x).flatten(1))


class Attention(nn.Module):
    """Self-attention with a fused projection, by parts or by heads."""

    def __init__(self, interleaved: bool, heads: int = 4) -> None:
        super().__init__()
        self.qkv, self.proj, self.interleaved = nn.Linear(24, 72), nn.Linear(24, 24), interleaved
        self.heads = heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, n, _ = x.shape
        if self.interleaved:
            q, k, v = self.qkv(x).view(b, n, self.heads, 3, -1).permute(3, 0, 2, 1, 4)
        else:
            q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.proj((q @ k.mT).softmax(-1).matmul(v).transpose(1, 2).reshape(b, n, 24))


def parts(axes: str, heads: int, roles: tuple[str, ...] = ("q", "k", "v")) -> tuple[Part, ...]:
    """Return the three parts of 24 rows each, laid out in one of two orders."""
    dim = 24 // heads
    whole = axes == "part head dim"
    step, first = (dim, 24) if whole else (3 * dim, dim)
    return tuple(Part(role, i * first, ((heads, step), (dim, 1)), heads) for i, role in enumerate(roles))


@pytest.mark.parametrize("last", [False, True])
def test_the_proof_of_a_flatten_tells_right_from_wrong(proofs: ModuleType, last: bool) -> None:
    torch.manual_seed(0)
    model, image = Flat(last).eval(), torch.randn(2, 3, 6, 6)
    with torch.no_grad():
        answer, _ = proofs.flattened(model, lambda: model(image), "fc", Flatten(6, "conv"))
    assert answer == (proofs.REFUTED if last else proofs.CONFIRMED)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("axes", ["part head dim", "head part dim"])
@pytest.mark.parametrize("names", [("q", "k", "v"), ("k", "q", "v"), ("q", "v", "k")])
def test_the_proof_of_a_split_tells_right_from_wrong(
    proofs: ModuleType, interleaved: bool, axes: str, names: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    model, tokens = Attention(interleaved).eval(), torch.randn(2, 7, 24)
    with torch.no_grad():
        answer, _ = proofs.divided(model, lambda: model(tokens), "qkv", parts(axes, 4, names))
    right = axes == ("head part dim" if interleaved else "part head dim") and names == ("q", "k", "v")
    assert answer == (proofs.CONFIRMED if right else proofs.REFUTED)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("heads", [2, 3, 4, 6, 12])
def test_the_proof_of_parts_tells_right_from_wrong(proofs: ModuleType, interleaved: bool, heads: int) -> None:
    torch.manual_seed(0)
    model, tokens = Attention(interleaved, heads).eval(), torch.randn(2, 7, 24)
    with torch.no_grad():
        rows = tuple(Part(role, 24 * i, ((24, 1),)) for i, role in enumerate("qkv"))
        answer, _ = proofs.divided(model, lambda: model(tokens), "qkv", rows)
    assert answer == (proofs.REFUTED if interleaved else proofs.CONFIRMED)


@pytest.mark.parametrize("heads", [2, 8])
def test_the_proof_of_a_split_counts_the_heads(proofs: ModuleType, heads: int) -> None:
    torch.manual_seed(0)
    model, tokens = Attention(False).eval(), torch.randn(2, 7, 24)
    with torch.no_grad():
        answer, _ = proofs.divided(model, lambda: model(tokens), "qkv", parts("part head dim", heads))
    assert answer == proofs.REFUTED


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("suite", "name"), FEW)
def test_running_models_confirm_what_was_read(proofs: ModuleType, suite: str, name: str) -> None:
    answers = Counter(verdict.answer for verdict in proofs.prove(cases_of(proofs, suite)[name]))
    assert answers[proofs.CONFIRMED] > 0
    assert answers[proofs.REFUTED] == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suite", ["torchvision", "timm", "transformers"])
def test_no_model_refutes_what_was_read(proofs: ModuleType, suite: str) -> None:
    verdicts = {name: proofs.prove(case) for name, case in cases_of(proofs, suite).items()}
    refuted = {
        name: [one for one in found if one.answer == proofs.REFUTED] for name, found in verdicts.items()
    }
    assert {name: found for name, found in refuted.items() if found} == {}


def cases_of(proofs: ModuleType, suite: str) -> dict[str, Any]:
    for name in ("PIL", "torchvision", suite):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    return {case.name: case for case in proofs.static.SUITES[suite]()}
