"""The picture of docs/programs.md."""

from pathlib import Path
from xml.etree import ElementTree

import ml_switcheroo as ms

ROOT = Path(ms.__file__).parents[2]
PAGE = ROOT / "docs" / "programs.md"


def test_the_picture_is_whole_and_loads_nothing():
    picture = (ROOT / "docs" / "programs.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(picture)
    assert "href" not in picture
    assert "(programs.svg)" in PAGE.read_text(encoding="utf-8")
