"""A terminal gets colours and its own width, a pipe the same words as wide as they come."""

import contextlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import ml_switcheroo as ms

pty = pytest.importorskip("pty")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
MANY = [f"encoder.layers.{n}.attention.{part}.weight" for n in range(300) for part in ("query", "key")]
SMALL = {"encoder.fc.weight": (3, 5), "encoder.fc.bias": (3,), "bn.num_batches_tracked": ()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("screen")
    np.savez(made / "many.npz", **{name: np.zeros((4, 4), "f4") for name in MANY})
    np.savez(made / "small.npz", **{name: np.zeros(shape, "f4") for name, shape in SMALL.items()})
    return made


def environment(**more):
    left = {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}
    kept = {name: value for name, value in os.environ.items() if name not in left}
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", **more}


def piped(words, folder, **more):
    whole = [sys.executable, "-m", "ml_switcheroo", *words]
    done = subprocess.run(
        whole, cwd=folder, env=environment(**more), capture_output=True, text=True, check=False
    )
    return done.stdout, done.stderr


def seen_on_a_terminal(whole, folder=None, *, stdout=None, **more):
    """Run with a terminal for stderr, and for stdout unless that is given; return both."""
    leader, follower = pty.openpty()
    out = follower if stdout is None else stdout
    env = environment(**more)
    with subprocess.Popen(whole, cwd=folder, env=env, stdout=out, stderr=follower, text=True) as run:
        os.close(follower)
        seen = b""
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while piece := os.read(leader, 4096):
                seen += piece
        os.close(leader)
        result = run.stdout.read() if run.stdout else ""
    return seen.decode().replace("\r\n", "\n"), result


def on_a_terminal(words, folder, **more):
    return seen_on_a_terminal([sys.executable, "-m", "ml_switcheroo", *words], folder, **more)[0]


PLAN = ("plan", "many.npz", "--to", "nnx")
CLEAN = ("plan", "small.npz", "--to", "nnx", "--full")
ERROR = ("convert", "many.npz", "out.npz", "--to", "nnx")
INSPECT = ("inspect", "many.npz")


@pytest.mark.parametrize("words", [PLAN, CLEAN, ERROR, INSPECT, ("layers",), ("targets",)])
def test_words_are_those_of_a_pipe_and_every_line_fits(words, folder):
    seen = on_a_terminal(words, folder, COLUMNS="60")
    out, err = piped(words, folder, COLUMNS="60")
    assert ESCAPE.search(seen)
    assert not ESCAPE.search(out + err)
    bare = ESCAPE.sub("", seen)
    assert bare.split() == (out + err).split()
    assert max(map(len, bare.splitlines())) <= 60


def test_a_wide_terminal_shows_what_a_pipe_gets(folder):
    seen = on_a_terminal(CLEAN, folder, COLUMNS="500")
    assert ESCAPE.sub("", seen) == "".join(piped(CLEAN, folder))


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_no_colours_where_they_are_not_wanted(more, folder):
    assert not ESCAPE.search(on_a_terminal(PLAN, folder, **more))


def test_colours_into_a_pipe_where_they_are_asked_for(folder):
    out, err = piped(PLAN, folder, FORCE_COLOR="1")
    assert ESCAPE.search(out)
    assert ESCAPE.sub("", out + err) == "".join(piped(PLAN, folder))


def test_three_hundred_layers_are_a_few_lines(folder):
    out, _ = piped(PLAN, folder)
    assert "encoder.layers.{0..299}.attention.query.weight" in out
    assert len(out.splitlines()) < 20


def test_quiet_is_one_line_and_verbose_says_the_steps(folder):
    words = CLEAN[:-1]
    out, err = piped([*words, "-q"], folder)
    assert (out.count("\n"), err) == (1, "")
    assert "3 tensors" in out
    out, err = piped([*words, "-v"], folder)
    assert out == piped(words, folder)[0]
    assert re.search(r"^planning: [0-9.]+ s, peak memory [0-9.]+ MB$", err, re.MULTILINE)
    _, err = piped([*words, "-v", "-q"], folder)
    assert "opposites" in err


def test_python_prints_what_full_prints(folder):
    with contextlib.chdir(folder):
        text = str(ms.make_plan("small.npz", to="nnx"))
    assert piped(CLEAN, folder)[0] == f"{text}\n"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import ml_switcheroo", ["rich", "numpy", "click"]),
        ("import ml_switcheroo as ms; str(ms.make_plan({}, to='nnx')); ms.convert", ["rich", "click"]),
        ("from ml_switcheroo.cli import cli\ncli.main(['plan', '--help'])", ["rich", "numpy", "libcst"]),
    ],
)
def test_nothing_is_imported_that_is_not_needed(code, absent):
    code += f"\nassert not set({absent}) & set(sys.modules)"
    code = code.replace("cli.main(", "cli.main(standalone_mode=False, args=")
    subprocess.run([sys.executable, "-c", f"import sys\n{code}"], env=environment(), check=True)


def test_a_step_is_shown_as_soon_as_it_takes_a_second():
    code = (
        "import time\nfrom ml_switcheroo.cli.working import working\n"
        "with working('reading net.py') as work:\n"
        "    time.sleep({})\n    print('their words')\n    work.begin('planning')\n    time.sleep(0.4)\n"
        "print('the result')\n"
    )
    for seconds, shown in ((0.1, False), (1.6, True)):
        words = [sys.executable, "-c", code.format(seconds)]
        seen, out = seen_on_a_terminal(words, stdout=subprocess.PIPE)
        assert out == "the result\n"
        assert "their words" in seen
        assert ("reading net.py" in seen, "planning" in seen) == (shown, shown)


def test_a_diff_is_coloured_and_its_lines_are_never_broken(folder):
    name = "a/rather/long/name/of/a/file/of/weights.pt"
    code = f"import torch\nmodel.load_state_dict(torch.load('{name}'))\n"
    (folder / "a.py").write_text(code, encoding="utf-8")
    words = ("rewrite", "a.py", "--to", "nnx", "--diff")
    out, err = piped(words, folder)
    seen = on_a_terminal([*words, "-q"], folder, COLUMNS="40")
    assert ESCAPE.search(seen)
    assert ESCAPE.sub("", seen) == out
    assert "1 call to rewrite" in err
    assert not ESCAPE.search(on_a_terminal(words, folder, NO_COLOR="1"))
