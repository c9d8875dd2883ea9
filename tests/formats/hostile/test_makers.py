import signal
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from formats.hostile.makers import HOSTILE
from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats import open_checkpoint

SECONDS = 60
MEGABYTES = 64


@pytest.fixture(autouse=True)
def _time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.mark.parametrize("name", HOSTILE)
def test_each_is_refused_with_file_offset_and_reason(tmp_path: Path, name: str) -> None:
    path = HOSTILE[name].make(tmp_path)
    with pytest.raises(CheckpointError, match=HOSTILE[name].problem) as caught:
        open_checkpoint(path)
    assert caught.value.file == path
    assert not HOSTILE[name].offset or caught.value.offset is not None
    assert len(str(caught.value)) < 2000
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_none_takes_much_memory(tmp_path: Path, name: str) -> None:
    path = HOSTILE[name].make(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            open_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < MEGABYTES * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_code_runs_where_a_part_is_selected(tmp_path: Path, name: str) -> None:
    path = HOSTILE[name].make(tmp_path)
    try:
        open_checkpoint(path, select=".").close()
        opened = True
    except (CheckpointError, UsageError):
        opened = False
    assert not (tmp_path / "canary").exists()
    assert not (opened and "runs code" in HOSTILE[name].problem)
