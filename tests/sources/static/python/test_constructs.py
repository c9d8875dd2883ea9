"""Each construct that the reader promises to know, by itself, in a model of a few lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.errors import SourceError
from ml_switcheroo.sources.static import read_layers
from sources.reading import HEAD, read_and_compare, run, specs_of

BODY = "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"

LINES = {
    "Sequential, positional": "self.a = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.LayerNorm(3))",
    "Sequential of an OrderedDict": """
from collections import OrderedDict
self.a = nn.Sequential(OrderedDict(fc=nn.Linear(2, 3), norm=nn.LayerNorm(3)))
""",
    "Sequential of *layers": """
layers = [nn.Linear(2, 3)]
layers.append(nn.LayerNorm(3))
self.a = nn.Sequential(*layers)
""",
    "Sequential.append": """
self.a = nn.Sequential(nn.Linear(2, 3))
self.a.append(nn.LayerNorm(3))
""",
    "Sequential + Sequential": """
self.a = nn.Sequential(nn.Linear(2, 3), nn.ReLU()) + nn.Sequential(nn.LayerNorm(3))
""",
    "Sequential + Sequential with names": """
from collections import OrderedDict
self.a = nn.Sequential(OrderedDict(fc=nn.Linear(2, 3))) + nn.Sequential(OrderedDict(norm=nn.LayerNorm(3)))
""",
    "convert_sync_batchnorm": """
self.a = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
""",
    "del of a negative index": """
layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.LayerNorm(3), nn.Embedding(3, 3))
del layers[-1]
self.a = layers
""",
    "chain.from_iterable": """
from itertools import chain
self.a = nn.Sequential(*chain.from_iterable((nn.Linear(2, 3), nn.LayerNorm(n)) for n in (3, 4)))
self.b = nn.ModuleList(chain([nn.Linear(2, 3)], [nn.LayerNorm(3)]))
""",
    "ModuleList, literal": "self.a = nn.ModuleList([nn.Linear(2, 3), nn.Embedding(4, 2)])",
    "ModuleList, comprehension": "self.a = nn.ModuleList([nn.Conv1d(i + 1, 2, 1) for i in range(3)])",
    "ModuleList, loop": """
self.a = nn.ModuleList()
for i in range(3):
    self.a.append(nn.Conv1d(i + 1, 2, 1) if i % 2 else nn.Linear(2, 2))
""",
    "ModuleList.extend": """
self.a = nn.ModuleList([nn.Linear(2, 3)])
self.a.extend(nn.LayerNorm(n) for n in (2, 3))
""",
    "ModuleList.insert": """
self.a = nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 4)])
self.a.insert(1, nn.Embedding(3, 3))
""",
    "ModuleDict, literal": 'self.a = nn.ModuleDict({"fc": nn.Linear(2, 3), "tok": nn.Embedding(4, 2)})',
    "ModuleDict, comprehension": """
self.a = nn.ModuleDict({f"size{n}": nn.Conv2d(1, 2, n) for n in (1, 3)})
""",
    "ModuleDict, loop": """
self.a = nn.ModuleDict()
for name in ("q", "k"):
    self.a[name] = nn.Linear(2, 2)
""",
    "add_module": """
self.add_module("a", nn.Linear(2, 3))
for i in range(2):
    self.add_module("b%d" % i, nn.LayerNorm(3))
""",
    "setattr with an f-string": """
for i in range(3):
    setattr(self, f"layer{i}", nn.Linear(2, i + 1))
""",
    "register_buffer(persistent=False)": """
self.register_buffer("kept", torch.zeros(2))
self.register_buffer("gone", torch.zeros(2), persistent=False)
""",
    "weight_norm": "self.a = nn.utils.weight_norm(nn.Conv1d(2, 3, 1))",
    "nn.Parameter": "self.scale = nn.Parameter(torch.ones(2, 2))",
    "tied weights": """
self.embed = nn.Embedding(5, 5)
self.head = nn.Linear(5, 5, bias=False)
self.head.weight = self.embed.weight
""",
}

FILES = {
    "a base class and super().__init__": """
class Base(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.stem = nn.Conv1d(1, width, 1)
class Net(Base):
    def __init__(self):
        super().__init__(4)
        self.fc = nn.Linear(4, 4)
""",
    "a subclass of a layer": """
class Wide(nn.Linear):
    def __init__(self, width):
        super().__init__(width, 4 * width, bias=False)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = Wide(2)
""",
    "helper functions that return layers": """
def conv3x3(i, o):
    return nn.Conv2d(i, o, kernel_size=3, padding=1, bias=False)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = conv3x3(1, 2)
        self.b = self.make_layer(2)
    def make_layer(self, count):
        return nn.Sequential(*(conv3x3(2, 2) for _ in range(count)))
""",
    "a class attribute that carries a class": """
class Net(nn.Module):
    norm_layer = nn.BatchNorm2d
    def __init__(self):
        super().__init__()
        self.norm = self.norm_layer(3)
""",
    "a parameter that carries a class": """
class Block(nn.Module):
    def __init__(self, width, norm_layer=nn.BatchNorm2d):
        super().__init__()
        self.norm = norm_layer(width)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Block(2), Block(3, norm_layer=nn.InstanceNorm2d)
        self.c = Block(2, nn.LayerNorm)
""",
    "a norm without tensors": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 2) if nn.InstanceNorm1d(3).affine else nn.Embedding(2, 2)
        self.n = nn.InstanceNorm2d(3)
        self.m = nn.InstanceNorm2d(3, affine=True)
""",
    "partial": """
from functools import partial
class Net(nn.Module):
    def __init__(self, norm_layer=partial(nn.LayerNorm, eps=1e-6)):
        super().__init__()
        self.norm = norm_layer(3)
""",
    "modules in a field of a dataclass": """
from dataclasses import dataclass, field
@dataclass
class Parts:
    head: nn.Module = field(default_factory=lambda: nn.Linear(2, 2))
    norm: type = nn.LayerNorm
class Net(nn.Module):
    def __init__(self, parts=None):
        super().__init__()
        parts = parts or Parts()
        self.head, self.norm = parts.head, parts.norm(2)
""",
}


@pytest.mark.parametrize("name", [*LINES, *FILES])
def test_a_construct_is_known_with_its_place(
    tmp_path: Path, name: str, recwarn: pytest.WarningsRecorder
) -> None:
    code = FILES.get(name) or BODY + "".join(f"        {line}\n" for line in LINES[name].strip().splitlines())
    knowledge = read_and_compare(tmp_path, code)
    assert knowledge.candidates == {}
    assert knowledge.notes == ()
    lines = (HEAD + code).splitlines()
    for finding in knowledge.findings.values():
        place, number = finding.where.rsplit(":", 1)
        assert place == "model.py"
        assert lines[int(number) - 1].strip()
    assert all("FutureWarning" in str(one.category) for one in recwarn.list)  # of torch's own weight_norm


def test_tied_weights_say_so(tmp_path: Path) -> None:
    code = BODY + "".join(f"        {line}\n" for line in LINES["tied weights"].strip().splitlines())
    assert read_and_compare(tmp_path, code).tied == (("embed.weight", "head.weight"),)


def test_a_parametrized_weight_norm_is_the_layer(tmp_path: Path) -> None:
    code = BODY + "        self.a = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))\n"
    knowledge = read_layers("model.py:Net", specs_of(run(tmp_path, code).Net()), root=tmp_path)
    assert {key: one.kind for key, one in knowledge.findings.items()} == {"a": "linear"}
    assert knowledge.notes == ()


def test_numbers_are_told_where_the_code_states_them(tmp_path: Path) -> None:
    code = BODY + (
        "        self.conv = nn.Conv1d(8, 4, 3, groups=2)\n        self.norm = nn.GroupNorm(4, 8)\n"
        "        self.attn = nn.MultiheadAttention(8, num_heads=2)\n"
    )
    findings = read_layers("model.py:Net", specs_of(run(tmp_path, code).Net()), root=tmp_path).findings
    assert findings["conv"].args["groups"] == 2
    assert findings["norm"].args["num_groups"] == 4
    assert findings["attn"].args["num_heads"] == 2
    assert findings["attn"].where == "model.py:11"


@pytest.mark.parametrize("flag", [True, False])
def test_of_two_branches_the_checkpoint_decides(tmp_path: Path, flag: bool) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, pool):
        super().__init__()
        self.a = nn.Conv2d(2, 2, 3) if pool else nn.Linear(2, 2)
        if pool:
            self.b = nn.BatchNorm2d(2)
"""
    read_and_compare(tmp_path, code, f"Net({flag})")


def test_imports_and_reexports_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "pkg_of_constructs"
    package.mkdir()
    (package / "__init__.py").write_text("from .parts import *\nfrom .parts import Block as Renamed\n")
    (package / "parts.py").write_text(
        "from .base import Linear as Project\nfrom torch import nn\n"
        "class Block(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = Project(2, 3)\n"
    )
    (package / "base.py").write_text("from torch.nn import Linear\n")
    code = """
import pkg_of_constructs as pkg
from pkg_of_constructs import Block, Renamed
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = Block(), Renamed(), pkg.parts.Block()
"""
    knowledge = read_and_compare(tmp_path, code)
    assert {one.where for one in knowledge.findings.values()} == {"pkg_of_constructs/parts.py:6"}


def test_a_file_of_several_classes_that_fit_is_an_error_that_names_them(tmp_path: Path) -> None:
    code = BODY + "        self.fc = nn.Linear(2, 3)\nclass Same(Net):\n    pass\n"
    specs = specs_of(run(tmp_path, code).Net())
    with pytest.raises(SourceError, match="several classes fit the checkpoint: Net, Same"):
        read_layers("model.py", specs, root=tmp_path)


def test_a_registry_whose_method_decorates_holds_what_is_decorated(tmp_path: Path) -> None:
    code = """
class Registry:
    def __init__(self):
        self.kept = {}

    def register(self, name):
        def keep(cls):
            self.kept[name] = cls
            return cls

        return keep


LAYERS = Registry()


@LAYERS.register("wide")
class Wide(nn.Linear):
    pass


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = LAYERS.kept["wide"](2, 3)
"""
    assert read_and_compare(tmp_path, HEAD + code).findings["a"].kind == "linear"
