"""Classes that `layers=` only names: what their source does to a weight."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError
from ml_switcheroo.sources import named

PLUS_ONE = """
import torch
from torch import nn
class Norm(nn.Module):
    def __init__(self, size, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(size))
    def forward(self, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return x * ({})
class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.norm = Norm(size)
"""
STATE = {"a.norm.weight": np.zeros(8, "float32"), "b.norm.weight": np.ones(8, "float32")}
TREE = {"a.norm.weight": (8,), "b.norm.weight": (8,)}


@pytest.fixture(autouse=True)
def _forgotten() -> Any:
    named._defined.cache_clear()
    yield
    named._defined.cache_clear()


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library that is installed, and must not be imported."""
    folder = tmp_path / "library_of_norms"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(named, "_LIBRARIES", ("library_of_norms", "library_that_nobody_has"))
    yield folder
    assert "library_of_norms" not in sys.modules


def plan(cls: str) -> ms.Plan:
    return ms.make_plan(STATE, to="mlx", layers={"a.norm": (cls, {})}, like=TREE)


@pytest.mark.parametrize("word", ["Norm", "library_of_norms.norms.Norm"])
@pytest.mark.parametrize(("use", "shift"), [("1.0 + self.weight", 1.0), ("self.weight + 2", 2.0)])
def test_the_source_of_a_named_class_says_what_is_added(
    library: Path, word: str, use: str, shift: float
) -> None:
    (library / "norms.py").write_text(PLUS_ONE.format(use))
    found = plan(word)
    (asked,) = found.ambiguous
    assert asked.names == ("a.norm.weight",)
    assert f'"amount": {shift}' in asked.rules[1]
    assert [move.sources for move in found.moves] == [("b.norm.weight",)]


@pytest.mark.parametrize("use", ["self.weight", "self.weight.float()"])
def test_a_class_that_uses_its_weight_as_it_is_is_not_asked_for(library: Path, use: str) -> None:
    (library / "norms.py").write_text(PLUS_ONE.format(use))
    assert not plan("Norm").ambiguous


def test_the_class_may_be_a_word_by_itself(library: Path) -> None:
    (library / "norms.py").write_text(PLUS_ONE.format("1 + self.weight"))
    for word in ("Norm", "library_of_norms.norms.Norm"):
        found = ms.make_plan(STATE, to="mlx", layers={"a.norm": word}, like=TREE)
        assert [asked.names for asked in found.ambiguous] == [("a.norm.weight",)]
    for word in ("NormOfNobody", "library_of_norms.norms.Nothing"):
        with pytest.raises(UsageError, match="neither a kind nor a class"):
            ms.make_plan(STATE, to="mlx", layers={"a.norm": word}, like=TREE)


def test_classes_of_one_name_have_to_agree(library: Path) -> None:
    (library / "norms.py").write_text(PLUS_ONE.format("1 + self.weight"))
    (library / "others.py").write_text(PLUS_ONE.format("1 + self.weight"))
    assert plan("Norm").ambiguous
    (library / "more.py").write_text(PLUS_ONE.format("self.weight"))
    named._defined.cache_clear()
    assert not plan("Norm").ambiguous


@pytest.mark.parametrize("word", ["Norm", "NormOfNobody", "library_of_norms.nothing.Norm", "nowhere.Norm"])
def test_a_class_that_is_nowhere_says_nothing(library: Path, word: str) -> None:
    (library / "norms.py").write_text("class Other:\n    pass\n")
    assert not plan(word).ambiguous


def test_a_layer_of_the_framework_is_given_what_the_class_computes(library: Path) -> None:
    nnx = pytest.importorskip("flax.nnx")
    (library / "norms.py").write_text(PLUS_ONE.format("1 + self.weight"))

    class Net(nnx.Module):
        def __init__(self) -> None:
            self.norm = nnx.RMSNorm(8, rngs=nnx.Rngs(0))

    state = {"norm.weight": np.full(8, 0.25, "float32")}
    made = ms.make_plan(state, to="nnx", layers={"norm": ("Norm", {})}, like=Net())
    assert np.array_equal(dict(made.apply(state))["norm.scale"], np.full(8, 1.25, "float32"))
