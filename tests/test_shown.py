"""What a session shows of an object is one line, and in a notebook a small table that is text alone."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo import errors
from ml_switcheroo.conversion import Conversion
from ml_switcheroo.load import Loaded
from ml_switcheroo.tree import template_of_tree
from ml_switcheroo.verification.programs import Comparison
from ml_switcheroo.verification.verdict import Verification

MANY = {f"layers.{number}.fc.weight": np.zeros((4, 3), "f4") for number in range(2000)}
LAYERS = {f"layers.{number}.fc": "linear" for number in range(2000)}


@pytest.fixture(scope="module")
def plan():
    return ms.make_plan(MANY, to="jax", layers=LAYERS)


def is_short(text):
    return len(text) <= 250 and "\n" not in text


def test_a_plan_and_its_leaves(plan):
    assert repr(plan) == "<Plan state dict -> jax: 2000 tensors (2000 moved), 2000 leaves filled>"
    assert repr(plan.apply(MANY)) == "<Leaves: 2000 leaves, 96,000 bytes, each computed when it is asked for>"
    assert is_short(repr(plan.moves[0]))
    assert len(str(plan)) > 100  # all of it is what print shows


def test_a_checkpoint_and_its_tensors(tmp_path):
    np.savez(tmp_path / "w.npz", **MANY)
    with ms.open_checkpoint(tmp_path / "w.npz") as state:
        assert repr(state) == f"<Checkpoint {tmp_path}/w.npz (npz): 2000 tensors, 96,000 bytes>"
        assert repr(state["layers.0.fc.weight"]) == "<LazyTensor float32[4,3]>"
        assert "... and 1990 more" in state._repr_html_()
        assert len(state._repr_html_()) < 3000
        assert repr(Conversion(state, to="jax")) == "<Conversion Checkpoint -> jax>"
    assert repr(Conversion("w.npz", to="jax")) == "<Conversion w.npz -> jax>"


def test_what_was_loaded():
    from ml_switcheroo.load import Loaded

    many = [str(number) for number in range(5000)]
    loaded = Loaded(many, ["x"])
    loaded.notes = ("a", "b")
    assert repr(loaded) == (
        "Loaded(missing_keys=['0', '1', '2', ... and 4997 more], unexpected_keys=['x'], 2 notes)"
    )
    missing, unexpected = loaded
    assert (missing, unexpected) == (many, ["x"])


def test_models_side_by_side():
    class Net(torch.nn.Linear):
        pass

    assert repr(ms.Experiment(Net(300, 300), np.zeros(3), None)) == "<Experiment: Net beside ndarray>"


def test_a_rewritten_file():
    done = ms.rewrite("model.load_state_dict(torch.load('w.pt'))\n" * 50, to="nnx")
    assert re.fullmatch(r"<Rewrite: \d+ edits, \d+ notes, \d+ lines>", repr(done))


@pytest.mark.parametrize("length", [10, 5000])
def test_errors(length):
    text = "x" * length
    for error in (errors.UsageError(text), errors.PlanError(f"head\n{text}"), errors.LoadError(text)):
        assert is_short(repr(error))
        assert repr(error).startswith(f"<{type(error).__name__}: ")
        assert error.full.endswith(text)
    assert repr(errors.UsageError("short")) == "<UsageError: short>"


class Text(HTMLParser):
    """Holds the tags and the text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += f"{data}|"


TABLE = {"table", "caption", "tr", "td"}


def test_a_plan_in_a_notebook_is_small_and_escaped(plan):
    page = Text(plan._repr_html_())
    assert page.tags == TABLE
    assert "2000 of linear" in page.text
    assert len(plan._repr_html_()) < 500


def test_a_plan_in_a_notebook_says_what_is_to_decide():
    state = {"<script>.weight": np.zeros((4, 4), "f4"), "b.w": np.zeros(2, "f4")}
    like = template_of_tree({f"leaf{number}": (7, 7) for number in range(30)})
    page = Text(ms.make_plan(state, to="jax", like=like)._repr_html_())
    assert page.tags == TABLE
    assert "<script>.weight" in page.text
    assert "... and 20 more" in page.text
    assert "missing|leaf0 " in page.text


class Texts(HTMLParser):
    """The texts and tags of a piece of HTML."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts = set(), []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_what_a_notebook_shows_is_text_alone(plan):
    attack = "</pre><script>alert(1)</script>"
    shown = [
        plan.apply(MANY),
        Loaded(["fc.weight"], [attack]),
        ms.UsageError(attack),
        Verification(attack, "nnx", (), (), (), None, 1e-4),
        Comparison(attack, "nnx", True, (attack,), (), {}, 1),
    ]
    for one in shown:
        found = Texts(one._repr_html_())
        assert found.tags <= {"table", "caption", "tr", "td", "pre"}
    assert "... and 1990 more" in shown[0]._repr_html_()
    assert "".join(Texts(shown[2]._repr_html_()).texts) == f"UsageError: {attack}"
