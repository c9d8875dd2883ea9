"""Pair the units of a source with those of a target: the best assignment, and where it is in doubt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ml_switcheroo.match.assignment.best import Choice, Pair, assign
from ml_switcheroo.match.assignment.numbering import numbering
from ml_switcheroo.match.assignment.similarity import Lexicon, likeness
from ml_switcheroo.match.candidates.candidate import Candidate, Shared, candidate_of
from ml_switcheroo.match.paths.vocabulary import FILLERS, KNOWN
from ml_switcheroo.match.paths.words import HASH
from ml_switcheroo.match.units.norms import agree
from ml_switcheroo.match.units.roles import NORM
from ml_switcheroo.match.units.unit import Unit
from ml_switcheroo.match.weights import WEIGHTS

__all__ = ["Field", "Match", "Rivalry", "lay_out", "pair", "weigh"]


@dataclass(frozen=True)
class Match:
    """A source unit and the target unit it belongs to.

    Attributes:
        source: The unit of the source.
        target: The unit of the target.
        candidate: The kind, the repetitions and the layouts in which they belong together.
        why: What speaks for it.
    """

    source: Unit
    target: Unit
    candidate: Candidate
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


def _needed(source: Unit, target: Unit, rival: Unit | None) -> float:
    """Return the margin that a pair needs; norms of which one says where it stands need more than words.

    So do norms of blocks that have more or fewer of them, and what is a part of the network that the target
    seems to have twice in one block.
    """
    if rival is not None and source.role == target.role == rival.role != "" and source.role != NORM:
        return WEIGHTS.margin_of_roles if target.containers == rival.containers else WEIGHTS.margin
    if source.role == NORM == target.role and "mean" not in source.slots:
        several = max(len(source.standings), len(target.standings)) > WEIGHTS.open_standings
        other_block = source.beside != target.beside and source.below != target.below
        if several and (other_block or source.tail ^ target.tail):
            return math.inf
        if several or other_block:
            return WEIGHTS.margin_of_open_norms
    if rival is not None and _stranger(source, target, rival):
        return WEIGHTS.margin_of_strangers
    told = bool(source.standings) != bool(target.standings)
    if source.role == NORM == target.role and source.inside and told:
        return WEIGHTS.margin_of_norms
    return WEIGHTS.margin


def _stranger(source: Unit, target: Unit, rival: Unit) -> bool:
    """Tell whether a target says nothing more of a source than its rival, but a word that nobody knows."""
    strange = target.said - KNOWN - source.said - rival.said
    return bool(strange) and _common(source, target) <= _common(source, rival)


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
    taken = set(forced.values())
    for i, source in enumerate(sources):
        for j, target in enumerate(targets):
            if forced.get(i, j) != j or (j in taken and i not in forced):
                continue
            found = candidate_of(source, target, orders[i], known)
            if found is not None:
                candidates[i, j] = found
    return Field(sources, targets, candidates, forced)


def weigh(field: Field) -> dict[Pair, float]:
    """Score every candidate by the words of its two units."""
    here, there = Lexicon(field.sources), Lexicon(field.targets)
    numbers = numbering(field.sources, field.targets, field.candidates)
    return {
        (i, j): likeness(field.sources[i], field.targets[j], found, here, there, numbers)
        for (i, j), found in field.candidates.items()
    }


def pair(field: Field, scores: Mapping[Pair, float]) -> tuple[list[Match], list[Rivalry]]:
    """Choose among the candidates: the best assignment over the words of the units.

    Args:
        field: The units with their candidates.
        scores: The scores of these candidates, and perhaps of others.
    """
    scores = {pair: scores[pair] for pair in field.candidates}
    likely = {
        (i, j): score
        for (i, j), score in scores.items()
        if score >= WEIGHTS.enough and _vouched(field.sources[i], field.targets[j], field.candidates[i, j])
    }
    likely |= {(i, j): WEIGHTS.by_rule for i, j in field.forced.items() if (i, j) in field.candidates}
    near, beside = _Beside.of(scores), _Beside.of(likely)
    matches: list[Match] = []
    doubts: list[Rivalry] = []
    open_sources, open_targets = set(range(len(field.sources))), set(range(len(field.targets)))
    for choice in assign(likely):
        source, target = field.sources[choice.source], field.targets[choice.target]
        best = likely[choice.source, choice.target]
        other = field.targets[choice.rival[1]] if choice.rival is not None else None
        if choice.margin < _needed(source, target, other) or _nameless(choice, field, scores, near):
            rivals = _rivals(choice, likely, beside)
            doubts.append(Rivalry(source, tuple(field.targets[j] for j in rivals)))
            open_targets -= set(rivals)
            # What competes for the same leaves is as open; nothing is left over by it.
            near_best = best - WEIGHTS.rivals_within
            open_sources -= {i for j in rivals for i in beside.targets.get(j, ()) if likely[i, j] > near_best}
        else:
            why = "a rule names it" if choice.source in field.forced else _why(source, target)
            matches.append(Match(source, target, field.candidates[choice.source, choice.target], why))
        open_sources.discard(choice.source)
        open_targets.discard(choice.target)
    return [*matches, *_remaining(field, scores, matches, open_sources, open_targets)], doubts


@dataclass(frozen=True, slots=True)
class _Beside:
    """The pairs that share a source or a target.

    Attributes:
        sources: By number of the source, the numbers of the targets.
        targets: By number of the target, the numbers of the sources.
    """

    sources: Mapping[int, Sequence[int]]
    targets: Mapping[int, Sequence[int]]

    @classmethod
    def of(cls, scores: Mapping[Pair, float]) -> _Beside:
        sources: dict[int, list[int]] = {}
        targets: dict[int, list[int]] = {}
        for i, j in scores:
            sources.setdefault(i, []).append(j)
            targets.setdefault(j, []).append(i)
        return cls(sources, targets)


def _vouched(source: Unit, target: Unit, found: Candidate) -> bool:
    """Tell whether more than the place speaks for a candidate.

    A vector, a square matrix, or a tensor of somebody's own class, has no kind and no shape that would rule a
    wrong leaf out: its own name must agree.
    """
    square = found.kind == "linear" and _is_square(source)
    if source.below == target.below or not (square or found.kind in ("parameter", "norm")):
        return True
    own = (source.own & target.said) | (target.own & source.said) if square else source.tail & target.tail
    if source.role == NORM == target.role and NORM not in source.said & target.said:
        return bool(own) or agree(source, target) is True
    return bool(own) or (source.role == target.role != "")


def _is_square(unit: Unit) -> bool:
    weight = unit.slots.get("weight")
    return weight is not None and any(len(set(spec.shape)) == 1 for spec in weight.specs.values())


def _remaining(
    field: Field,
    scores: Mapping[Pair, float],
    matches: Sequence[Match],
    open_sources: set[int],
    open_targets: set[int],
) -> Iterator[Match]:
    """Match what is left over, where nothing else is possible for either of the two.

    That only one thing fits proves little by itself. It counts for a convolution or its norm inside a block
    of which everything else is linked to one block of the source, and for a kernel or matrix whose shape
    says something, where the words do not speak against it.
    """
    possible = [pair for pair in scores if pair[0] in open_sources and pair[1] in open_targets]
    once = Counter(i for i, _ in possible), Counter(j for _, j in possible)
    alone = [(i, j) for i, j in possible if once[0][i] == once[1][j] == 1]
    blocks = {(match.source.containers, match.target.containers) for match in matches}
    for i, j in alone:
        source, target, found = field.sources[i], field.targets[j], field.candidates[i, j]
        key = (source.containers, target.containers)
        convolves = found.kind == "conv" or "mean" in source.slots
        rest = {n for n in open_targets if field.targets[n].containers == target.containers}
        in_block = bool(source.containers) and key in blocks and rest <= {b for _, b in alone} and convolves
        if in_block and source.indices == target.indices and scores[i, j] > WEIGHTS.left_in_block:
            yield Match(source, target, found, "everything else in this block has its place")
        elif scores[i, j] >= _shaped(source, target, found):
            yield Match(source, target, found, "nothing else has this shape")


def _shaped(source: Unit, target: Unit, found: Candidate) -> float:
    """Return the score that a candidate needs whose shape alone speaks for it."""
    weight = source.slots.get("weight")
    if weight is None or found.sizes:
        return math.inf
    shapes = {spec.shape for spec in weight.specs.values()}
    if found.kind == "conv" and weight.rank > 2 and not source.containers:
        return WEIGHTS.left_kernel
    told = source.own & target.said or target.own & source.said
    if told and found.kind == "linear" and weight.rank == 2 and all(a != b for a, b in shapes):
        return WEIGHTS.left_matrix
    return math.inf


def _nameless(choice: Choice, field: Field, scores: Mapping[Pair, float], near: _Beside) -> bool:
    """Tell whether nothing but being norms speaks for a pair outside of blocks that has rivals."""
    source, target = field.sources[choice.source], field.targets[choice.target]
    if source.role != NORM or target.role != NORM or choice.source in field.forced:
        return False
    if (source.inside and target.inside) or agree(source, target) or source.below == target.below:
        return False
    alone = not field.candidates[choice.source, choice.target].sizes
    if alone and _counts(source) != _counts(target):
        return True
    common = _common(source, target)
    if common - _WHERE:
        return False
    if _telling(source) and _telling(target):
        return True
    enough = scores[choice.source, choice.target] - WEIGHTS.margin_of_nameless
    others = [(choice.source, j) for j in near.sources[choice.source] if j != choice.target]
    others += [(i, choice.target) for i in near.targets[choice.target] if i != choice.source]
    return any(
        scores[i, j] > enough and common <= _common(field.sources[i], field.targets[j]) for i, j in others
    )


def _counts(unit: Unit) -> bool:
    """Tell whether a unit stands in a block, or in what looks like one of several."""
    path = next(iter(next(iter(unit.slots.values())).paths.values()))
    return bool(unit.inside) or any(part.isdecimal() for part in path.replace("/", ".").split("."))


def _common(source: Unit, target: Unit) -> set[str]:
    return {str(word) for word in source.words} & {str(word) for word in target.words} - FILLERS - {
        HASH,
        NORM,
    }


def _telling(unit: Unit) -> set[str]:
    """Return the words in the last two segments of a path that say more than that something is a norm."""
    words = {str(word) for word in unit.words if word != HASH} & _PLACED
    return words - FILLERS


_PLACED = frozenset({"embed", "head", "pool", "patch", "shortcut", "conv", "q", "k", "v"})
_WHERE = frozenset({"encoder", "decoder"})


def _rivals(choice: Choice, scores: Mapping[Pair, float], beside: _Beside) -> list[int]:
    """Return the numbers of the targets that are nearly as good for a source."""
    near_best = scores[choice.source, choice.target] - WEIGHTS.rivals_within
    near = {j for j in beside.sources[choice.source] if scores[choice.source, j] > near_best}
    near |= {choice.target} | ({choice.rival[1]} if choice.rival is not None else set())
    return sorted(near)


def _why(source: Unit, target: Unit) -> str:
    if source.below == target.below:
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
