"""Pair the units of a source with those of a target: the best assignment, and where it is in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml_switcheroo.match.assignment import Choice, assign
from ml_switcheroo.match.likeness import ENOUGH, Lexicon, likeness
from ml_switcheroo.match.links import Link, link
from ml_switcheroo.match.units import Unit

__all__ = ["Match", "Rivalry", "pair"]

_MARGIN = 0.25
"""What an assignment must at least lose without a pair for the pair to be beyond doubt."""

_CERTAIN = 100.0


@dataclass(frozen=True)
class Match:
    """A source unit and the target unit it belongs to.

    Attributes:
        source: The unit of the source.
        target: The unit of the target.
        link: How the two are linked.
        why: What speaks for it.
    """

    source: Unit
    target: Unit
    link: Link
    why: str


@dataclass(frozen=True)
class Rivalry:
    """A source unit for which several target units are as good.

    Attributes:
        source: The unit.
        targets: The target units.
    """

    source: Unit
    targets: tuple[Unit, ...]


def pair(
    sources: Sequence[Unit], targets: Sequence[Unit], orders: Sequence[str], forced: Mapping[int, int]
) -> tuple[list[Match], list[Rivalry]]:
    """Pair units.

    Args:
        sources: The units of the source.
        targets: The units of the target.
        orders: For each source unit how its matrix is kept.
        forced: Pairs that the user's rules name, by their numbers.
    """
    links = _links(sources, targets, orders, forced)
    here, there = Lexicon(sources), Lexicon(targets)
    scores = {(i, j): likeness(sources[i], targets[j], found, here, there) for (i, j), found in links.items()}
    matches: list[Match] = []
    doubts: list[Rivalry] = []
    likely = {
        pair: score for pair, score in scores.items() if score >= ENOUGH or forced.get(pair[0]) == pair[1]
    }
    for choice in assign(likely):
        source, target = sources[choice.source], targets[choice.target]
        if choice.margin < _MARGIN:
            doubts.append(_rivalry(choice, sources, targets, likely))
            continue
        why = "a rule names it" if choice.source in forced else _why(source, target)
        matches.append(Match(source, target, links[choice.source, choice.target], why))
    return matches, doubts


def _links(
    sources: Sequence[Unit], targets: Sequence[Unit], orders: Sequence[str], forced: Mapping[int, int]
) -> dict[tuple[int, int], Link]:
    links: dict[tuple[int, int], Link] = {}
    taken = set(forced.values())
    for i, source in enumerate(sources):
        for j, target in enumerate(targets):
            if forced.get(i, j) != j or (j in taken and i not in forced):
                continue
            found = link(source, target, orders[i])
            if found is not None:
                links[i, j] = found
    return links


def _rivalry(
    choice: Choice, sources: Sequence[Unit], targets: Sequence[Unit], scores: Mapping[tuple[int, int], float]
) -> Rivalry:
    best = scores[choice.source, choice.target]
    near = {choice.target: best}
    near |= {j: s for (i, j), s in scores.items() if i == choice.source and s > best - 2 * _MARGIN}
    if choice.rival is not None:
        near[choice.rival[1]] = scores[choice.rival]
    return Rivalry(sources[choice.source], tuple(targets[j] for j in sorted(near)))


def _why(source: Unit, target: Unit) -> str:
    if source.pattern == target.pattern:
        return "the same path"
    if source.role == target.role != "":
        return f"both are the {_PARTS.get(source.role, source.role)}"
    common = [str(word) for word in dict.fromkeys(source.words) if word in target.words and word != "#"]
    return f"both are called {' '.join(common)}" if common else "nothing else fits"


_PARTS = {
    "q": "queries",
    "k": "keys",
    "v": "values",
    "o": "way out of the attention",
    "qkv": "fused queries, keys and values",
    "up": "way up of the MLP",
    "down": "way down of the MLP",
    "gate": "gate of the MLP",
    "gate_up": "fused gate and way up of the MLP",
}
