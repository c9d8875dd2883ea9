"""Shells complete verbs, options, targets and dtypes; bash itself is asked."""

import os
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from ml_switcheroo.cli import cli


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed_for_each_shell(shell):
    shown = CliRunner().invoke(cli, ["completion", shell])
    assert shown.exit_code == 0
    assert f"_ML_SWITCHEROO_COMPLETE={shell}_complete" in shown.output


def offered(words, begun):
    made = BashComplete(cli, {}, "ml-switcheroo", "_ML_SWITCHEROO_COMPLETE")
    return made.get_completions(words, begun)


@pytest.mark.parametrize(
    ("words", "begun", "some"),
    [
        ([], "", {"inspect", "plan", "convert", "targets", "layers", "completion"}),
        (["plan"], "--ex", {"--explain"}),
        (["plan", "--to"], "", {"nnx", "flax", "keras", "numpy"}),
        (["layers", "--to"], "eq", {"equinox"}),
        (["plan", "--dtype"], "bfl", {"bfloat16"}),
        (["convert", "--format"], "", {"safetensors", "npz"}),
        (["rewrite", "--runtime"], "in", {"inject"}),
        (["completion"], "", {"bash", "zsh", "fish"}),
    ],
)
def test_words_are_offered(words, begun, some):
    found = {item.value for item in offered(words, begun)}
    assert some <= found
    assert all(word.startswith(begun) for word in found)


def test_a_file_is_left_to_the_shell():
    assert [item.type for item in offered(["plan", "--layers"], "mo")] == ["file"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_a_target(tmp_path):
    program = tmp_path / "ml-switcheroo"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ml_switcheroo "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    lines = r"""
eval "$(ml-switcheroo completion bash)"
COMP_WORDS=(ml-switcheroo plan weights.pt --to ke)
COMP_CWORD=4
$(complete -p ml-switcheroo | sed 's/.*-F \([^ ]*\).*/\1/') ml-switcheroo ke --to
echo "${COMPREPLY[@]}"
"""
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "--norc", "-c", lines],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.split() == ["keras"], done.stderr
