import stat
from pathlib import Path

import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.output import AtomicFile, left_behind


def write(path: Path, content: bytes = b"0123456789") -> None:
    with AtomicFile(path, len(content)) as out:
        out.write(content[4:], 4)
        out.write(memoryview(content)[:4], 0)


def test_the_file_appears_whole(tmp_path: Path) -> None:
    write(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"0123456789"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def interrupt() -> None:
        with AtomicFile(tmp_path / "a", 100) as out:
            out.write(b"new", 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_an_interrupt_while_space_is_reserved_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def interrupt(self) -> None:
        assert self.temporary.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(AtomicFile, "_reserve", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_what_killed_runs_left_is_found_and_nothing_else(tmp_path: Path) -> None:
    dead = tmp_path / ".a.0123abcd.partial"
    names = (dead.name, ".a.unfinished.partial", ".b.0123abcd.partial", ".a.0123abcd.journal", ".a.b.partial")
    for name in names:
        (tmp_path / name).touch()
    with AtomicFile(tmp_path / "a", 1) as out:
        out.write(b"a", 0)
        assert out.temporary.exists()  # alive
        assert left_behind(tmp_path / "a") == [dead]


def test_a_replaced_file_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    real = tmp_path / "folder" / "real"
    real.write_bytes(b"old")
    real.chmod(0o604)
    (tmp_path / "link").symlink_to(real)
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert real.read_bytes() == b"0123456789"
    assert stat.S_IMODE(real.stat().st_mode) == 0o604


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be written: there is no such folder"):
        write(tmp_path / "absent" / "a")
    with pytest.raises(CheckpointError, match="no regular file"):
        write(tmp_path)
    with (
        pytest.raises(CheckpointError, match=r"cannot be written: (No space|File too large)"),
        AtomicFile(tmp_path / "a", 2**62),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_is_not_replaced() -> None:
    with pytest.raises(CheckpointError, match="no regular file"):
        write(Path("/dev/full"))
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
