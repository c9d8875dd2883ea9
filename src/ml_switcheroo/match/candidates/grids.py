"""Which index of one tree is which of the other, where both count along several axes.

``layers.0.experts.1`` and ``experts.1.layers.0`` are one place, ``layers.1.experts.0`` is another: an index
stays with the word of what it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations

from ml_switcheroo.match.paths.repeats import SLASH, Token
from ml_switcheroo.match.paths.vocabulary import FILLERS
from ml_switcheroo.match.paths.words import HASH, meaning
from ml_switcheroo.match.units.unit import Unit

__all__ = ["Axis", "corresponding", "crossed", "kept_axes"]

Axis = tuple[int, int]
"""An axis of the source's indices and one of the target's that count the same."""


def corresponding(source: Unit, target: Unit) -> tuple[Axis, ...]:
    """Return the axes of two units that count the same by their words, as far as that is certain."""
    if not source.containers or not target.containers:
        return ()
    mine, other = (tuple(map(_counted, unit.containers)) for unit in (source, target))
    pairs = [(i, j) for i, words in enumerate(mine) for j, others in enumerate(other) if words & others]
    return tuple(
        (i, j) for i, j in pairs if sum(i == k for k, _ in pairs) == 1 and sum(j == k for _, k in pairs) == 1
    )


def kept_axes(longer: int, shorter: int, known: tuple[Axis, ...]) -> Iterator[tuple[int, ...]]:
    """Yield which axes of the longer indices the shorter ones can have, in their order.

    What the words do not tell keeps its order.

    >>> list(kept_axes(2, 2, ())), list(kept_axes(2, 2, ((0, 1),))), list(kept_axes(2, 1, ((1, 0),)))
    ([(0, 1)], [(1, 0)], [(1,)])
    """
    at = {there: here for here, there in known}
    for kept in permutations(range(longer), shorter):
        free = [axis for place, axis in enumerate(kept) if place not in at]
        if free == sorted(free) and all(kept[there] == here for here, there in known):
            yield kept


def crossed(source: Unit, target: Unit) -> bool:
    """Tell whether a word counts blocks in one tree and has a number of its name in the other.

    ``heads.0.convs.1`` and ``convs.1.heads.0``, where only the outer number counts blocks, are such two.
    """
    mine, other = (frozenset[str]().union(*map(_counted, unit.containers)) for unit in (source, target))
    named = [unit.numbers.keys() - FILLERS for unit in (source, target)]
    return bool((mine - other) & named[1] or (other - mine) & named[0])


@cache
def _counted(container: tuple[Token, ...]) -> frozenset[str]:
    """Return the words of what a container counts: those before its number."""
    words: list[str] = []
    for token in reversed(container[:-1] if container[-1:] == (SLASH,) else container):
        if token in (SLASH, HASH):
            break
        words.insert(0, str(token))
    said = (word for word in (*words, *meaning(tuple(words))) if isinstance(word, str))
    return frozenset(word.removesuffix("s") or word for word in said)
