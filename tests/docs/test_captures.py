"""The captures of docs/captures show what a terminal shows now, and load nothing."""

import html
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

import ml_switcheroo

pytest.importorskip("pty")
pytest.importorskip("flax")
ROOT = Path(ml_switcheroo.__file__).parents[2]
captures = runpy.run_path(str(ROOT / "docs" / "captures.py"))
PACE = re.compile(r"\d+%.*")  # how fast it was


def words_of(picture):
    texts = [
        element.text or "" for element in ElementTree.fromstring(picture).iter() if "text" in element.tag
    ]
    return PACE.sub("", html.unescape(" ".join(texts)).replace("\xa0", " ")).split()


@pytest.mark.parametrize("name", captures["COMMANDS"])
def test_a_capture_shows_what_is_printed(name, tmp_path):
    picture = (captures["CAPTURES"] / f"{name}.svg").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"http://www.w3.org|<!--.*-->", "", picture)
    captures["lay_out"](tmp_path)
    assert words_of(captures["drawn"](name, captures["COMMANDS"][name], tmp_path)) == words_of(picture), (
        "make docs"
    )


def test_a_line_written_over_is_what_was_written_last():
    assert captures["settled"]("10%\r50%\r100%\r\ndone\r\n") == "100%\ndone\n"
