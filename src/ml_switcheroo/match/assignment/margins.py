"""How sure the assignment must be of a pair: what is likely at all, and what a pair must win by."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ml_switcheroo.match.assignment.best import Choice, Pair
from ml_switcheroo.match.assignment.field import Beside, Field
from ml_switcheroo.match.candidates.candidate import Candidate
from ml_switcheroo.match.paths.vocabulary import FILLERS, KNOWN
from ml_switcheroo.match.paths.words import HASH
from ml_switcheroo.match.units.norms import agree
from ml_switcheroo.match.units.roles import NORM
from ml_switcheroo.match.units.unit import Unit
from ml_switcheroo.match.weights import WEIGHTS

__all__ = ["nameless", "needed", "unlikely"]


def unlikely(source: Unit, target: Unit, found: Candidate, score: float) -> str:
    """Say why a candidate does not compete; empty where it does."""
    if score < WEIGHTS.enough:
        return "its words say too little"
    return "" if _vouched(source, target, found) else "only its place speaks for it"


def _vouched(source: Unit, target: Unit, found: Candidate) -> bool:
    """Tell whether the name of a candidate speaks for it, and not only the path above it.

    A vector, a square matrix, or a tensor of somebody's own class, has no kind and no shape that would rule a
    wrong leaf out: its own name must agree.
    """
    square = found.kind == "linear" and _is_square(source)
    if source.below == target.below or not (square or found.kind in ("parameter", "norm")):
        return True
    own = (source.own & target.said) | (target.own & source.said) if square else source.tail & target.tail
    if source.role == NORM == target.role and NORM not in source.said & target.said:
        # One is a norm by its shape only: that both have that role says nothing, their standings may.
        return bool(own) or agree(source, target) is True
    return bool(own) or (source.role == target.role != "")


def _is_square(unit: Unit) -> bool:
    weight = unit.slots.get("weight")
    return weight is not None and any(len(set(spec.shape)) == 1 for spec in weight.specs.values())


def needed(source: Unit, target: Unit, rival: Unit | None) -> float:
    """Return the margin that a pair needs.

    Words are not enough for a norm whose place in the block only one side tells, for norms of blocks that do
    not have as many, or for a part of the network that the target seems to have twice in one block.
    """
    if rival is not None and source.role == target.role == rival.role != "" and source.role != NORM:
        # Two leaves for the queries in one block: one may belong to another attention than the names say.
        return WEIGHTS.margin_of_roles if target.containers == rival.containers else WEIGHTS.margin
    if source.role == NORM == target.role and "mean" not in source.slots:
        several = max(len(source.standings), len(target.standings)) > WEIGHTS.open_standings
        other_block = source.beside != target.beside and source.below != target.below
        if several and (other_block or source.tail ^ target.tail):
            return math.inf  # its unknown word may tell the place; the words that are known cannot
        if several or other_block:
            return WEIGHTS.margin_of_open_norms
    if rival is not None and _stranger(source, target, rival):
        return WEIGHTS.margin_of_strangers
    told = bool(source.standings) != bool(target.standings)
    if source.role == NORM == target.role and source.inside and told:
        return WEIGHTS.margin_of_norms
    return WEIGHTS.margin


def _stranger(source: Unit, target: Unit, rival: Unit) -> bool:
    """Tell whether only an unknown word sets a target apart from its rival."""
    strange = target.said - KNOWN - source.said - rival.said
    return bool(strange) and _common(source, target) <= _common(source, rival)


def nameless(choice: Choice, field: Field, scores: Mapping[Pair, float], around: Beside) -> bool:
    """Tell whether nothing speaks for a pair outside of blocks but that both are norms."""
    source, target = field.sources[choice.source], field.targets[choice.target]
    if source.role != NORM or target.role != NORM or choice.source in field.forced:
        return False
    if (source.inside and target.inside) or agree(source, target) or source.below == target.below:
        return False
    alone = not field.candidates[choice.source, choice.target].sizes
    if alone and _counts(source) != _counts(target):
        return True  # one stands in a block, the other does not
    common = _common(source, target)
    if common - _WHERE:
        return False  # a word says what both belong to, and not only on which side they stand
    if _telling(source) and _telling(target):
        return True  # both say what they belong to, in words that they do not share
    enough = scores[choice.source, choice.target] - WEIGHTS.margin_of_nameless
    others = [(choice.source, j) for j in around.sources[choice.source] if j != choice.target]
    others += [(i, choice.target) for i in around.targets[choice.target] if i != choice.source]
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
    """Return the words that say what a norm outside of blocks belongs to."""
    words = {str(word) for word in unit.words if word != HASH} & _PLACED
    return words - FILLERS


_PLACED = frozenset({"embed", "head", "pool", "patch", "shortcut", "conv", "q", "k", "v"})
_WHERE = frozenset({"encoder", "decoder"})
