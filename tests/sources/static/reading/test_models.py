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
    "torchvision": """
        alexnet googlenet mobilenet_v3_small regnet_y_400mf swin_t densenet121 inception_v3
        maxvit_t squeezenet1_0 shufflenet_v2_x0_5 mnasnet0_5 vit_b_32 convnext_tiny
        efficientnet_v2_s lraspp_mobilenet_v3_large fasterrcnn_mobilenet_v3_large_fpn
        retinanet_resnet50_fpn keypointrcnn_resnet50_fpn raft_small r3d_18 s3d
    """.split(),
    "timm": """
        resnet18 vit_tiny_patch16_224 efficientnet_b0 convnext_atto regnety_002 mobilevit_xxs
        sequencer2d_s swin_tiny_patch4_window7_224 mixer_s16_224 pit_ti_224 xcit_nano_12_p8_224
        coat_lite_tiny nfnet_f0 repvgg_a0 ghostnet_050 hrnet_w18_small maxvit_rmlp_pico_rw_256
        levit_128s poolformer_s12 pvt_v2_b0 tnt_s_legacy_patch16_224 volo_d1_224
        crossvit_tiny_240 cait_xxs24_224 mobilenetv4_conv_small dla34 edgenext_xx_small
    """.split(),
    "transformers": """
        bert gpt2 llama t5 vit whisper mixtral mamba swin clip deberta-v2 bart convnext falcon
    """.split(),
}

# Without a configuration: which tensor `tie_weights` puts there by its name is not followed.
_TIED = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
ASKED = {"t5": _TIED, "bart": _TIED}


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[4] / "benchmarks" / "static.py"
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


SOME = 4
"""How many models of each suite are read in every run; the others in the long one."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("suite", "names"),
    [
        *(pytest.param(suite, names[:SOME], id=suite) for suite, names in FAST.items()),
        *(
            pytest.param(suite, names[SOME:], id=f"more of {suite}", marks=pytest.mark.slow)
            for suite, names in FAST.items()
        ),
    ],
)
def test_a_few_models_are_known_through_and_through(
    benchmark: ModuleType, suite: str, names: list[str]
) -> None:
    chosen = [case for case in cases_of(benchmark, suite) if case.name in names]
    assert len(chosen) == len(names)
    for case in chosen:
        score = benchmark.measure(case)
        assert score.error == ""
        assert (score.wrong, score.missed) == ([], ASKED.get(case.name, [])), score.notes
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
