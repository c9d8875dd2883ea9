"""Paths as words: ``encoder.layer.0.attention.self.query`` says attention, query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from ml_switcheroo.match.paths.vocabulary import PHRASES

__all__ = ["HASH", "meaning", "segment_tokens", "tokens"]

RawToken = str | int

HASH = "#"
"""Stands in a pattern where the index of a repeated block stands in a path."""

_SEPARATORS = re.compile(r"[./]")
_PIECES = re.compile(r"[^A-Za-z0-9]+")
_NUMBERED = re.compile(r"(.*?[A-Za-z])(\d+)")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_LONGEST = max(map(len, PHRASES))


@cache
def segment_tokens(segment: str) -> tuple[RawToken, ...]:
    """Split one segment of a path into words and numbers.

    >>> segment_tokens("stack0_block1_2_conv")
    ('stack', 0, 'block', 1, 2, 'conv')
    >>> segment_tokens("SelfAttention"), segment_tokens("dense_h_to_4h"), segment_tokens("conv1d")
    (('self', 'attention'), ('dense', 'h', 'to', '4h'), ('conv1d',))
    """
    found: list[RawToken] = []
    for piece in _PIECES.split(segment):
        if not piece:
            continue
        if piece.isdecimal():
            found.append(int(piece))
            continue
        numbered = _NUMBERED.fullmatch(piece)
        base, number = numbered.groups() if numbered else (piece, None)
        found += [word.lower() for word in _CAMEL.findall(base)]
        found += [int(number)] if number else []
    return tuple(found)


def tokens(path: str) -> tuple[tuple[RawToken, ...], ...]:
    """Split a path into segments of words and numbers.

    Some authors repeat the name of a module in those of its children; it is said once here.

    >>> tokens("stem/stem_conv/kernel"), tokens("text_model/text_model/embed")
    ((('stem',), ('conv',), ('kernel',)), (('text', 'model'), ('embed',)))
    """
    found: list[tuple[RawToken, ...]] = []
    above: tuple[RawToken, ...] = ()
    for segment in map(segment_tokens, filter(None, _SEPARATORS.split(path))):
        known = len(above) if above and segment[: len(above)] == above else 0
        if segment[known:] or not known:
            found.append(segment[known:])
        above = segment
    return tuple(found)


def meaning(segment: Sequence[Any]) -> tuple[Any, ...]:
    """Replace the phrases of a segment by what they mean; the longest phrase counts.

    >>> meaning(("self", "attention", "layer", "norm"))
    ('self', 'attn', 'norm')
    >>> meaning(("fc", 1)), meaning(("ln", 2)), meaning(("wte",))
    (('up',), ('norm', 2), ('tok', 'embed'))
    """
    found: list[Any] = []
    position = 0
    while position < len(segment):
        for length in range(min(_LONGEST, len(segment) - position), 0, -1):
            phrase = tuple(map(str, segment[position : position + length]))
            if phrase in PHRASES:
                found += PHRASES[phrase]
                position += length
                break
        else:
            found.append(_stem(segment[position]))
            position += 1
    return tuple(found)


def _stem(word: Any) -> Any:
    """Cut endings that make no difference: ``pooled`` is ``pool``, ``embeddings`` is ``embedding``."""
    if not isinstance(word, str) or len(word) < 6:
        return word
    for ending in ("ations", "ation", "ions", "ion", "ings", "ing", "ers", "er", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
