"""What a live module says of itself."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from ml_switcheroo.errors import UsageError
from ml_switcheroo.sources.findings import NO_FLATTEN
from ml_switcheroo.sources.live import read_module
from ml_switcheroo.tensors import TensorSpec
from sources.reading import run, specs_of


class Gained(nn.Linear):
    def __init__(self) -> None:
        super().__init__(3, 4)
        self.gain = nn.Parameter(torch.ones(4))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, groups=2)
        self.body = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())
        self.fc = Gained()
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("table", torch.zeros(3))
        self.register_buffer("cache", torch.zeros(3), persistent=False)


def test_kinds_containers_arguments_and_tensors_of_ones_own() -> None:
    model = Net()
    knowledge = read_module(model, specs_of(model))
    kinds = {key: finding.kind for key, finding in knowledge.findings.items()}
    assert kinds == {
        "conv": "conv",
        "body.0": "batch_norm",
        "fc": "linear",
        "fc.gain": "parameter",
        "scale": "parameter",
        "table": "buffer",
    }
    assert knowledge.containers == {"body": "sequential"}
    conv = knowledge.findings["conv"]
    assert conv.origin == "live"
    assert conv.reason == "nn.Conv2d"
    assert (conv.args["groups"], conv.args["kernel_size"], conv.args["bias"]) == (2, (3, 3), True)
    assert knowledge.findings["fc"].reason == "Gained, a nn.Linear"
    assert knowledge.notes == ()


def test_the_meta_device_does_as_well() -> None:
    with torch.device("meta"):
        model = Net()
    assert read_module(model, specs_of(model)).findings["conv"].kind == "conv"


def test_only_names_of_the_checkpoint_are_spoken_of() -> None:
    knowledge = read_module(Net(), {"conv.weight": TensorSpec((4, 1, 3, 3), "float32")})
    assert set(knowledge.findings) == {"conv"}


def test_a_checkpoint_of_another_model_is_noted() -> None:
    knowledge = read_module(Net(), {"other.weight": TensorSpec((4, 1), "float32")})
    assert knowledge.findings == {}
    assert knowledge.notes == ("The live module has none of the checkpoint's 1 tensors.",)


def test_tied_parameters_are_told_by_identity() -> None:
    model = nn.Module()
    model.embed = nn.Embedding(5, 3)
    model.head = nn.Linear(3, 5, bias=False)
    model.head.weight = model.embed.weight
    model.same = model.head
    knowledge = read_module(model, specs_of(model))
    assert knowledge.tied == (("embed.weight", "head.weight", "same.weight"),)
    assert {key: one.kind for key, one in knowledge.findings.items()} == {
        "embed": "embedding",
        "head": "linear",
        "same": "linear",
    }


def compiled(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():  # torch's own deprecations, while it loads its compiler
        warnings.simplefilter("ignore")
        return torch.compile(model)


@pytest.mark.parametrize("wrap", [nn.DataParallel, compiled, lambda m: nn.DataParallel(compiled(m))])
def test_wrappers_are_seen_through_whatever_the_names_say(wrap: object) -> None:
    bare = Net()
    wrapped = wrap(Net())  # type: ignore[operator]
    expected = {key: one.kind for key, one in read_module(bare, specs_of(bare)).findings.items()}
    assert {k: f.kind for k, f in read_module(wrapped, specs_of(bare)).findings.items()} == expected
    specs = specs_of(wrapped)
    prefix = next(name for name in specs if name.endswith("scale")).removesuffix("scale")
    assert prefix
    found = read_module(wrapped, specs).findings
    assert {key.removeprefix(prefix): one.kind for key, one in found.items()} == expected


def test_a_parametrized_layer_counts_as_the_layer() -> None:
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(2, 3)), nn.Linear(3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model.append(nn.utils.weight_norm(nn.Conv1d(2, 3, 1)))
    knowledge = read_module(model, specs_of(model))
    kinds = {key: one.kind for key, one in knowledge.findings.items() if "." not in key}
    assert kinds == {"0": "linear", "1": "linear", "2": "conv"}


def test_flattens_come_from_the_source_of_the_class(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3)
        self.fc = nn.Linear(width * 4, 3)
        self.out = nn.Linear(3, 2)

    def forward(self, x):
        return self.out(self.fc(torch.flatten(F.relu(self.conv(x)), 1)))
"""
    model = run(tmp_path, code).Net(5)
    findings = read_module(nn.DataParallel(model), specs_of(model)).findings
    assert (findings["fc"].flatten.channels, findings["fc"].flatten.of) == (5, "conv")
    assert findings["fc"].flatten.where.endswith(":15")
    assert findings["out"].flatten == NO_FLATTEN


def test_anything_else_is_refused() -> None:
    with pytest.raises(UsageError, match=r"layers= is a dict; expected a torch\.nn\.Module"):
        read_module({}, {})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_layer_is_what_it_was() -> None:
    model = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Embedding(3, 3)))
    specs = {name: TensorSpec(tuple(tensor.shape), "float32") for name, tensor in model.state_dict().items()}
    found = read_module(model, specs).findings
    assert {key: one.kind for key, one in found.items()} == {"0": "linear", "1": "embedding"}
