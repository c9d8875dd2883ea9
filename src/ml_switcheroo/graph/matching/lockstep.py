"""Carry two programs out side by side, and match the leaves that they go on with."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.matching.matched import KernelMatch, Matched, Pair, Parted, PlainMatch, Ready, Unit
from ml_switcheroo.graph.matching.oracles import Binding, Oracle, Piece, content, data_of, rows_of
from ml_switcheroo.graph.matching.parts import orders_between, parts_of, splits_of
from ml_switcheroo.graph.matching.profiles import Profiles, agree, columns_between, outputs_agree, profile
from ml_switcheroo.graph.matching.side import Assumed, Region, Side
from ml_switcheroo.graph.matching.telling import Assumption, told_apart
from ml_switcheroo.graph.parameters import Kernel, Plain, beside_of

__all__ = ["match_graphs"]

Array = np.ndarray[Any, Any]

_MOST_ORDERS = 120


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
        outputs = self._outputs()
        left = tuple(self._ready(self.source)), tuple(self._ready(self.target))
        return Matched(
            self.source,
            self.target,
            tuple(self.kernels),
            tuple(self.plains),
            outputs,
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
        moved = moved or self._rearranged(mine, theirs) or self._go_on(mine, theirs)
        if not moved:
            self._look_behind(deferred)
        return moved

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
        """Match leaves by what another content of each changes; then by what each is combined with."""
        regions = self.source.region(goals), self.target.region(others)
        numbers = Profiles()
        signs = [
            _plains_by(plains, _changes(side, region, wanted, numbers))
            for side, region, wanted, plains in zip(
                (self.source, self.target), regions, (goals, others), (r.plains for r in regions), strict=True
            )
        ]
        tied, ends = [], (goals, others)
        for sign, mine in signs[0].items():
            theirs = signs[1].get(sign, [])
            if len(mine) == len(theirs) == 1:
                self._bind_plain(mine[0], theirs[0])
            elif len(mine) == len(theirs):
                tied.append((mine, theirs))
        for pair in tied:
            left = self._told_by(pair, lambda side, plains, _: _met(side, plains, numbers))
            left = self._told_by(
                left, lambda side, plains, place: _placed(side, plains, ends[place], numbers)
            )
            for one, other in zip(*left, strict=True):
                self._bind_plain(one, other, tied=True)

    def _told_by(
        self,
        pair: tuple[Sequence[Plain], Sequence[Plain]],
        seen: Callable[[Side, Sequence[Plain], int], Mapping[Plain, Any]],
    ) -> tuple[list[Plain], list[Plain]]:
        """Match the leaves that something tells apart; return those that are left on both sides."""
        sides = self.source, self.target
        if not pair[0]:
            return [], []
        here, there = (
            _plains_by(plains, seen(side, plains, place))
            for place, (side, plains) in enumerate(zip(sides, pair, strict=True))
        )
        for key, found in here.items():
            if len(found) == len(there.get(key, ())) == 1:
                self._bind_plain(found[0], there[key][0])
        mine, theirs = (
            [one for one in plains if one.root not in side.contents]
            for plains, side in zip(pair, sides, strict=True)
        )
        return mine, theirs

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
        left, rest = self._partners(here, there)
        moved = len(left) < len(here)
        units = self._units(left, rest)
        if units is None or not left:
            return moved
        pairs = self._paired(units, units, self._columns(left, rest))
        rows = {one.kernel: one for one in (*left, *rest)}
        return self._bind(_whole_kernels(pairs, [*units[0], *units[1]]), rows) or moved

    def _paired(
        self,
        units: tuple[Sequence[Unit], Sequence[Unit]],
        assumed: tuple[Sequence[Unit], Sequence[Unit]],
        columns: Mapping[Kernel, Array | None],
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
                assumption = Assumption((self.source, self.target), assumed, columns, self._ready)
            pairs += told_apart(ours, theirs[width], assumption)
        return pairs

    def _partners(self, here: Sequence[Ready], there: Sequence[Ready]) -> tuple[list[Ready], list[Ready]]:
        """Match the kernels of leaves that are matched already; return the others."""
        known = {match.source.kernel.leaf: match.target.kernel.leaf for match in self.kernels}
        left, rest = list(here), list(there)
        for one in here:
            other = next((two for two in rest if two.kernel.leaf == known.get(one.kernel.leaf, "")), None)
            if other is not None and len(one.kernel.outer) == len(other.kernel.outer):
                pair = Pair(_whole([one])[0], _whole([other])[0])
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

    def _match_together(self, groups: Sequence[tuple[list[Ready], list[Ready]]]) -> bool:
        """Match groups that only show all together which of their kernels is which."""
        units = [self._units(*group) for group in groups]
        known = [(group, found) for group, found in zip(groups, units, strict=True) if found is not None]
        whole = tuple([unit for _, found in known for unit in found[place]] for place in (0, 1))
        columns = {kernel: one for group, _ in known for kernel, one in self._columns(*group).items()}
        for group, found in known:
            pairs = self._paired(found, (whole[0], whole[1]), columns)
            rows = {one.kernel: one for each in group for one in each}
            if self._bind(_whole_kernels(pairs, [*found[0], *found[1]]), rows):
                return True
        return False

    def _bind(self, pairs: Sequence[Pair], rows: Mapping[Kernel, Ready]) -> bool:
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
            order = np.arange(one.width)
            pieces[0][one.kernel].append(Piece(oracle, one.where, order))
            pieces[1][other.kernel].append(Piece(oracle, other.where, order))
            columns[other.kernel] = between
            likely = pair.likely or bool(self.parted)
            made.append(KernelMatch(one, other, between, order, pair.tied, likely))
        for side, found in zip((self.source, self.target), pieces, strict=True):
            for kernel, parts in found.items():
                side.bindings[kernel] = Binding(tuple(parts), columns.get(kernel))
            side.settle([node for kernel in found for node in rows[kernel].nodes])
        self.kernels += made
        return bool(pairs)

    def _columns(self, here: Sequence[Ready], there: Sequence[Ready]) -> dict[Kernel, Array | None]:
        """Return which column of the first kernel's data each column of the others' is."""
        found = {}
        for one, side in (*((one, self.source) for one in here), *((one, self.target) for one in there)):
            between = self._between(here[0], one, side) if here else None
            found[one.kernel] = between if between is None or len(between) else None
        return found

    def _between(self, one: Ready, other: Ready, side: Side | None = None) -> Array | None:
        """Return which column of the source's data each of another's is: the target's, if not said."""
        size = one.rows.shape[1]
        return columns_between(one.rows, other.rows, self._orders(size, one.region, other.region, side))

    def _orders(self, size: int, mine: Region, theirs: Region, side: Side | None = None) -> Iterator[Array]:
        """Yield the orders that elements may have in which both programs count them."""
        here = splits_of(self.source, mine.nodes, size)
        return orders_between(size, here, splits_of(side or self.target, theirs.nodes, size))

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
        """Go on behind a difference, where only one place of each side fits, with the source's values."""
        here, there = _by_data(mine), _by_data(theirs)
        fitting = [(one, other) for one in here for other in there if _sizes(one) == _sizes(other)]
        for one, other in fitting:
            rivals = [pair for pair in fitting if pair[0] is one or pair[1] is other]
            if len(rivals) > 1:
                continue
            same = agree(one[0].profile, other[0].profile)
            if self._other_window(one, other) if same else self._other_data(one, other):
                return True
        return False

    def _look_behind(self, groups: Sequence[tuple[list[Ready], list[Ready]]]) -> None:
        """Keep what differs behind kernels that cannot be told apart for that."""
        units = [found for group in groups if (found := self._units(*group)) is not None]
        whole = tuple([unit for found in units for unit in found[place]] for place in (0, 1))
        columns = {kernel: one for group in groups for kernel, one in self._columns(*group).items()}
        assumption = Assumption((self.source, self.target), (whole[0], whole[1]), columns, self._ready)
        for side, bindings in zip((self.source, self.target), assumption.bindings, strict=True):
            side.bindings.update(bindings)
        mine, theirs = self._ready(self.source), self._ready(self.target)
        for one, other in itertools.product(mine, theirs):
            if one.kernel.key == other.kernel.key and not agree(one.profile, other.profile):
                here = self.source.around(_data(self.source, one))
                self.parted.append(Parted(one, other, here, self.target.around(_data(self.target, other))))
                break
        for side, bindings in zip((self.source, self.target), assumption.bindings, strict=True):
            for kernel in bindings:
                del side.bindings[kernel]

    def _other_data(self, ours: Sequence[Ready], others: Sequence[Ready]) -> bool:
        """Let the target go on with the data of the source; tell whether they have as many elements."""
        one, other = ours[0], others[0]
        mine, theirs = self.source.places(one), self.target.places(other)
        here, there = (
            side.around([data for _, data, _ in each])
            for side, each in ((self.source, mine), (self.target, theirs))
        )
        if len(mine) != len(theirs) or any(
            here[data].size != there[twin].size
            for (_, data, _), (_, twin, _) in zip(mine, theirs, strict=True)
        ):
            return False
        self.parted.append(Parted(one, other, here, there))
        for (number, data, place), (twin, given, side) in zip(mine, theirs, strict=True):
            rows = rows_of(self.source.graph, one.kernel, number, place, here[data])
            shape = self.target.graph.nodes[given].shape
            self.target.settled[given] = data_of(self.target.graph, other.kernel, twin, side, rows, shape)
        for plain in self.source.region([data for _, data, _ in mine]).plains:
            self.source.contents[plain.root] = content(plain.shape, (0,))
        return True

    def _other_window(self, ours: Sequence[Ready], others: Sequence[Ready]) -> bool:
        """Let the target go on with what a convolution of the source gives that has another window."""
        (one, *more), (other, *rest) = ours, others
        pairs = list(zip(one.nodes, other.nodes, strict=False))
        shapes = [(self.source.graph.nodes[a].shape, self.target.graph.nodes[b].shape) for a, b in pairs]
        if more or rest or len(one.nodes) != len(other.nodes) or any(a != b for a, b in shapes):
            return False
        here = self.source.around(_data(self.source, one))
        self.parted.append(Parted(one, other, here, self.target.around(_data(self.target, other))))
        pair = Pair(_whole(ours)[0], _whole(others)[0])
        if not self._bind([pair], {one.kernel: one, other.kernel: other}):
            return False
        for number, twin in pairs:
            self.target.settled[twin] = self.source.around([number])[number]
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


def _plains_by(plains: Sequence[Plain], signs: Mapping[Plain, Any]) -> dict[Any, list[Plain]]:
    found: dict[Any, list[Plain]] = defaultdict(list)
    for plain in plains:
        if plain in signs:
            found[signs[plain]].append(plain)
    return found


def _changes(side: Side, region: Region, goals: Sequence[int], numbers: Profiles) -> dict[Plain, Any]:
    """Return what another content of each leaf changes; nothing of those that change nothing."""
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


def _placed(side: Side, plains: Sequence[Plain], goals: Sequence[int], numbers: Profiles) -> dict[Plain, Any]:
    """Return what another content of each leaf changes, element by element."""
    region = side.region(goals)
    base, found = side.computed(region, Assumed()), dict[Plain, Any]()
    for plain in plains:
        values = side.computed(region, Assumed(contents={plain.root: content(plain.shape, (1,))}), base)
        found[plain] = frozenset(numbers.number(side.value(one, values).reshape(-1)) for one in goals)
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


def _data(side: Side, ready: Ready) -> Iterator[int]:
    return (side.parameters.contractions[number][1] for number in ready.nodes)


def _alike(one: Ready, other: Ready) -> bool:
    return one.kernel.key == other.kernel.key and agree(one.profile, other.profile)


def _by_data(ready: Sequence[Ready]) -> list[list[Ready]]:
    """Return the kernels that take the same, together."""
    groups: list[list[Ready]] = []
    for one in ready:
        group = next((group for group in groups if agree(group[0].profile, one.profile)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    return groups


def _sizes(group: Sequence[Ready]) -> Any:
    """Return what two groups of kernels have to have in common to be likely each other's."""
    kernels = [one.kernel for one in group]
    columns = {(kernel.op, len(kernel.inner), len(kernel.batch), len(kernel.taps)) for kernel in kernels}
    return frozenset(columns), sum(len(kernel.outer) for kernel in kernels), group[0].rows.shape


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


def _whole_kernels(pairs: Sequence[Pair], units: Sequence[Unit]) -> list[Pair]:
    """Leave out the pairs of kernels some of whose parts have no pair."""
    paired = {unit for pair in pairs for unit in (pair.source, pair.target)}
    open_ones = {unit.kernel for unit in units if unit not in paired}
    left = [pair for pair in pairs if open_ones.isdisjoint((pair.source.kernel, pair.target.kernel))]
    return left if len(left) == len(pairs) else _whole_kernels(left, units)
