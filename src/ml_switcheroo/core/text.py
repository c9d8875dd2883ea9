"""Source text by offsets: where a node lies, and edits that touch nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Edit", "Text", "apply_edits", "changes_only"]

# Python ends a line at these; str.splitlines knows more (form feeds among them).
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace ``code[start:end]`` by ``after``; offsets count characters.

    Attributes:
        start: Offset of the first character replaced.
        end: Offset behind the last; ``start`` for an insertion.
        after: The new text.
        line: Line of ``start``, from 1.
        before: The text that was there.
    """

    start: int
    end: int
    after: str
    line: int
    before: str


class Text:
    """A source text, its tree, and the way from the tree's positions to offsets in the text."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.tree = ast.parse(code.removeprefix("\ufeff"), type_comments=False)

    @cached_property
    def line_starts(self) -> list[int]:
        """Offsets of the first character of each line, and of the end of the text."""
        first = int(self.code.startswith("\ufeff"))
        return [first, *(match.end() for match in _LINE_END.finditer(self.code)), len(self.code)]

    @property
    def newline(self) -> str:
        """The line end that the text uses (the first one)."""
        match = _LINE_END.search(self.code)
        return match[0] if match else "\n"

    def offset(self, line: int, column: int) -> int:
        """Turn the ``ast``'s position (line from 1, column in UTF-8 bytes) into an offset."""
        start, end = self.line_starts[line - 1 : line + 1]
        if self.code.isascii():
            return start + column
        return start + len(self.code[start:end].encode("utf-8")[:column].decode("utf-8"))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return where a node begins and ends."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def line_end(self, offset: int) -> int:
        """Return the offset behind the line end that follows ``offset``."""
        match = _LINE_END.search(self.code, offset)
        return match.end() if match else len(self.code)

    def edit(self, start: int, end: int, after: str) -> Edit:
        """Make an edit of this text."""
        line = len(_LINE_END.findall(self.code, 0, start)) + 1
        return Edit(start, end, after, line, self.code[start:end])


def apply_edits(code: str, edits: Sequence[Edit]) -> str:
    """Apply edits that do not overlap; everything outside them stays as it is."""
    pieces, at = [], 0
    for edit in sorted(edits):
        pieces += [code[at : edit.start], edit.after]
        at = edit.end
    return "".join([*pieces, code[at:]])


def changes_only(before: str, after: str, edits: Sequence[Edit]) -> bool:
    """Tell whether ``after`` parses and differs from ``before`` within the edits alone.

    Outside the edits both must have the same characters and the same syntax tree: an edit that changed
    how its surroundings parse is found out.
    """
    if apply_edits(before, edits) != after:
        return False
    old, new, shift = [], [], 0
    for edit in sorted(edits):
        old.append((edit.start, edit.end))
        new.append((edit.start + shift, edit.start + shift + len(edit.after)))
        shift += len(edit.after) - (edit.end - edit.start)
    try:
        return _outline(Text(before), old) == _outline(Text(after), new)
    except SyntaxError:
        return False


def _outline(text: Text, spans: Sequence[tuple[int, int]]) -> str:
    """Dump the tree with every edited node blank and every inserted statement left out."""

    class Blank(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST | None:
            if not isinstance(node, ast.expr | ast.stmt):
                return self.generic_visit(node)
            span = text.span(node)
            if span in spans:
                return ast.Pass() if isinstance(node, ast.stmt) else ast.Name("edited", ast.Load())
            inside = any(start <= span[0] and span[1] <= end for start, end in spans)
            return None if inside and isinstance(node, ast.stmt) else self.generic_visit(node)

    return ast.dump(
        ast.Module([item for item in map(Blank().visit, text.tree.body) if isinstance(item, ast.stmt)], [])
    )
