"""The captures of docs/captures show what a terminal shows now, and load nothing."""

import re
import runpy
from pathlib import Path

import pytest

import ml_switcheroo

pytest.importorskip("pty")
pytest.importorskip("flax")
ROOT = Path(ml_switcheroo.__file__).parents[2]
captures = runpy.run_path(str(ROOT / "docs" / "captures.py"))


@pytest.mark.parametrize("name", captures["COMMANDS"])
def test_a_capture_shows_what_is_printed(name, tmp_path):
    picture = (captures["CAPTURES"] / f"{name}.svg").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"http://www.w3.org|<!--.*-->", "", picture)
    captures["lay_out"](tmp_path)
    now = captures["drawn"](name, captures["COMMANDS"][name], tmp_path)
    assert captures["words_of"](now) == captures["words_of"](picture), "run: make docs"


def test_a_line_written_over_is_what_was_written_last():
    assert captures["settled"]("10%\r50%\r100%\r\ndone\r\n") == "100%\ndone\n"
