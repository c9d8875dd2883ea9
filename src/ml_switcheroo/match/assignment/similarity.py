"""How much the paths of two units speak for each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

from ml_switcheroo.match.assignment.numbering import Numbering
from ml_switcheroo.match.candidates.candidate import Candidate
from ml_switcheroo.match.paths.repeats import SLASH, Token
from ml_switcheroo.match.paths.vocabulary import FILLERS, QUIET
from ml_switcheroo.match.units.norms import agree
from ml_switcheroo.match.units.roles import NORM
from ml_switcheroo.match.units.unit import Unit
from ml_switcheroo.match.weights import WEIGHTS

__all__ = ["TERMS", "Lexicon", "similarity", "terms"]

_BRANCHES = frozenset({"shortcut"})
"""Where both trees use such a word, a path with it and one without it never mean the same."""


class Lexicon:
    """The words of one tree, and how much each one tells there."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.has_blocks = any(unit.inside for unit in units)
        spelled = [unit.said for unit in units]
        counts = Counter(word for words in spelled for word in words)
        many = len(spelled) if len(spelled) >= WEIGHTS.few_units else len(spelled) * WEIGHTS.few_units
        self.weights = {word: self._weight(word, count / many) for word, count in counts.items()}

    @staticmethod
    def _weight(word: str, share: float) -> float:
        if word in FILLERS:
            return WEIGHTS.filler
        # A word of most paths tells none of them apart.
        weight = WEIGHTS.quiet_word if word in QUIET else WEIGHTS.telling_word
        return weight * (WEIGHTS.common_word if share > WEIGHTS.common_share else 1.0)


TERMS = (
    "words in both",
    "words only in the source",
    "words only in the target",
    "another branch",
    "the part of the network",
    "numbers",
    "the path",
    "an embedding",
    "inside and outside of blocks",
    "leaves without a source",
    "other blocks",
    "tensors without a leaf",
)
"""What speaks for a candidate and against it, in the order of :func:`terms`."""


def terms(
    source: Unit, target: Unit, candidate: Candidate, here: Lexicon, there: Lexicon, numbers: Numbering
) -> tuple[float, ...]:
    """Weigh what two units have in common, and what only one of them has: one number for each of TERMS."""
    mine, other = source.said, target.said
    both = here.weights.keys() & there.weights.keys()
    blocks = here.has_blocks and there.has_blocks
    alike = len(source.containers) == len(target.containers)
    unused = source.slots.keys() - set(candidate.slots.values()) - {"count"}
    return (
        sum(min(here.weights[word], there.weights[word]) for word in mine & other),
        -_unshared(mine - other, source.tail, here, there),
        -_unshared(other - mine, target.tail, there, here),
        WEIGHTS.other_branch * len((mine ^ other) & _BRANCHES & both),
        _roles(source, target),
        _numbers(source, target, numbers),
        WEIGHTS.same_path if source.below == target.below else _ends(source, target),
        WEIGHTS.embedding * (candidate.kind == "embedding"),
        WEIGHTS.other_depth * (blocks and bool(source.inside) != bool(target.inside)),
        WEIGHTS.lacking_tensor * len(target.slots.keys() - candidate.slots.keys()),
        WEIGHTS.other_blocks * (alike and source.indices != target.indices),
        WEIGHTS.lacking_tensor * len(unused),
    )


def similarity(
    source: Unit, target: Unit, candidate: Candidate, here: Lexicon, there: Lexicon, numbers: Numbering
) -> float:
    """Return how much the paths of two units speak for each other."""
    score = 0.0
    for term in terms(source, target, candidate, here, there, numbers):
        score += term
    return score


def _unshared(words: frozenset[str], tail: frozenset[str], own: Lexicon, foreign: Lexicon) -> float:
    """Weigh the words that only one of the two has; least those that the other tree never uses."""
    return sum(
        own.weights[word]
        * (WEIGHTS.unshared if word in foreign.weights else WEIGHTS.unknown_word)
        * (1.0 if word in tail else WEIGHTS.further_up)
        for word in words
    )


def _ends(source: Unit, target: Unit) -> float:
    """Weigh how many segments the two paths have in common at their ends."""
    score = 0.0
    for mine, other in zip(_segments(source.pattern), _segments(target.pattern), strict=False):
        if mine != other or score >= WEIGHTS.most_ends * WEIGHTS.same_end:
            break
        score += WEIGHTS.same_end if {str(word) for word in mine} - FILLERS else WEIGHTS.same_end / 2
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


def _roles(source: Unit, target: Unit) -> float:
    if source.role == NORM == target.role:
        return WEIGHTS.same_standing * (agree(source, target) is True)
    if source.role and source.role == target.role:
        return WEIGHTS.same_role
    return WEIGHTS.other_role * (source.role != target.role)


def _numbers(source: Unit, target: Unit, numbers: Numbering) -> float:
    score = 0.0
    for word in source.numbers.keys() & target.numbers.keys():
        alike = numbers.agree(source, target, word)
        if alike:
            same = source.numbers[word].value == target.numbers[word].value
            score += WEIGHTS.same_number if same else WEIGHTS.same_rank
        elif alike is not None:
            score += WEIGHTS.other_number
    return score
