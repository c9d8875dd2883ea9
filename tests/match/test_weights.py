"""Every number that was set by hand is read, and stands in one place with a sentence."""

import ast
import dataclasses
import re
from pathlib import Path

import pytest

import ml_switcheroo
from ml_switcheroo.match.weights import WEIGHTS, Weights

PACKAGE = Path(ml_switcheroo.__file__).parent
READERS = [*(PACKAGE / "match").rglob("*.py"), *(PACKAGE / "planning").rglob("*.py")]
FIELDS = [field.name for field in dataclasses.fields(Weights)]


@pytest.mark.parametrize("name", FIELDS)
def test_a_weight_is_read_and_says_what_it_weighs(name):
    assert any(f"WEIGHTS.{name}" in path.read_text(encoding="utf-8") for path in READERS)
    (said,) = re.findall(rf"^        {name}: (.+(?:\n            .+)*)", Weights.__doc__, re.MULTILINE)
    assert said.rstrip().endswith(".")
    assert len(said.split()) > 8


def test_no_weight_can_be_changed_by_the_way():
    with pytest.raises(dataclasses.FrozenInstanceError):
        WEIGHTS.margin = 0.0


def test_no_number_that_weighs_stands_beside_them():
    for path in READERS:
        if path.name == "weights.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            odd = isinstance(node, ast.Constant) and isinstance(node.value, float)
            assert not odd or node.value in (0.0, 1.0, -1e6, 1e6), f"{path.name}:{node.lineno}: {node.value}"
