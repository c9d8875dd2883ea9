"""What README.md and the pages of docs/ show is what happens, block by block."""

import runpy
from pathlib import Path

import pytest

pages = runpy.run_path(str(Path(__file__).with_name("pages.py")), run_name="pages")
ROOT = pages["ROOT"]
WITH_CODE = [page for page in pages["PAGES"] if pages["blocks_of"](page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_the_page_shows_happens(page, tmp_path):
    assert pages["written"](page, tmp_path) == page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("said", "shown", "kept"),
    [
        ("0.0e+00  0.0e+00  read", "0.0e+00  2.1e-07  read", True),
        ("2.1e-05", "0.0e+00", False),
        ("2.1e-06", "0.0e+00", False),
        ("75% 2.1e-07", "74% 0.0e+00", False),
    ],
)
def test_only_what_rounding_leaves_may_differ(said, shown, kept, tmp_path):
    blocks = [("python", f"print({said!r})\n"), ("text", f"{shown}\n")]
    assert (pages["perform"](blocks, tmp_path, {}) == []) is kept


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
