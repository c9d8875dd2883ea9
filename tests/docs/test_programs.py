"""What docs/programs.md and README.md show of reading both programs is what happens."""

import re
import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import ml_switcheroo as ms

ROOT = Path(ms.__file__).parents[2]
PAGE = ROOT / "docs" / "programs.md"
pages = runpy.run_path(str(Path(__file__).with_name("pages.py")))
NAMES = ("model", "port", "wrong")


@pytest.fixture
def scope(tmp_path, monkeypatch):
    """A namespace for the code of a page, which imports from its folder."""
    pytest.importorskip("torch")
    pytest.importorskip("flax")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield {"ms": ms}
    for name in NAMES:
        sys.modules.pop(name, None)


def section(text, head):
    """Return a section of a page."""
    return re.search(rf"^## {re.escape(head)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def test_what_the_page_shows_happens(tmp_path, scope):
    text = PAGE.read_text(encoding="utf-8")
    shown = section(text, "My port has its own names") + section(text, "Where they differ")
    blocks = pages["blocks_of"](shown)
    assert {language for language, _ in blocks} == {"python", "text", "console"}
    assert pages["perform"](blocks, tmp_path, scope) == []
    assert scope["plan"].outputs.keys() == {*scope["found"].leaves} | {
        path for path in scope["plan"].outputs if path.startswith(("second.", "out."))
    }


def test_a_page_that_says_something_else_is_found(tmp_path):
    blocks = [("python", "print(1)\n"), ("text", "2\n"), ("console", "$ ml-switcheroo --version\nnone\n")]
    said = pages["perform"](blocks, tmp_path, {})
    assert [text for text, _ in said] == ["2\n", "$ ml-switcheroo --version\nnone\n"]


def test_the_readme_shows_what_happens(tmp_path, scope):
    import torch

    blocks = pages["blocks_of"](section((ROOT / "README.md").read_text(encoding="utf-8"), "Its own names"))
    files = [block for block in blocks if block[1].startswith("# ")]
    pages["perform"](files, tmp_path, scope)
    scope["net"] = __import__("model").Net()
    torch.save(scope["net"].state_dict(), tmp_path / "weights.pt")
    assert pages["perform"](blocks, tmp_path, scope) == []
    report = ms.verify(source_model=scope["net"], target_model=scope["port"], inputs=torch.randn(2, 7, 64))
    assert report.agrees
    assert not report.weights


def test_the_picture_is_whole_and_loads_nothing():
    picture = (ROOT / "docs" / "programs.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(picture)
    assert "href" not in picture
    assert "(programs.svg)" in PAGE.read_text(encoding="utf-8")
