"""What an interactive session shows of an object: one line, or a small table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["few", "html_table", "html_text"]


def few(names: Sequence[str], most: int = 3) -> str:
    """Write a list as Python does, and only its first entries.

    >>> few(["a", "b", "c", "d", "e"])
    "['a', 'b', 'c', ... and 2 more]"
    >>> few([])
    '[]'
    """
    listed = ", ".join(map(repr, names[:most]))
    return f"[{listed}, ... and {len(names) - most} more]" if len(names) > most else f"[{listed}]"


def html_text(text: str) -> str:
    """Write lines for a notebook as they are.

    >>> html_text("a -> b")
    '<pre>a -&gt; b</pre>'
    """
    return f"<pre>{escape(text)}</pre>"


def html_table(head: str, rows: Iterable[Sequence[object]]) -> str:
    """Write a table for a notebook; whatever stands in it is text.

    >>> html_table("a.pt", [("w", "<2>")])
    '<table><caption>a.pt</caption><tr><td>w</td><td>&lt;2&gt;</td></tr></table>'
    """
    lines = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><caption>{escape(head)}</caption>{body}</table>"
