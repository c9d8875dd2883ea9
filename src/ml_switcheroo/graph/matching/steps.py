"""One step of two programs: whose data are known, what takes the same, and what stands for it."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ml_switcheroo.graph.matching.matched import KernelMatch, Pair, Parted, Ready, Unit
from ml_switcheroo.graph.matching.oracles import Binding, Oracle, Piece, rows_of
from ml_switcheroo.graph.matching.parts import (
    kernels_behind,
    orders_between,
    parts_of,
    splits_of,
    views_behind,
)
from ml_switcheroo.graph.matching.plains import PlainLeaves
from ml_switcheroo.graph.matching.profiles import agree, columns_between, profile, rows_among
from ml_switcheroo.graph.matching.side import Assumed, Region, Side
from ml_switcheroo.graph.matching.telling import Assumption, last_of_kernels, takes_some, told_apart
from ml_switcheroo.graph.matching.waiting import Waiting
from ml_switcheroo.graph.parameters import Kernel

__all__ = ["Steps", "goals_of", "whole_kernels", "whole_units"]

Array = np.ndarray[Any, Any]


@dataclass
class Steps:
    """Two programs on their way, and what both have in common so far.

    Attributes:
        source: The PyTorch side.
        target: The target side.
        kernels: The kernels that are each other's.
        parted: The places where both are given something else.
    """

    source: Side
    target: Side
    kernels: list[KernelMatch] = field(default_factory=list)
    parted: list[Parted] = field(default_factory=list)
    _seed: int = 1
    _known: dict[str, str] = field(default_factory=dict)
    _waiting: dict[Side, Waiting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plains = PlainLeaves(self.source, self.target)
        self._waiting = {side: Waiting(side.parameters.kernels) for side in (self.source, self.target)}

    def ready(self, side: Side, assumed: Assumed | None = None) -> list[Ready]:
        """Return the kernels that nothing stands for, and whose data are known."""
        taken = assumed or Assumed()
        waiting = self._waiting[side]
        asked = waiting.kernels(taken.bindings)
        found, values = [], dict[int, tuple[Region, Array | None]]()
        for kernel in asked:
            if kernel not in taken.bindings and kernel not in side.bindings:
                ready, region = self.one_ready(side, kernel, taken, values)
                waiting.put(kernel, region)
                found += [ready] if ready is not None else []
        return found

    def one_ready(
        self,
        side: Side,
        kernel: Kernel,
        assumed: Assumed,
        values: dict[int, tuple[Region, Array | None]] | None = None,
    ) -> tuple[Ready | None, Region]:
        """Return a kernel with its data, as far as they are known, and what the first of them depend on.

        Args:
            side: Its program.
            kernel: The kernel.
            assumed: What is assumed.
            values: The data of other kernels with the same assumed; those of this one are added.
        """
        nodes, rows, regions = [], [], []
        known = {} if values is None else values
        for number in kernel.nodes:
            _, data, place = side.parameters.contractions[number]
            if data not in known:
                known[data] = _data_of(side, data, assumed)
            region, value = known[data]
            regions.append(region)
            if value is None:
                break  # later ones wait for this one, or are of the same loop
            nodes.append(number)
            rows.append(rows_of(side.graph, kernel, number, place, value))
        if not nodes:
            return None, regions[0]
        whole = np.concatenate(rows)
        return Ready(kernel, tuple(nodes), whole, profile(whole), regions[0]), regions[0]

    def groups(self, mine: Sequence[Ready], theirs: Sequence[Ready]) -> list[tuple[list[Ready], list[Ready]]]:
        """Return the kernels of both sides that take the same in the same way."""
        found = []
        left = list(theirs)
        done: list[Ready] = []
        for one in mine:
            if one in done:
                continue
            here = [other for other in mine if other not in done and _alike(one, other)]
            there = [other for other in left if _alike(one, other)]
            done += here
            if there:
                left = [other for other in left if other not in there]
                found.append((here, there))
        rest = [one for one in mine if not any(one in here for here, _ in found)], left
        return [next(filter(self._fits, self._variants(group, rest)), group) for group in found]

    def _fits(self, group: tuple[list[Ready], list[Ready]]) -> bool:
        return self.units(*group) is not None

    def _variants(
        self, group: tuple[list[Ready], list[Ready]], rest: tuple[Sequence[Ready], Sequence[Ready]]
    ) -> Iterator[tuple[list[Ready], list[Ready]]]:
        """Yield a group, with kernels that it may lack, and without those that may wait.

        The gate of a first step, on which nothing depends, is computed where it is a part of one kernel only;
        and a layer behind a loop may take each step, or all of them at once.
        """
        yield group
        here, there = (
            [*each, *(one for one in more if takes_some(one, each[0]))]
            for each, more in zip(group, rest, strict=True)
        )
        yield here, there
        yield self._soonest(self.source, here), self._soonest(self.target, there)

    def _soonest(self, side: Side, ready: Sequence[Ready]) -> list[Ready]:
        """Return the kernels that wait for no other of these in a step of a loop to come."""
        behind = {one.kernel: kernels_behind(side, one.kernel) for one in ready}
        return [
            one
            for one in ready
            if not any(
                one.kernel in behind[other.kernel] and other.kernel not in behind[one.kernel]
                for other in ready
            )
        ]

    def match_plains(self, here: Sequence[Ready], there: Sequence[Ready]) -> None:
        """Match the leaves before data that are equal while all leaves of a size have the same numbers."""
        goals = (
            [goals_of(self.source, one) for one in here],
            [goals_of(self.target, one) for one in there],
        )
        self.plains.match(*(sorted(set(itertools.chain(*each))) for each in goals))

    # ---- kernels

    def match_group(self, here: Sequence[Ready], there: Sequence[Ready]) -> bool:
        """Match kernels that take the same data; tell whether any was."""
        left, rest = self._partners(here, there)
        moved = len(left) < len(here)
        units = self.units(left, rest)
        if units is None or not left:
            return moved
        pairs = self._in_some_order(units, self.columns(left, rest))
        rows = {one.kernel: one for one in (*left, *rest)}
        return self.bind(whole_kernels(pairs, [*units[0], *units[1]]), rows) or moved

    def _in_some_order(
        self, units: tuple[Sequence[Unit], Sequence[Unit]], columns: Mapping[Kernel, Array | None]
    ) -> list[Pair]:
        """Return the units that are each other's; the target may count their elements in another order."""
        found = self.paired(units, units, columns)
        if len(units[0]) == 1 or _all_sure(found, units[0]):
            return found
        for order in self._outer_orders(units):
            pairs = self.paired(units, units, columns, order)
            if _all_sure(pairs, units[0]):
                return [
                    replace(pair, order=order if pair.source.width == len(order) else None) for pair in pairs
                ]
        return found

    def _outer_orders(self, units: tuple[Sequence[Unit], Sequence[Unit]]) -> Iterator[Array]:
        """Yield the orders of what kernels give in which both programs divide it, as into heads."""
        (width, *others) = _widths(units[0])
        if not others:
            splits = [
                [one for unit in each for one in splits_of(side, views_behind(side, unit.kernel), width)]
                for side, each in zip((self.source, self.target), units, strict=True)
            ]
            if all(splits):
                yield from orders_between(width, *(list(dict.fromkeys(each)) for each in splits))

    def paired(
        self,
        units: tuple[Sequence[Unit], Sequence[Unit]],
        assumed: tuple[Sequence[Unit], Sequence[Unit]],
        columns: Mapping[Kernel, Array | None],
        order: Array | None = None,
    ) -> list[Pair]:
        """Return the units that are each other's, with oracles for all that are assumed."""
        mine, theirs = _by_width(units[0]), _by_width(units[1])
        assumption: Assumption | None = None
        pairs: list[Pair] = []
        for width, ours in mine.items():
            if len(ours) == 1:
                pairs.append(Pair(ours[0], theirs[width][0]))
                continue
            if assumption is None:
                assumption = Assumption((self.source, self.target), assumed, columns, self.ready, order)
            pairs += told_apart(ours, theirs[width], assumption)
        return [*pairs, *last_of_kernels(pairs, units)]

    def _partners(self, here: Sequence[Ready], there: Sequence[Ready]) -> tuple[list[Ready], list[Ready]]:
        """Match the kernels of leaves that are matched already; return the others."""
        known = self._known
        left, rest = list(here), list(there)
        for one in here:
            other = next((two for two in rest if two.kernel.leaf == known.get(one.kernel.leaf, "")), None)
            if other is not None and len(one.kernel.outer) == len(other.kernel.outer):
                pair = Pair(whole_units([one])[0], whole_units([other])[0])
                if self.bind([pair], {one.kernel: one, other.kernel: other}):
                    left.remove(one)
                    rest.remove(other)
        return left, rest

    def units(self, here: Sequence[Ready], there: Sequence[Ready]) -> tuple[list[Unit], list[Unit]] | None:
        """Return kernels, or parts of them, of the same widths on both sides; None where there are none."""
        mine, theirs = whole_units(here), whole_units(there)
        if _widths(mine) == _widths(theirs):
            return self._both_parted(mine, theirs) or (mine, theirs)
        ours, others = _parted(self.source, mine, theirs), _parted(self.target, theirs, mine)
        # What is one on the other side may be taken apart here all the same, as the halves that RoPE turns.
        pairs = (ours, theirs), (mine, others), (ours, others)
        return next((pair for pair in pairs if _widths(pair[0]) == _widths(pair[1])), None)

    def _both_parted(
        self, mine: Sequence[Unit], theirs: Sequence[Unit]
    ) -> tuple[list[Unit], list[Unit]] | None:
        """Return the parts of all kernels, where both programs take the same ones apart."""
        made = []
        for side, units in ((self.source, mine), (self.target, theirs)):
            parts = [parts_of(side, unit.kernel) or [unit.where] for unit in units]
            made.append(
                [Unit(unit.kernel, one) for unit, each in zip(units, parts, strict=True) for one in each]
            )
        return (made[0], made[1]) if _widths(made[0]) == _widths(made[1]) else None

    def bind(self, pairs: Sequence[Pair], rows: Mapping[Kernel, Ready]) -> bool:
        """Match pairs of units, and put the same oracles in their place."""
        pieces: tuple[dict[Kernel, list[Piece]], ...] = (defaultdict(list), defaultdict(list))
        columns: dict[Kernel, Array | None] = {}
        made = []
        for pair in pairs:
            one, other = pair.source, pair.target
            between = self._between(rows[one.kernel], rows[other.kernel])
            if between is not None and not len(between):
                return False
            self._seed += 1
            shared = max(len(one.kernel.batch), 1)
            oracle = tuple(Oracle((3, self._seed, place), one.width) for place in range(shared))
            order = np.arange(one.width) if pair.order is None else pair.order
            pieces[0][one.kernel].append(Piece(oracle, one.where, np.arange(one.width)))
            pieces[1][other.kernel].append(Piece(oracle, other.where, order))
            columns[other.kernel] = between
            likely = pair.likely or bool(self.parted)
            made.append(KernelMatch(one, other, between, order, pair.tied, likely))
        for side, found in zip((self.source, self.target), pieces, strict=True):
            for kernel, parts in found.items():
                side.bindings[kernel] = Binding(tuple(parts), columns.get(kernel))
            side.settle([node for kernel in found for node in rows[kernel].nodes])
            for kernel in found:
                self._waiting[side].done(kernel)
        self.kernels += made
        self._known.update((one.source.kernel.leaf, one.target.kernel.leaf) for one in made)
        return bool(pairs)

    def columns(self, here: Sequence[Ready], there: Sequence[Ready]) -> dict[Kernel, Array | None]:
        """Return which column of the first kernel's data each column of the others' is."""
        found = {}
        for one, side in (*((one, self.source) for one in here), *((one, self.target) for one in there)):
            between = self._between(here[0], one, side) if here else None
            found[one.kernel] = between if between is None or len(between) else None
        return found

    def _between(self, one: Ready, other: Ready, side: Side | None = None) -> Array | None:
        """Return which column of the source's data each of another's is: the target's, if not said."""
        size = one.rows.shape[1]
        mine, theirs = one.rows, other.rows
        if len(mine) != len(theirs):
            few, many = sorted((mine, theirs), key=len)
            found = rows_among(few, many)
            if found is None:
                return np.zeros(0, np.int64)
            mine, theirs = (few, many[found]) if few is mine else (many[found], few)
        return columns_between(mine, theirs, self.orders(size, one.region, other.region, side))

    def orders(self, size: int, mine: Region, theirs: Region, side: Side | None = None) -> Iterator[Array]:
        """Yield the orders that elements may have in which both programs count them."""
        here = splits_of(self.source, mine.nodes, size)
        return orders_between(size, here, splits_of(side or self.target, theirs.nodes, size))


def _data_of(side: Side, number: int, assumed: Assumed) -> tuple[Region, Array | None]:
    """Return what has to be computed for data, and the data; None for those that are not known yet."""
    region = side.region([number], assumed.bindings)
    return region, None if region.blocked else side.value(number, side.computed(region, assumed))


def goals_of(side: Side, ready: Ready) -> Iterator[int]:
    """Return the nodes of the data of a kernel, as far as they are known."""
    return (side.parameters.contractions[number][1] for number in ready.nodes)


def _alike(one: Ready, other: Ready) -> bool:
    return one.kernel.key == other.kernel.key and agree(one.profile, other.profile)


def whole_units(ready: Sequence[Ready]) -> list[Unit]:
    """Return kernels as units of their own."""
    return [Unit(one.kernel, np.arange(len(one.kernel.outer))) for one in ready]


def _parted(side: Side, units: Sequence[Unit], others: Sequence[Unit]) -> list[Unit]:
    """Return units, those in parts whose width none of the other side has."""
    widths, made = _widths(others), list[Unit]()
    for unit in units:
        parts = parts_of(side, unit.kernel) if not widths[unit.width] else None
        made += [Unit(unit.kernel, part) for part in parts] if parts else [unit]
    return made


def _all_sure(pairs: Sequence[Pair], units: Sequence[Unit]) -> bool:
    return len(pairs) == len(units) and not any(pair.likely for pair in pairs)


def _widths(units: Sequence[Unit]) -> Counter[int]:
    return Counter(unit.width for unit in units)


def _by_width(units: Sequence[Unit]) -> dict[int, list[Unit]]:
    found: dict[int, list[Unit]] = defaultdict(list)
    for unit in units:
        found[unit.width].append(unit)
    return found


def whole_kernels(pairs: Sequence[Pair], units: Sequence[Unit]) -> list[Pair]:
    """Leave out the pairs of kernels some of whose parts have no pair."""
    paired = {unit for pair in pairs for unit in (pair.source, pair.target)}
    open_ones = {unit.kernel for unit in units if unit not in paired}
    left = [pair for pair in pairs if open_ones.isdisjoint((pair.source.kernel, pair.target.kernel))]
    return left if len(left) == len(pairs) else whole_kernels(left, units)
