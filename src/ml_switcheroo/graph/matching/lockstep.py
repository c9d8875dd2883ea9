"""Carry two programs out side by side, and match the leaves that they go on with."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.matching.oracles import Binding, Oracle, Piece, content, rows_of
from ml_switcheroo.graph.matching.parts import orders_between, parts_of, splits_of
from ml_switcheroo.graph.matching.profiles import Profiles, agree, columns_between, outputs_agree, profile
from ml_switcheroo.graph.matching.side import Assumed, Region, Side
from ml_switcheroo.graph.parameters import Kernel, Plain

__all__ = ["KernelMatch", "Matched", "Parted", "PlainMatch", "Ready", "Unit", "match_graphs"]

Array = np.ndarray[Any, Any]

_MOST_ORDERS = 120


@dataclass(frozen=True, eq=False)
class Unit:
    """A kernel, or a part of it.

    Attributes:
        kernel: The kernel.
        where: Which of its outer elements.
    """

    kernel: Kernel
    where: Array

    @property
    def width(self) -> int:
        """How many outer elements it has."""
        return len(self.where)


@dataclass(frozen=True, eq=False)
class KernelMatch:
    """A part of a kernel of the source that one of the target is.

    Attributes:
        source: The part of the source's kernel.
        target: The part of the target's.
        columns: Which column of the source each of the target's is; None where they are in order.
        order: Which outer element of the source's part each of the target's is.
        tied: Whether a symmetry of both programs left a choice.
        likely: Whether it is behind a difference, and only the sizes say so.
    """

    source: Unit
    target: Unit
    columns: Array | None
    order: Array
    tied: bool = False
    likely: bool = False


@dataclass(frozen=True, eq=False)
class PlainMatch:
    """A leaf of the source that enters element by element, that one of the target is.

    Attributes:
        source: That of the source.
        target: That of the target.
        order: Which element of the source's each of the target's is, both flat.
        tied: Whether a symmetry of both programs left a choice.
    """

    source: Plain
    target: Plain
    order: Array
    tied: bool = False


@dataclass(frozen=True, eq=False)
class Ready:
    """A kernel whose data are known, before it is matched.

    Attributes:
        kernel: The kernel.
        nodes: Those of its contractions whose data are known.
        rows: Their rows.
        profile: The profile of those.
        region: What was computed for them.
    """

    kernel: Kernel
    nodes: tuple[int, ...]
    rows: Array
    profile: Array
    region: Region


@dataclass(frozen=True, eq=False)
class Parted:
    """Two kernels of one size that are given something else.

    Attributes:
        source: That of the source.
        target: That of the target.
        here: The values before that of the source, by node.
        there: The values before that of the target.
    """

    source: Ready
    target: Ready
    here: Mapping[int, Array]
    there: Mapping[int, Array]


@dataclass(frozen=True)
class Matched:
    """What two programs have in common.

    Attributes:
        source: The PyTorch side, with the values it came to.
        target: The target side.
        kernels: The kernels that are each other's.
        plains: The other leaves that are each other's.
        outputs: Whether each output is the same.
        parted: The kernels that come next where both compute something else, on either side.
        left: The kernels of the source, and of the target, whose data are known and that have no other.
    """

    source: Side
    target: Side
    kernels: tuple[KernelMatch, ...]
    plains: tuple[PlainMatch, ...]
    outputs: tuple[bool, ...]
    parted: tuple[Parted, ...] = ()
    left: tuple[tuple[Ready, ...], tuple[Ready, ...]] = ((), ())

    @property
    def complete(self) -> bool:
        """Whether both compute the same, all the way."""
        return bool(self.outputs) and all(self.outputs) and not self.parted


def match_graphs(
    source: Graph, target: Graph, inputs: Sequence[Array], target_inputs: Sequence[Array]
) -> Matched:
    """Match the leaves of two graphs.

    Args:
        source: The graph of the PyTorch model.
        target: The graph of the target.
        inputs: What the source is given.
        target_inputs: The same, as the target takes it.
    """
    return _Lockstep(Side(source, inputs), Side(target, target_inputs)).run()


@dataclass
class _Lockstep:
    source: Side
    target: Side
    kernels: list[KernelMatch] = field(default_factory=list)
    plains: list[PlainMatch] = field(default_factory=list)
    parted: list[Parted] = field(default_factory=list)
    _seed: int = 1

    def run(self) -> Matched:
        while self._step():
            pass
        left = tuple(self._ready(self.source)), tuple(self._ready(self.target))
        return Matched(
            self.source,
            self.target,
            tuple(self.kernels),
            tuple(self.plains),
            self._outputs(),
            tuple(self.parted),
            left,
        )

    # ---- one step: all kernels whose data are known on both sides

    def _step(self) -> bool:
        mine, theirs = self._ready(self.source), self._ready(self.target)
        groups = self._groups(mine, theirs)
        if not groups:
            return self._rearranged(mine, theirs) or self._go_on(mine, theirs)
        for group in groups:
            self._match_plains(*group)
        groups = self._groups(self._ready(self.source), self._ready(self.target))
        deferred = []
        moved = False
        for group in groups:
            done = self._match_group(*group)
            moved |= done
            deferred += [group] if not done else []
        if not moved and deferred:
            moved = self._match_together(deferred)
        return moved or self._rearranged(mine, theirs) or self._go_on(mine, theirs)

    def _ready(self, side: Side, assumed: Assumed | None = None) -> list[Ready]:
        """Return the kernels that nothing stands for, and whose data are known."""
        taken = assumed or Assumed()
        found = []
        for kernel in side.parameters.kernels:
            if kernel in side.bindings or kernel in taken.bindings:
                continue
            ready = self._one_ready(side, kernel, taken)
            found += [ready] if ready is not None else []
        return found

    def _one_ready(self, side: Side, kernel: Kernel, assumed: Assumed) -> Ready | None:
        nodes, rows, regions = [], [], []
        for number in kernel.nodes:
            _, data, place = side.parameters.contractions[number]
            region = side.region([data], assumed.bindings)
            if region.blocked:
                break  # later ones wait for this one, or are of the same loop
            value = side.value(data, side.computed(region, assumed))
            nodes.append(number)
            regions.append(region)
            rows.append(rows_of(side.graph, kernel, number, place, value))
        if not nodes:
            return None
        whole = np.concatenate(rows)
        return Ready(kernel, tuple(nodes), whole, profile(whole), regions[0])

    def _groups(
        self, mine: Sequence[Ready], theirs: Sequence[Ready]
    ) -> list[tuple[list[Ready], list[Ready]]]:
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
        return found

    # ---- leaves that enter element by element

    def _match_plains(self, here: Sequence[Ready], there: Sequence[Ready]) -> None:
        """Match the leaves before some data that are equal with the same numbers in all leaves of a size."""
        goals = [_data(self.source, one) for one in here], [_data(self.target, one) for one in there]
        self._told_apart(*(sorted(set(itertools.chain(*each))) for each in goals))

    def _told_apart(self, goals: Sequence[int], others: Sequence[int]) -> None:
        regions = self.source.region(goals), self.target.region(others)
        numbers = Profiles()
        signs = []
        for side, region, wanted in zip((self.source, self.target), regions, (goals, others), strict=True):
            base = side.computed(region, Assumed())
            found: dict[Any, list[Plain]] = defaultdict(list)
            for plain in region.plains:
                changed = Assumed(contents={plain.root: content(plain.shape, (1,))})
                values = side.computed(region, changed, base)
                profiles = [numbers.number(np.sort(side.value(one, values), axis=None)) for one in wanted]
                before = [numbers.number(np.sort(side.value(one, base), axis=None)) for one in wanted]
                moved = tuple(sorted(Counter(zip(before, profiles, strict=True)).items()))
                found[(tuple(sorted(plain.shape)), moved)].append(plain)
            signs.append(found)
        for sign, mine in signs[0].items():
            theirs = signs[1].get(sign, [])
            if len(mine) == len(theirs):
                for one, other in zip(mine, theirs, strict=True):
                    self._bind_plain(one, other, tied=len(mine) > 1)

    def _bind_plain(self, one: Plain, other: Plain, *, tied: bool = False) -> None:
        self._seed += 1
        given = content(one.shape, (2, self._seed))
        self.source.contents[one.root] = given
        self.target.contents[other.root] = content(other.shape, (2, self._seed))
        size = int(np.prod(one.shape, dtype=np.int64))
        lies = np.arange(size).reshape(one.shape)
        axes = np.argsort(np.argsort(other.shape, kind="stable"))
        order = lies.transpose(np.argsort(one.shape, kind="stable")).transpose(axes).reshape(-1)
        self.plains.append(PlainMatch(one, other, order, tied))

    # ---- kernels

    def _match_group(self, here: Sequence[Ready], there: Sequence[Ready]) -> bool:
        """Match kernels that take the same data; tell whether any was."""
        here, there = self._partners(here, there)
        units = self._units(here, there)
        if units is None:
            return False
        rows = {one.kernel: one for one in (*here, *there)}
        columns = self._columns(here, there)
        moved = not here
        mine, theirs = _by_width(units[0]), _by_width(units[1])
        pairs: list[tuple[Unit, Unit, bool]] = []
        for width, ours in mine.items():
            if len(ours) == 1:
                pairs.append((ours[0], theirs[width][0], False))
                continue
            told = self._signed(ours, theirs[width], units, columns)
            if told is None:
                return moved
            pairs += told
        return self._bind(_whole_kernels(pairs, [*units[0], *units[1]]), rows) or moved

    def _partners(self, here: Sequence[Ready], there: Sequence[Ready]) -> tuple[list[Ready], list[Ready]]:
        """Match the kernels of leaves that are matched already; return the others."""
        known = {match.source.kernel.leaf: match.target.kernel.leaf for match in self.kernels}
        left, rest = list(here), list(there)
        for one in here:
            other = next((two for two in rest if two.kernel.leaf == known.get(one.kernel.leaf, "")), None)
            if other is not None and len(one.kernel.outer) == len(other.kernel.outer):
                whole = Unit(one.kernel, np.arange(len(one.kernel.outer)))
                pair = (whole, Unit(other.kernel, np.arange(len(other.kernel.outer))), False)
                if self._bind([pair], {one.kernel: one, other.kernel: other}):
                    left.remove(one)
                    rest.remove(other)
        return left, rest

    def _units(self, here: Sequence[Ready], there: Sequence[Ready]) -> tuple[list[Unit], list[Unit]] | None:
        """Return kernels, or parts of them, of the same widths on both sides; None where there are none."""
        mine, theirs = _whole(here), _whole(there)
        if _widths(mine) == _widths(theirs):
            return self._both_parted(mine, theirs) or (mine, theirs)
        ours, others = _parted(self.source, mine, theirs), _parted(self.target, theirs, mine)
        return (ours, others) if _widths(ours) == _widths(others) else None

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

    def _signed(
        self,
        mine: Sequence[Unit],
        theirs: Sequence[Unit],
        units: tuple[Sequence[Unit], Sequence[Unit]],
        columns: Mapping[Kernel, Array | None],
    ) -> list[tuple[Unit, Unit, bool]] | None:
        """Tell units of one width apart by what each of them changes further on.

        Returns:
            The pairs that are told apart; None where the programs go on differently.
        """
        numbers, oracles = Profiles(), _Oracles()
        signs = []
        for side, ours, group in ((self.source, mine, units[0]), (self.target, theirs, units[1])):
            found: dict[Any, list[Unit]] = defaultdict(list)
            before = self._further(side, oracles.bindings(group, None, columns))
            for unit in ours:
                after = self._further(side, oracles.bindings(group, unit, columns))
                moved = frozenset(
                    (key[1], numbers.number(value), numbers.number(after[key]))
                    for key, value in before.items()
                    if key in after and not agree(value, after[key])
                )
                found[moved].append(unit)
            signs.append(found)
        pairs: list[tuple[Unit, Unit, bool]] = []
        for sign, ours in signs[0].items():
            others = signs[1].get(sign, [])
            if len(ours) != len(others):
                return None
            if sign or len(ours) == 1:  # what changes nothing yet is told apart later
                pairs += [(one, other, len(ours) > 1) for one, other in zip(ours, others, strict=True)]
        return pairs

    def _further(self, side: Side, bindings: Mapping[Kernel, Binding]) -> dict[Any, Array]:
        """Return the profiles of all data that become known with some kernels assumed."""
        assumed = Assumed(bindings)
        found: dict[Any, Array] = {
            (id(one.kernel), one.kernel.key): one.profile for one in self._ready(side, assumed)
        }
        for place, number in enumerate(side.graph.outputs):
            region = side.region([number], bindings)
            if not region.blocked and number not in side.settled:
                value = side.value(number, side.computed(region, assumed))
                found[("output", place)] = np.sort(value, axis=None)
        return found

    def _match_together(self, groups: Sequence[tuple[list[Ready], list[Ready]]]) -> bool:
        """Match groups that only show all together which of their kernels is which; or take them in order."""
        units = [self._units(*group) for group in groups]
        known = [(group, found) for group, found in zip(groups, units, strict=True) if found is not None]
        mine = [unit for _, found in known for unit in found[0]]
        theirs = [unit for _, found in known for unit in found[1]]
        columns = {kernel: one for group, _ in known for kernel, one in self._columns(*group).items()}
        for group, found in known:
            pairs: list[tuple[Unit, Unit, bool]] = []
            for width, ours in _by_width(found[0]).items():
                others = _by_width(found[1])[width]
                told = self._signed(ours, others, (mine, theirs), columns) if len(ours) > 1 else None
                if not told:
                    told = [(one, two, len(ours) > 1) for one, two in zip(ours, others, strict=True)]
                pairs += told
            rows = {one.kernel: one for each in group for one in each}
            if self._bind(_whole_kernels(pairs, [*found[0], *found[1]]), rows):
                return True
        return False

    def _bind(self, pairs: Sequence[tuple[Unit, Unit, bool]], rows: Mapping[Kernel, Ready]) -> bool:
        """Match pairs of units, and put the same oracles in their place."""
        pieces: tuple[dict[Kernel, list[Piece]], ...] = (defaultdict(list), defaultdict(list))
        columns: dict[Kernel, Array | None] = {}
        made = []
        for one, other, tied in pairs:
            between = self._between(rows[one.kernel], rows[other.kernel])
            if between is not None and not len(between):
                return False
            self._seed += 1
            shared = max(len(one.kernel.batch), 1)
            oracle = tuple(Oracle((3, self._seed, place), one.width) for place in range(shared))
            order = np.arange(one.width)
            pieces[0][one.kernel].append(Piece(oracle, one.where, order))
            pieces[1][other.kernel].append(Piece(oracle, other.where, order))
            columns[other.kernel] = between
            made.append(KernelMatch(one, other, between, order, tied))
        for side, found in zip((self.source, self.target), pieces, strict=True):
            for kernel, parts in found.items():
                side.bindings[kernel] = Binding(tuple(parts), columns.get(kernel))
            side.settle([node for kernel in found for node in rows[kernel].nodes])
        self.kernels += made
        return bool(pairs)

    def _columns(self, here: Sequence[Ready], there: Sequence[Ready]) -> dict[Kernel, Array | None]:
        """Return which column of the first kernel's data each column of the others' is."""
        found = {}
        for one in (*here, *there):
            between = self._between(here[0], one) if here else None
            found[one.kernel] = between if between is None or len(between) else None
        return found

    def _between(self, one: Ready, other: Ready) -> Array | None:
        """Return which column of the source's data each of the target's is."""
        size = one.rows.shape[1]
        return columns_between(one.rows, other.rows, self._orders(size, one.region, other.region))

    def _orders(self, size: int, mine: Region, theirs: Region) -> Iterator[Array]:
        """Yield the orders that elements may have in which both programs count them."""
        here = splits_of(self.source, mine.nodes, size)
        return orders_between(size, here, splits_of(self.target, theirs.nodes, size))

    # ---- another order of what kernels give

    def _rearranged(self, mine: Sequence[Ready], theirs: Sequence[Ready]) -> bool:
        """Find another order of what a kernel gives, with which both programs go on alike."""
        for one, other in itertools.product(mine, theirs):
            if one.kernel.key == other.kernel.key and one.profile.shape == other.profile.shape:
                for match in self._before(other.region):
                    if self._reordered(match, one, other):
                        return True
        return False

    def _before(self, region: Region) -> list[KernelMatch]:
        """Return the matches of the kernels whose results a region of the target begins with."""
        nodes = self.target.graph.nodes
        ends = {one for number in region.nodes for one in nodes[number].operands} - set(region.nodes)
        found = {self.target.parameters.contractions[one][0] for one in ends if one in self.target.contracted}
        return [match for match in self.kernels if match.target.kernel in found]

    def _reordered(self, match: KernelMatch, one: Ready, other: Ready) -> bool:
        kernel, width = match.target.kernel, match.target.width
        if width != len(kernel.outer) or any(node not in self.target.settled for node in kernel.nodes):
            return False
        kept = {node: self.target.settled[node] for node in kernel.nodes}
        for order in self._orders(width, one.region, other.region):
            for node, value in kept.items():
                self.target.settled[node] = self.target.in_order(node, value, order)
            again = self._one_ready(self.target, other.kernel, Assumed())
            if again is not None and agree(again.profile, one.profile):
                self.kernels[self.kernels.index(match)] = replace(match, order=order)
                (piece,) = self.target.bindings[kernel].pieces
                piece = replace(piece, order=order)
                self.target.bindings[kernel] = replace(self.target.bindings[kernel], pieces=(piece,))
                return True
        self.target.settled.update(kept)
        return False

    # ---- behind a difference

    def _go_on(self, mine: Sequence[Ready], theirs: Sequence[Ready]) -> bool:
        """Go on behind a difference, where one kernel of each side has its size, with the source's values."""
        here, there = _by_size(mine), _by_size(theirs)
        for size, ours in here.items():
            others = there.get(size, [])
            if len(ours) == len(others) == 1 and self._carried_over(ours[0], others[0]):
                return True
        return False

    def _carried_over(self, one: Ready, other: Ready) -> bool:
        nodes, graphs = (one.nodes, other.nodes), (self.source.graph, self.target.graph)
        shapes = [
            [graph.nodes[number].shape for number in each] for graph, each in zip(graphs, nodes, strict=True)
        ]
        if shapes[0] != shapes[1]:
            return False
        whole = [Unit(ready.kernel, np.arange(len(ready.kernel.outer))) for ready in (one, other)]
        values = self.source.around(_data(self.source, one)), self.target.around(_data(self.target, other))
        self.parted.append(Parted(one, other, *values))
        self._seed += 1
        shared = max(len(one.kernel.batch), 1)
        oracle = tuple(Oracle((3, self._seed, place), whole[0].width) for place in range(shared))
        binding = Binding((Piece(oracle, whole[0].where, whole[0].where),))
        self.source.bindings[one.kernel] = self.target.bindings[other.kernel] = binding
        self.source.settle(one.nodes)
        for number, twin in zip(*nodes, strict=True):
            region = self.source.region([number])
            self.target.settled[twin] = self.source.value(number, self.source.computed(region, Assumed()))
        self.kernels.append(KernelMatch(whole[0], whole[1], None, whole[0].where, likely=True))
        return True

    # ---- outputs

    def _outputs(self) -> tuple[bool, ...]:
        """Match the leaves before the outputs, and tell which outputs are the same."""
        goals = zip(self.source.graph.outputs, self.target.graph.outputs, strict=False)
        found = []
        for mine, theirs in goals:
            regions = self.source.region([mine]), self.target.region([theirs])
            if any(region.blocked for region in regions):
                found.append(False)
                continue
            self._told_apart([mine], [theirs])
            values = [
                side.value(goal, side.computed(side.region([goal]), Assumed()))
                for side, goal in ((self.source, mine), (self.target, theirs))
            ]
            found.append(outputs_agree(*values))
        same = len(self.source.graph.outputs) == len(self.target.graph.outputs)
        return tuple(found) if same else (*found, False)


def _data(side: Side, ready: Ready) -> Iterator[int]:
    return (side.parameters.contractions[number][1] for number in ready.nodes)


def _alike(one: Ready, other: Ready) -> bool:
    return one.kernel.key == other.kernel.key and agree(one.profile, other.profile)


def _by_size(ready: Sequence[Ready]) -> dict[Any, list[Ready]]:
    found: dict[Any, list[Ready]] = defaultdict(list)
    for one in ready:
        kernel = one.kernel
        size = kernel.op, len(kernel.inner), len(kernel.taps), len(kernel.batch), len(kernel.outer)
        found[size].append(one)
    return found


def _whole(ready: Sequence[Ready]) -> list[Unit]:
    return [Unit(one.kernel, np.arange(len(one.kernel.outer))) for one in ready]


def _parted(side: Side, units: Sequence[Unit], others: Sequence[Unit]) -> list[Unit]:
    """Return units, those in parts whose width none of the other side has."""
    widths, made = _widths(others), list[Unit]()
    for unit in units:
        parts = parts_of(side, unit.kernel) if not widths[unit.width] else None
        made += [Unit(unit.kernel, part) for part in parts] if parts else [unit]
    return made


def _widths(units: Sequence[Unit]) -> Counter[int]:
    return Counter(unit.width for unit in units)


def _by_width(units: Sequence[Unit]) -> dict[int, list[Unit]]:
    found: dict[int, list[Unit]] = defaultdict(list)
    for unit in units:
        found[unit.width].append(unit)
    return found


def _whole_kernels(
    pairs: Sequence[tuple[Unit, Unit, bool]], units: Sequence[Unit]
) -> list[tuple[Unit, Unit, bool]]:
    """Leave out the pairs of kernels some of whose parts have no pair."""
    paired = {unit for one, other, _ in pairs for unit in (one, other)}
    open_ones = {unit.kernel for unit in units if unit not in paired}
    left = [pair for pair in pairs if open_ones.isdisjoint((pair[0].kernel, pair[1].kernel))]
    return left if len(left) == len(pairs) else _whole_kernels(left, units)


class _Oracles:
    """The same oracles for both programs, in the place of units that are not matched yet."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, ...], Oracle] = {}

    def bindings(
        self, units: Sequence[Unit], other: Unit | None, columns: Mapping[Kernel, Array | None]
    ) -> dict[Kernel, Binding]:
        """Return the same oracle for all units of a width, and another one for one of them."""
        pieces: dict[Kernel, list[Piece]] = defaultdict(list)
        for unit in units:
            shared = max(len(unit.kernel.batch), 1)
            oracle = tuple(self._one(int(unit is other), unit.width, place) for place in range(shared))
            pieces[unit.kernel].append(Piece(oracle, unit.where, np.arange(unit.width)))
        return {kernel: Binding(tuple(found), columns.get(kernel)) for kernel, found in pieces.items()}

    def _one(self, *seed: int) -> Oracle:
        if seed not in self._made:
            self._made[seed] = Oracle((4, *seed), seed[1])
        return self._made[seed]
