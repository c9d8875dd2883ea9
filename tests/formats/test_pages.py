import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint, pages
from ml_switcheroo.formats.files import SourceFile
from ml_switcheroo.formats.pages import check_source, fetched, is_dense, read_source
from ml_switcheroo.planning.planner import make_plan


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SourceFile]:
    np.arange(2 * 3 * 40, dtype=np.int16).tofile(tmp_path / "a")
    with SourceFile(tmp_path / "a") as file:
        yield file


def mapped(file: SourceFile) -> np.ndarray:
    return file.view(0, file.size).view(np.int16).reshape(2, 3, 40)


def test_one_stretch_is_read_from_the_file(file: SourceFile) -> None:
    target = np.zeros((3, 40), np.int16)
    assert read_source(target, mapped(file)[1])
    np.testing.assert_array_equal(target, mapped(file)[1])


def test_what_is_no_stretch_or_no_file_is_left_to_others(file: SourceFile) -> None:
    target = np.zeros((40, 3), np.int16)
    assert not read_source(target, mapped(file)[1].T)
    assert not read_source(target.T, mapped(file)[1])
    assert not read_source(target, np.ones((40, 3), np.int16))
    assert not target.any()


def test_a_dense_array_is_fetched_in_its_order(file: SourceFile) -> None:
    for order in [(0, 1, 2), (2, 1, 0), (1, 2, 0)]:
        source = mapped(file).transpose(order)
        assert is_dense(source)
        copy = fetched(source)
        assert not np.shares_memory(copy, source)
        np.testing.assert_array_equal(copy, source)


def test_what_is_not_dense_or_in_no_file_stays(file: SourceFile) -> None:
    for source in (mapped(file)[:, 1], mapped(file)[:, ::-1], np.ones((2, 3)).T):
        assert fetched(source) is source
    assert not is_dense(mapped(file)[..., :7])


def test_what_is_large_is_left_mapped(file: SourceFile, monkeypatch: pytest.MonkeyPatch) -> None:
    source = mapped(file).T
    monkeypatch.setattr(pages, "_FETCHED", source.nbytes)
    assert fetched(source) is not source
    monkeypatch.setattr(pages, "_FETCHED", source.nbytes - 1)
    assert fetched(source) is source


def test_a_file_that_shrank_is_an_error(file: SourceFile) -> None:
    source = mapped(file)
    os.truncate(file.path, 100)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        fetched(source.T)


def test_an_array_outlives_its_checkpoint_unless_the_file_shrinks(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(64)))
    with SourceFile(tmp_path / "a") as file:
        view = file.view(0, 64)
    check_source(view)
    assert not read_source(np.empty(64, np.uint8), view)
    os.truncate(tmp_path / "a", 8)
    with pytest.raises(CheckpointError, match="64 bytes before, 8 now"):
        check_source(view)


def test_what_was_read_can_be_loaded_when_the_checkpoint_is_closed(tmp_path):
    save_file({"fc.weight": np.arange(6, dtype="f4").reshape(2, 3)}, tmp_path / "a.safetensors")
    with open_checkpoint(tmp_path / "a.safetensors") as checkpoint:
        state = {name: checkpoint[name][...] for name in checkpoint}
    leaves = make_plan(state, to="jax", layers={"fc": "linear"}).apply(state)
    leaves.check_sources()
    assert leaves["fc.kernel"].tolist() == [[0, 3], [1, 4], [2, 5]]
