"""No output takes the place of an input, of any verb."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import ml_switcheroo as ms
from ml_switcheroo.cli import cli
from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.apart import keep_apart, write_text

MODEL = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3, 2)
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("w.npz", **{"fc.weight": np.ones((2, 3), "float32"), "fc.bias": np.zeros(2, "float32")})
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "rules.toml").write_text("")
    ms.make_plan("w.npz", to="jax", layers="model.py:Net").save("old.json")
    ms.convert("w.npz", "made.npz", to="jax", layers="model.py:Net")
    (tmp_path / "link.npz").symlink_to("w.npz")
    return tmp_path


PLAN = ["plan", "w.npz", "--to", "jax", "--layers", "model.py:Net", "--rules", "rules.toml"]
CONVERT = ["convert", "w.npz", "OUT", "--to", "jax", "--layers", "model.py:Net", "--rules", "rules.toml"]
EXPORT = ["export", "made.npz", "OUT", "--like", "w.npz", "--layers", "model.py:Net"]


@pytest.mark.parametrize(
    "command",
    [
        [*PLAN, "-o", "w.npz"],
        [*PLAN, "-o", "link.npz"],
        [*PLAN, "-o", "model.py"],
        [*PLAN, "-o", "rules.toml"],
        [*PLAN, "--html", "model.py"],
        [*PLAN, "--html", "w.npz"],
        [*PLAN, "--diff", "old.json", "-o", "old.json"],
        [*PLAN, "-o", "new.json", "--html", "new.json"],
        [one.replace("OUT", "link.npz") for one in CONVERT],
        [*(one.replace("OUT", "old.json") for one in CONVERT), "--plan", "old.json", "--format", "npz"],
        [*(one.replace("OUT", "model.py") for one in CONVERT), "--format", "npz"],
        [one.replace("OUT", "made.npz") for one in EXPORT],
        [one.replace("OUT", "w.npz") for one in EXPORT],
        [one.replace("OUT", "./w.npz") for one in EXPORT],
    ],
    ids=" ".join,
)
def test_a_command_that_would_overwrite_an_input_changes_nothing(files, command):
    before = {path: path.read_bytes() for path in files.iterdir()}
    result = CliRunner().invoke(cli, command)
    assert isinstance(result.exception, UsageError)
    assert "give" in str(result.exception)
    assert {path: path.read_bytes() for path in files.iterdir()} == before


def test_other_names_are_written(files):
    assert CliRunner().invoke(cli, [*PLAN, "-o", "new.json", "--html", "new.html"]).exit_code == 0
    assert json.loads((files / "new.json").read_text())["target"] == "jax"
    assert CliRunner().invoke(cli, [*PLAN, "-o", "new.json"]).exit_code == 0  # an output is none


def test_a_plan_is_not_saved_onto_its_checkpoint(files):
    plan = ms.make_plan("w.npz", to="jax", layers="model.py:Net")
    with pytest.raises(UsageError, match="which would be lost"):
        plan.save("w.npz")


def test_all_that_lies_in_a_folder_and_all_shards_of_an_index_are_inputs(tmp_path):
    (tmp_path / "ckpt").mkdir()
    shard, index = tmp_path / "ckpt" / "a.safetensors", tmp_path / "ckpt" / "m.safetensors.index.json"
    shard.write_bytes(b"")
    index.write_text(json.dumps({"weight_map": {"w": "a.safetensors"}}))
    for given in (tmp_path / "ckpt", index):
        with pytest.raises(UsageError):
            keep_apart(shard, given)
    with pytest.raises(UsageError):
        keep_apart(tmp_path / "ckpt", shard)
    keep_apart(tmp_path / "ckpt" / "new", tmp_path / "ckpt")


def test_a_text_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "page.html"
    write_text(out, "whole", None, 3, "no such file", "x" * 5000)
    assert out.read_text() == "whole"
    with pytest.raises(ms.errors.CheckpointError):
        write_text(tmp_path / "absent" / "page.html", "text")
