"""Pair the units of a source with those of a target: the best assignment, and where it is in doubt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ml_switcheroo.match.assignment.best import Choice, Pair, assign
from ml_switcheroo.match.assignment.field import Beside, Field
from ml_switcheroo.match.assignment.margins import nameless, needed, unlikely
from ml_switcheroo.match.candidates.candidate import Candidate
from ml_switcheroo.match.units.roles import ROLE_NAMES
from ml_switcheroo.match.units.unit import Unit
from ml_switcheroo.match.weights import WEIGHTS

__all__ = ["Match", "Paired", "Rivalry", "Verdict", "pair"]


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the assignment says of a source unit that has likely candidates.

    Attributes:
        choice: Its target, and what the whole assignment loses without this pair.
        needed: What it must lose at least.
        doubt: Why the pair is in doubt; empty where it is certain.
    """

    choice: Choice
    needed: float
    doubt: str


@dataclass(frozen=True)
class Paired:
    """What pairing two sides gives.

    Attributes:
        matches: The pairs that are certain.
        rivalries: The sources for which several targets are as good.
        verdicts: What the assignment says, by the number of the source.
    """

    matches: Sequence[Match]
    rivalries: Sequence[Rivalry]
    verdicts: Mapping[int, Verdict]


def pair(field: Field, scores: Mapping[Pair, float]) -> Paired:
    """Choose among the candidates: the best assignment over the words of the units.

    Args:
        field: The units with their candidates.
        scores: The scores of these candidates, and perhaps of others.
    """
    scores = {pair: scores[pair] for pair in field.candidates}
    likely = {
        (i, j): score
        for (i, j), score in scores.items()
        if not unlikely(field.sources[i], field.targets[j], field.candidates[i, j], score)
    }
    likely |= {(i, j): WEIGHTS.by_rule for i, j in field.forced.items() if (i, j) in field.candidates}
    around, beside = Beside.of(scores), Beside.of(likely)
    matches: list[Match] = []
    rivalries: list[Rivalry] = []
    verdicts = {choice.source: _verdict(choice, field, scores, around) for choice in assign(likely)}
    open_sources, open_targets = set(range(len(field.sources))), set(range(len(field.targets)))
    for i, verdict in verdicts.items():
        j = verdict.choice.target
        source, target = field.sources[i], field.targets[j]
        if verdict.doubt:
            rivals = _rivals(verdict.choice, likely, beside)
            rivalries.append(Rivalry(source, tuple(field.targets[other] for other in rivals)))
            open_targets -= set(rivals)
            # What competes for these leaves is as open: it must not be taken for what is left over.
            near = likely[i, j] - WEIGHTS.rivals_within
            competing = {(other, at) for at in rivals for other in beside.targets.get(at, ())}
            open_sources -= {pair[0] for pair in competing if likely[pair] > near}
        else:
            why = "a rule names it" if i in field.forced else _why(source, target)
            matches.append(Match(source, target, field.candidates[i, j], why))
        open_sources.discard(i)
        open_targets.discard(j)
    matches += list(_remaining(field, scores, matches, open_sources, open_targets))
    return Paired(matches, rivalries, verdicts)


def _verdict(choice: Choice, field: Field, scores: Mapping[Pair, float], around: Beside) -> Verdict:
    source, target = field.sources[choice.source], field.targets[choice.target]
    least = needed(source, target, field.targets[choice.rival[1]] if choice.rival is not None else None)
    if choice.margin < least:
        return Verdict(choice, least, "another pair is nearly as good")
    alone = nameless(choice, field, scores, around)
    return Verdict(choice, least, "only being a norm speaks for it" if alone else "")


def _remaining(
    field: Field,
    scores: Mapping[Pair, float],
    matches: Sequence[Match],
    open_sources: set[int],
    open_targets: set[int],
) -> Iterator[Match]:
    """Match what is left over, where nothing else is possible for either of the two.

    That only one thing fits proves little by itself: the head of another task fits, too. It counts for a
    convolution or its norm inside a block where all else is placed, and for a kernel or a matrix with a shape
    that says something. Words must not speak against it.
    """
    # Every candidate counts here, also those that do not compete: one more makes it open which is meant.
    possible = [pair for pair in scores if pair[0] in open_sources and pair[1] in open_targets]
    once = Counter(i for i, _ in possible), Counter(j for _, j in possible)
    alone = [(i, j) for i, j in possible if once[0][i] == once[1][j] == 1]
    blocks = {(match.source.containers, match.target.containers) for match in matches}
    for i, j in alone:
        source, target, found = field.sources[i], field.targets[j], field.candidates[i, j]
        key = (source.containers, target.containers)
        convolves = found.kind == "conv" or "mean" in source.slots
        # A leaf of this block that still waits may be the one that the tensor belongs to.
        rest = {n for n in open_targets if field.targets[n].containers == target.containers}
        in_block = bool(source.containers) and key in blocks and rest <= {b for _, b in alone} and convolves
        if in_block and source.indices == target.indices and scores[i, j] > WEIGHTS.left_in_block:
            yield Match(source, target, found, "everything else in this block has its place")
        elif scores[i, j] >= _shaped(source, target, found):
            yield Match(source, target, found, "nothing else has this shape")


def _shaped(source: Unit, target: Unit, found: Candidate) -> float:
    """Return the score that a candidate needs if only its shape speaks for it."""
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


def _rivals(choice: Choice, scores: Mapping[Pair, float], beside: Beside) -> list[int]:
    """Return the numbers of the targets that are nearly as good for a source."""
    near_best = scores[choice.source, choice.target] - WEIGHTS.rivals_within
    near = {j for j in beside.sources[choice.source] if scores[choice.source, j] > near_best}
    near |= {choice.target} | ({choice.rival[1]} if choice.rival is not None else set())
    return sorted(near)


def _why(source: Unit, target: Unit) -> str:
    if source.below == target.below:
        return "the same path"
    if source.role == target.role != "":
        return f"both are the {ROLE_NAMES.get(source.role, source.role)}"
    common = [str(word) for word in dict.fromkeys(source.words) if word in target.words and word != "#"]
    return f"both are called {' '.join(common)}" if common else "nothing else fits"
