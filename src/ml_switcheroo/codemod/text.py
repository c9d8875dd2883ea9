"""Source text by offsets: where a node lies, and edits that touch nothing else."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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

    @cached_property
    def _is_ascii(self) -> bool:
        return self.code.isascii()

    def offset(self, line: int, column: int) -> int:
        """Turn the ``ast``'s position (line from 1, column in UTF-8 bytes) into an offset."""
        start, end = self.line_starts[line - 1 : line + 1]
        if self._is_ascii:
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


def changes_only(before: Text, after: str, edits: Sequence[Edit]) -> bool:
    """Tell whether ``after`` parses and differs from ``before`` within the edits alone.

    Outside the edits both must have the same characters and the same syntax tree: an edit that changed
    how its surroundings parse is found out.
    """
    if apply_edits(before.code, edits) != after:
        return False
    try:
        new = Text(after)
    except (SyntaxError, RecursionError):
        return False
    return _Comparison(before, new, sorted(edits)).alike(before.tree, new.tree)


class _Comparison:
    """Compare two trees where edits lie; what holds none is the same text, so its place is enough."""

    def __init__(self, old: Text, new: Text, edits: Sequence[Edit]) -> None:
        self._old, self._new = old, new
        self._spans, self._inserted = {}, list[tuple[int, int]]()
        self._starts: list[int] = []
        self._shifts = [0]
        for edit in edits:
            start = edit.start + self._shifts[-1]
            span = (start, start + len(edit.after))
            if edit.start == edit.end:
                self._inserted.append(span)
            else:
                self._spans[edit.start, edit.end] = span
            self._starts.append(edit.start)
            self._shifts.append(self._shifts[-1] + len(edit.after) - (edit.end - edit.start))

    def alike(self, old: Any, new: Any) -> bool:
        """Tell whether two parts of the trees are the same but for the edits."""
        if isinstance(old, list):
            kept = [node for node in new if not self._is_inserted(node)] if isinstance(new, list) else []
            return len(old) == len(kept) and all(map(self.alike, old, kept))
        if not isinstance(old, ast.AST):
            return type(old) is type(new) and bool(old == new)
        if hasattr(old, "lineno"):
            span = self._old.span(old)  # type: ignore[arg-type]
            if not hasattr(new, "lineno"):
                return False
            there = self._new.span(new)
            if span in self._spans:
                return there == self._spans[span]
            first, last = bisect_left(self._starts, span[0]), bisect_left(self._starts, span[1])
            if first == last:
                shift = self._shifts[first]
                return type(old) is type(new) and there == (span[0] + shift, span[1] + shift)
        fields = [getattr(node, "_fields", ()) for node in (old, new)]
        return type(old) is type(new) and all(
            self.alike(getattr(old, name, None), getattr(new, name, None)) for name in fields[0]
        )

    def _is_inserted(self, node: Any) -> bool:
        if not self._inserted or not isinstance(node, ast.stmt):
            return False
        start, end = self._new.span(node)
        return any(first <= start and end <= last for first, last in self._inserted)
