"""Converting twice is refused with the reason, whatever format carries the stamp."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import ml_switcheroo as ms
from ml_switcheroo.errors import UsageError
from ml_switcheroo.plan import Plan
from ml_switcheroo.provenance import stamped_target
from ml_switcheroo.targets import TARGETS

# A square convolution: MLX keeps its name and its shape, and permutes its axes.
STATE = {"conv.weight": np.arange(81, dtype="f4").reshape(3, 3, 3, 3), "conv.bias": np.ones(3, "f4")}
LAYERS = {"conv": "Conv2d"}
OUTPUTS = [
    *((to, "out.safetensors", {}) for to in sorted(TARGETS)),
    *((to, "out.npz", {}) for to in sorted(TARGETS)),
    *((to, "folder", {}) for to in ("nnx", "linen", "jax")),
    ("mlx", "shards", {"max_shard_bytes": 100}),
    ("keras", "out.weights.h5", {}),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.safetensors"
    safetensors.numpy.save_file(STATE, path)
    return path


def model(to: str) -> object:
    if to != "keras":
        return None
    keras = pytest.importorskip("keras")

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv = keras.layers.Conv2D(3, 3)

        def call(self, x: object) -> object:
            return self.conv(x)

    made = Net()
    made(np.zeros((1, 5, 5, 3), np.float32))
    return made


@pytest.mark.parametrize(("to", "name", "options"), OUTPUTS, ids=lambda value: str(value))
def test_a_converted_checkpoint_is_recognised_and_refused(
    source: Path, to: str, name: str, options: dict[str, int]
) -> None:
    out, again = source.with_name(name), source.with_name("again.safetensors")
    like = model(to) if name.endswith(".h5") else None
    plan = ms.convert(source, out, to=to, layers=LAYERS, like=like, **options)
    reason = rf"was already converted to {to} \(from source\.safetensors\); .* permute it twice"
    for attempt in (
        lambda: ms.make_plan(out, to=to, layers=LAYERS),
        lambda: ms.convert(out, again, to=to, layers=LAYERS),
        lambda: ms.convert(out, again, to=to, plan=plan, allow_unexpected=True),
    ):
        with pytest.raises(UsageError, match=reason):
            attempt()
    with ms.open_checkpoint(out) as opened:
        assert stamped_target(opened) == to
        with pytest.raises(UsageError, match=reason):
            plan.apply(opened, partial=True)
    assert not again.exists()


def test_the_command_line_refuses_it_too(source: Path, tmp_path: Path) -> None:
    out, again, saved = tmp_path / "out.safetensors", tmp_path / "again.safetensors", tmp_path / "plan.json"
    (tmp_path / "rules.toml").write_text('[[kind]]\npattern = "conv"\nkind = "conv"\n')

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "ml_switcheroo", *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    more = ("--to", "mlx", "--rules", tmp_path / "rules.toml")
    assert run("plan", source, *more, "-o", saved).returncode == 0
    assert run("convert", source, out, *more, "--plan", saved).returncode == 0
    for words in (
        ("plan", out, *more),
        ("convert", out, again, *more),
        ("convert", out, again, *more, "--plan", saved),
    ):
        shown = run(*words)
        assert shown.returncode == 2, words
        assert "already converted to mlx (from source.safetensors)" in shown.stderr, words
    assert not again.exists()


def test_the_stamp_says_target_plan_and_version(source: Path) -> None:
    out = source.with_name("out.safetensors")
    plan = ms.convert(source, out, to="mlx", layers=LAYERS)
    with ms.open_checkpoint(source) as before, ms.open_checkpoint(out) as opened:
        assert dict(opened.metadata) == {
            "ml_switcheroo.version": ms.__version__,
            "ml_switcheroo.target": "mlx",
            "ml_switcheroo.plan": plan.digest,
            "ml_switcheroo.source": "source.safetensors",
            "ml_switcheroo.source_hash": before.digest,
        }


def test_what_was_turned_back_can_be_converted_and_not_turned_back_again(source: Path) -> None:
    out, back = source.with_name("out.safetensors"), source.with_name("back.safetensors")
    plan = ms.convert(source, out, to="mlx", layers=LAYERS)
    export = {"like": source, "layers": LAYERS, "to": "mlx"}
    ms.conversion.export(out, back, **export)
    with ms.open_checkpoint(back) as opened:
        assert stamped_target(opened) == "torch"
        np.testing.assert_array_equal(opened["conv.weight"].read(), STATE["conv.weight"])
        np.testing.assert_array_equal(
            plan.apply(opened)["conv.weight"], STATE["conv.weight"].transpose(0, 2, 3, 1)
        )
    with pytest.raises(UsageError, match=re.escape("was already turned back into a checkpoint of PyTorch")):
        ms.conversion.export(back, source.with_name("twice.safetensors"), **export)


def test_the_plan_back_takes_what_was_converted(source: Path) -> None:
    out = source.with_name("out.safetensors")
    plan = ms.convert(source, out, to="mlx", layers=LAYERS)
    (~plan).save(out.with_name("back.json"))
    back = Plan.load(out.with_name("back.json"))
    with ms.open_checkpoint(out) as opened:
        np.testing.assert_array_equal(back.apply(opened)["conv.weight"], STATE["conv.weight"])
