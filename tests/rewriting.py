"""The two verbs of the tests of the rewrite."""

import ast
import textwrap

from ml_switcheroo.codemod.block import compose, find_block
from ml_switcheroo.codemod.rewriter import rewrite
from ml_switcheroo.codemod.text import apply_edits


def check_rewritten(before, after, to="nnx", notes=(), dedent=True, **settings):
    """Assert that ``before`` becomes ``after``, with the source of KeyMapper where ``after`` uses it.

    ``#KEYMAPPER`` in ``after`` marks the place of that source; without a mark its place is not looked at.
    Each of ``notes`` is ``line: text``, and the text must occur in a note of that line.
    """
    before, after = (textwrap.dedent(code).lstrip("\n") if dedent else code for code in (before, after))
    result = rewrite(before, to, **settings)
    newline = "\r\n" if "\r\n" in before else "\n"
    block = "\n\n" + block_of(result.code, to) + "\n\n"
    block = block.replace("\n", newline) if "KeyMapper." in after else "no block"
    assert result.code.count(">>> KeyMapper") == ("KeyMapper." in after), "KeyMapper is not there once"
    mark = "#KEYMAPPER" if "#KEYMAPPER" in after else ""
    # A second empty line follows where there was none.
    found = {result.code.replace(block + more, mark) for more in ("", newline)}
    assert after in found, result.code.replace(block, "#KEYMAPPER")
    check_sound(before, result, to, **settings)
    check_notes(result, notes)
    return result


def block_of(code, to):
    """Return the text of the block in ``code``, which is whole and of this target."""
    block = find_block(code)
    if block is None:
        return ""
    assert (block.carried.target, block.edited) == (to, False)
    imported = {
        ast.unparse(ast.Import([alias]))
        for node in ast.parse(code[: block.start].removeprefix("\ufeff")).body
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    lines = compose(block.carried).strip().split("\n")
    return "\n".join(line for line in lines if line not in imported)  # not again what is imported already


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
