"""Whatever goes wrong ends in sentences that say what, where and the cure, and in an exit code."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest

from ml_switcheroo.cli import cli
from ml_switcheroo.cli.boundary import bounded, run
from ml_switcheroo.errors import UserCodeError


@pytest.fixture
def spoken(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; return its exit code and what it says on stderr."""
    monkeypatch.chdir(tmp_path)
    np.savez("w.npz", **{"fc.weight": np.zeros((3, 2), "f4")})

    def speak(*words, command=cli.main):
        monkeypatch.setattr(sys, "argv", ["ml-switcheroo", *words])
        code = run(command)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return code, said

    return speak


def raising(error):
    def command(**_):
        raise error

    return command


@contextlib.contextmanager
def answered(number, how):
    """Answer a signal in some way for a while."""
    before = signal.signal(number, how)
    try:
        yield
    finally:
        signal.signal(number, before)


PLAN = ("plan", "w.npz", "--to", "nnx", "--like")


@pytest.mark.parametrize(
    ("code", "line", "words"),
    [
        ("def make():\n    raise RuntimeError('mine')", "theirs.py:2: raise", "RuntimeError: mine"),
        ("def make():\n    return 1 / 0", "theirs.py:2: return 1 / 0", "ZeroDivisionError"),
        ("import sys\nsys.exit(3)", "theirs.py:2: sys.exit(3)", "SystemExit: 3"),
        ("def make(:", "theirs.py:1: def make(:", "SyntaxError"),
        ("import nowhere_at_all", "theirs.py:1: import", "Install nowhere_at_all"),
        ("def make(): return int('x', base=2)", "theirs.py:1:", "ValueError"),
    ],
)
def test_an_error_of_the_users_code_names_their_line(spoken, code, line, words):
    Path("theirs.py").write_text(code, encoding="utf-8")
    status, said = spoken(*PLAN, "theirs.py:make")
    assert status == 2
    assert said.startswith("UserCodeError: --like theirs.py")
    assert line in said
    assert words in said


def test_a_framework_that_is_missing_names_the_extra():
    with pytest.raises(UserCodeError, match=r"pip install 'ml-switcheroo\[equinox\]'"), bounded("--like x"):
        raise ModuleNotFoundError("No module named 'equinox'", name="equinox.nn")


@pytest.mark.parametrize(
    ("code", "most"), [("'x' * 50_000", 2300), ("'\\n'.join(map(str, range(5000)))", 300)]
)
def test_what_their_error_says_is_cut(spoken, code, most):
    Path("theirs.py").write_text(f"def make():\n    raise ValueError({code})\n", encoding="utf-8")
    status, said = spoken(*PLAN, "theirs.py:make")
    assert status == 2
    assert len(said) < most
    head, line = said.splitlines()[-2:]
    assert " ..." in head
    assert line.startswith("  theirs.py:2: raise ValueError")


def test_a_factory_that_gives_nothing_is_asked_to_return_it(spoken):
    Path("theirs.py").write_text("def make():\n    3\n", encoding="utf-8")
    status, said = spoken(*PLAN, "theirs.py:make")
    assert (status, said) == (
        2,
        "UsageError: --like theirs.py:make: make() gave None; it has to return what it makes\n",
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ModuleNotFoundError("no jax", name="jax.numpy"),
            "jax.numpy is needed for this, and is not installed\npip install 'ml-sw",
        ),
        (ModuleNotFoundError("no torch", name="torch"), "\npip install torch\n"),
        (MemoryError(), "refuses to go on: there is not enough memory"),
        (OSError(28, "No space left on device"), "refuses to go on: [Errno 28] No space left"),
    ],
)
def test_what_lacks_on_the_machine_is_no_fault_of_ours(spoken, monkeypatch, error, said):
    monkeypatch.setattr("ml_switcheroo.graph.lines.is_users", lambda _: False)
    status, text = spoken(command=raising(error))
    assert status == 2
    assert said in text


def test_a_class_that_needs_arguments_says_which_and_what_to_write(spoken):
    Path("theirs.py").write_text(
        "class Port:\n    def __init__(self, width, *, rngs, depth=3): ...", encoding="utf-8"
    )
    status, said = spoken(*PLAN, "theirs.py:Port")
    assert status == 2
    assert "it needs width, rngs\n" in said
    assert "def make(): return Port(...)" in said


def test_a_file_that_was_mended_is_imported_anew(spoken):
    for code, status in (("raise OSError", 2), ("def make(): return {'fc.kernel': (2, 3)}", 0)):
        Path("theirs.py").write_text(code, encoding="utf-8")
        os.utime("theirs.py", (status, status))
        assert spoken(*PLAN, "theirs.py:make")[0] in (status, 1)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("plan", "w.npz", "--to", "nxn"), "did you mean 'nnx'?"),
        (("plan", "w.npz", "--to", "tensorflo"), "did you mean 'tensorflow'?"),
        (("plan", "w.npz", "--to", "nnx", "--dtype", "bf16"), "did you mean 'bfloat16'?"),
        (("plan", "w.npz", "--to", "nnx", "--dtype", "bfloat"), "did you mean 'bfloat16'?"),
    ],
)
def test_what_is_misspelled_is_asked_for(spoken, words, meant):
    status, said = spoken(*words)
    assert status == 2
    assert meant in said


def test_ctrl_c_ends_as_in_a_shell_with_the_way_on(spoken):
    for error in (KeyboardInterrupt(), click.Abort()):
        status, said = spoken("convert", command=raising(error))
        assert status == 130
        assert "with --resume" in said


@pytest.mark.parametrize(
    ("words", "way_on"),
    [
        (("inspect", "a.pt"), "nothing was changed\n"),
        (("convert", "a.pt", "b", "--resume"), "run the same command again"),
        (("rewrite", "--write", "."), "each file is as it was, or rewritten"),
    ],
)
def test_the_way_on_is_that_of_the_verb(spoken, words, way_on):
    assert way_on in spoken(*words, command=raising(KeyboardInterrupt()))[1]


@pytest.mark.parametrize(
    ("name", "word", "status"), [("SIGTERM", "Terminated", 143), ("SIGHUP", "Hung up", 129)]
)
def test_what_ends_a_run_unwinds_like_ctrl_c(spoken, name, word, status):
    undone = []

    def command(**_):
        try:
            os.kill(os.getpid(), signal.Signals[name])
            time.sleep(20)
        finally:
            undone.append(True)

    with answered(signal.Signals[name], signal.SIG_DFL):  # under nohup, SIGHUP is ignored
        code, said = spoken(command=command)
        assert signal.getsignal(signal.Signals[name]) is signal.SIG_DFL
    assert code == status
    assert said.startswith(f"{word}: nothing was changed")
    assert undone


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_that_python_swallows_is_not_lost(spoken, name, status):
    class Freed:
        def __del__(self):
            os.kill(os.getpid(), signal.Signals[name])
            time.sleep(1)  # the handler runs here, and what it raises goes nowhere

    def command(**_):
        Freed()
        time.sleep(20)

    before, began = sys.unraisablehook, time.monotonic()
    assert spoken(command=command)[0] == status
    assert time.monotonic() - began < 10
    assert sys.unraisablehook is before


def test_a_signal_that_is_ignored_stays_so(spoken):
    with answered(signal.SIGHUP, signal.SIG_IGN):
        assert spoken(command=lambda **_: os.kill(os.getpid(), signal.SIGHUP))[0] == 0


def test_a_fault_of_ours_is_said_to_be_one(spoken, monkeypatch):
    def lost(file):
        raise KeyError("lost")

    # Raised where no line of the user's is on the way.
    monkeypatch.setattr("ml_switcheroo.graph.lines.is_users", lambda _: False)
    status, said = spoken(command=lambda **_: lost(""))
    assert status == 70
    assert "KeyError: 'lost'" in said
    assert "Please report it" in said


def test_nobody_who_reads_is_no_error(tmp_path):
    np.savez(tmp_path / "w.npz", **{f"layer{i}.weight": np.zeros(1, "f4") for i in range(3000)})
    child = subprocess.Popen(
        [sys.executable, "-m", "ml_switcheroo", "inspect", tmp_path / "w.npz"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait() == 0
