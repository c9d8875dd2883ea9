"""Unified diffs as ``patch`` and ``git apply`` take them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from difflib import SequenceMatcher

__all__ = ["unified_diff"]

_AROUND = 3


def unified_diff(before: str, after: str, name: str) -> str:
    r"""Return the change from one text to another; empty where there is none.

    >>> print(unified_diff("a\nb\n", "a\nc", "x.py"), end="")
    --- a/x.py
    +++ b/x.py
    @@ -1,2 +1,2 @@
     a
    -b
    +c
    \ No newline at end of file
    """
    if before == after:
        return ""
    # Lines end at line feeds alone; ``splitlines`` knows form feeds too.
    old, new = (io.StringIO(text, newline="\n").readlines() for text in (before, after))
    pieces = [f"--- a/{name}\n+++ b/{name}\n"]
    # Never ``autojunk``: lines that a file repeats are no noise.
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_AROUND):
        first, last = group[0], group[-1]
        pieces.append(f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n")
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                pieces += _lines(" ", old[i1:i2])
            else:
                pieces += [*_lines("-", old[i1:i2]), *_lines("+", new[j1:j2])]
    return "".join(pieces)


def _range(start: int, stop: int) -> str:
    length = stop - start
    first = start + 1 if length else start
    return f"{first}" if length == 1 else f"{first},{length}"


def _lines(sign: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield f"{sign}{line}" if line.endswith("\n") else f"{sign}{line}\n\\ No newline at end of file\n"
