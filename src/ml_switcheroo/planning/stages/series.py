"""Modules that are alike but for a number in their names: ``conv1, conv2`` and ``conv2d, conv2d_1``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ml_switcheroo.match.paths.words import meaning, segment_tokens

__all__ = ["Series", "Stem", "ranked", "series_of", "stem_of"]

_NUMBER = re.compile(r"(?<=[A-Za-z])_?(\d+)(?![A-Za-z0-9])|(?<![A-Za-z0-9])(\d+)(?![A-Za-z0-9])")
_SEPARATOR = re.compile(r"[./]")

Rank: TypeAlias = tuple[int, ...]
Stem: TypeAlias = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Series:
    """All modules of a tree that are alike but for their numbers.

    Attributes:
        ranks: The rank of each number that differs, by path.
        counted: What each of these numbers counts: the words before it.
    """

    ranks: Mapping[str, Rank]
    counted: tuple[frozenset[str], ...]

    def lines_up(self, other: Series) -> bool:
        """Tell whether two series have as many members, and do not count the same things in another order."""
        return sorted(self.ranks.values()) == sorted(other.ranks.values()) and not any(
            mine & theirs
            for place, mine in enumerate(self.counted)
            for where, theirs in enumerate(other.counted)
            if place != where and not mine & self.counted[where]
        )


def series_of(paths: Iterable[str]) -> dict[str, Series]:
    """Return the series of every path of a tree; a path without a number is a series of one."""
    stems: dict[Stem, list[str]] = {}
    for path in dict.fromkeys(paths):
        stems.setdefault(stem_of(path), []).append(path)
    found = {}
    for members in stems.values():
        series = ranked(members)
        if series is not None:
            found.update(dict.fromkeys(members, series))
    return found


def ranked(paths: Sequence[str]) -> Series | None:
    """Return the series of paths that are alike but for their numbers; None where they are not.

    The first of ``conv2d, conv2d_1`` has no number: it is counted as the one before them. A number that is
    part of a name must follow the one before it: ``d1, d2, d4`` are not counted, they say something else. The
    items of a list may have others between them.

    >>> ranked(["conv2d", "conv2d_1", "conv2d_2"]).ranks
    {'conv2d': (0,), 'conv2d_1': (1,), 'conv2d_2': (2,)}
    >>> ranked(["d1", "d2", "d4"]) is ranked(["a", "b"]) is None
    True
    """
    if len({stem_of(path) for path in paths}) != 1:
        return None
    split = {path: _SEPARATOR.split(path) for path in paths}
    rows: dict[str, list[int]] = {path: [] for path in paths}
    columns: list[tuple[frozenset[str], bool]] = []
    for place in range(len(split[paths[0]])):
        found = {path: _numbers(parts[place]) for path, parts in split.items()}
        most = max(map(len, found.values()))
        for path, numbers in found.items():
            rows[path] += [_FIRST] * (most - len(numbers)) + numbers
        widest = max(split.values(), key=lambda parts: len(_numbers(parts[place])))
        columns += _counting(widest, place)
    ranks: dict[str, Rank] = dict.fromkeys(paths, ())
    counted = []
    for column, (words, listed) in enumerate(columns):
        order = sorted({row[column] for row in rows.values()})
        if len(order) < 2:
            continue
        start = order[0] if order[0] != _FIRST else order[1] - 1
        if not listed and order[1:] != list(range(start + 1, start + len(order))):
            return None
        counted.append(words)
        ranks = {path: (*rank, order.index(rows[path][column])) for path, rank in ranks.items()}
    return Series(ranks, tuple(counted))


_FIRST = -1


def stem_of(path: str) -> Stem:
    """Return the words of each segment: paths that are alike but for their numbers have them in common.

    >>> stem_of("layers.3.conv2d_1") == stem_of("layers.0.conv2d")
    True
    """
    parts = (segment_tokens(segment) for segment in _SEPARATOR.split(path))
    return tuple(tuple(token for token in part if isinstance(token, str)) for part in parts)


def _numbers(segment: str) -> list[int]:
    return [int(found[1] or found[2]) for found in _NUMBER.finditer(segment)]


def _counting(parts: Sequence[str], place: int) -> list[tuple[frozenset[str], bool]]:
    """Return for each number of a segment what it counts, and whether it is the index of a list."""
    tokens = [token for part in parts[: place + 1] for token in segment_tokens(part)]
    count = len(_numbers(parts[place]))
    found: list[frozenset[str]] = []
    for end, token in enumerate(tokens):
        if not isinstance(token, str):
            words = [one for one in tokens[:end] if isinstance(one, str)][-1:]
            found.append(frozenset(word for word in meaning(words) if isinstance(word, str)))
    return [(words, parts[place].isdecimal()) for words in (found[-count:] if count else [])]
