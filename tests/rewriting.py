"""The two verbs of the tests of the rewrite."""

import ast
import textwrap

from ml_switcheroo.core.bundle import PUBLIC, source_of
from ml_switcheroo.core.rewriter import rewrite
from ml_switcheroo.core.text import apply_edits


def check_rewritten(before, after, to="nnx", notes=(), dedent=True, **settings):
    """Assert that ``before`` becomes ``after``, with the source of KeyMapper where ``after`` uses it.

    ``#KEYMAPPER`` in ``after`` marks the place of that source; without a mark its place is not looked at.
    Each of ``notes`` is ``line: text``, and the text must occur in a note of that line.
    """
    before, after = (textwrap.dedent(code).lstrip("\n") if dedent else code for code in (before, after))
    result = rewrite(before, to, **settings)
    entries = (*PUBLIC, "copy_into") if "copy_into" in after else PUBLIC
    newline = "\r\n" if "\r\n" in before else "\n"
    source = source_of(to, entries)
    imported = {
        ast.unparse(ast.Import([alias]))
        for node in ast.parse(before.removeprefix("\ufeff")).body
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    for line in ("import re", "import numpy as np"):  # not again what the file imports already
        source = source.replace(f"{line}\n", "", 1) if line in imported else source
    block = f"\n\n{source.strip()}\n\n".replace("\n", newline)
    assert result.code.count(block) == ("KeyMapper." in after), "the source of KeyMapper is not there once"
    mark = "#KEYMAPPER" if "#KEYMAPPER" in after else ""
    # A second empty line follows where there was none.
    found = {result.code.replace(block + more, mark) for more in ("", newline)}
    assert after in found, result.code.replace(block, "#KEYMAPPER")
    check_sound(before, result, to, **settings)
    check_notes(result, notes)
    return result


def check_unchanged(code, to="nnx", notes=(), dedent=True, **settings):
    """Assert that ``code`` stays as it is, with these notes and no others."""
    code = textwrap.dedent(code).lstrip("\n") if dedent else code
    result = rewrite(code, to, **settings)
    assert result.code == code
    assert result.edits == ()
    check_notes(result, notes)
    return result


def check_sound(before, result, to, **settings):
    """Assert what holds for every rewrite: it parses, is the same when done twice, and is its edits."""
    ast.parse(result.code.removeprefix("\ufeff"))
    again = rewrite(result.code, to, **settings)
    assert (again.code, again.edits) == (result.code, ())
    assert apply_edits(before, result.edits) == result.code


def check_notes(result, notes):
    lines = [f"{note.line}: {note.text}" for note in result.notes]
    assert len(lines) == len(notes), lines
    for expected in notes:
        line, _, text = expected.partition(": ")
        assert any(found.startswith(f"{line}: ") and text in found for found in lines), (expected, lines)
