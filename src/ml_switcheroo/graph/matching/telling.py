"""Tell kernels apart that take the same, by what each of them changes further on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.matching.matched import Pair, Ready, Unit
from ml_switcheroo.graph.matching.oracles import Binding, Oracle, Piece
from ml_switcheroo.graph.matching.profiles import Profiles, agree, rows_among
from ml_switcheroo.graph.matching.side import Assumed, Side
from ml_switcheroo.graph.parameters import Kernel

__all__ = ["Assumption", "last_of_kernels", "takes_some", "told_apart"]

Array = np.ndarray[Any, Any]
Columns = Mapping[Kernel, Array | None]
Changes = frozenset[tuple[Any, Any, int, int]]
"""What changes further on: what takes it, the place among outputs, its profile before and after."""


class Assumption:
    """Units of both programs that oracles stand for while they are told apart.

    Args:
        sides: Both programs.
        units: The units of each.
        columns: In which order each kernel takes its data.
        ready: Returns the kernels whose data are known with some assumed.
        order: Which outer element of a source's unit each of a target's is; in order if not said.
    """

    def __init__(
        self,
        sides: tuple[Side, Side],
        units: tuple[Sequence[Unit], Sequence[Unit]],
        columns: Columns,
        ready: Callable[[Side, Assumed], Sequence[Ready]],
        order: Array | None = None,
    ) -> None:
        self._sides, self._units, self._columns, self._ready = sides, units, columns, ready
        self._order = order
        self._oracles: dict[tuple[int, ...], Oracle] = {}
        self._numbers = Profiles()
        self._before = [self._further(side, self._bindings(place, None)) for place, side in enumerate(sides)]

    @property
    def bindings(self) -> tuple[dict[Kernel, Binding], dict[Kernel, Binding]]:
        """The oracles that stand for all units of each side."""
        return self._bindings(0, None), self._bindings(1, None)

    def changes(self, place: int, unit: Unit) -> Changes:
        """Return what changes further on where another oracle stands for one unit of a side."""
        before = self._before[place]
        after = self._further(self._sides[place], self._bindings(place, unit))
        return frozenset(
            (key[1], key[2], self._numbers.number(value), self._numbers.number(after[key]))
            for key, value in before.items()
            if key in after and not agree(value, after[key])
        )

    def placed(self, place: int, unit: Unit) -> Any:
        """Return what outputs another oracle for one unit changes, element by element."""
        side = self._sides[place]
        outputs = [self._outputs(side, self._bindings(place, one)) for one in (None, unit)]
        return frozenset((key, *(self._numbers.number(each[key]) for each in outputs)) for key in outputs[0])

    def _outputs(self, side: Side, bindings: Mapping[Kernel, Binding]) -> dict[int, Array]:
        found = {}
        for place, number in enumerate(side.graph.outputs):
            region = side.region([number], bindings)
            if not region.blocked:
                found[place] = side.value(number, side.computed(region, Assumed(bindings))).reshape(-1)
        return found

    def _further(self, side: Side, bindings: Mapping[Kernel, Binding]) -> dict[Any, Array]:
        """Return the profiles of all data and outputs that become known with some kernels assumed."""
        assumed = Assumed(bindings)
        ready = self._ready(side, assumed)
        found: dict[Any, Array] = {
            (id(one.kernel), one.kernel.key, None): one.profile
            for one in ready
            if not any(takes_some(one, other) for other in ready)
        }
        for place, number in enumerate(side.graph.outputs):
            region = side.region([number], bindings)
            if not region.blocked and number not in side.settled:
                value = side.value(number, side.computed(region, assumed))
                found[(place, "output", place)] = np.sort(value, axis=None)
        return found

    def _bindings(self, place: int, other: Unit | None) -> dict[Kernel, Binding]:
        """Return the same oracle for all units of a width, and another one for one of them."""
        pieces: dict[Kernel, list[Piece]] = defaultdict(list)
        for unit in self._units[place]:
            shared = max(len(unit.kernel.batch), 1)
            oracle = tuple(self._oracle(int(unit is other), unit.width, one) for one in range(shared))
            order = np.arange(unit.width) if self._order is None or not place else self._order
            pieces[unit.kernel].append(Piece(oracle, unit.where, order))
        return {kernel: Binding(tuple(found), self._columns.get(kernel)) for kernel, found in pieces.items()}

    def _oracle(self, *seed: int) -> Oracle:
        if seed not in self._oracles:
            self._oracles[seed] = Oracle((4, *seed), seed[1])
        return self._oracles[seed]


def takes_some(one: Ready, other: Ready) -> bool:
    """Tell whether a kernel takes some of the rows that another takes, and no others."""
    return one.kernel.key == other.kernel.key and rows_among(one.rows, other.rows) is not None


_LEVELS: tuple[Callable[[Changes], Any], ...] = (
    lambda changes: changes,
    lambda changes: frozenset((key, before, after) for key, _, before, after in changes),
    lambda changes: frozenset((key, place) for key, place, _, _ in changes),
)
"""What two units have to agree in: everything; all but which output it is; what takes what they give."""


def told_apart(mine: Sequence[Unit], theirs: Sequence[Unit], assumption: Assumption) -> list[Pair]:
    """Return the units of one width that are each other's.

    Units that change the same are told apart by nothing both programs compute: any order is right, and theirs
    is taken. Where the programs go on differently behind a unit, what takes its result still says which one
    it likely is.
    """
    left = [
        [(unit, assumption.changes(place, unit)) for unit in units]
        for place, units in enumerate((mine, theirs))
    ]
    pairs: list[Pair] = []
    for level, seen in enumerate(_LEVELS):
        here, there = (_by(each, seen) for each in left)
        for sign, ours in here.items():
            others = there.get(sign, [])
            certain = len(ours) == 1 or (level == 0 and bool(sign))
            if len(ours) == len(others) and certain:
                likely = level == len(_LEVELS) - 1
                pairs += _in_place(ours, others, assumption, likely)
        done = {unit for pair in pairs for unit in (pair.source, pair.target)}
        left = [[(unit, changes) for unit, changes in each if unit not in done] for each in left]
    return pairs


def last_of_kernels(pairs: Sequence[Pair], units: tuple[Sequence[Unit], Sequence[Unit]]) -> Iterator[Pair]:
    """Yield the parts that are left of two kernels all of whose other parts are each other's, one of each."""
    partners: tuple[dict[Kernel, set[Kernel]], ...] = (defaultdict(set), defaultdict(set))
    for pair in pairs:
        partners[0][pair.source.kernel].add(pair.target.kernel)
        partners[1][pair.target.kernel].add(pair.source.kernel)
    done = {unit for pair in pairs for unit in (pair.source, pair.target)}
    left = [[unit for unit in each if unit not in done] for each in units]
    for one in left[0]:
        for other in left[1]:
            both = (partners[0][one.kernel], partners[1][other.kernel]) == ({other.kernel}, {one.kernel})
            alone = [
                sum(unit.kernel is own.kernel for unit in left[n]) == 1 for n, own in enumerate((one, other))
            ]
            if both and all(alone) and one.width == other.width:
                likely = any(pair.likely for pair in pairs if pair.source.kernel is one.kernel)
                yield Pair(one, other, likely=likely)


def _in_place(
    mine: Sequence[Unit], theirs: Sequence[Unit], assumption: Assumption, likely: bool
) -> list[Pair]:
    """Return units that change the same as pairs: where in the outputs, if that tells them apart."""
    if len(mine) == 1:
        return [Pair(mine[0], theirs[0], False, likely)]
    here, there = (
        {assumption.placed(place, unit): unit for unit in units} for place, units in enumerate((mine, theirs))
    )
    if len(here) == len(mine) and here.keys() == there.keys():
        return [Pair(unit, there[sign], False, likely) for sign, unit in here.items()]
    return [Pair(one, two, True, likely) for one, two in zip(mine, theirs, strict=True)]


def _by(units: Sequence[tuple[Unit, Changes]], seen: Callable[[Changes], Any]) -> dict[Any, list[Unit]]:
    found: dict[Any, list[Unit]] = defaultdict(list)
    for unit, changes in units:
        found[seen(changes)].append(unit)
    return found
