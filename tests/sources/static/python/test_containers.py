"""Python's own containers, as far as a layer depends on them: what is uncertain in them stays so."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.sources.static import read_layers
from ml_switcheroo.tensors import TensorSpec
from sources.reading import HEAD, read_and_compare, run, said, specs_of

REGISTRY = """
import sys
from collections import defaultdict, deque
from dataclasses import dataclass, field, replace

@dataclass
class Sizes:
    names: deque = field(default_factory=deque)
    width: int = 0

def grouped(table):
    found = defaultdict(Sizes)
    for key, width in table.items():
        name, _, tag = key.partition('.')
        found[name].names.appendleft(tag)
        found[name].width = width
    return found

SIZES = grouped({'net.a': 3, 'net.b': 5, 'other': 7})
KNOWN = {}

def register(function):
    here = sys.modules[function.__module__]
    if hasattr(here, 'SIZES') and function.__name__ in here.SIZES:
        KNOWN[function.__name__] = replace(here.SIZES[function.__name__])
    return function

class Net(nn.Module):
    def __init__(self, width, tag):
        super().__init__()
        self.a = nn.Linear(width, width) if tag == 'b' else nn.Embedding(width, width)
        self.bias = nn.Parameter(torch.zeros(width * width))

@register
def net():
    sizes = KNOWN['net']
    return Net(sizes.width, sizes.names[0])
"""


def test_a_registry_of_configurations_is_followed(tmp_path: Path) -> None:
    # Linear and Embedding differ in the bias alone: the registry's width and tag decide all the rest.
    knowledge = read_and_compare(tmp_path, REGISTRY, "net()", entry="net")
    assert knowledge.findings["a"].args == {"in_features": 5, "out_features": 5}


UNCERTAIN = {
    "a copy of open keywords": """
class Net(nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        options = kwargs.copy()
        self.a = nn.Embedding(3, 3) if 'table' in options else nn.Linear(3, 3, bias=False)
""",
    "a key that may be there": """
class Net(nn.Module):
    def __init__(self, flag):
        super().__init__()
        options = {}
        if flag:
            options['table'] = 1
        self.a = nn.Embedding(3, 3) if 'table' in options else nn.Linear(3, 3, bias=False)
""",
    "a dictionary that may be empty": """
class Net(nn.Module):
    def __init__(self, flag):
        super().__init__()
        options = {}
        if flag:
            options['table'] = 1
        self.a = nn.Embedding(3, 3) if options else nn.Linear(3, 3, bias=False)
""",
    "a set that took in something unknown": """
class Net(nn.Module):
    def __init__(self, words):
        super().__init__()
        chosen = {'x'}
        chosen.update(words)
        self.a = nn.Embedding(3, 3) if 'table' in chosen else nn.Linear(3, 3, bias=False)
""",
    "a set that lost something unknown": """
class Net(nn.Module):
    def __init__(self, word):
        super().__init__()
        chosen = {'table'}
        chosen.discard(word)
        self.a = nn.Embedding(3, 3) if 'table' in chosen else nn.Linear(3, 3, bias=False)
""",
    "a list that lost something unknown": """
class Net(nn.Module):
    def __init__(self, word):
        super().__init__()
        chosen = ['table', 'x']
        chosen.remove(word)
        self.a = nn.Embedding(3, 3) if chosen[0] == 'table' else nn.Linear(3, 3, bias=False)
""",
    "a dataclass with something unknown replaced": """
import dataclasses
@dataclasses.dataclass
class Config:
    table: bool = False
class Net(nn.Module):
    def __init__(self, *args, **changes):
        super().__init__()
        config = dataclasses.replace(Config(), **changes)
        self.a = nn.Embedding(3, 3) if config.table else nn.Linear(3, 3, bias=False)
""",
    "a size of a tensor that is not known": """
class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.a = nn.Embedding(3, 3) if layer(torch.zeros(1, 3)).shape[1] == 3 else nn.Linear(3, 3, bias=False)
""",
    "a default dictionary under a key that is not known": """
from collections import defaultdict
class Net(nn.Module):
    def __init__(self, word):
        super().__init__()
        options = defaultdict(list)
        options[word].append(1)
        self.a = nn.Embedding(3, 3) if options['table'] else nn.Linear(3, 3, bias=False)
""",
}


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_a_container_may_hold_is_not_taken_for_certain(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.py").write_text(HEAD + UNCERTAIN[name])
    specs = {"a.weight": TensorSpec((3, 3), "float32")}
    knowledge = read_layers("model.py:Net", specs, root=tmp_path)
    assert said(knowledge, "a.weight") == ""
    assert {one.kind for one in knowledge.candidates["a"]} == {"linear", "embedding"}


CERTAIN = {
    "an enum that is a string": """
from enum import Enum
class Kind(str, Enum):
    TABLE = 'table'
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Embedding(3, 3) if Kind.TABLE == 'table' else nn.Linear(3, 3, bias=False)
""",
    "two equal dataclasses": """
from dataclasses import dataclass
@dataclass
class Config:
    width: int = 3
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Embedding(3, 3) if Config() == Config(3) else nn.Linear(3, 3, bias=False)
""",
}


@pytest.mark.parametrize("name", CERTAIN)
def test_what_a_class_decides_to_equal_is_never_taken_for_different(tmp_path: Path, name: str) -> None:
    model = run(tmp_path, CERTAIN[name]).Net()
    knowledge = read_layers("model.py:Net", specs_of(model), root=tmp_path)
    assert said(knowledge, "a.weight") in ("embedding", "")
    assert "embedding" in {
        one.kind for one in (*knowledge.candidates.get("a", ()), *knowledge.findings.values())
    }


ENUM = """
from enum import Enum
class Kind(str, Enum):
    TABLE = 'table'
    LINE = 'line'
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        kind = {kind}
        self.a = nn.Embedding(3, 3) if kind is Kind.TABLE else nn.Linear(3, 3, bias=False)
"""
MEANT = {
    "a value": ("Kind('table')", "embedding"),
    "another value": ("Kind('line')", "linear"),
    "a member": ("Kind(Kind.TABLE)", "embedding"),
    "a value of a member": ("Kind(Kind.LINE.value)", "linear"),
}


@pytest.mark.parametrize("name", MEANT)
def test_an_enum_is_called_with_what_it_means(tmp_path: Path, name: str) -> None:
    code, kind = MEANT[name]
    code = ENUM.replace("{kind}", code)
    (tmp_path / "model.py").write_text(HEAD + code)
    knowledge = read_layers("model.py:Net", {"a.weight": TensorSpec((3, 3), "float32")}, root=tmp_path)
    assert said(knowledge, "a.weight") == kind


@pytest.mark.parametrize(
    "call",
    [
        "Kind(nowhere())",
        "Kind('something else')",
    ],
)
def test_an_enum_of_nobody_knows_what_stays_open(tmp_path: Path, call: str) -> None:
    code = ENUM.replace("{kind}", call)
    (tmp_path / "model.py").write_text(HEAD + code)
    knowledge = read_layers("model.py:Net", {"a.weight": TensorSpec((3, 3), "float32")}, root=tmp_path)
    assert said(knowledge, "a.weight") == ""


def test_an_enum_that_makes_its_members_may_call_them_otherwise(tmp_path: Path) -> None:
    own = """
    def __new__(cls, word):
        made = str.__new__(cls, word)
        made._value_ = {'table': 'line', 'line': 'table'}[word]
        return made
"""
    code = ENUM.replace("    TABLE =", own + "    TABLE =").replace("{kind}", "Kind('table')")
    (tmp_path / "model.py").write_text(HEAD + code)
    knowledge = read_layers("model.py:Net", {"a.weight": TensorSpec((3, 3), "float32")}, root=tmp_path)
    assert said(knowledge, "a.weight") == ""
