from pathlib import Path

import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.atomic_folder import AtomicFolder


def ours(folder: Path) -> bool:
    return (folder / "mark").exists()


def fill(path: Path, text: str) -> None:
    with AtomicFolder(path, ours) as out:
        (out.temporary / "inner").mkdir()
        (out.temporary / "inner" / "mark").write_text(text)
        (out.temporary / "mark").write_text(text)


def test_the_folder_appears_whole_and_is_replaced(tmp_path: Path) -> None:
    for text in ("one", "two"):
        fill(tmp_path / "a", text)
        assert (tmp_path / "a" / "inner" / "mark").read_text() == text
        assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_exception_leaves_what_was_there(tmp_path: Path) -> None:
    fill(tmp_path / "a", "one")

    def interrupt() -> None:
        with AtomicFolder(tmp_path / "a", ours) as out:
            (out.temporary / "mark").write_text("two")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert (tmp_path / "a" / "mark").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_old_folder_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "a", "one")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(CheckpointError, match="No space left"):
        fill(tmp_path / "a", "two")
    assert (tmp_path / "a" / "mark").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_only_an_empty_folder_or_one_of_ours_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty", "one")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis").write_text("1")
    (tmp_path / "file").write_text("1")
    for name in ("other", "file"):
        with pytest.raises(CheckpointError, match="exists and is no checkpoint of this format"):
            fill(tmp_path / name, "two")
    assert (tmp_path / "other" / "thesis").read_text() == "1"
