"""The page is whole by itself, shows every tensor, and escapes what it shows."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

import ml_switcheroo as ms
from ml_switcheroo.rules import Drop, Kind

STATE = {
    **{f"blocks.{i}.fc.weight": np.zeros((6, 4), "f4") for i in range(3)},
    **{f"blocks.{i}.fc.bias": np.zeros(6, "f4") for i in range(3)},
    "tok.weight": np.zeros((5, 4), "f4"),
    "inv_freq": np.zeros(7, "f4"),
}
RULES = [Kind("blocks.{i}.fc", "linear"), Drop("inv_freq", "<made> & anew")]
PLAN = ms.make_plan(STATE, to="nnx", rules=RULES)


class Reader(HTMLParser):
    """Read the table's cells, and what the page would load."""

    def __init__(self):
        super().__init__()
        self.rows, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [value for key, value in attrs if key in ("src", "href")]
        if tag == "tr":
            self.rows.append((dict(attrs).get("class"), []))
        elif tag == "td":
            self.rows[-1][1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1][1]:
            self.rows[-1][1][-1] += data


def read(plan):
    reader = Reader()
    reader.feed(plan.to_html())
    return reader


def test_the_page_loads_nothing_from_elsewhere():
    page = PLAN.to_html()
    assert not read(PLAN).loads
    assert not re.search(r"https?://|@import|url\(", page)
    assert "$" not in re.sub(r"<script>.*</script>", "", page, flags=re.DOTALL)


def test_what_needs_a_person_comes_first_and_layers_are_folded():
    rows = [row for row in read(PLAN).rows if row[0]]
    assert [status for status, _ in rows] == ["ambiguous", "moved", "moved", "dropped"]
    texts = [cells for _, cells in rows]
    assert texts[0][1].split() == ["tok.weight"]
    assert 'Kind("tok", "embedding")' in texts[0][2]
    assert texts[1][1] == "blocks.{0..2}.fc.weight float32[6,4]"
    assert texts[1][2] == "blocks.{0..2}.fc.kernel float32[4,6]"
    assert texts[1][3] == "out in -> in out"
    assert "linear" in texts[1][4]


def test_the_counts_are_of_tensors_not_of_lines():
    page = PLAN.to_html()
    assert "moved <b>6</b>" in page
    assert "ambiguous <b>1</b>" in page
    assert "missing" not in re.sub(r"<style>.*</style>", "", page, flags=re.DOTALL)


def test_text_is_no_markup():
    assert "&lt;made&gt; &amp; anew" in PLAN.to_html()
    assert "<made>" not in PLAN.to_html()
    named = replace(PLAN, source="<script>alert(1)</script>.pt")
    assert named.to_html().count("<script>") == 1


def test_a_leaf_that_is_missing_stands_on_the_side_of_the_target():
    plan = ms.make_plan(
        {"fc.weight": np.zeros((6, 4), "f4")},
        to="nnx",
        layers={"fc": "linear"},
        like={"fc": {"kernel": (4, 6), "bias": (6,)}},
    )
    (row,) = [cells for status, cells in read(plan).rows if status == "missing"]
    assert row[1] == ""
    assert row[2].startswith("fc.bias")


def test_differences_stand_above_the_table_with_the_lines_of_both():
    said = "after a<b>: relu (model.py:13); gelu (port.py:8)"
    page = replace(PLAN, differences=(said,)).to_html()
    assert page.index("compute something else") < page.index("<table>")
    assert "after a&lt;b&gt;: relu (<code>model.py:13</code>); gelu (<code>port.py:8</code>)" in page
    assert "compute something else" not in PLAN.to_html()


def test_a_move_that_both_programs_decide_is_marked():
    first, *others = PLAN.moves
    moves = (replace(first, origin="graph"), *others)
    marked = [cells[0] for status, cells in read(replace(PLAN, moves=moves)).rows if status == "moved"]
    assert sum("by what both programs compute" in cell for cell in marked) == 1
    assert not any("both programs" in cells[0] for _, cells in read(PLAN).rows if cells)
