"""Another argument than the default that makes another layer of the same shapes leaves a choice."""

from pathlib import Path

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.rule_lines import parse_rules
from ml_switcheroo.sources.static import read_layers
from sources.reading import HEAD, run, specs_of

NET = """
class Net(nn.Module):
    def __init__(self, {parameter}):
        super().__init__()
        {body}
        self.head = nn.Linear(5, 3)
"""
TABLE = "self.m = nn.Linear(5, 5, bias=False) if {test} else nn.Embedding(5, 5)"
CHOOSES = {
    "a word": ('way="dense"', TABLE.format(test='way == "dense"'), 'way="table"'),
    "a word, the other way round": ('way="dense"', TABLE.format(test='"dense" == way'), 'way="table"'),
    "another word is asked for": ('way="dense"', TABLE.format(test='way != "table"'), 'way="table"'),
    "a word of several": ('way="dense"', TABLE.format(test='way in ("dense", "linear")'), 'way="table"'),
    "a number": ("way=0", TABLE.format(test="way == 0"), "way=1"),
    "a number that counts as false": ("way=0", TABLE.format(test="not way"), "way=1"),
    "None": ("way=None", TABLE.format(test="way is None"), "way=1"),
    "a registry": (
        'way="dense"',
        'self.m = {"dense": nn.Linear(5, 5, bias=False), "table": nn.Embedding(5, 5)}[way]',
        'way="table"',
    ),
    "a match": (
        'way="dense"',
        'match way:\n            case "dense":\n                self.m = nn.Linear(5, 5, bias=False)\n'
        "            case _:\n                self.m = nn.Embedding(5, 5)",
        'way="table"',
    ),
    "the last of three": (
        'way="dense"',
        'if way == "dense":\n            self.m = nn.Linear(5, 5, bias=False)\n        elif way == "table":\n'
        "            self.m = nn.Embedding(5, 5)\n        else:\n            raise ValueError(way)",
        'way="table"',
    ),
    "one of a keyword's own": ('*, way="dense"', TABLE.format(test='way == "dense"'), 'way="table"'),
    "a word in a dictionary": (
        'way={"way": "dense", "size": 5}',
        TABLE.format(test='way["way"] == "dense"'),
        'way={"way": "table"}',
    ),
    "a class": ("way=nn.Conv2d", "self.m = way(5, 5, 3)", "way=nn.ConvTranspose2d"),
    "the name of a class": ('way="Conv2d"', "self.m = getattr(nn, way)(5, 5, 3)", 'way="ConvTranspose2d"'),
}
STANDS = {
    "a width": ("width=5", "self.m = nn.Linear(width, width, bias=False)"),
    "a depth": ("depth=2", "self.m = nn.Sequential(*[nn.Linear(5, 5) for _ in range(depth)])"),
    "an activation": ("act=nn.ReLU", "self.m = nn.Linear(5, 5)\n        self.act = act()"),
    "a norm by None": ("norm=None", "self.m = (norm or nn.LayerNorm)(5)"),
    "a word that no layer depends on": (
        'pool="avg"',
        'self.m = nn.Linear(5, 5)\n        self.pool = nn.AvgPool2d(2) if pool == "avg" else nn.MaxPool2d(2)',
    ),
    "another kind of another shape": (
        'way="dense"',
        'self.m = nn.Linear(5, 4, bias=False) if way == "dense" else nn.Embedding(5, 4)',
    ),
    "another kind with a bias": (
        'way="dense"',
        'self.m = nn.Linear(5, 5) if way == "dense" else nn.Embedding(5, 5)',
    ),
    "a class of which one layer has another shape": (
        "conv=nn.Conv2d",
        "self.m = conv(5, 5, 3)\n        self.n = conv(5, 4, 3)",
    ),
    "the shape shows the number": ("n=5", "self.m = nn.Linear(n, n) if n == 5 else nn.Embedding(n, n)"),
}


@pytest.mark.parametrize("name", CHOOSES)
def test_a_default_that_chooses_a_layer_is_open(name: str, tmp_path: Path) -> None:
    parameter, body, other = CHOOSES[name]
    module = run(tmp_path, NET.format(parameter=parameter, body=body))
    plain, made = module.Net(), eval(f"Net({other})", module.__dict__)
    assert specs_of(plain) == specs_of(made)
    found = read_layers("model.py:Net", specs_of(made), root=tmp_path)
    kinds = {one.kind: one.reason for one in found.candidates["m"]}
    assert len(kinds) == 2
    assert any("the default" in reason and "way" in reason for reason in kinds.values())
    assert found.findings["head"].kind == "linear"


@pytest.mark.parametrize("name", STANDS)
def test_other_defaults_leave_no_doubt(name: str, tmp_path: Path) -> None:
    parameter, body = STANDS[name]
    module = run(tmp_path, NET.format(parameter=parameter, body=body))
    found = read_layers("model.py:Net", specs_of(module.Net()), root=tmp_path)
    assert not found.candidates
    assert found.findings["head"].kind == "linear"


def test_the_fields_of_a_configuration_are_open(tmp_path: Path) -> None:
    code = "from dataclasses import dataclass\n@dataclass\nclass Config:\n    way: str = 'dense'\n"
    body = TABLE.format(test='config.way == "dense"')
    for default in ("config=Config()", "config=None"):
        made = "config = config or Config()\n        " if default.endswith("None") else ""
        module = run(tmp_path, code + NET.format(parameter=default, body=made + body))
        found = read_layers("model.py:Net", specs_of(module.Net()), root=tmp_path)
        assert {one.kind for one in found.candidates["m"]} == {"linear", "embedding"}, default


def test_a_default_that_is_handed_on_is_open_and_a_rule_settles_it(tmp_path: Path) -> None:
    inner = NET.replace("Net", "Inner").format(
        parameter='way="dense"', body=TABLE.format(test='way == "dense"')
    )
    outer = (
        "class Net(nn.Module):\n    def __init__(self, mode='dense'):\n        super().__init__()\n"
        "        self.inner = Inner(mode)\n"
    )
    (tmp_path / "model.py").write_text(f"{HEAD}{inner}\n\n{outer}")
    state = {
        "inner.m.weight": np.zeros((5, 5), np.float32),
        "inner.head.weight": np.zeros((3, 5), np.float32),
        "inner.head.bias": np.zeros(3, np.float32),
    }
    source = f"{tmp_path / 'model.py'}:Net"
    (asked,) = ms.make_plan(state, to="nnx", layers=source).ambiguous
    assert any("mode is something else" in text for text in asked.candidates)
    leaves = set()
    for rule in asked.rules:
        plan = ms.make_plan(state, to="nnx", layers=source, rules=parse_rules(rule))
        plan.check()
        leaves |= set(plan.outputs)
    assert {"inner.m.kernel", "inner.m.embedding"} <= leaves
