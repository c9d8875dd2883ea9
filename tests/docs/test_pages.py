"""What README.md and the pages of docs/ show is what happens, block by block."""

import re
import runpy
from pathlib import Path

import pytest

pages = runpy.run_path(str(Path(__file__).with_name("pages.py")), run_name="pages")
ROOT = pages["ROOT"]
WITH_CODE = [page for page in pages["PAGES"] if pages["blocks_of"](page.read_text(encoding="utf-8"))]

# What rounding leaves of a difference is another number on another processor.
ROUNDING = re.compile(r"\b(?:\d\.\d+e-(?:0[6-9]|[1-9]\d)|0\.0e\+00)(?!\w)")


def without_rounding(text):
    """Return a text with every number below 1e-5 in its place as ``tiny``."""
    return ROUNDING.sub("tiny", text)


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_the_page_shows_happens(page, tmp_path):
    said, shown = pages["written"](page, tmp_path), page.read_text(encoding="utf-8")
    assert without_rounding(said) == without_rounding(shown)


def test_only_what_rounding_leaves_may_differ():
    assert without_rounding("0.0e+00  2.1e-07  read") == without_rounding("0.0e+00  0.0e+00  read")
    assert without_rounding("2.1e-05") != without_rounding("0.0e+00")
    assert without_rounding("75% 2.1e-07") != without_rounding("74% 0.0e+00")


def test_a_page_that_says_something_else_is_found(tmp_path):
    blocks = [("python", "print(1)\n"), ("text", "2\n"), ("console", "$ ml-switcheroo --version\nnone\n")]
    said = pages["perform"](blocks, tmp_path, {})
    assert [text for text, _ in said] == ["2\n", "$ ml-switcheroo --version\nnone\n"]


@pytest.mark.parametrize(
    ("language", "block"),
    [
        ("", "x\n"),
        ("json", "{}\n"),
        ("text", "said by nobody\n"),
        ("sh", "python benchmarks/none.py\n"),
        ("sh", "ml-switcheroo plan A --no-such\n"),
        ("console", "$ pip install 'ml-switcheroo[no]'\n"),
    ],
)
def test_a_block_that_nothing_performs_is_found(language, block, tmp_path):
    with pytest.raises(ValueError, match=r"nothing performs|there is no|has no"):
        pages["perform"]([(language, block)], tmp_path, {})
