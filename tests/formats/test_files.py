import os
from pathlib import Path

import numpy as np
import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.files import SourceFile


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for name, problem in [
        ("pipe", "regular"),
        ("empty", "empty"),
        ("absent", "no such file"),
        (".", "regular"),
    ]:
        with pytest.raises(CheckpointError, match=problem):
            SourceFile(tmp_path / name)
    with pytest.raises(CheckpointError, match="regular"):
        SourceFile("/dev/zero")


def test_bytes_are_read_and_mapped(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    with SourceFile(tmp_path / "a") as file:
        assert file.read(2, 3) == b"234"
        view = file.view(4, 6)
        for offset, nbytes in [(5, 6), (-1, 2), (11, 0), (0, -1)]:
            with pytest.raises(CheckpointError, match=r"outside|ends early"):
                file.view(offset, nbytes)
        for offset, nbytes in [(2**64, 1), (1, 2**64), (-1, 1)]:
            with pytest.raises(CheckpointError, match="ends early"):
                file.read(offset, nbytes)
        with pytest.raises(CheckpointError, match="3 bytes expected, 2 found"):
            file.read(8, 3)
    assert view.tobytes() == b"456789"
    with pytest.raises(CheckpointError, match="closed"):
        file.read(0, 1)


def test_bytes_are_read_into_an_array(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    target = np.zeros(4, np.uint8)
    with SourceFile(tmp_path / "a") as file:
        file.read_into(target, 3)
        assert target.tobytes() == b"3456"
        with pytest.raises(CheckpointError, match="ends early: 4 bytes expected, 2 found"):
            file.read_into(target, 8)
        os.truncate(tmp_path / "a", 5)
        with pytest.raises(CheckpointError, match="10 bytes before, 5 now"):
            file.read_into(target, 3)


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    with SourceFile(tmp_path / "a") as file:
        os.truncate(tmp_path / "a", 4)
        with pytest.raises(CheckpointError, match="10 bytes before, 4 now"):
            file.view(0, 10)


def test_a_file_that_is_replaced_stays_as_it_was_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").write_bytes(b"newer")
    with SourceFile(tmp_path / "a") as file:
        (tmp_path / "b").replace(tmp_path / "a")
        assert file.view(0, 3).tobytes() == b"old"
