"""Help is what tests/cli/help has, whole, and its examples work.

python tests/cli/test_help.py writes tests/cli/help anew.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_switcheroo.cli import cli

GOLDEN = Path(__file__).parent / "help"
DIGITS = Path(__file__).parents[2] / "examples" / "digits"
VERBS = list(cli.commands)
PORT = """

def make():
    return Net(rngs=nnx.Rngs(0))


def batch():
    import numpy as np

    return np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype("f4")
"""
RULES = """
[[kind]]
pattern = "fc1"
kind = "linear"
flatten = 32

[[kind]]
pattern = "features.{i}.0"
kind = "conv"
"""


def help_of(verb):
    words = [verb, "--help"] if verb else ["--help"]
    return CliRunner().invoke(cli, words, prog_name="ml-switcheroo", env={"COLUMNS": "80"}).output


def examples_of(text):
    """Return the command lines below the word Examples."""
    found = re.search(r"^  Examples:\n((?:    .*\n)+)", text, re.MULTILINE)
    lines = found[1].replace("\\\n", " ").splitlines() if found else []
    return [" ".join(shlex.quote(word) for word in shlex.split(line)) for line in lines]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_is_as_it_was(verb):
    golden = (GOLDEN / f"{verb or 'ml-switcheroo'}.txt").read_text(encoding="utf-8")
    assert help_of(verb) == golden, "if it is meant so: python tests/cli/test_help.py"
    assert max(map(len, golden.splitlines())) <= 80


def test_there_is_a_file_for_each_verb_and_no_other():
    assert {path.stem for path in GOLDEN.iterdir()} == {"ml-switcheroo", *VERBS}


@pytest.fixture
def folder(tmp_path):
    """The files that the examples speak of."""
    pytest.importorskip("flax")
    pytest.importorskip("torch")
    for name in ("weights.pt", "model.py", "infer.py", "data.py"):
        shutil.copy(DIGITS / name, tmp_path)
    port = (DIGITS / "port.py").read_text(encoding="utf-8") + PORT
    (tmp_path / "port.py").write_text(port, encoding="utf-8")
    (tmp_path / "rules.toml").write_text(RULES, encoding="utf-8")
    return tmp_path


def test_every_verb_has_examples_and_all_of_them_work(folder):
    examples = {verb: examples_of(help_of(verb)) for verb in (*VERBS, "")}
    assert all(examples.values())
    for example in dict.fromkeys(line for lines in examples.values() for line in lines):
        program, *words = shlex.split(example)
        assert program == "ml-switcheroo"
        done = subprocess.run(
            [sys.executable, "-m", "ml_switcheroo", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == 0, f"{example}\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in ("", *VERBS):
        (GOLDEN / f"{name or 'ml-switcheroo'}.txt").write_text(help_of(name), encoding="utf-8")
