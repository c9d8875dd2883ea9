from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint, write_safetensors
from ml_switcheroo.formats.output import AtomicFile
from ml_switcheroo.tensors import spec_of

LEAVES = {f"w{i}": np.random.default_rng(i).standard_normal((400, 500)).T for i in range(6)} | {
    "small": np.ones(3)
}
SPECS = {name: spec_of(array) for name, array in LEAVES.items()}


class Interrupted(Exception):
    pass


def interrupted_after(count: int) -> Iterator[tuple[str, np.ndarray]]:
    for index, item in enumerate(LEAVES.items()):
        if index == count:
            raise Interrupted
        yield item


def write(path: Path, leaves: object, key: str = "plan 1") -> list[str]:
    said: list[str] = []
    write_safetensors(path, SPECS, leaves, {"a": "b"}, resume=key, say=said.append)  # type: ignore[arg-type]
    return said


def start(path: Path) -> None:
    with pytest.raises(Interrupted):
        write(path, interrupted_after(4))
    assert not path.exists()
    assert {file.name for file in path.parent.iterdir()} == {".a.unfinished.partial", ".a.unfinished.journal"}


def assert_complete(path: Path) -> None:
    assert list(path.parent.iterdir()) == [path]
    with open_checkpoint(path) as checkpoint:
        for name, array in LEAVES.items():
            np.testing.assert_array_equal(checkpoint[name].read(), array)


class Unread:
    """A leaf that must not be read again."""

    def __init__(self, array: np.ndarray) -> None:
        self.shape, self.dtype = array.shape, array.dtype

    def __array__(self) -> np.ndarray:
        raise AssertionError("read again")


def test_a_run_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "a"
    start(path)
    lines = (tmp_path / ".a.unfinished.journal").read_text().splitlines()
    done = len(lines) - 1
    assert done >= 1
    finished = [line.split('"')[3] for line in lines[1:]]
    leaves = {name: Unread(array) if name in finished else array for name, array in LEAVES.items()}
    assert write(path, leaves.items()) == [f"goes on with an interrupted run: {done} of 7 leaves are done"]
    assert_complete(path)


def test_a_run_that_was_never_interrupted_says_nothing(tmp_path: Path) -> None:
    assert write(tmp_path / "a", LEAVES.items()) == []
    assert_complete(tmp_path / "a")


def test_another_plan_starts_anew_and_says_so(tmp_path: Path) -> None:
    start(tmp_path / "a")
    assert write(tmp_path / "a", LEAVES.items(), key="plan 2") == [
        "starts anew: the interrupted run was of another plan, source or version"
    ]
    assert_complete(tmp_path / "a")


def test_leaves_whose_bytes_were_lost_are_written_again(tmp_path: Path) -> None:
    start(tmp_path / "a")
    partial = tmp_path / ".a.unfinished.partial"
    partial.write_bytes(bytes(partial.stat().st_size))  # as after a power cut
    assert write(tmp_path / "a", LEAVES.items()) == [
        "goes on with an interrupted run: 0 of 7 leaves are done"
    ]
    assert_complete(tmp_path / "a")


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-7], lambda text: text + "{", lambda text: text + "7\n[]\n"]
)
def test_a_damaged_journal_is_read_as_far_as_it_goes(tmp_path: Path, damage: object) -> None:
    start(tmp_path / "a")
    journal = tmp_path / ".a.unfinished.journal"
    journal.write_text(damage(journal.read_text()))  # type: ignore[operator]
    assert "goes on" in write(tmp_path / "a", LEAVES.items())[0]
    assert_complete(tmp_path / "a")


def test_a_second_run_is_kept_out(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "a", 10, keep=True) as first:
        first.write(b"0123456789", 0)
        with pytest.raises(CheckpointError, match="another run"):
            AtomicFile(tmp_path / "a", 10, keep=True).__enter__()
    assert (tmp_path / "a").read_bytes() == b"0123456789"
