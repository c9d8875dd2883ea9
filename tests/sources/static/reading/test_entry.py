"""``read_layers``: what it takes, what it says, and how it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import ml_switcheroo
from ml_switcheroo.errors import SourceError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.sources.static import read_layers
from ml_switcheroo.sources.static.reading import entry
from ml_switcheroo.tensors import TensorSpec
from sources.reading import HEAD, read_and_compare, run, specs_of

NET = """
class Block(nn.Module):
    def __init__(self, inner, outer):
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, groups=1)
        self.norm = nn.BatchNorm2d(outer)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self, width=8, depth=2, classes=10):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3)
        self.blocks = nn.ModuleList(Block(width, width) for _ in range(depth))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))
"""


def test_a_finding_says_kind_call_place_and_arguments(tmp_path: Path) -> None:
    knowledge = read_and_compare(tmp_path, NET)
    finding = knowledge.findings["blocks.1.conv"]
    assert finding.kind == "conv"
    assert finding.origin == "static"
    assert finding.reason == "nn.Conv2d(inner, outer, 3, groups=1)"
    assert finding.where == "model.py:10"
    written = {"in_channels": 8, "out_channels": 8, "kernel_size": 3, "groups": 1}
    assert dict(finding.args) == written | LAYERS["conv"].window
    assert knowledge.containers == {"blocks": "list"}
    assert knowledge.candidates == {}
    assert knowledge.notes == ()


@pytest.mark.parametrize("arguments", ["width=4", "depth=5", "classes=3", "6, depth=1, classes=7"])
def test_arguments_that_are_no_defaults_are_worked_out_from_the_checkpoint(
    tmp_path: Path, arguments: str
) -> None:
    knowledge = read_and_compare(tmp_path, NET, f"Net({arguments})")
    assert isinstance(knowledge.findings["head"].args["out_features"], int)
    assert knowledge.notes == ()


def test_the_file_alone_is_enough_where_one_class_fits(tmp_path: Path) -> None:
    model = run(tmp_path, NET).Net()
    assert read_layers("model.py", specs_of(model), root=tmp_path).findings["stem"].kind == "conv"


def test_the_file_alone_is_not_enough_where_no_class_fits(tmp_path: Path) -> None:
    run(tmp_path, NET)
    with pytest.raises(SourceError, match=r"no class fits the checkpoint by itself: Block, Net"):
        read_layers("model.py", {"other.weight": TensorSpec((3, 3), "float32")}, root=tmp_path)


def test_a_factory_function_can_be_named(tmp_path: Path) -> None:
    code = NET + "\ndef small(pretrained=False, **kwargs):\n    return Net(width=4, **kwargs)\n"
    knowledge = read_and_compare(tmp_path, code, "small()", entry="small")
    assert knowledge.findings["stem"].args["out_channels"] == 4


def test_a_dotted_module_is_found_below_the_root(tmp_path: Path) -> None:
    package = tmp_path / "pkg" / "nets"
    package.mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("from .parts import Block as Block\n")
    (package / "parts.py").write_text(HEAD + NET.partition("class Net")[0])
    (package / "net.py").write_text(
        "import torch.nn as nn\nfrom ..nets import Block\nclass Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.a = Block(3, 4)\n"
    )
    specs = {"a.conv.weight": TensorSpec((4, 3, 3, 3), "float32"), "a.conv.bias": TensorSpec((4,), "float32")}
    for spec in ("pkg.nets.net:Net", "pkg/nets/net.py:Net"):
        finding = read_layers(spec, specs, root=tmp_path).findings["a.conv"]
        assert (finding.kind, finding.where) == ("conv", "pkg/nets/parts.py:10")


def test_a_class_that_is_not_there_is_an_error_that_names_the_others(tmp_path: Path) -> None:
    run(tmp_path, NET)
    with pytest.raises(
        SourceError, match=r"model.py: has no class Nett \(did you mean 'Net'\?\)\nIt has: Block, Net."
    ):
        read_layers("model.py:Nett", {}, root=tmp_path)


@pytest.mark.parametrize(
    ("spec", "text", "message"),
    [
        ("gone.py:Net", "", "gone.py: no such file"),
        ("gone.module:Net", "", "gone.module: no such module on disk"),
        ("model.py:Net", "class Net(:", r"model.py:1: not Python: "),
        ("model.py:Net", "\0", "not Python"),
        ("model.py", "x = 1", "model.py: defines no class"),
    ],
)
def test_a_source_that_cannot_be_read_is_an_error(tmp_path: Path, spec: str, text: str, message: str) -> None:
    (tmp_path / "model.py").write_text(text)
    with pytest.raises(SourceError, match=message):
        read_layers(spec, {}, root=tmp_path)


def test_code_that_makes_none_of_the_names_says_so_and_nothing_else(tmp_path: Path) -> None:
    run(tmp_path, NET)
    knowledge = read_layers("model.py:Net", {"encoder.weight": TensorSpec((3, 3), "float32")}, root=tmp_path)
    assert knowledge.findings == {}
    assert knowledge.candidates == {}
    assert knowledge.notes == ("model.py:Net makes none of the checkpoint's 1 tensors.",)


def test_a_tensor_the_code_does_not_make_stays_unknown_and_is_noted(tmp_path: Path) -> None:
    specs = specs_of(run(tmp_path, NET).Net()) | {"extra.weight": TensorSpec((3, 3), "float32")}
    knowledge = read_layers("model.py:Net", specs, root=tmp_path)
    assert "extra" not in knowledge.findings
    assert knowledge.findings["head"].kind == "linear"
    assert any("does not make extra.weight" in note for note in knowledge.notes)


def test_a_layer_of_another_shape_is_no_finding(tmp_path: Path) -> None:
    specs = specs_of(run(tmp_path, NET).Net()) | {"stem.weight": TensorSpec((8, 1), "float32")}
    knowledge = read_layers("model.py:Net", specs, root=tmp_path)
    assert "stem" not in knowledge.findings or knowledge.findings["stem"].kind != "linear"
    assert any("stem.weight" in note for note in knowledge.notes)


FROZEN = """
class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(width))

class Net(nn.Module):
    def __init__(self, norm=Norm):
        super().__init__()
        self.norm = norm(3)
        self.table = nn.Parameter(torch.zeros(3))
"""


def test_tensors_of_ones_own_that_are_a_layer_with_one_more_stay_unknown(tmp_path: Path) -> None:
    specs = specs_of(run(tmp_path, FROZEN).Net())
    assert read_layers("model.py:Net", specs, root=tmp_path).findings["norm.weight"].kind == "buffer"
    specs["norm.num_batches_tracked"] = TensorSpec((), "int64")
    specs["counter"] = TensorSpec((), "int64")
    knowledge = read_layers("model.py:Net", specs, root=tmp_path)
    assert set(knowledge.findings) == {"table"}
    assert any("does not make counter, norm.num_batches_tracked" in note for note in knowledge.notes)


def test_the_source_is_never_executed(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')\nimport os\nos.system('touch {marker}')\n" + HEAD + NET
    (tmp_path / "model.py").write_text(code)
    read_layers("model.py:Net", {"stem.bias": TensorSpec((8,), "float32")}, root=tmp_path)
    assert not marker.exists()


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(HEAD + NET)
    script = """
        import sys
        sys.modules["torch"] = None
        from ml_switcheroo.sources.static import read_layers
        from ml_switcheroo.sources.static.reading import entry
        from ml_switcheroo.tensors import TensorSpec
        specs = {"head.weight": TensorSpec((10, 8), "float32"), "head.bias": TensorSpec((10,), "float32")}
        found = read_layers("model.py:Net", specs)
        print(found.findings["head"].kind)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(ml_switcheroo.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "linear\n"


def test_a_loop_without_end_is_given_up(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.depth = again(3)

def again(n):
    while True:
        n = n + 1
"""
    (tmp_path / "model.py").write_text(HEAD + code)
    specs = {"fc.weight": TensorSpec((2, 2), "float32"), "fc.bias": TensorSpec((2,), "float32")}
    knowledge = read_layers("model.py:Net", specs, root=tmp_path)
    assert knowledge.findings["fc"].kind == "linear"


def test_a_reading_that_came_to_no_end_gives_the_others_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, width=2, name="a", sizes=(1, 2)):
        super().__init__()
        for _ in range(1500):
            for _ in range(1500):
                width = width + 1
        self.fc = nn.Linear(2, 2)
"""
    (tmp_path / "model.py").write_text(HEAD + code)
    given = []
    attempt = entry._attempt

    def counted(one: object, opening: object, known: object, steps: int) -> entry.Attempt:
        given.append(steps)
        return attempt(one, opening, known, steps)

    monkeypatch.setattr(entry, "STEPS", 5000)
    monkeypatch.setattr(entry, "_FEW", 500)
    monkeypatch.setattr(entry, "_attempt", counted)
    knowledge = read_layers("model.py:Net", {"fc.weight": TensorSpec((2, 2), "float32")}, root=tmp_path)
    assert knowledge.notes == ("model.py:Net could not be followed: the code is too long to follow.",)
    assert given[0] == 5000
    assert set(given[1:]) == {500}


def test_a_call_is_refused_with_the_function_to_write_which_is_read(tmp_path, monkeypatch):
    (tmp_path / "model.py").write_text(
        "import torch\n"
        "class Config:\n    width = 4\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, config):\n"
        "        super().__init__()\n"
        "        self.fc = torch.nn.Linear(3, config.width)\n"
    )
    specs = {"fc.weight": TensorSpec((4, 3), "float32"), "fc.bias": TensorSpec((4,), "float32")}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="is a call") as refused:
        read_layers("model.py:Net(Config())", specs)
    (tmp_path / "layers.py").write_text(
        "\n".join(line.strip() for line in refused.value.cure.splitlines()[2:])
    )
    assert read_layers("layers.py:make", specs).findings["fc"].kind == "linear"
    with pytest.raises(SourceError, match=r"import timm\n +def make"):
        read_layers("timm.create_model('resnet18')", specs)


def test_a_parser_of_text_is_not_followed(tmp_path):
    (tmp_path / "model.py").write_text(
        "import yaml\nimport torch\n"
        "CONFIG = yaml.safe_load('width: 4')\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = torch.nn.Linear(3, CONFIG['width'])\n"
    )
    (tmp_path / "yaml").mkdir()
    specs = {"fc.weight": TensorSpec((4, 3), "float32"), "fc.bias": TensorSpec((4,), "float32")}
    found = read_layers("model.py:Net", specs, root=tmp_path)
    assert found.findings["fc"].kind == "linear"
    assert not found.notes
