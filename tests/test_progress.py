"""Progress goes to stderr: on a terminal that is a real one, or where it was asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml_switcheroo.formats import write_safetensors
from ml_switcheroo.progress import Progress
from ml_switcheroo.tensors import TensorSpec

ROWS = np.broadcast_to(np.float32(1), (1024, 1024))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("progress") / "source.safetensors"
    specs = {f"l{i}.weight": TensorSpec((1024, 1024), "float32") for i in range(66)}  # more than 256 MiB
    write_safetensors(path, specs, ((name, ROWS) for name in specs))
    return path


def command(source: Path, *options: str) -> list[str]:
    out = str(source.with_name("out.npz"))
    return [sys.executable, "-m", "ml_switcheroo", "convert", str(source), out, "--to", "numpy", *options]


def env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def on_a_terminal(arguments: list[str]) -> tuple[str, str]:
    """Run with a terminal for stderr; return stdout and what the terminal got."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    process = subprocess.Popen(arguments, env=env(), stdout=subprocess.PIPE, stderr=follower, text=True)
    os.close(follower)
    seen = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # how Linux says that nobody writes any more
            break
        if not piece:
            break
        seen += piece
    os.close(leader)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    return out, seen.decode()


def test_a_terminal_sees_one_line_written_over(source: Path) -> None:
    out, seen = on_a_terminal(command(source))
    assert out.startswith(str(source.with_name("out.npz")))
    assert "100%  276.8 MB of 276.8 MB" in seen
    assert seen.count("\n") == 1
    assert seen.count("\r") >= 2


@pytest.mark.parametrize("options", [["--json"], ["--no-progress"]])
def test_nothing_with_json_or_where_it_is_not_wanted(source: Path, options: list[str]) -> None:
    _, seen = on_a_terminal(command(source, *options))
    assert seen == ""


def test_nothing_into_a_file_unless_asked(source: Path) -> None:
    quiet = subprocess.run(command(source), env=env(), capture_output=True, text=True, check=True)
    assert quiet.stderr == ""
    asked = [*command(source, "--progress", "--json")]
    loud = subprocess.run(asked, env=env(), capture_output=True, text=True, check=True)
    assert json.loads(loud.stdout)["leaves"] == 66
    assert len(loud.stderr.splitlines()) == 10
    assert loud.stderr.splitlines()[-1].startswith("100%")


def test_nothing_where_there_is_nothing_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    Progress(True)(0, 0)
    assert capsys.readouterr().err == ""


def test_the_peak_is_that_of_the_process_not_of_its_parent():
    kept = np.ones(2**26)  # 512 MiB
    code = "from ml_switcheroo.progress import peak_memory; print(peak_memory())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(said) < kept.nbytes / 2
