"""What both programs add to the results of the same kernels: which leaf is the sum of which tensors."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ml_switcheroo.graph.matching.matched import KernelMatch, Matched
from ml_switcheroo.graph.parameters import Kernel, Parameters

__all__ = ["Added", "Unequal", "added_of"]

Array = np.ndarray[Any, Any]
_NONE = -1


@dataclass(frozen=True, eq=False)
class Added:
    """Elements of a leaf that are those of some tensors, added up.

    Attributes:
        sources: The tensors.
        leaf: The leaf.
        here: Where the elements lie in each of the tensors.
        there: Where they lie in the leaf.
        shift: What is added besides.
        tied: Whether a symmetry of both programs left a choice.
        axis: What a person calls the elements.
        likely: Whether it is behind a difference, and only the sizes say so.
    """

    sources: tuple[str, ...]
    leaf: str
    here: Array
    there: Array
    shift: float = 0.0
    tied: bool = False
    axis: str = "channel"
    likely: bool = False


@dataclass(frozen=True, eq=False)
class Unequal:
    """What both programs add to results of one kernel, and what cannot be the same by moving tensors alone.

    Attributes:
        sources: The tensors.
        leaves: The leaves.
        why: Why.
        match: The kernels.
    """

    sources: tuple[str, ...]
    leaves: tuple[str, ...]
    why: str
    match: KernelMatch

    @property
    def differs(self) -> bool:
        """Whether the programs compute something else, whatever is moved."""
        return not (self.sources and self.leaves)


@dataclass(frozen=True, eq=False)
class _Addend:
    """A tensor or leaf that is added, or a part of one.

    Attributes:
        name: Its name.
        root: The node that stands for the part.
        lies: Where the elements that are added lie in it, -1 for none.
    """

    name: str
    root: int
    lies: Array

    def at(self, places: Any) -> _Addend:
        """Return what is added at some places."""
        return replace(self, lies=self.lies[places])


@dataclass(frozen=True, eq=False)
class _Equation:
    """What is added to some outer elements of a kernel, on both sides."""

    mine: Sequence[_Addend]
    theirs: Sequence[_Addend]
    shift: float
    match: KernelMatch


def added_of(matched: Matched) -> tuple[list[Added], list[Unequal]]:
    """Return what the leaves are that are added to results of kernels, and what cannot be said of them."""
    equations = list(_equations(matched))
    sure = {(one.source.root, one.target.root) for one in matched.plains}
    sure |= {
        (one.mine[0].root, one.theirs[0].root) for one in equations if len(one.mine) == len(one.theirs) == 1
    }
    found: list[Added] = []
    unequal: list[Unequal] = []
    for one in equations:
        why = _unsolved(one)
        if why:
            sources, leaves = (tuple(each.name for each in side) for side in (one.mine, one.theirs))
            unequal.append(Unequal(sources, leaves, why, one.match))
        else:
            found += _solved(one, sure)
    return found, unequal


def _unsolved(one: _Equation) -> str:
    count, wanted = len(one.mine), len(one.theirs)
    if count == wanted == 0:
        return f"the programs add numbers that are {one.shift:g} apart"
    if wanted == 0:
        return "the target adds nothing where the PyTorch model adds it"
    if count == 0:
        return "the PyTorch model adds nothing where the target adds it"
    if wanted not in (1, count):
        return f"the target adds {wanted} leaves where the PyTorch model adds {count}"
    if wanted == 1 and any(not np.array_equal(own.lies, one.mine[0].lies) for own in one.mine):
        return "elements of different places are added to each other"
    return ""


def _solved(one: _Equation, sure: set[tuple[int, int]]) -> Iterator[Added]:
    if len(one.theirs) == 1:
        (leaf,) = one.theirs
        names = tuple(own.name for own in one.mine)
        yield Added(
            names, leaf.name, one.mine[0].lies, leaf.lies, one.shift, one.match.tied, "out", one.match.likely
        )
        return
    # Only the sum of several is the same on both sides: any order is right.
    for place, (own, leaf) in enumerate(_ordered(one, sure)):
        shift, tied = 0.0 if place else one.shift, (own.root, leaf.root) not in sure
        yield Added((own.name,), leaf.name, own.lies, leaf.lies, shift, tied, "out", one.match.likely)


def _ordered(one: _Equation, sure: set[tuple[int, int]]) -> Iterator[tuple[_Addend, _Addend]]:
    """Yield pairs of tensors and leaves: first those that are each other's elsewhere."""
    mine, theirs = list(one.mine), list(one.theirs)
    for own, leaf in itertools.product(one.mine, one.theirs):
        if (own.root, leaf.root) in sure and own in mine and leaf in theirs:
            mine.remove(own)
            theirs.remove(leaf)
            yield own, leaf
    yield from zip(mine, theirs, strict=True)


def _equations(matched: Matched) -> Iterator[_Equation]:
    sources = [match.source.kernel for match in matched.kernels]
    targets = [match.target.kernel for match in matched.kernels]
    mine = _stood_for(matched.source.parameters, sources)
    theirs = _stood_for(matched.target.parameters, targets)
    for match in matched.kernels:
        yield from _of_match(match, mine[match.source.kernel], theirs[match.target.kernel])


@dataclass(eq=False)
class _StoodFor:
    """What a kernel stands for: for each of its outer elements the one of each leaf, and a number."""

    leaves: list[_Addend]
    number: Array


def _stood_for(parameters: Parameters, kernels: Sequence[Kernel]) -> dict[Kernel, _StoodFor]:
    """Return what each kernel stands for: each leaf for the first of the kernels that may."""
    ranked = list(dict.fromkeys(kernels))
    made = {kernel: _StoodFor([], np.zeros(len(kernel.outer))) for kernel in ranked}
    for root, able in sorted(parameters.biases.leaves.items()):
        plain = parameters.added[root]
        for kernel, lies in _first_come(ranked, able, len(parameters.biases.taken[root])):
            places = np.where(lies >= 0, plain.lies[lies], _NONE)
            made[kernel].leaves += [_Addend(leaf, root, places) for leaf in plain.leaves]
            made[kernel].number += np.where(lies >= 0, plain.shift, 0.0)
    for value, able in parameters.biases.numbers:
        for kernel, lies in _first_come(ranked, able, 1):
            made[kernel].number += np.where(lies >= 0, value, 0.0)
    return made


def _first_come(
    ranked: Sequence[Kernel], able: Mapping[Kernel, Array], size: int
) -> Iterator[tuple[Kernel, Array]]:
    left = np.ones(size, bool)
    for kernel in ranked:
        if kernel in able:
            lies = np.where((able[kernel] >= 0) & left[np.maximum(able[kernel], 0)], able[kernel], _NONE)
            if (lies >= 0).any():
                left[lies[lies >= 0]] = False
                yield kernel, lies


def _of_match(match: KernelMatch, mine: _StoodFor, theirs: _StoodFor) -> Iterator[_Equation]:
    """Yield what is added to the outer elements of a match; those with the same addends together."""
    here, there = match.source.where[match.order], match.target.where
    ours, others = [one.at(here) for one in mine.leaves], [one.at(there) for one in theirs.leaves]
    shift = mine.number[here] - theirs.number[there]
    groups: dict[Any, list[int]] = defaultdict(list)
    for place in range(match.target.width):
        met = tuple(bool(one.lies[place] >= 0) for one in (*ours, *others))
        groups[met, float(shift[place])].append(place)
    for (met, number), places in groups.items():
        if any(met) or number:
            own, leaves = (
                [one.at(places) for one, is_met in zip(each, has, strict=True) if is_met]
                for each, has in ((ours, met[: len(ours)]), (others, met[len(ours) :]))
            )
            yield _Equation(own, leaves, number, match)
