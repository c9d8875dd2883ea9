"""Two programs that are read: they compute the same, differ in a line of each, or could not be followed."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.errors import LoadError, PlanError, SwitcherooError, UsageError
from ml_switcheroo.verification import compare

nnx = pytest.importorskip("flax.nnx")

MODEL = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.up = nn.Linear(6, 6)
        self.down = nn.Linear(6, 3)

    def forward(self, x):
        return self.down(self.up(self.norm(x)).relu()CHANGE)
"""
STATE = {
    "norm.weight": np.ones(6, "f4"),
    "norm.bias": np.zeros(6, "f4"),
    "up.weight": np.zeros((6, 6), "f4"),
    "up.bias": np.zeros(6, "f4"),
    "down.weight": np.zeros((3, 6), "f4"),
    "down.bias": np.zeros(3, "f4"),
}
"""All alike or zero: what decides is not the values."""


class Port(nnx.Module):
    def __init__(self, epsilon=1e-5, act=nnx.relu):
        rngs = nnx.Rngs(0)
        self.b = nnx.Linear(6, 6, rngs=rngs)
        self.a = nnx.Linear(6, 3, rngs=rngs)
        self.c = nnx.LayerNorm(6, epsilon=epsilon, rngs=rngs)
        self.act = act

    def __call__(self, x):
        return self.a(self.act(self.b(self.c(x))))


class Stubborn(Port):
    def __call__(self, x):
        if x.sum() > 0:
            return x
        return super().__call__(x)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write the model with a change in it."""
    monkeypatch.chdir(tmp_path)

    def write(change=""):
        (tmp_path / "model.py").write_text(MODEL.replace("CHANGE", change), encoding="utf-8")
        return "model.py:Net"

    return write


def line_of(text):
    """Return where a line of this file stands."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return f"test_programs.py:{lines.index(text) + 1}"


def read(model, port, **more):
    return compare(STATE, layers=model, like=port, inputs="float32[2,6]", **more)


def test_both_compute_the_same_under_other_names(model):
    found = read(model(), Port())
    assert (found.agrees, found.verdict, found.gaps) == (True, "compute the same", ())
    assert found.leaves == {
        "c.scale": ("norm.weight",),
        "c.bias": ("norm.bias",),
        "b.kernel": ("up.weight",),
        "b.bias": ("up.bias",),
        "a.kernel": ("down.weight",),
        "a.bias": ("down.bias",),
    }
    assert str(found) == (
        "model.py:Net (torch) and its port (nnx): both compute the same; 6 of 6 leaves are matched"
    )
    assert json.loads(json.dumps(found.to_json()))["agrees"] is True


@pytest.mark.parametrize(
    ("port", "said"),
    [
        (Port(act=nnx.gelu), "relu (model.py:13); gelu ("),
        (Port(act=nnx.silu), "relu (model.py:13); "),
        (Port(epsilon=1e-3), "norm 1e-05 (model.py:13); add 0.001 ("),
        (Port(epsilon=1e-6), "norm 1e-05 (model.py:13); add 1e-06 ("),
    ],
)
def test_a_difference_has_a_line_of_both(model, port, said):
    found = read(model(), port)
    assert found.verdict == "differ"
    assert any(said in text for text in found.differences), found.differences
    assert all(line_of("        return self.a(self.act(self.b(self.c(x))))") in t for t in found.differences)
    assert all(f"\n  {text}" in str(found) for text in found.differences)


def test_what_cannot_be_followed_is_neither(model):
    found = read(model(" + __import__('torch').randn(1)"), Port())
    assert (found.agrees, found.verdict) == (False, "not followed")
    assert "the PyTorch model is not followed all the way: model.py:13: " in str(found)
    assert "not known whether" in str(found)


ATTENTION = """
from torch import nn


class Net(nn.Module):
    def __init__(self, heads=2):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return (q @ k.transpose(-1, -2)).softmax(-1) @ v


def make():
    return Net(heads=4)
"""


class Attention(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.a, self.b, self.c = (nnx.Linear(8, 8, rngs=rngs) for _ in range(3))

    def __call__(self, x):
        k, q, v = (one(x).reshape(*x.shape[:2], 4, 2).swapaxes(1, 2) for one in (self.a, self.b, self.c))
        return nnx.softmax(q @ k.mT) @ v


def test_a_number_that_no_shape_shows_is_the_default_or_what_a_function_says(model, tmp_path):
    model()
    (tmp_path / "attention.py").write_text(ATTENTION, encoding="utf-8")
    state = {"qkv.weight": np.zeros((24, 8), "f4"), "qkv.bias": np.zeros(24, "f4")}
    said = [
        compare(state, layers=f"attention.py:{name}", like=Attention(), inputs="float32[2,5,8]").verdict
        for name in ("Net", "make")
    ]
    assert said == ["differ", "compute the same"]


@pytest.mark.parametrize("shape", [(2, 6), (1, 5, 6), (1, 3, 8, 8), (4, 7)])
def test_some_rows_of_an_input_are_weaker_than_others(shape):
    from ml_switcheroo.graph.inputs import given, numbers_for

    (values,) = numbers_for(given([np.empty(shape, "f4")]), SimpleNamespace(inputs=[0]))
    for axis in {1, len(shape) - 1}:
        sizes = np.moveaxis(values, axis, -1).reshape(-1, shape[axis]).std(1)
        assert sizes.min() < 0.1 * sizes.max()


def test_a_live_module_brings_its_own_tensors(model):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(
        torch.nn.LayerNorm(6), torch.nn.Linear(6, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3)
    )
    found = compare(layers=net, like=Port(), inputs=np.zeros((2, 6), "f4"))
    assert found.agrees
    assert found.leaves["b.kernel"] == ("1.weight",)
    with pytest.raises(UsageError, match="say which checkpoint"):
        compare(layers=model(), like=Port(), inputs="float32[2,6]")


def test_a_model_that_cannot_be_traced_names_the_users_line(model):
    line = line_of("        if x.sum() > 0:")
    with pytest.raises(SwitcherooError, match=rf"given float32\[2,6\]: {line}: Tracer"):
        read(model(), Stubborn())
    plan = ms.make_plan(STATE, to="nnx", layers=model(), like=Stubborn(), inputs="float32[2,6]")
    assert any(line in note and "names and shapes decide" in note for note in plan.notes)


def test_each_order_of_inputs_that_was_tried_is_named(model):
    class Image(Port):
        def __call__(self, x):
            return super().__call__(x.reshape(5, 6))

    with pytest.raises(
        SwitcherooError,
        match=r"\[2,3,6\]: test_programs.py:\d+: .*; given float32\[2,6,3\]: test_programs.py:",
    ):
        compare(STATE, layers=model(), like=Image(), inputs="float32[2,3,6]")


@pytest.mark.parametrize("inputs", ["float[2,6]", "2,6", 3, ["float32[2,6]", "x"]])
def test_wrong_inputs_show_what_to_write(model, inputs):
    for ask in (compare, lambda state, **more: ms.make_plan(state, to="nnx", **more)):
        with pytest.raises(UsageError, match=r'inputs="float32\[1,3,64,64\]"'):
            ask(STATE, layers=model(), like=Port(), inputs=inputs)


def test_a_plan_without_inputs_says_that_they_help(model):
    plan = ms.make_plan(STATE, to="nnx", layers=model(), like=Port())
    with pytest.raises(PlanError, match="let both programs be read: inputs="):
        plan.check()
    with pytest.raises(LoadError, match=r'names of its own, say what PyTorch.s is given: inputs="float32'):
        ms.load_into(Port(), STATE, layers=model())


def test_a_port_with_other_names_is_loaded_by_a_path_too(model):
    state = {**STATE, "up.weight": np.arange(36, dtype="f4").reshape(6, 6)}
    port = Port()
    assert tuple(ms.load_into(port, state, layers=Path(model()), inputs="float32[2,6]")) == ([], [])
    assert np.array_equal(port.b.kernel[...], state["up.weight"].T)
    assert compare(state, layers=Path(model()), like=port, inputs="float32[2,6]").source == "model.py:Net"


def test_what_is_likely_is_counted_once(model):
    plan = ms.make_plan(STATE, to="nnx", layers=model(), like=Port(act=nnx.gelu), inputs="float32[2,6]")
    assert plan.differences
    assert plan.twice == ()
    assert {*plan.inputs, *plan.unexpected, *plan.doubted} == {*STATE}


PORT = """
import jax
from flax import nnx


class Port(nnx.Module):
    def __init__(self, act):
        rngs = nnx.Rngs(0)
        self.b, self.a = nnx.Linear(6, 6, rngs=rngs), nnx.Linear(6, 3, rngs=rngs)
        self.c = nnx.LayerNorm(6, epsilon=1e-5, rngs=rngs)
        self.act = act

    def __call__(self, x):
        return self.a(self.act(self.b(self.c(x))))


def make():
    return Port(nnx.relu)


def wrong():
    return Port(nnx.gelu)
"""


def run(*arguments, cwd):
    command = [sys.executable, "-m", "ml_switcheroo", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_the_verb_reads_both_programs_without_torch(model, tmp_path):
    model()
    (tmp_path / "port.py").write_text(PORT)
    (tmp_path / "torch.py").write_text("raise ImportError('not here')")
    np.savez(tmp_path / "weights.npz", **STATE)
    there = ("--layers", "model.py:Net", "--checkpoint", "weights.npz", "--inputs", "float32[2,6]")
    good = run(*there, "--target-model", "port.py:make", cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.endswith("both compute the same; 6 of 6 leaves are matched\n")
    bad = run(*there, "--target-model", "port.py:wrong", cwd=tmp_path)
    assert bad.returncode == 1
    assert "relu (model.py:13); gelu (port.py:14)" in bad.stdout
    record = json.loads(run(*there, "--target-model", "port.py:wrong", "--json", cwd=tmp_path).stdout)
    assert (record["verdict"], record["agrees"]) == ("differ", False)
    assert record["differences"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--inputs float32[2,6]", "add --layers model.py:Net .* and --checkpoint CKPT"),
        ("--inputs float32[2,6] --layers model.py:Net", "add --checkpoint CKPT"),
        (
            "--inputs float32[2,6] --layers m.py:N --checkpoint w --load --strict",
            "--load, --strict: only with",
        ),
        ("--inputs float32[2,6] --source model.py:Net", "both models run, and take values"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(tmp_path, options, said):
    for name in ("port.py", "model.py", "m.py", "w"):
        (tmp_path / name).touch()
    done = run("--target-model", "port.py:make", *options.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(said, done.stderr), done.stderr
