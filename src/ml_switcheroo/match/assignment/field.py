"""Two sets of units with the candidates between them, and the score of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from ml_switcheroo.match.assignment.best import Pair
from ml_switcheroo.match.assignment.numbering import numbering
from ml_switcheroo.match.assignment.similarity import Lexicon, similarity
from ml_switcheroo.match.candidates.candidate import Candidate, Shared, candidate_of
from ml_switcheroo.match.units.unit import Unit

__all__ = ["Beside", "Field", "lay_out", "ruled_out", "weigh"]


@dataclass(frozen=True)
class Field:
    """Two sets of units with the candidates between them.

    Attributes:
        sources: The units of the source.
        targets: The units of the target.
        candidates: The candidates, by the numbers of the units.
        forced: Pairs that the user's rules name.
    """

    sources: Sequence[Unit]
    targets: Sequence[Unit]
    candidates: Mapping[Pair, Candidate]
    forced: Mapping[int, int]


def lay_out(
    sources: Sequence[Unit], targets: Sequence[Unit], orders: Sequence[str], forced: Mapping[int, int]
) -> Field:
    """Find all candidates.

    Args:
        sources: The units of the source.
        targets: The units of the target.
        orders: For each source unit how its matrix is kept.
        forced: Pairs that the user's rules name, by their numbers.
    """
    candidates: dict[Pair, Candidate] = {}
    known: Shared = {}
    taken = frozenset(forced.values())
    for i, source in enumerate(sources):
        for j, target in enumerate(targets):
            if ruled_out((i, j), forced, taken):
                continue
            found = candidate_of(source, target, orders[i], known)
            if found is not None:
                candidates[i, j] = found
    return Field(sources, targets, candidates, forced)


def ruled_out(pair: Pair, forced: Mapping[int, int], taken: Set[int]) -> bool:
    """Tell whether the user's rules, which take some targets, give one of the two to something else."""
    source, target = pair
    return forced[source] != target if source in forced else target in taken


def weigh(field: Field) -> dict[Pair, float]:
    """Score every candidate by the words of its two units."""
    here, there = Lexicon(field.sources), Lexicon(field.targets)
    numbers = numbering(field.sources, field.targets, field.candidates)
    return {
        (i, j): similarity(field.sources[i], field.targets[j], found, here, there, numbers)
        for (i, j), found in field.candidates.items()
    }


@dataclass(frozen=True, slots=True)
class Beside:
    """The pairs that share a source or a target.

    Attributes:
        sources: By number of the source, the numbers of the targets.
        targets: By number of the target, the numbers of the sources.
    """

    sources: Mapping[int, Sequence[int]]
    targets: Mapping[int, Sequence[int]]

    @classmethod
    def of(cls, scores: Mapping[Pair, float]) -> Beside:
        sources: dict[int, list[int]] = {}
        targets: dict[int, list[int]] = {}
        for i, j in scores:
            sources.setdefault(i, []).append(j)
            targets.setdefault(j, []).append(i)
        return cls(sources, targets)
