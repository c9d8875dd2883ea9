"""How torch.nn is written in practice: layers, containers, tensors of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.sources.static import read_layers
from ml_switcheroo.tensors import TensorSpec
from sources.reading import read_and_compare, run, specs_of

CASES = {
    "aliases": """
from torch import nn as layers
from torch.nn import Linear as L, modules
import torch.nn.modules.conv
class Net(layers.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.a = L(2, 3)
        self.b = torch.nn.modules.conv.Conv1d(2, 3, 1)
        self.c = layers.Embedding(5, 2)
        self.d = modules.GroupNorm(2, 4)
""",
    "sequential": """
from collections import OrderedDict
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        layers = [nn.Linear(2, 2), nn.ReLU()]
        layers += [nn.Linear(2, 2)]
        self.a = nn.Sequential(*layers, nn.LayerNorm(2))
        self.b = nn.Sequential(
            OrderedDict([("one", nn.Linear(2, 2)), ("act", nn.ReLU()), ("n", nn.LayerNorm(2))])
        )
        self.c = nn.Sequential()
        self.c.add_module("fc", nn.Linear(2, 1))
        self.c.add_module("norm", nn.BatchNorm1d(1))
        self.d = nn.Sequential(nn.Linear(2, 2))
        self.d.append(nn.Conv2d(1, 1, 1))
        self.e = nn.Sequential(*list(self.a.children())[:-1])
""",
    "lists and dicts": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.ModuleList([nn.Linear(2, i + 1) for i in range(3)])
        self.b = nn.ModuleList()
        for i in range(2):
            self.b.append(nn.Conv2d(i + 1, 2, 1))
        self.b.extend([nn.Linear(2, 2)])
        self.b.insert(0, nn.Embedding(3, 3))
        self.c = nn.ModuleDict({"x": nn.Linear(2, 2), "y": nn.ModuleList([nn.LayerNorm(3)])})
        self.c["z"] = nn.Conv1d(1, 1, 1)
        self.c.update({"w": nn.BatchNorm1d(2)})
        for i in range(2):
            setattr(self, f"layer{i}", nn.Linear(i + 2, 2))
            self.add_module("norm%d" % i, nn.LayerNorm(i + 2))
        self.p = nn.ParameterList([nn.Parameter(torch.zeros(2)) for _ in range(2)])
        self.q = nn.ParameterDict({"left": nn.Parameter(torch.zeros(1))})
""",
    "dictionaries that are counted": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = nn.ParameterDict({"a": nn.Parameter(torch.zeros(1)), "b": nn.Parameter(torch.zeros(1))})
        self.m = nn.ModuleDict({"a": nn.Linear(1, 2)})
        self.none = nn.ParameterDict()
        self.by_parameters = (nn.Embedding if len(self.p) == 2 else nn.Linear)(4, 4)
        self.by_modules = (nn.Embedding if len(self.m) == 2 else nn.Linear)(4, 4)
        self.by_truth = (nn.Linear if self.none else nn.Embedding)(4, 4)
""",
    "tensors": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4, 4))
        self.register_parameter("bias", nn.Parameter(torch.zeros(4)))
        self.register_parameter("nothing", None)
        self.register_buffer("mask", torch.ones(4, dtype=torch.bool))
        self.register_buffer("gone", torch.ones(4), persistent=False)
        self.register_buffer("none", None)
        self.plain = torch.ones(3)
        self.cls = nn.Parameter(torch.randn(1, 1, 8) * 0.02)
""",
    "subclasses": """
class Same(nn.Conv2d):
    def __init__(self, inner, outer, k, **kwargs):
        super().__init__(inner, outer, kernel_size=k, padding=k // 2, **kwargs)

class Scaled(nn.Linear):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain = nn.Parameter(torch.ones(self.out_features))

class Norm2d(nn.LayerNorm):
    pass

class Base(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, width)
        self.build(width)

    def build(self, width):
        raise NotImplementedError

class Net(Base):
    norm = Norm2d

    def __init__(self, width=4):
        super().__init__(width)
        self.same = Same(1, 3, 3, bias=False)
        self.scaled = Scaled(2, 3)

    def build(self, width):
        self.n = self.norm(width)
""",
    "classes as arguments": """
from functools import partial
class Block(nn.Module):
    def __init__(self, dim, norm_layer=nn.LayerNorm, act=None):
        super().__init__()
        self.norm = norm_layer(dim)
        self.fc = (act or nn.Linear)(dim, dim)

def norm_of(name):
    return {"bn": nn.BatchNorm1d, "ln": partial(nn.LayerNorm, eps=1e-6)}[name]

class Net(nn.Module):
    def __init__(self, norm_layer=partial(nn.LayerNorm, eps=1e-6)):
        super().__init__()
        self.a = Block(2, norm_layer)
        self.b = Block(2, norm_of("bn"), act=lambda i, o: nn.Conv1d(i, o, 1))
        self.c = Block(2, norm_layer=norm_of("ln"))
""",
    "conditions": """
class Net(nn.Module):
    def __init__(self, pool=True, down=None, use_bias=False):
        super().__init__()
        self.a = nn.Linear(2, 2) if pool else nn.Conv2d(2, 2, 1)
        if down is None:
            down = nn.Linear
        self.b = down(2, 2, bias=use_bias)
        self.c = nn.Identity() if pool else nn.Linear(3, 3)
        if not pool:
            self.d = nn.Linear(2, 2)
        else:
            self.d = nn.Embedding(2, 2)
        assert self.d is not None
""",
    "overwriting": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.gone = nn.Linear(2, 2)
        self.fc = nn.Conv1d(2, 2, 1)
        self.norm = None
        del self.gone
        self.head = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2))
        self.head[2] = nn.LayerNorm(2)
        del self.head[1]
""",
    "factories": """
def conv3x3(i, o):
    return nn.Conv2d(i, o, 3, bias=False)

def make_layer(block, count, width):
    layers = []
    for _ in range(count):
        layers.append(block(width, width))
    return nn.Sequential(*layers)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = make_layer(conv3x3, 2, 4)
        self.layer2 = self._make(nn.Linear, [2, 3, 4])

    def _make(self, cls, sizes):
        return nn.Sequential(*[cls(a, b) for a, b in zip(sizes[:-1], sizes[1:])])
""",
    "config": """
from dataclasses import dataclass, field
@dataclass
class Config:
    width: int = 4
    depth: int = 2
    norm: str = "layer"
    sizes: list = field(default_factory=lambda: [2, 3])

class Net(nn.Module):
    def __init__(self, config=Config()):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(config.width, config.width) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(config.width) if config.norm == "layer" else nn.BatchNorm1d(config.width)
        self.heads = nn.ModuleList([nn.Linear(config.width, size) for size in config.sizes])
""",
}


@pytest.mark.parametrize("name", CASES)
def test_every_tensor_is_known(tmp_path: Path, name: str) -> None:
    knowledge = read_and_compare(tmp_path, CASES[name])
    assert knowledge.notes == ()
    assert knowledge.candidates == {}


@pytest.mark.parametrize(
    "make", ["Net(pool=False)", "Net(down=nn.Embedding)", "Net(use_bias=True)", "Net(False, use_bias=True)"]
)
def test_the_checkpoint_decides_where_arguments_are_no_defaults(tmp_path: Path, make: str) -> None:
    code = CASES["conditions"].replace("down(2, 2, bias=use_bias)", "down(2, 2)")
    read_and_compare(tmp_path, code, make, unknown={"b.weight"} if "Embedding" in make else ())


def test_what_the_checkpoint_cannot_decide_stays_open(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, width, flat):
        super().__init__()
        self.a = nn.Linear(width, width, bias=False) if flat else nn.Embedding(width, width)
        self.b = nn.Linear(width, 3)
"""
    knowledge = read_and_compare(tmp_path, code, "Net(4, True)", unknown={"a.weight"})
    assert {one.kind for one in knowledge.candidates["a"]} == {"linear", "embedding"}
    assert "a" not in knowledge.findings


RECURRENT = """
class Net(nn.Module):
    def __init__(self, layers=2, both=True):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, layers, bidirectional=both)
        self.projected = nn.LSTM(3, 4, proj_size=2)
        self.gru = nn.GRU(3, hidden_size=4, num_layers=layers, bias=False)
        self.rnn = nn.RNN(3, 4)
        self.cell = nn.LSTMCell(3, 4)
        for name, weight in self.lstm.named_parameters():
            nn.init.zeros_(weight)
        nn.init.orthogonal_(self.gru.weight_hh_l0)
"""


@pytest.mark.parametrize("make", ["Net()", "Net(3, False)"])
def test_recurrent_layers_have_tensors_of_each_layer_and_way(tmp_path: Path, make: str) -> None:
    knowledge = read_and_compare(tmp_path, RECURRENT, make)
    assert knowledge.findings["gru"].args["bias"] is False
    assert knowledge.notes == () or make != "Net()"


def test_the_tensors_of_another_recurrent_layer_are_none_of_this_one(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, 1)
"""
    module = run(tmp_path, code)
    wider = {**specs_of(module.Net()), "lstm.weight_ih_l1": TensorSpec((16, 4), "float32")}
    narrow = {name: TensorSpec((8, *spec.shape[1:]), "float32") for name, spec in wider.items()}
    assert any("weight_ih_l1" in note for note in read_layers("model.py:Net", wider, root=tmp_path).notes)
    assert any("another shape" in note for note in read_layers("model.py:Net", narrow, root=tmp_path).notes)


def test_tied_weights_are_seen(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.again = self.head
"""
    knowledge = read_and_compare(tmp_path, code)
    assert knowledge.tied == (("embed.weight", "head.weight", "again.weight"),)
    assert knowledge.findings["embed"].kind == "embedding"
    assert knowledge.findings["head"].kind == "linear"


def test_layers_of_one_pattern_are_not_tied(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(depth)])
"""
    assert read_and_compare(tmp_path, code, "Net(4)").tied == ()
