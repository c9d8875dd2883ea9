from pathlib import Path

import pytest

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError
from ml_switcheroo.explain import explain

DIGITS = Path(__file__).parents[1] / "examples" / "digits"


@pytest.fixture(scope="module")
def state():
    with ms.open_checkpoint(DIGITS / "weights.pt") as opened:
        yield opened


def test_every_source_is_heard_and_the_winner_named(state):
    text = explain("fc1.weight", state, to="nnx", layers=f"{DIGITS}/model.py:Net")
    assert "3. static    fc1 is linear" in text
    assert "behind a Flatten of 32 channels" in text
    assert "5. evidence  fc1 can be linear" in text
    assert "believed: weight of fc1, linear (static)" in text
    assert "moved: out (c *space) -> (*space c) out" in text
    assert "fc1.kernel float32[128,48]" in text


def test_a_rule_wins(state):
    rules = [ms.Kind("fc1", "linear", flatten=1)]
    text = explain("fc1.weight", state, to="nnx", layers=f"{DIGITS}/model.py:Net", rules=rules)
    assert "1. rules" in text
    assert "believed: weight of fc1, linear (rules)" in text
    assert "moved: out in -> in out" in text


def test_what_is_ambiguous_shows_its_rules(state):
    text = explain("fc1.weight", state, to="nnx")
    assert 'Kind("fc1", "linear", flatten=32)' in text


def test_what_is_dropped_says_why(state):
    rules = [ms.Drop("fc2.*", "a new head")]
    assert "dropped: a new head" in explain("fc2.bias", state, to="nnx", rules=rules)
    text = explain("features.0.1.num_batches_tracked", state, to="nnx")
    assert "keeps no counter" in text


def test_a_wrapped_name_is_peeled(state):
    wrapped = {f"module.{name}": tensor for name, tensor in state.items()}
    text = explain("module.fc2.bias", wrapped, to="nnx", layers=f"{DIGITS}/model.py:Net")
    assert "peeled to fc2.bias" in text


def test_a_misspelled_name_is_an_error_with_a_hint(state):
    with pytest.raises(UsageError, match=r"did you mean fc1\.weight"):
        explain("fc1.wieght", state, to="nnx")
