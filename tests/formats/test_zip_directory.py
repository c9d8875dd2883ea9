import struct
import zipfile
from pathlib import Path

import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.files import SourceFile
from ml_switcheroo.formats.zip_directory import read_directory


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    with zipfile.ZipFile(path, "w", method) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return path.read_bytes()


def contents(path: Path) -> dict[str, bytes]:
    with SourceFile(path) as file:
        members, _ = read_directory(file)
        return {name: member.load().tobytes() for name, member in members.items()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_as_zipfile_writes_them(tmp_path: Path, method: int) -> None:
    members = {"a/b": b"one", "a/ü": b"x" * 100_000, "empty": b""}
    archive(tmp_path / "a", members, method)
    assert contents(tmp_path / "a") == members


def test_zip64_records_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as out, out.open("w", "w", force_zip64=True) as member:
        member.write(b"wide")
    assert contents(tmp_path / "a") == {"w": b"wide"}


def test_the_comment_is_returned(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as out:
        out.writestr("x", b"1")
        out.comment = b"PK\x05\x06 is not the end"
    with SourceFile(tmp_path / "a") as file:
        assert read_directory(file)[1] == b"PK\x05\x06 is not the end"


def test_a_directory_of_many_members_is_read_without_their_headers(tmp_path: Path) -> None:
    content = archive(tmp_path / "a", {f"m{i}": b"x" for i in range(100)})
    damaged = content.replace(b"PK\x03\x04", b"????")
    (tmp_path / "a").write_bytes(damaged)
    with SourceFile(tmp_path / "a") as file:
        members, _ = read_directory(file)
        assert len(members) == 100
        with pytest.raises(CheckpointError, match="points to no member") as caught:
            members["m7"].load()
    assert caught.value.member == "m7"


TWO = {"first": b"1" * 10, "second": b"2" * 20}


def field(content: bytes, signature: bytes, offset: int, form: str, value: int, nth: int = 0) -> bytes:
    """Overwrite one field of the nth record with this signature."""
    at = -1
    for _ in range(nth + 1):
        at = content.index(signature, at + 1)
    return content[: at + offset] + struct.pack(form, value) + content[at + offset + struct.calcsize(form) :]


ENTRY, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda raw: raw[:-1], "without its directory"),
        (lambda raw: raw[:60], "without its directory"),
        (lambda raw: raw + b"x", "without its directory"),
        (lambda raw: b"x" + raw, "should end at byte"),
        (
            lambda raw: field(raw, END, 10, "<H", 3),
            "several parts",
        ),
        (lambda raw: field(raw, END, 8, "<L", 3 | 3 << 16), "damaged zip directory entry"),
        (lambda raw: field(raw, END, 8, "<L", 1 | 1 << 16), "directory has"),
        (lambda raw: field(raw, END, 16, "<L", 0), "should end at byte"),
        (lambda raw: field(raw, END, 12, "<L", 2**31), "should end at byte"),
        (lambda raw: field(raw, ENTRY, 8, "<H", 1), "encrypted"),
        (lambda raw: field(raw, ENTRY, 10, "<H", 12), "compression method 12"),
        (lambda raw: field(raw, ENTRY, 24, "<L", 11), "two sizes: 11 and 10"),
        (lambda raw: field(raw, ENTRY, 34, "<H", 1), "another part"),
        (lambda raw: field(raw, ENTRY, 42, "<L", 0, nth=1), "overlap"),
        (lambda raw: field(raw, ENTRY, 42, "<L", 2**32 - 1), "zip64 record"),
        (lambda raw: raw.replace(b"second", b"first\0"), "leaves the archive"),
        (lambda raw: raw.replace(b"second", b"../abc"), "leaves the archive"),
        (lambda raw: raw.replace(b"second", b"/abcde"), "leaves the archive"),
        (lambda raw: raw.replace(b"second", b"a/../b"), "leaves the archive"),
        (lambda raw: raw.replace(b"second", b"c:/abc"), "leaves the archive"),
        (lambda raw: raw.replace(b"second", b"a\\..\\b"[:6]), "leaves the archive"),
        (lambda raw: raw.replace(b"second", b"\xff\xfe\xff\xff\xff\xff"), "no text"),
        (lambda raw: raw.replace(b"second", b"third!", 1), "own header has another name"),
        (lambda raw: field(raw, LOCAL, 8, "<H", 8), "contradicts the directory"),
        (lambda raw: field(raw, LOCAL, 22, "<L", 9), "contradicts the directory"),
        (lambda raw: field(raw, LOCAL, 28, "<H", 30), "reaches into what follows"),
    ],
)
def test_damaged_and_hostile_archives(tmp_path: Path, damage: object, problem: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(damage(archive(path, TWO)))  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=problem) as caught:
        contents(path)
    assert caught.value.offset is not None


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as out:
        out.writestr("x", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            out.writestr("x", b"2")
    with pytest.raises(CheckpointError, match="two members have this name"):
        contents(tmp_path / "a")


def test_damage_to_packed_bytes_is_noticed(tmp_path: Path) -> None:
    raw = archive(tmp_path / "a", {"x": bytes(range(256)) * 9}, zipfile.ZIP_DEFLATED)
    for at in range(35, 60):
        (tmp_path / "a").write_bytes(raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :])
        with pytest.raises(CheckpointError, match=r"unpack|checksum"):
            contents(tmp_path / "a")


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    archive(tmp_path / "a", {"x": bytes(70_000_000)}, zipfile.ZIP_DEFLATED)
    assert (tmp_path / "a").stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="decompression bomb"):
        contents(tmp_path / "a")


def test_a_member_that_unpacks_to_more_than_it_says(tmp_path: Path) -> None:
    raw = archive(tmp_path / "a", {"x": b"y" * 5000}, zipfile.ZIP_DEFLATED)
    (tmp_path / "a").write_bytes(raw.replace(struct.pack("<L", 5000), struct.pack("<L", 50)))
    with pytest.raises(CheckpointError, match="unpacks to another number"):
        contents(tmp_path / "a")


def test_verify_compares_the_checksum_of_stored_members(tmp_path: Path) -> None:
    raw = archive(tmp_path / "a", {"x": b"content"})
    (tmp_path / "a").write_bytes(raw.replace(b"content", b"contend"))
    with SourceFile(tmp_path / "a") as file:
        members, _ = read_directory(file)
        with pytest.raises(CheckpointError, match="checksum is wrong"):
            members["x"].verify()
        with pytest.raises(CheckpointError, match="checksum is wrong"):
            members["x"].content(100)
        with pytest.raises(CheckpointError, match="5 are the most"):
            members["x"].content(5)
