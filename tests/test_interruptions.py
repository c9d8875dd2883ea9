"""What may happen to a run, made to happen to a real one: each leaves the old file, or none."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ml_switcheroo as ms
from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint, write_safetensors
from ml_switcheroo.tensors import TensorSpec

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")

COUNT, SIDE = 24, 1024
SPECS = {f"l{i}.weight": TensorSpec((SIDE, SIDE), "float32") for i in range(COUNT)}
LAYERS = {f"l{i}": "linear" for i in range(COUNT)}


def leaves(add: float = 0) -> Iterator[tuple[str, np.ndarray]]:
    base = np.arange(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)
    return ((name, base + i + np.float32(add)) for i, name in enumerate(SPECS))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a source of 100 MB and what an uninterrupted run makes of it."""
    folder = tmp_path_factory.mktemp("made")
    write_safetensors(folder / "source.safetensors", SPECS, leaves())
    ms.convert(folder / "source.safetensors", folder / "whole.safetensors", to="jax", layers=LAYERS)
    return folder


@pytest.fixture
def source(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy2(made / "source.safetensors", tmp_path))


CONVERT = """
import sys, time
from pathlib import Path
import ml_switcheroo as ms
source, out, pause, options = sys.argv[1], sys.argv[2], float(sys.argv[3]), eval(sys.argv[4])
count = 0
def progress(done, total):
    global count
    count += 1
    if pause and count == 8:
        print("half", flush=True)
        time.sleep(pause)
try:
    ms.convert(source, out, to="jax", layers={f"l{i}": "linear" for i in range(COUNT)}, progress=progress,
               say=print, **options)
except ms.errors.SwitcherooError as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(error.exit_code)
""".replace("COUNT", str(COUNT))


def start(source: Path, out: Path, pause: float = 0, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CONVERT, str(source), str(out), str(pause), repr(options)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def at_half(process: subprocess.Popen[str]) -> None:
    """Wait until eight leaves are on their way."""
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"


def finish(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=120)[0]


def test_a_killed_run_leaves_no_file_and_is_resumed_to_the_same_bytes(made: Path, source: Path) -> None:
    out = source.with_name("out.safetensors")
    process = start(source, out, 60, resume=True)
    at_half(process)
    process.send_signal(signal.SIGKILL)
    finish(process)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    said = finish(start(source, out, resume=True))
    assert said.startswith("goes on with an interrupted run: ")
    done = int(said.split()[6])
    assert 3 <= done <= 9  # some of the eight were in flight
    assert out.read_bytes() == (made / "whole.safetensors").read_bytes()
    assert sorted(path.name for path in source.parent.iterdir()) == ["out.safetensors", source.name]


def test_a_killed_run_of_another_dtype_or_source_starts_anew(source: Path) -> None:
    out = source.with_name("out.safetensors")
    process = start(source, out, 60, resume=True)
    at_half(process)
    process.kill()
    finish(process)
    process = start(source, out, 60, resume=True, dtype="bfloat16")
    at_first = process.stdout.readline()  # type: ignore[union-attr]
    assert at_first.startswith("starts anew: the interrupted run was of another plan, source or version")
    process.kill()
    finish(process)
    os.utime(source, (1, 1))
    assert finish(start(source, out, resume=True, dtype="bfloat16")).startswith("starts anew")
    with open_checkpoint(out) as checkpoint:
        assert {spec.dtype for spec in checkpoint.specs.values()} == {"bfloat16"}


def test_a_killed_run_without_resume_leaves_the_old_file(source: Path) -> None:
    out = source.with_name("out.safetensors")
    out.write_bytes(b"old")
    process = start(source, out, 60)
    at_half(process)
    process.kill()
    finish(process)
    assert out.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["out.safetensors", "out.npz", "out"])
def test_a_full_disk(source: Path, name: str) -> None:
    """A file system of 16 MB, in a mount namespace of the child's own."""
    if not shutil.which("unshare"):
        pytest.skip("needs unshare")
    place = source.parent / "small"
    place.mkdir()
    script = (
        'mount -t tmpfs -o size=16m tmpfs "$0" || exit 77; shift 0; "$@"; code=$?; ls -A "$0"; exit $code'
    )
    inner = [sys.executable, "-c", CONVERT, str(source), str(place / name), "0", "{}"]
    command = ["unshare", "-rm", "sh", "-c", script, str(place), *inner]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, text=True, capture_output=True, timeout=120)
    if done.returncode in (1, 77) and "CheckpointError" not in done.stdout:
        pytest.skip(f"no mount namespace here: {done.stderr[:100]}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.startswith(f"CheckpointError: {place / name}: cannot be written: ")
    assert "No space left on device" in done.stdout
    assert done.stdout.endswith("Nothing was changed.\n")  # and so nothing is listed
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["out.safetensors", "out.npz"])
def test_a_file_that_may_not_grow(source: Path, name: str) -> None:
    out = source.with_name(name)
    out.write_bytes(b"old")
    limit = 4 * SIDE * SIDE * 10
    command = [sys.executable, "-c", CONVERT, str(source), str(out), "0", "{}"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
        capture_output=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"CheckpointError: {out}: cannot be written: File too large" in done.stdout
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in out.parent.iterdir()) == sorted([name, source.name])


@pytest.mark.parametrize("name", ["out.safetensors", "out.npz", "out"])
def test_a_folder_that_is_read_only(source: Path, name: str) -> None:
    """For root too: as another user, where this is root."""
    place = source.parent / "closed"
    place.mkdir()
    if os.getuid():
        place.chmod(0o555)
        with pytest.raises(CheckpointError, match="cannot be written: Permission denied"):
            ms.convert(source, place / name, to="jax", layers=LAYERS)
    else:
        with read_only(place), pytest.raises(CheckpointError, match="cannot be written: Read-only"):
            ms.convert(source, place / name, to="jax", layers=LAYERS)
    assert list(place.iterdir()) == []


class read_only:  # noqa: N801 (used as a function)
    """A folder mounted over itself, read-only."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __enter__(self) -> None:
        bind = subprocess.run(["mount", "--bind", self.place, self.place], capture_output=True)
        if bind.returncode:
            pytest.skip("root may not mount here")
        subprocess.run(["mount", "-o", "remount,bind,ro", self.place], check=True)

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", self.place], check=True)


def test_a_source_that_is_cut_off_underneath(source: Path) -> None:
    out = source.with_name("out.safetensors")
    out.write_bytes(b"old")
    process = start(source, out, 2)
    at_half(process)
    os.truncate(source, 4 * SIDE * SIDE * 12)
    said = finish(process)
    assert process.returncode == 2, said
    assert f"CheckpointError: {source}: the file changed while it was read" in said
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.safetensors", source.name]


def test_a_source_that_is_written_anew_underneath(source: Path) -> None:
    out = source.with_name("out.safetensors")
    process = start(source, out, 2)
    at_half(process)
    time.sleep(0.05)
    with source.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\1\2\3\4")
    said = finish(process)
    assert process.returncode == 2, said
    assert "the file changed while it was read" in said
    assert not out.exists()


def test_a_source_that_is_replaced_underneath_is_still_the_old_one(made: Path, source: Path) -> None:
    """As a training run saves: a new file takes the name, the old one lives while it is open."""
    out = source.with_name("out.safetensors")
    process = start(source, out, 1)
    at_half(process)
    write_safetensors(source, SPECS, leaves(add=1))
    assert finish(process) == ""
    assert out.read_bytes() == (made / "whole.safetensors").read_bytes()
