"""Files are read as their encoding says, and what is no Python says where."""

import os

import pytest

from ml_switcheroo.code.parsing import parse, read
from ml_switcheroo.errors import SourceError


def test_the_text_is_read_in_the_encoding_that_the_file_names(tmp_path):
    path = tmp_path / "latin.py"
    path.write_bytes("# coding: latin-1\nname = 'é'\n".encode("latin-1"))
    text, tree = read(path)
    assert "é" in text
    assert tree.body[0].value.value == "é"
    assert parse(path).body[0].value.value == "é"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a = (", "not Python"),
        (b"a = '\xff'", "not Python"),
        (b"a = 1\x00", "not Python"),
    ],
)
def test_what_is_no_python_is_an_error_with_its_file(tmp_path, content, text):
    path = tmp_path / "broken.py"
    path.write_bytes(content)
    for run in (read, parse):
        with pytest.raises(SourceError, match=text) as caught:
            run(path)
        assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    for run in (read, parse):
        with pytest.raises(SourceError, match="no such file"):
            run(tmp_path / "none.py")


def test_a_file_is_parsed_again_when_it_has_changed(tmp_path):
    path = tmp_path / "model.py"
    path.write_text("a = 1")
    first = parse(path)
    assert parse(path) is first
    path.write_text("b = 2")
    os.utime(path, ns=(1, 1))
    assert parse(path).body[0].targets[0].id == "b"
