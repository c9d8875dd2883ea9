"""Measure what the source code alone tells: every model of torchvision and timm, 60 of transformers.

Each model is built live, on the meta device: its modules' classes are the truth. Then its source is
read, and nothing else. For every tensor of the state dict that gives one of four answers: known and
right, known and wrong, unknown, or of a class of torch that the layer table has no row for.

    python benchmarks/static.py                     # everything; about half an hour
    python benchmarks/static.py torchvision         # one library
    python benchmarks/static.py timm --every 20     # each 20th model
    python benchmarks/static.py timm --only resnet50 --verbose
    python benchmarks/static.py timm --keep timm.jsonl   # go on where an earlier run ended

Any code can be measured; it is imported for that, so name only code that you would run:

    python benchmarks/static.py --root ../nanoGPT --source "model.py:GPT(GPTConfig(n_layer=2))"
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import logging
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from ml_switcheroo.sources.findings import Knowledge
from ml_switcheroo.sources.live import read_module
from ml_switcheroo.sources.static import read_layers
from ml_switcheroo.tensors import TensorSpec, dtype_of

OPERATORS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
"""The C++ operators that torchvision asks for while it is imported; no model is run here."""

BUILD_ERRORS = (RuntimeError, ImportError, ValueError, AssertionError, TypeError, OSError)

_LIBRARIES: list[Any] = []


@dataclass(frozen=True)
class Case:
    """One model: how to build it live, and what a user would name."""

    name: str
    spec: str
    build: Callable[[], torch.nn.Module]
    root: Path | None = None


@dataclass
class Score:
    """What reading one model's source gave."""

    name: str
    right: int = 0
    unknown: int = 0
    rowless: int = 0
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    flattens: int = 0
    error: str = ""

    @property
    def total(self) -> int:
        """Tensors whose kind there is."""
        return self.right + self.unknown + len(self.wrong)


def import_torchvision() -> Any:
    """Import torchvision, whose own operators need not be there."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, arguments in OPERATORS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + arguments)
    _LIBRARIES.append(library)
    return importlib.import_module("torchvision")


def torchvision_cases() -> Iterator[Case]:
    """Yield every model of torchvision."""
    models = import_torchvision().models
    for name in models.list_models():
        function = models.get_model_builder(name)
        backbone = "weights_backbone" in signature(function).parameters
        keywords = {"weights_backbone": None} if backbone else {}
        yield Case(
            name,
            f"{function.__module__}:{function.__name__}",
            lambda name=name, keywords=keywords: models.get_model(name, weights=None, **keywords),
        )


def timm_cases() -> Iterator[Case]:
    """Yield every model of timm."""
    import_torchvision()
    timm = importlib.import_module("timm")
    for name in timm.list_models():
        function = timm.model_entrypoint(name)
        spec = f"{function.__module__}:{function.__name__}"
        yield Case(name, spec, lambda name=name: timm.create_model(name, pretrained=False))


ARCHITECTURES = """
    albert audio-spectrogram-transformer bart beit bert big_bird bloom camembert clip codegen convbert
    convnext convnextv2 cvt data2vec-text deberta deberta-v2 deit dinov2 distilbert dpt electra ernie esm
    falcon fnet gemma gemma2 gpt2 gpt_bigcode gpt_neo gpt_neox gptj groupvit hubert layoutlm llama
    longformer mamba marian mbart mistral mixtral mobilebert mobilenet_v2 mobilevit mpnet mpt olmo opt
    phi phi3 poolformer pvt qwen2 qwen3 regnet rembert resnet roberta roformer segformer squeezebert
    starcoder2 swin swinv2 t5 vit vit_mae wav2vec2 whisper xglm xlm-roberta xlnet yolos
""".split()
"""Types of transformers' models, across text, images and sound."""

SMALL = {
    "vocab_size": 96,
    "hidden_size": 48,
    "d_model": 48,
    "n_embd": 48,
    "dim": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "n_layer": 3,
    "n_layers": 3,
    "num_layers": 3,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "num_attention_heads": 4,
    "n_head": 4,
    "n_heads": 4,
    "num_key_value_heads": 2,
    "num_labels": 5,
    "image_size": 64,
}
"""What a small config sets, wherever it has such a field."""


def transformers_cases() -> Iterator[Case]:
    """Yield the architectures of transformers, each with a small config."""
    import_torchvision()  # transformers looks into it for image sizes
    transformers = importlib.import_module("transformers")
    auto = importlib.import_module("transformers.models.auto.modeling_auto")
    for name in ARCHITECTURES:
        if name not in auto.MODEL_MAPPING_NAMES:
            continue
        names = auto.MODEL_MAPPING_NAMES[name]
        cls = getattr(transformers, names if isinstance(names, str) else names[0])
        yield Case(name, f"{cls.__module__}:{cls.__name__}", lambda name=name, cls=cls: _small(name, cls))


def _small(name: str, cls: Any) -> torch.nn.Module:
    """Build a model from a small config; from the default one where the small numbers do not go together."""
    configs = importlib.import_module("transformers").CONFIG_MAPPING
    strict = importlib.import_module("huggingface_hub.errors").StrictDataclassError
    default = configs[name]()
    fields = {key: value for key, value in SMALL.items() if isinstance(getattr(default, key, None), int)}
    fields["vocab_size"] = SMALL["vocab_size"]
    for keywords in (
        fields,
        {key: value for key, value in fields.items() if key in ("vocab_size", "num_labels")},
    ):
        try:
            return cls(configs[name](**keywords))
        except (ValueError, TypeError, RuntimeError, AssertionError, IndexError, strict):
            continue
    return cls(default)


def source_cases(root: Path, sources: Iterable[str]) -> Iterator[Case]:
    """Yield the models that ``path/model.py:Net(width=8)`` makes, below a root; the call is evaluated.

    A file alone stands for each of its public functions.
    """
    sys.path.insert(0, str(root.resolve()))
    import_torchvision()
    for source in (one for given in sources for one in _each(root, given)):
        place, _, call = source.partition(":")
        spec = f"{place}:{call.partition('(')[0]}"
        yield Case(source, spec, lambda place=place, call=call: _called(root, place, call), root)


def _each(root: Path, source: str) -> Iterator[str]:
    """Yield a source as it is; for a file alone, one for each of its public functions."""
    if ":" in source:
        yield source
        return
    body = ast.parse((root / source).read_text(encoding="utf-8")).body
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    yield from (f"{source}:{name}" for name in names if not name.startswith("_"))


def _called(root: Path, place: str, call: str) -> torch.nn.Module:
    module = importlib.import_module(place.removesuffix(".py").replace("/", "."))
    made = eval(call if "(" in call else f"{call}()", vars(module))
    if not isinstance(made, torch.nn.Module):
        raise TypeError(f"{call} of {root / place} makes a {type(made).__name__}")
    return made


SUITES: dict[str, Callable[[], Iterator[Case]]] = {
    "torchvision": torchvision_cases,
    "timm": timm_cases,
    "transformers": transformers_cases,
}


def specs_of(model: torch.nn.Module) -> dict[str, TensorSpec]:
    """Return the specs of a model's state dict."""
    return {
        name: TensorSpec(tuple(tensor.shape), dtype_of(tensor))
        for name, tensor in model.state_dict().items()
        if isinstance(tensor, torch.Tensor)
    }


def kind_of(knowledge: Knowledge, name: str) -> str:
    """Return the kind that knowledge gives a tensor; empty where it gives none."""
    kind = _one_kind(knowledge, name)
    path = name
    while path and not kind:
        path = path.rpartition(".")[0]
        found = _one_kind(knowledge, path)
        if found and (path == name.rpartition(".")[0] or _owns(found, path, name)):
            kind = found
    return kind


def _one_kind(knowledge: Knowledge, key: str) -> str:
    """Return the kind of a finding, or of all candidates: those may differ in what is flattened."""
    found = [knowledge.findings[key]] if key in knowledge.findings else knowledge.candidates.get(key, ())
    kinds = {one.kind for one in found}
    return kinds.pop() if len(kinds) == 1 else ""


def _owns(kind: str, path: str, name: str) -> bool:
    from ml_switcheroo.layers import LAYERS

    slot = name[len(path) + 1 :]
    return slot in LAYERS[kind].slots or slot.startswith("parametrizations.")


def build(case: Case) -> torch.nn.Module:
    """Build a model on the meta device; in memory where its constructor looks at numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.device("meta"):
                return case.build()
        except (NotImplementedError, RuntimeError):
            return case.build()


def measure(case: Case) -> Score:
    """Build one model, read its source, and compare; one that cannot be built here is left out."""
    score = Score(case.name)
    try:
        model = build(case)
    except BUILD_ERRORS as error:
        score.error = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return score
    specs = specs_of(model)
    truth = read_module(model, specs)
    start = time.perf_counter()
    found = read_layers(case.spec, specs, root=case.root)
    score.seconds = time.perf_counter() - start
    score.notes = found.notes
    score.flattens = sum(
        one.flatten is not None and one.flatten.channels > 1 for one in found.findings.values()
    )
    for name in specs:
        real, said = kind_of(truth, name), kind_of(found, name)
        if not real:
            score.rowless += 1
            if said:
                score.wrong.append(f"{name}: {said}, but its class has no row")
        elif real == said:
            score.right += 1
        elif said:
            score.wrong.append(f"{name}: {said}, but it is {real}")
        else:
            score.unknown += 1
            score.missed.append(name)
    return score


def show_one(score: Score, verbose: bool) -> None:
    """Print what is not known of one model."""
    if not score.unknown and not score.wrong:
        return
    print(f"    {score.name:45} {score.right:5} right {score.unknown:5} unknown {len(score.wrong):4} wrong")
    for line in (*score.wrong[:5], *((*score.missed[:3], *score.notes) if verbose else ())):
        print(f"        {line}", flush=True)


def chosen(cases: Iterable[Case], options: argparse.Namespace) -> list[Case]:
    """Return the cases that the command line asks for."""
    found: list[Case] = []
    files: Counter[str] = Counter()
    for case in cases:
        source = case.spec.partition(":")[0]
        files[source] += 1
        named = not options.only or case.name in options.only
        if named and (not options.per_file or files[source] <= options.per_file):
            found.append(case)
    return found[options.start :: options.every]


def show(suite: str, scores: list[Score]) -> None:
    """Print one suite's table."""
    measured = [score for score in scores if not score.error]
    total = sum(score.total for score in measured) or 1
    right = sum(score.right for score in measured)
    wrong = sum(len(score.wrong) for score in measured)
    rowless = sum(score.rowless for score in measured)
    print(
        f"{suite:12} {len(measured):5} models  {total:8} tensors  {100 * right / total:6.2f} % known  "
        f"{wrong} wrong  ({sum(not s.unknown and not s.wrong for s in measured)} models complete; "
        f"{rowless} tensors without a row; {sum(s.seconds for s in measured):.0f} s reading; "
        f"{len(scores) - len(measured)} not built)"
    )
    for score in sorted(measured, key=lambda score: -score.unknown):
        show_one(score, verbose=False)
    for reason, count in Counter(score.error for score in scores if score.error).most_common():
        print(f"    not built: {count} x {reason[:150]}")


def kept_scores(path: Path | None) -> dict[str, Score]:
    """Return the scores an earlier run has kept, by model."""
    if path is None or not path.is_file():
        return {}
    scores = (Score(**json.loads(line)) for line in path.read_text().splitlines())
    return {score.name: score for score in scores}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("suites", nargs="*", help=f"{', '.join(SUITES)}; all where nothing is named")
    parser.add_argument("--source", action="append", default=[], help="a.py:Net, a.py:Net(width=8), or a.py")
    parser.add_argument("--root", type=Path, default=Path(), help="where --source and its imports begin")
    parser.add_argument("--every", type=int, default=1, help="take each n-th model")
    parser.add_argument("--start", type=int, default=0, help="begin with this one")
    parser.add_argument("--per-file", type=int, default=0, help="at most so many models of one source file")
    parser.add_argument("--only", action="append", help="models by name")
    parser.add_argument("--verbose", action="store_true", help="show what is not known, and why")
    parser.add_argument("--json", type=Path, help="write the scores there")
    parser.add_argument("--keep", type=Path, help="keep each score there at once, and skip those it has")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    results: dict[str, list[Mapping[str, Any]]] = {}
    suites = {name: SUITES[name] for name in options.suites or (() if options.source else SUITES)}
    if options.source:
        suites["source"] = lambda: source_cases(options.root, options.source)
    kept = kept_scores(options.keep)
    for suite, cases in suites.items():
        scores = []
        for case in chosen(cases(), options):
            scores.append(kept.get(case.name) or measure(case))
            if options.keep and case.name not in kept:
                with options.keep.open("a") as file:
                    file.write(json.dumps(vars(scores[-1])) + "\n")
            if options.verbose:
                show_one(scores[-1], verbose=True)
        show(suite, scores)
        results[suite] = [vars(score) for score in scores]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
