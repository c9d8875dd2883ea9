"""The demo's network: PyTorch's weights in the hand-written port give PyTorch's logits."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

import ml_switcheroo as ms
from ml_switcheroo.codemod.known_kinds import kinds_of
from ml_switcheroo.errors import PlanError

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
LAYERS = f"{DIGITS}/model.py:Net"


def load(name):
    spec = importlib.util.spec_from_file_location(f"digits_{name}", DIGITS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def images():
    return load("data").digits()[1].transpose(0, 2, 3, 1)


@pytest.fixture(scope="module")
def expected():
    return np.load(DIGITS / "expected.npz")["logits"]


@pytest.fixture
def model():
    return load("port").Net(rngs=nnx.Rngs(0))


def logits(model, images):
    model.eval()
    return np.asarray(jax.jit(lambda x: model(x))(images))


def test_straight_into_the_live_model(model, images, expected):
    assert ms.load_into(model, DIGITS / "weights.pt", layers=LAYERS) == ([], [])
    np.testing.assert_allclose(logits(model, images), expected, atol=1e-4, rtol=0)


def test_by_way_of_a_converted_file(model, images, expected, tmp_path):
    out = tmp_path / "weights.safetensors"
    ms.convert(DIGITS / "weights.pt", out, to="nnx", layers=LAYERS)
    assert ms.load_into(model, out) == ([], [])
    np.testing.assert_allclose(logits(model, images), expected, atol=1e-4, rtol=0)


def test_the_plan_finds_the_flatten_in_the_source():
    plan = ms.make_plan(DIGITS / "weights.pt", to="nnx", layers=LAYERS)
    plan.check()
    line = next(
        number
        for number, text in enumerate((DIGITS / "model.py").read_text().splitlines(), 1)
        if "torch.flatten" in text
    )
    (move,) = [move for move in plan.moves if move.sources == ("fc1.weight",)]
    assert "c=32" in move.what
    assert f"model.py:{line}" in move.notes[0]
    assert {move.origin for move in plan.moves} == {"static"}


def test_without_the_permutation_the_comparison_would_fail(model, images, expected):
    rules = [ms.Kind("fc1", "linear", flatten=1)]
    ms.load_into(model, DIGITS / "weights.pt", layers=LAYERS, rules=rules)
    found = logits(model, images)
    assert np.abs(found - expected).max() > 1
    assert (found.argmax(1) != expected.argmax(1)).any()


def test_without_the_source_the_flatten_is_not_guessed(model):
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    with pytest.raises(PlanError, match=r'Kind\("fc1", "linear", flatten=32\)') as caught:
        ms.load_into(model, DIGITS / "weights.pt")
    assert "fc1.weight" in caught.value.ambiguous
    after = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_there_and_back_is_the_same_file_bit_for_bit():
    plan = ms.make_plan(DIGITS / "weights.pt", to="nnx", layers=LAYERS)
    with ms.open_checkpoint(DIGITS / "weights.pt") as state:
        back = (~plan).apply(dict(plan.apply(state)), partial=True)
        assert set(back) == set(state) - set(plan.dropped)
        for name in back:
            assert back[name].tobytes() == state[name].read().tobytes()


def test_the_model_is_read_and_not_imported():
    ms.make_plan(DIGITS / "weights.pt", to="nnx", layers=LAYERS)
    assert "model" not in sys.modules


def test_the_rewritten_script_loads_the_port(tmp_path):
    weights = DIGITS / "weights.pt"
    code = ms.rewrite((DIGITS / "infer.py").read_text(), "nnx", kinds=kinds_of(weights, LAYERS)).code
    # What its author still does by hand: the port's class, and its layout of images.
    for before, after in (
        ("from model import Net", "from port import Net\nfrom flax import nnx"),
        ("model = Net()", "model = Net(rngs=nnx.Rngs(0))"),
        (
            "model(torch.from_numpy(images)).argmax(1).numpy()",
            "model(images.transpose(0, 2, 3, 1)).argmax(1)",
        ),
    ):
        assert before in code
        code = code.replace(before, after)
    for name in ("port.py", "data.py", "weights.pt"):
        (tmp_path / name).write_bytes((DIGITS / name).read_bytes())
    (tmp_path / "infer.py").write_text(code)
    command = [sys.executable, tmp_path / "infer.py"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == "test accuracy 0.9917\n"
