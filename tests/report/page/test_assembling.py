"""The page is whole by itself, holds every fact as data, and nothing in it is markup."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

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
    """Read the scripts, and what the page would load."""

    def __init__(self, page):
        super().__init__()
        self.loads, self.scripts, self.tags, self.policy = [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.loads += [attrs[key] for key in ("src", "href") if key in attrs]
        self.policy = (
            attrs["content"] if attrs.get("http-equiv") == "Content-Security-Policy" else self.policy
        )
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def facts(plan, **options):
    found = json.loads(Reader(plan.to_html(**options)).scripts[0])
    return found, found["words"]


def test_the_page_loads_nothing_from_elsewhere():
    page = PLAN.to_html()
    assert Reader(page).loads == ["data:,"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", page)


def test_only_the_script_of_the_page_may_run():
    read = Reader(PLAN.to_html())
    _, script = read.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in read.policy
    assert "default-src 'none'" in read.policy
    assert "innerHTML" not in script


def test_every_tensor_and_leaf_stands_there_once_with_its_shape():
    found, words = facts(PLAN)
    assert {row[0] for row in found["tensors"]} == set(STATE)
    shapes = {name: (words[spec], words[status]) for name, spec, status, _ in found["tensors"]}
    assert shapes["tok.weight"] == ("float32[5,4]", "ambiguous")
    assert shapes["inv_freq"] == ("float32[7]", "dropped")
    (move, *_) = found["moves"]
    assert [found["tensors"][at][0] for at in move[0]] == ["blocks.0.fc.weight"]
    assert [found["leaves"][at][0] for at in move[1]] == ["blocks.0.fc.kernel"]
    assert [words[at] for at in move[2:4]] == ["out in -> in out", "linear"]


@pytest.mark.parametrize(
    "text", ["</script><img src=x onerror=alert(1)>", "<!--<script>", "\u2028]]>", "$title"]
)
def test_text_is_no_markup(text):
    plain = Reader(PLAN.to_html())
    state = {f"{text}.{i}.weight": np.zeros((6, 4), "f4") for i in range(2)}
    plan = ms.make_plan(state, to="nnx", rules=[Kind("*", "linear")])
    named = replace(plan, source=text, notes=(text,), differences=(text,))
    read = Reader(named.to_html(state=state, rules=[Drop("x", text)]))
    assert read.tags == [*plain.tags[:-2], "script", "script"] == plain.tags
    assert [row[0] for row in json.loads(read.scripts[0])["tensors"]] == list(state)
    assert read.scripts[1] == plain.scripts[1]


def test_a_surrogate_in_a_name_is_written_as_something():
    plan = replace(PLAN, source="odd\udcff.pt")
    assert "<h1>odd?.pt" in plan.to_html()
    assert facts(plan)[0]["source"] == "odd?.pt"


def test_the_line_that_decided_stands_there_if_its_file_does(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "net.py").write_text("a = 1\nself.fc = nn.Linear(4, 6)  # <b>\n")
    moves = tuple(replace(move, where="pkg/net.py:2") for move in PLAN.moves)
    plan = replace(PLAN, moves=moves)
    found, words = facts(plan, sources=[f"{tmp_path}/pkg/net.py:Net"])
    assert [(words[where], line) for where, line in found["lines"]] == [
        ("pkg/net.py:2", "self.fc = nn.Linear(4, 6)  # <b>")
    ]
    assert facts(plan)[0]["lines"] == []


@pytest.mark.parametrize("where", ["/etc/passwd:1", "../net.py:1", "net.txt:1", "net.py:99", "net.py", ""])
def test_no_other_file_is_read_for_a_line(where, tmp_path):
    (tmp_path / "pkg").mkdir()
    for name in ("net.py", "net.txt", "pkg/net.py"):
        (tmp_path / name).write_text("secret\n")
    plan = replace(PLAN, moves=tuple(replace(move, where=where) for move in PLAN.moves))
    assert facts(plan, sources=[f"{tmp_path}/pkg/net.py:Net"])[0]["lines"] == []
