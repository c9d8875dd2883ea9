"""Which number of one tree is which of the other, where both count the same modules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ml_switcheroo.match.paths.repeats import Numeral, Token
from ml_switcheroo.match.units.unit import Unit

__all__ = ["Numbering", "numbering"]

_SEPARATOR = re.compile(r"[./]")

_Numbers = tuple[int, ...]
_Key = tuple[tuple[tuple[Token, ...], ...], tuple[tuple[Token, ...], ...], _Numbers, _Numbers]
"""The containers of both units, and the numbers that stand beside one another in both trees."""


@dataclass(frozen=True)
class Numbering:
    """What the numbers of two trees say of one another.

    Attributes:
        shifts: What is to be added to a number of the source, where the trees count from different numbers or
            not as far, and shapes leave one answer only.
    """

    shifts: Mapping[_Key, int] = field(default_factory=dict)

    def agree(self, source: Unit, target: Unit, word: str) -> bool | None:
        """Tell whether two units are of the same number; None where that is not said."""
        mine, other = source.numbers[word], target.numbers[word]
        if mine.siblings[:1] == other.siblings[:1] or 1 in (mine.count, other.count):
            return mine.value == other.value  # counted from the same number, or one alone
        if mine.count == other.count and mine.in_order and other.in_order:
            # The first of two is the first of two, whether it is called 0 or 1.
            return mine.rank == other.rank
        if _written(source, mine) & _written(target, other):
            return True  # block1 and block_1 are one name; conv1 and Conv_1 need not be: Flax counts calls
        shift = self.shifts.get(_key(source, target, mine, other))
        return None if shift is None else mine.value + shift == other.value


def numbering(
    sources: Sequence[Unit], targets: Sequence[Unit], candidates: Mapping[tuple[int, int], object]
) -> Numbering:
    """Find how two series line up, where one is longer or counted from another number.

    ``conv1, conv2`` beside a shortcut can be the first or the last two of ``Conv_0 .. Conv_2``. Where the
    shapes of all that is counted so, convolutions and norms alike, rule out all ways but one, that one is it.
    """
    tried: dict[_Key, dict[int, bool]] = {}
    for i, source in enumerate(sources):
        for j, target in enumerate(targets):
            for word in source.numbers.keys() & target.numbers.keys():
                mine, other = source.numbers[word], target.numbers[word]
                if mine.siblings == other.siblings or source.kinds.isdisjoint(target.kinds):
                    continue
                ways = tried.setdefault(
                    _key(source, target, mine, other), dict.fromkeys(_shifts(mine, other), True)
                )
                shift = other.value - mine.value
                if shift in ways and (i, j) not in candidates:
                    ways[shift] = False
    found = {key: [shift for shift, possible in ways.items() if possible] for key, ways in tried.items()}
    return Numbering({key: shifts[0] for key, shifts in found.items() if len(shifts) == 1})


def _written(unit: Unit, number: Numeral) -> set[str]:
    """Return the segments of a unit's path that end in a number, as they are written."""
    paths = next(iter(unit.slots.values())).paths.values()
    parts = {part.replace("_", "") for path in paths for part in _SEPARATOR.split(path)}
    return {part for part in parts if part.endswith(str(number.value)) and part[:1].isalpha()}


def _key(source: Unit, target: Unit, mine: Numeral, other: Numeral) -> _Key:
    return source.containers, target.containers, mine.siblings, other.siblings


def _shifts(mine: Numeral, other: Numeral) -> Iterator[int]:
    """Yield what can be added to the numbers of the shorter series so that the longer one has them all."""
    few, many = sorted((mine.siblings, other.siblings), key=len)
    sign = 1 if few is mine.siblings else -1
    for first in many:
        if {number + first - few[0] for number in few} <= set(many):
            yield sign * (first - few[0])
