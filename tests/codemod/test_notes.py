"""The table of notes: every note has a row, every row is used, and a code is what a note is known by."""

import re
import runpy
from pathlib import Path

import pytest

import ml_switcheroo
from ml_switcheroo.codemod.hooks import HookContext, Note
from ml_switcheroo.codemod.note_rows import ALL
from ml_switcheroo.codemod.notes import CONSEQUENCES, FOREIGN, ROWS, said
from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.errors import UsageError

PACKAGE = Path(ml_switcheroo.__file__).parent
CODE = "\n".join(
    path.read_text("utf-8")
    for folder in ("codemod", "plugins")
    for path in sorted((PACKAGE / folder).glob("*.py"))
    if path.name != "note_rows.py"
)


def test_codes_and_names_are_one_each():
    assert all(re.fullmatch(r"SW\d{3}", code) and row.code == code for code, row in ROWS.items())
    assert len({row.name for row in ALL}) == len({row.code for row in ALL}) == len(ALL)
    assert list(ROWS) == sorted(ROWS)
    assert {row.consequence for row in ROWS.values()} == set(CONSEQUENCES)
    assert all(row.title and row.cure for row in ROWS.values())


@pytest.mark.parametrize("code", [code for code in ROWS if code != FOREIGN])
def test_every_row_is_used(code):
    assert f'"{ROWS[code].name}"' in CODE


def test_the_page_of_notes_is_written_from_the_table():
    docs = Path(__file__).parents[2] / "docs"
    written = runpy.run_path(str(docs / "notes.py"))["written"]
    assert (docs / "notes.md").read_text(encoding="utf-8") == written(), "run: python docs/notes.py"


def test_every_note_has_a_row():
    names = {row.name for row in ROWS.values()}
    assert set(re.findall(r'\bsaid\(\s*"([^"]*)"', CODE)) <= names


def test_what_is_left_says_so():
    assert said("super").text.startswith("left as it is: super() speaks")
    assert said("mended").text.startswith("the result of load_state_dict")
    assert not ROWS[said("mended").code].left


@pytest.mark.parametrize(
    ("code", "to", "expected"),
    [
        ("optimizer.load_state_dict(sd)", "nnx", ["SW401"]),
        ("net = net.load_state_dict(sd)", "nnx", ["SW302"]),
        ("net.load_state_dict(sd, cfg=1)", "nnx", ["SW104"]),
        ("net.load_state_dict()", "nnx", ["SW106"]),
        ("thing.load_state_dict(sd)", "equinox", ["SW120"]),
        ("torch.save(net.state_dict(), p)", "nnx", ["SW201"]),
        ("f = net.load_state_dict", "nnx", ["SW503"]),
        ("np = 1\nnet.load_state_dict(sd)", "nnx", ["SW601"]),
    ],
)
def test_a_note_carries_the_code_of_its_row(code, to, expected):
    assert [note.code for note in rewrite(code + "\n", to).notes] == expected


def test_what_a_hook_says_without_a_code_has_the_code_of_other_packages():
    ctx = HookContext(file="run.py", line=7)
    ctx.note("look here")
    ctx.note(*said("hook"))
    assert [note.code for note in ctx.notes] == ["SW901", "SW502"]
    assert Note("run.py", 7, "look here") == ctx.notes[0]
    with pytest.raises(UsageError, match="no note has the code 'SW9'; known codes: SW101"):
        ctx.note("look here", "SW9")
