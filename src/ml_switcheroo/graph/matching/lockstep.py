"""Carry two programs out side by side, and match the leaves that they go on with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.matching.matched import KernelMatch, Matched, Pair, Parted, Ready
from ml_switcheroo.graph.matching.oracles import content, data_of, rows_of
from ml_switcheroo.graph.matching.plains import loose
from ml_switcheroo.graph.matching.profiles import agree, outputs_agree
from ml_switcheroo.graph.matching.side import Assumed, Region, Side
from ml_switcheroo.graph.matching.steps import Steps, goals_of, whole_kernels, whole_units
from ml_switcheroo.graph.matching.telling import Assumption

__all__ = ["match_graphs"]

Array = np.ndarray[Any, Any]


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
class _Lockstep(Steps):
    """Both programs, all the way."""

    def run(self) -> Matched:
        while self._step():
            pass
        outputs = self._outputs()
        left = tuple(self.ready(self.source)), tuple(self.ready(self.target))
        return Matched(
            self.source,
            self.target,
            tuple(self.kernels),
            tuple(self.plains.found),
            outputs,
            tuple(self.parted),
            left,
            loose=(loose(self.source), loose(self.target)),
        )

    # ---- one step: all kernels whose data are known on both sides

    def _step(self) -> bool:
        mine, theirs = self.ready(self.source), self.ready(self.target)
        groups = self.groups(mine, theirs)
        if not groups:
            return self._rearranged(mine, theirs) or self._go_on(mine, theirs)
        before = len(self.plains.found)
        for group in groups:
            self.match_plains(*group)
        if len(self.plains.found) > before:  # their numbers have changed what comes out
            groups = self.groups(self.ready(self.source), self.ready(self.target))
        deferred = []
        moved = False
        for group in groups:
            done = self.match_group(*group)
            moved |= done
            deferred += [group] if not done else []
        if not moved and deferred:
            moved = self._match_together(deferred)
        moved = moved or self._rearranged(mine, theirs) or self._go_on(mine, theirs)
        if not moved:
            self._look_behind(deferred)
        return moved

    def _match_together(self, groups: Sequence[tuple[list[Ready], list[Ready]]]) -> bool:
        """Match groups that only show all together which of their kernels is which."""
        units = [self.units(*group) for group in groups]
        known = [(group, found) for group, found in zip(groups, units, strict=True) if found is not None]
        whole = tuple([unit for _, found in known for unit in found[place]] for place in (0, 1))
        columns = {kernel: one for group, _ in known for kernel, one in self.columns(*group).items()}
        for group, found in known:
            pairs = self.paired(found, (whole[0], whole[1]), columns)
            rows = {one.kernel: one for each in group for one in each}
            if self.bind(whole_kernels(pairs, [*found[0], *found[1]]), rows):
                return True
        return False

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
        contractions = self.target.parameters.contractions
        found = {contractions[one][0] for one in ends if one in contractions}
        return [match for match in self.kernels if match.target.kernel in found]

    def _reordered(self, match: KernelMatch, one: Ready, other: Ready) -> bool:
        kernel, width = match.target.kernel, match.target.width
        if width != len(kernel.outer) or any(node not in self.target.settled for node in kernel.nodes):
            return False
        kept = {node: self.target.settled[node] for node in kernel.nodes}
        for order in self.orders(width, one.region, other.region):
            for node, value in kept.items():
                self.target.settled[node] = self.target.in_order(node, value, order)
            again = self.one_ready(self.target, other.kernel, Assumed())[0]
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
        units = [found for group in groups if (found := self.units(*group)) is not None]
        whole = tuple([unit for found in units for unit in found[place]] for place in (0, 1))
        columns = {kernel: one for group in groups for kernel, one in self.columns(*group).items()}
        assumption = Assumption((self.source, self.target), (whole[0], whole[1]), columns, self.ready)
        for side, bindings in zip((self.source, self.target), assumption.bindings, strict=True):
            side.bindings.update(bindings)
        mine, theirs = (
            self.ready(side, Assumed(bindings))
            for side, bindings in zip((self.source, self.target), assumption.bindings, strict=True)
        )
        for one, other in itertools.product(mine, theirs):
            if one.kernel.key == other.kernel.key and not agree(one.profile, other.profile):
                here = self.source.around(goals_of(self.source, one))
                self.parted.append(Parted(one, other, here, self.target.around(goals_of(self.target, other))))
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
        here = self.source.around(goals_of(self.source, one))
        self.parted.append(Parted(one, other, here, self.target.around(goals_of(self.target, other))))
        pair = Pair(whole_units(ours)[0], whole_units(others)[0])
        if not self.bind([pair], {one.kernel: one, other.kernel: other}):
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
            self.plains.match([mine], [theirs])
            values = [
                side.value(goal, side.computed(side.region([goal]), Assumed()))
                for side, goal in ((self.source, mine), (self.target, theirs))
            ]
            found.append(outputs_agree(*values))
        same = len(self.source.graph.outputs) == len(self.target.graph.outputs)
        return tuple(found) if same else (*found, False)


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
