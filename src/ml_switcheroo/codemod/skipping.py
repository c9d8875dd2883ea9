"""Lines, and whole files, that a comment keeps as they are: ``# ml-switcheroo: skip``."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from ml_switcheroo.codemod.index import File

__all__ = ["is_skipped", "skipped_lines"]

_WORDS = "ml-switcheroo:"
_SKIP = re.compile(r"#\s*ml-switcheroo:\s*skip\b")


def is_skipped(source: str, tree: ast.Module) -> bool:
    """Tell whether a comment above the first statement (but a docstring) asks to skip the file."""
    if _WORDS not in source:
        return False
    docstring = ast.get_docstring(tree, clean=False) is not None
    first = tree.body[int(docstring)].lineno if len(tree.body) > docstring else len(source)
    return any(line < first and alone for line, alone in _comments(source))


def skipped_lines(source: str, file: File) -> frozenset[int]:
    """Return the lines that comments behind code keep, with all lines of a statement that goes on."""
    if _WORDS not in source:
        return frozenset()
    lines = {line for line, alone in _comments(source) if not alone}
    spans = [
        range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for node in file.nodes
        if isinstance(node, ast.stmt) and not hasattr(node, "body")
    ]
    return frozenset(lines.union(*(span for span in spans if lines.intersection(span))))


def _comments(source: str) -> Iterator[tuple[int, bool]]:
    """Yield the line of each such comment, and whether nothing else stands there."""
    text = source.removeprefix("\ufeff")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and _SKIP.match(token.string):
            yield token.start[0], token.line[: token.start[1]].isspace() or not token.start[1]
