"""How much the paths of two units speak for each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

from ml_switcheroo.match.links import Link
from ml_switcheroo.match.norms import agree
from ml_switcheroo.match.numbering import Numbering
from ml_switcheroo.match.parts import NORM
from ml_switcheroo.match.repeats import SLASH, Token
from ml_switcheroo.match.units import Unit
from ml_switcheroo.match.vocabulary import FILLERS, QUIET

__all__ = ["ENOUGH", "Lexicon", "likeness"]

ENOUGH = 0.5
"""What a link must at least have for itself to be taken by its words."""

_SAME_PART = 2.0
_ONE_PART = -0.3
_SAME_SIDE = 1.5
_SAME_NUMBER = 0.5
_SAME_RANK = 0.4
_OTHER_NUMBER = -1.5
_SAME_PATH = 3.0
_LACKING = -1.0
_SAME_END = 0.4
_OTHER_DEPTH = -1.5
_SAME_KIND = 0.2
_OTHER_BLOCKS = -0.6
_FURTHER_UP = 0.5
_UNSHARED = 0.5
_UNKNOWN = 0.05
_FEW = 6
_OTHER_BRANCH = 3.0
_BRANCHES = frozenset({"shortcut"})
"""Where both trees use such a word, what has it is never what has it not."""


class Lexicon:
    """The words of one tree, and how much each one tells there."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.has_blocks = any(unit.inside for unit in units)
        spelled = [words_of(unit) for unit in units]
        counts = Counter(word for words in spelled for word in words)
        many = len(spelled) if len(spelled) >= _FEW else len(spelled) * _FEW
        self.weights = {word: self._weight(word, count / many) for word, count in counts.items()}

    @staticmethod
    def _weight(word: str, share: float) -> float:
        if word in FILLERS:
            return 0.1
        # What stands in most paths of a tree distinguishes nothing in it.
        weight = 0.4 if word in QUIET else 1.0
        return weight * (0.1 if share > 0.7 else 1.0)


def words_of(unit: Unit) -> frozenset[str]:
    """Return the words of a unit's path."""
    return unit.said


def likeness(
    source: Unit, target: Unit, link: Link, here: Lexicon, there: Lexicon, numbers: Numbering
) -> float:
    """Weigh what two units have in common against what only one of them has."""
    mine, other = words_of(source), words_of(target)
    score = sum(min(here.weights[word], there.weights[word]) for word in mine & other)
    score -= _unshared(mine - other, source.tail, here, there)
    score -= _unshared(other - mine, target.tail, there, here)
    both = here.weights.keys() & there.weights.keys()
    score -= _OTHER_BRANCH * len((mine ^ other) & _BRANCHES & both)
    score += _parts(source, target)
    score += _numbers(source, target, numbers)
    score += _SAME_PATH if source.below == target.below else _ends(source, target)
    score += _SAME_KIND * (link.kind == "embedding")
    if here.has_blocks and there.has_blocks:
        score += _OTHER_DEPTH * (bool(source.inside) != bool(target.inside))
    score += _LACKING * len(target.slots.keys() - link.slots.keys())
    if len(source.containers) == len(target.containers) and source.indices != target.indices:
        score += _OTHER_BLOCKS
    unused = source.slots.keys() - set(link.slots.values()) - {"count"}
    return score + _LACKING * len(unused)


def _unshared(words: frozenset[str], tail: frozenset[str], own: Lexicon, foreign: Lexicon) -> float:
    """Weigh the words that only one of the two has; least those that the other tree never uses."""
    return sum(
        own.weights[word]
        * (_UNSHARED if word in foreign.weights else _UNKNOWN)
        * (1.0 if word in tail else _FURTHER_UP)
        for word in words
    )


def _ends(source: Unit, target: Unit) -> float:
    """Weigh how many segments the two paths have in common at their ends."""
    score = 0.0
    for mine, other in zip(_segments(source.pattern), _segments(target.pattern), strict=False):
        if mine != other or score >= 2 * _SAME_END:
            break
        score += _SAME_END if {str(word) for word in mine} - FILLERS else _SAME_END / 2
    return score


@cache
def _segments(pattern: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """Return the segments of a path, the last one first."""
    found: list[list[Token]] = [[]]
    for token in pattern:
        if token == SLASH:
            found.append([])
        else:
            found[-1].append(token)
    return [tuple(segment) for segment in reversed(found)]


def _parts(source: Unit, target: Unit) -> float:
    if source.role == NORM == target.role:
        return _SAME_SIDE * (agree(source, target) is True)
    if source.role and source.role == target.role:
        return _SAME_PART
    return _ONE_PART * (source.role != target.role)


def _numbers(source: Unit, target: Unit, numbers: Numbering) -> float:
    score = 0.0
    for word in source.numbers.keys() & target.numbers.keys():
        alike = numbers.agree(source, target, word)
        if alike:
            same = source.numbers[word].value == target.numbers[word].value
            score += _SAME_NUMBER if same else _SAME_RANK
        elif alike is not None:
            score += _OTHER_NUMBER
    return score
