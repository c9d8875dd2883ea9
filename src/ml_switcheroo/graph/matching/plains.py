"""Match the leaves that enter element by element, by what another content of each changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml_switcheroo.graph.matching.matched import PlainMatch
from ml_switcheroo.graph.matching.oracles import content
from ml_switcheroo.graph.matching.profiles import Profiles
from ml_switcheroo.graph.matching.side import Assumed, Region, Side
from ml_switcheroo.graph.parameters import Plain, beside_of

__all__ = ["PlainLeaves", "loose"]

Array = np.ndarray[Any, Any]


@dataclass
class PlainLeaves:
    """The leaves that enter element by element, and which of them are each other's.

    Attributes:
        source: The PyTorch side.
        target: The target side.
        found: Those that are each other's.
    """

    source: Side
    target: Side
    found: list[PlainMatch] = field(default_factory=list)

    def match(self, goals: Sequence[int], others: Sequence[int]) -> None:
        """Match leaves by what another content of each changes; then by what each is combined with."""
        regions = self.source.region(goals), self.target.region(others)
        numbers = Profiles()
        signs = [
            _plains_by(plains, _changes(side, region, wanted, numbers))
            for side, region, wanted, plains in zip(
                (self.source, self.target), regions, (goals, others), (r.plains for r in regions), strict=True
            )
        ]
        tied = []
        for sign, mine in signs[0].items():
            theirs = signs[1].get(sign, [])
            if len(mine) == len(theirs) == 1:
                self._bind(mine[0], theirs[0])
            elif len(mine) == len(theirs):
                tied.append((mine, theirs))
        ends = goals, others
        for pair in tied:
            left = self._told_by(pair, lambda side, plains, _: _met(side, plains, numbers))
            left = self._told_by(
                left, lambda side, plains, place: _placed(side, plains, ends[place], numbers)
            )
            for one, other in zip(*left, strict=True):
                self._bind(one, other, tied=True)

    def _told_by(
        self,
        pair: tuple[Sequence[Plain], Sequence[Plain]],
        seen: Callable[[Side, Sequence[Plain], int], Mapping[Plain, Any]],
    ) -> tuple[list[Plain], list[Plain]]:
        """Match the leaves that something tells apart; return those that are left on both sides."""
        if not pair[0]:
            return [], []
        sides = self.source, self.target
        here, there = (
            _plains_by(plains, seen(side, plains, place))
            for place, (side, plains) in enumerate(zip(sides, pair, strict=True))
        )
        for key, found in here.items():
            if len(found) == len(there.get(key, ())) == 1:
                self._bind(found[0], there[key][0])
        mine, theirs = (
            [one for one in plains if one.root not in side.contents]
            for plains, side in zip(pair, sides, strict=True)
        )
        return mine, theirs

    def _bind(self, one: Plain, other: Plain, *, tied: bool = False) -> None:
        given = content(one.shape, (2, len(self.found)))
        self.source.contents[one.root] = given
        self.target.contents[other.root] = content(other.shape, (2, len(self.found)))
        size = int(np.prod(one.shape, dtype=np.int64))
        lies = np.arange(size).reshape(one.shape)
        axes = np.argsort(np.argsort(other.shape, kind="stable"))
        order = lies.transpose(np.argsort(one.shape, kind="stable")).transpose(axes).reshape(-1)
        self.found.append(PlainMatch(one, other, order, tied))


def loose(side: Side) -> tuple[Plain, ...]:
    """Return the leaves that are not matched although an output depends on what they hold.

    Until they are matched, leaves of one shape hold the same numbers, so that programs which exchange them
    give the same: that they do proves nothing.
    """
    found: dict[int, Plain] = {}
    for goal in side.graph.outputs:
        region = side.region([goal])
        if not region.blocked:
            found |= {plain.root: plain for plain in _changes(side, region, [goal], Profiles())}
    return tuple(found.values())


def _plains_by(plains: Sequence[Plain], signs: Mapping[Plain, Any]) -> dict[Any, list[Plain]]:
    found: dict[Any, list[Plain]] = defaultdict(list)
    for plain in plains:
        if plain in signs:
            found[signs[plain]].append(plain)
    return found


def _changes(side: Side, region: Region, goals: Sequence[int], numbers: Profiles) -> dict[Plain, Any]:
    """Return what another content of each leaf changes, without the leaves that change nothing."""
    base = side.computed(region, Assumed())
    before = [numbers.number(np.sort(side.value(one, base), axis=None)) for one in goals]
    found: dict[Plain, Any] = {}
    for plain in region.plains:
        changed = Assumed(contents={plain.root: content(plain.shape, (1,))})
        values = side.computed(region, changed, base)
        after = [numbers.number(np.sort(side.value(one, values), axis=None)) for one in goals]
        moved = frozenset((one, two) for one, two in zip(before, after, strict=True) if one != two)
        if moved:
            found[plain] = tuple(sorted(plain.shape)), moved
    return found


def _met(side: Side, plains: Sequence[Plain], numbers: Profiles) -> dict[Plain, Any]:
    """Return what each leaf is combined with."""
    found: dict[Plain, Any] = {}
    for plain in plains:
        beside = [
            one for one in beside_of(side.graph, side.parameters, plain.root) if one in side.parameters.data
        ]
        values = side.around(beside)
        found[plain] = frozenset(numbers.number(np.sort(values[one], axis=None)) for one in beside)
    return found


def _placed(side: Side, plains: Sequence[Plain], goals: Sequence[int], numbers: Profiles) -> dict[Plain, Any]:
    """Return what another content of each leaf changes, element by element."""
    region = side.region(goals)
    base, found = side.computed(region, Assumed()), dict[Plain, Any]()
    for plain in plains:
        values = side.computed(region, Assumed(contents={plain.root: content(plain.shape, (1,))}), base)
        found[plain] = frozenset(numbers.number(side.value(one, values).reshape(-1)) for one in goals)
    return found
