import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_switcheroo.codemod.text import Text, apply_edits, changes_only


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("head", ["", "\ufeff", "é = 'ü' # \f\n", "\f"])
def test_a_span_is_the_text_of_its_node(head, newline):
    code = f"{head}x = 1{newline}y = ('äöü', f(\n 2))  # end"
    text = Text(code)
    call = next(node for node in ast.walk(text.tree) if isinstance(node, ast.Call))
    start, end = text.span(call)
    assert code[start:end] == "f(\n 2)"


def test_edits_leave_everything_else():
    text = Text("a = f(1); b = g(2)\n")
    edits = [text.edit(14, 18, "h()"), text.edit(4, 8, "k(1)")]
    assert apply_edits(text.code, edits) == "a = k(1); b = h()\n"
    assert [(edit.line, edit.before) for edit in sorted(edits)] == [(1, "f(1)"), (1, "g(2)")]


def test_an_insertion_of_statements_is_no_other_change():
    text = Text("import a\nf(1)\n")
    edits = [text.edit(9, 9, "class K:\n    pass\n"), text.edit(9, 13, "K.f(1)")]
    assert changes_only(text, apply_edits(text.code, edits), edits)


@pytest.mark.parametrize(
    ("code", "start", "end", "after"),
    [
        ("x = f(1) ** 2\n", 4, 8, "a + b"),  # binds otherwise
        ("x = f(1)\n", 4, 8, "a; b"),  # another statement
        ("x = f(1)\n", 4, 8, "(1"),  # no Python
        ("if a:\n    f(1)\ng()\n", 10, 14, "if b:\n        f(1)\nelse: pass"),
    ],
)
def test_an_edit_that_changes_its_surroundings_is_found_out(code, start, end, after):
    edits = [Text(code).edit(start, end, after)]
    assert not changes_only(Text(code), apply_edits(code, edits), edits)


def test_a_text_that_is_not_its_edits_is_found_out():
    text = Text("x = f(1)  # note\n")
    edits = [text.edit(4, 8, "g(1)")]
    assert changes_only(text, "x = g(1)  # note\n", edits)
    assert not changes_only(text, "x = g(1) # note\n", edits)


@given(
    st.text(st.sampled_from("aé\ud7ff\U0001f600 #'\f\v\x1c\u2028\x85"), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
)
def test_positions_do_not_depend_on_what_stands_before(comment, newline):
    code = f"# {comment}{newline}s = {comment.replace(chr(39), '')!r}; t = f(x)"
    text = Text(code)
    start, end = text.span(text.tree.body[-1].value)
    assert code[start:end] == "f(x)"
