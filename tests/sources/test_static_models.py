"""Reading the source of models people use: torchvision, timm, transformers.

The live model is the truth: the class of each of its modules. Nothing may be wrong, and nearly
everything has to be known. ``benchmarks/static.py`` prints the same measurement as a table.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

REACH = 0.95
FAST = {
    "torchvision": ["alexnet", "googlenet", "mobilenet_v3_small", "regnet_y_400mf", "swin_t"],
    "timm": ["resnet18", "vit_tiny_patch16_224", "efficientnet_b0", "convnext_atto"],
    "transformers": ["bert", "gpt2", "llama", "t5"],
}


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "static.py"
    spec = importlib.util.spec_from_file_location("static_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def cases_of(benchmark: ModuleType, suite: str) -> list:
    for name in ("PIL", "torchvision", suite):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    return list(benchmark.SUITES[suite]())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suite", FAST)
def test_a_few_models_are_known_through_and_through(benchmark: ModuleType, suite: str) -> None:
    chosen = [case for case in cases_of(benchmark, suite) if case.name in FAST[suite]]
    assert len(chosen) == len(FAST[suite])
    for case in chosen:
        score = benchmark.measure(case)
        assert score.error == ""
        assert (score.wrong, score.missed) == ([], []), score.notes
        assert score.right > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suite", FAST)
def test_every_model_reaches_the_aim_and_nothing_is_wrong(benchmark: ModuleType, suite: str) -> None:
    scores = [score for case in cases_of(benchmark, suite) if not (score := benchmark.measure(case)).error]
    assert len(scores) >= 60
    wrong = {score.name: score.wrong[:3] for score in scores if score.wrong}
    assert wrong == {}
    known = sum(score.right for score in scores) / sum(score.total for score in scores)
    assert known >= REACH
