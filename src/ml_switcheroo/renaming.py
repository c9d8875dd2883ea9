"""One rule for many renames: braces stand for numbers, even if the sides count from different ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ml_switcheroo.rules import Rename

__all__ = ["one_rename"]

_NUMBER = re.compile(r"\d+")
_LETTERS = "ijkn"


def one_rename(pairs: Iterable[tuple[str, str]]) -> Rename | None:
    """Return one rule that renames all of some paths, with braces for the numbers; None if there is none.

    >>> one_rename([("layer1.0", "stages.0.0"), ("layer1.1", "stages.0.1"), ("layer2.0", "stages.1.0")])
    Rename("layer{i+1}.{j}", "stages.{i}.{j}")
    """
    rows = list(pairs)
    if len(rows) == 1:
        return Rename(*rows[0])
    mine, other = ([[int(n) for n in _NUMBER.findall(row[side])] for row in rows] for side in (0, 1))
    if len({*map(len, mine)}) != 1 or len({*map(len, other)}) != 1:
        return None
    here, there = list(zip(*mine, strict=True)), list(zip(*other, strict=True))
    left, right = [""] * len(here), [""] * len(there)
    letters = iter(_LETTERS)
    for place, column in enumerate(there):
        if len(set(column)) < 2:
            continue
        shifts = ((at, {a - b for a, b in zip(own, column, strict=True)}) for at, own in enumerate(here))
        fits = [(at, shift.pop()) for at, shift in shifts if len(shift) == 1 and not left[at]]
        letter = next(letters, "")
        if not fits or not letter:
            return None
        at, shift = fits[0]
        # The side that counts from 1 says so: layer{i+1} is stages.{i}.
        left[at] = f"{{{letter}+{shift}}}" if shift > 0 else f"{{{letter}}}"
        right[place] = f"{{{letter}+{-shift}}}" if shift < 0 else f"{{{letter}}}"
    if any(len(set(column)) > 1 and not left[at] for at, column in enumerate(here)):
        return None
    rule = Rename(_with(rows[0][0], left), _with(rows[0][1], right))
    return rule if all(rule.apply(a) == b for a, b in rows) else None


def _with(path: str, holes: Sequence[str]) -> str:
    there = iter(holes)
    return _NUMBER.sub(lambda found: next(there) or found[0], path)
