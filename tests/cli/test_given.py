"""Words of a command line are checked before anything takes long."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ml_switcheroo.cli import cli
from ml_switcheroo.cli.boundary import run
from ml_switcheroo.cli.given import NAMED

SLOW = "raise AssertionError('this ran')\n"


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """Run a command in a folder with a few files; return what it says, and hold that nothing of them ran."""
    monkeypatch.chdir(tmp_path)
    np.savez("weights.npz", **{"fc.weight": np.zeros((3, 2), "f4")})
    for name in ("port.py", "model.py"):
        Path(name).write_text(SLOW, encoding="utf-8")
    Path("spec.json").write_text("{}", encoding="utf-8")
    before = sorted(tmp_path.iterdir())

    def refuse(*words):
        words = words if len(words) > 1 else words[0].split()
        monkeypatch.setattr(sys, "argv", ["ml-switcheroo", *words])
        assert run(cli.main) == 2
        said = capsys.readouterr().err
        assert "this ran" not in said
        assert sorted(tmp_path.iterdir()) == before
        return said

    return refuse


PLAN = "plan weights.npz --like port.py:make --to"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "plan weight.npz --like port.py:make --to nnx",
            "weight.npz: no such file (did you mean 'weights.npz'?)",
        ),
        (
            f"{PLAN} nnx --layers modle.py:Net",
            "--layers modle.py:Net: modle.py: no such file (did you mean 'model.py'?)",
        ),
        (f"{PLAN} nnx --layers modle.py", "no such file (did you mean 'model.py'?)"),
        (
            f"{PLAN} nnx --inputs prot.py:batch",
            "--inputs prot.py:batch: prot.py: no such file (did you mean 'port.py'?)",
        ),
        (f"{PLAN} nnx --rules r.toml", "r.toml: no such file"),
        (f"{PLAN} nnx --diff old.json", "old.json: no such file"),
        (f"{PLAN} nnx -o new/plan.json", "mkdir -p new"),
        (f"{PLAN} nnx --layout lsat", "none of first, last (did you mean 'last'?)"),
        (f"{PLAN} nxn", "did you mean 'nnx'?"),
        (f"{PLAN} nnx --dtype int", "unknown dtype 'int'"),
        (
            "plan weights.npz --to nnx --like spce.json",
            "--like spce.json: no such file (did you mean 'spec.json'?)",
        ),
        ("verify --target-model prot.py:make --inputs a", "did you mean 'port.py'?"),
        ("export weights.npz out.npz --like weihgts.npz", "did you mean 'weights.npz'?"),
        (
            "convert weights.npz new/out.npz --to nnx --like port.py:make",
            "cannot be written: there is no such folder as new",
        ),
        ("convert weights.npz out.txt --to nnx --like port.py:make", "the suffix is none of .safetensors"),
        ("rewrite prot.py --to nnx", "did you mean 'port.py'?"),
        ("rewrite port.py --to nnx --output-format githbu", "did you mean 'github'?"),
        ("covnert weights.npz out.npz", "no such verb: covnert (did you mean 'convert'?)"),
    ],
)
def test_what_is_misspelled_is_asked_for_before_anything_runs(refused, text, words):
    assert words in refused(text)


@pytest.mark.parametrize("text", ["model.py:", ":Net"])
def test_half_of_a_name_is_none(refused, text):
    assert f"--layers {text}: expected a file or module, a colon and a name" in refused(
        f"{PLAN} nnx --layers {text}"
    )


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_variable_of_the_shell_that_is_not_set_is_no_word(refused, at):
    words = ["plan", "weights.npz", "--to", "nnx", "--layers", "model.py"]
    words[at] = ""
    assert "an empty word: is a variable of the shell not set?" in refused(*words)


@pytest.mark.parametrize("text", ["package.module:Net", "package.module", "float32[1,3,64,64]"])
def test_a_module_and_shapes_are_no_files(text):
    assert NAMED.convert(text, None, None) == text
