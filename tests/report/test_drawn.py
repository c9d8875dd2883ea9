"""Both programs stand side by side: partners in one row, every step once, and nothing unescaped."""

import re
from dataclasses import replace

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.report.drawn import programs_html
from ml_switcheroo.rules import Kind
from ml_switcheroo.sketch import Sketch, Step

STATE = {f"{name}.weight": np.zeros((4, 4), "f4") for name in ("a", "b", "c")}
PLAN = ms.make_plan(STATE, to="nnx", rules=[Kind("{m}", "linear")])


def chain(*steps):
    made = [Step("input 0", (), (2, 4))]
    for name, leaves in steps:
        made.append(Step(name, ("dot",), (2, 4), "net.py:1", leaves, (len(made) - 1,)))
    return Sketch(tuple(made), (len(made) - 1,), len(steps))


def layers(end, *words):
    return chain(*((word, (f"{word}.{end}",) if word in "abc" else ()) for word in words))


def rows(source, target):
    page = programs_html(replace(PLAN, programs=(source, target)))
    return [
        re.findall(r"<b>(.*?)</b>", row) for row in page.splitlines() if row.startswith("<div><div")
    ], page


def test_a_plan_without_programs_draws_none():
    assert programs_html(PLAN) == ""
    assert "<figure id=programs>" not in PLAN.to_html()


def test_partners_share_a_row_and_what_stands_between_is_beside_them():
    found, page = rows(
        layers("weight", "a", "relu", "b", "c"), layers("kernel", "a", "b", "gelu", "scale", "c")
    )
    assert found == [
        ["input 0", "input 0"],
        ["a", "a"],
        ["relu"],
        ["b", "b"],
        ["gelu"],
        ["scale"],
        ["c", "c"],
    ]
    assert page.count("data-pair=") == 3


@pytest.mark.parametrize("order", ["abc", "acb", "cba", "bac", "xaybzc"])
def test_every_step_is_drawn_once_in_its_order(order):
    source, target = layers("weight", *"abc"), layers("kernel", *order)
    _, page = rows(source, target)
    assert re.findall(r"<div id=a(\d+)", page) == [str(n) for n in range(len(source.steps))]
    assert re.findall(r"<div id=b(\d+)", page) == [str(n) for n in range(len(target.steps))]
    assert page.count("data-pair=") == 3


def test_what_a_program_says_is_escaped():
    _, page = rows(layers("weight", "<i>"), layers("kernel", '"&'))
    assert "<i>" not in page
    assert "&lt;i&gt;" in page
    assert "&quot;&amp;" in page


def test_a_prefix_that_was_peeled_off_is_back_on_the_tensors():
    sketch = layers("weight", "a").renamed({"a.weight": "module.a.weight"})
    assert sketch.steps[1].leaves == ("module.a.weight",)
