"""One of two programs that are carried out side by side, as far as its leaves are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.entering import parameters_of
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.matching.oracles import Binding, answered, content
from ml_switcheroo.graph.parameters import Kernel, Parameters, Plain, outer_index
from ml_switcheroo.graph.primitives import PRIMITIVES

__all__ = ["Assumed", "Region", "Side"]

Array = np.ndarray[Any, Any]

_BASE = (0,)


@dataclass(frozen=True)
class Assumed:
    """What is assumed for a while.

    Attributes:
        bindings: What stands in the place of kernels that are not matched yet.
        contents: What stands in the place of leaves that enter element by element, by their node.
    """

    bindings: Mapping[Kernel, Binding] = field(default_factory=lambda: MappingProxyType({}))
    contents: Mapping[int, Array] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Region:
    """What has to be computed for some nodes, from what is settled.

    Attributes:
        nodes: The nodes, in order.
        plains: The leaves in it that enter element by element and are not matched yet.
        kernels: The kernels in it that are assumed.
        blocked: Whether some node depends on a kernel that nothing stands for, or on what nobody can follow.
        blocker: That kernel.
    """

    nodes: tuple[int, ...]
    plains: tuple[Plain, ...]
    kernels: tuple[Kernel, ...]
    blocked: bool
    blocker: Kernel | None = None


class Side:
    """A graph with what is known of its values.

    Args:
        graph: The graph.
        inputs: What it is given, in order.
    """

    def __init__(self, graph: Graph, inputs: Iterable[Array]) -> None:
        self.graph = graph
        self.parameters: Parameters = parameters_of(graph)
        self.settled: dict[int, Array] = dict(zip(graph.inputs, inputs, strict=True))
        self.bindings: dict[Kernel, Binding] = {}
        # What is added to the answers of an oracle makes them other random numbers: nothing will do as well.
        self.contents: dict[int, Array] = {
            root: np.zeros(plain.shape)
            for root, plain in self.parameters.plains.items()
            if plain.free is not None and not len(plain.free)
        }
        self._left = {number: len(found) for number, found in self.parameters.users.items()}
        self._kept = set(graph.outputs)

    def region(self, goals: Iterable[int], assumed: Iterable[Kernel] = ()) -> Region:
        """Return what has to be computed for some nodes, with oracles for the kernels that are assumed."""
        parameters, taken = self.parameters, set(assumed)
        found, plains, kernels = set[int](), dict[int, Plain](), dict[Kernel, None]()
        blocked, stack, blocker = False, list(goals), None
        while stack:
            number = stack.pop()
            if number in found or number in self.settled:
                continue
            node = self.graph.nodes[number]
            if number in parameters.plains:
                found.add(number)
                if number not in self.contents:
                    plains[number] = parameters.plains[number]
            elif number in parameters.contractions:
                kernel, data, _ = parameters.contractions[number]
                if kernel not in self.bindings:
                    kernels[kernel] = None
                    if kernel not in taken:
                        blocked, blocker = True, kernel
                found.add(number)
                if kernel in self.bindings or kernel in taken:
                    stack.append(data)
            else:
                blocked |= node.op in ("input", "leaf") or (node.op == "call" and node.params["run"] is None)
                found.add(number)
                stack.extend(node.operands)
            if blocked:
                break
        return Region(tuple(sorted(found)), tuple(plains.values()), tuple(kernels), blocked, blocker)

    def computed(
        self, region: Region, assumed: Assumed, base: Mapping[int, Array] = MappingProxyType({})
    ) -> dict[int, Array]:
        """Return the values of the nodes of a region.

        Args:
            region: The region.
            assumed: What stands in the place of kernels and leaves that are not matched.
            base: The values without ``assumed``; a node that depends on nothing assumed keeps its value.
        """
        known: dict[int, Array] = {}
        parameters, changed = self.parameters, set[int]()
        with np.errstate(all="ignore"):
            for number in region.nodes:
                plain = number in parameters.plains
                kernel = parameters.contractions[number][0] if number in parameters.contractions else None
                own = number in assumed.contents if plain else kernel in assumed.bindings
                moved = own or any(one in changed for one in self._operands(number, kernel, plain))
                if number in base and not moved:
                    known[number] = base[number]
                    continue
                changed.add(number)
                if plain:
                    known[number] = self._content(number, assumed)
                elif kernel is not None:
                    known[number] = self._answer(number, known, assumed)
                elif number in parameters.biases.sums:
                    known[number] = self._without_number(number, known)
                else:
                    node = self.graph.nodes[number]
                    arrays = [self.value(one, known) for one in node.operands]
                    known[number] = PRIMITIVES[node.op].run(arrays, node.params)
        return known

    def _operands(self, number: int, kernel: Kernel | None, plain: bool) -> tuple[int, ...]:
        if plain:
            return ()
        if kernel is not None:
            return (self.parameters.contractions[number][1],)
        return self.graph.nodes[number].operands

    def _content(self, number: int, assumed: Assumed) -> Array:
        shape = self.graph.nodes[number].shape
        given = assumed.contents.get(number, self.contents.get(number))
        plain = self.parameters.plains[number]
        if given is None:
            given = content(plain.shape, _BASE)
        if plain.free is None:
            return given.reshape(shape)
        made = np.zeros(shape)
        made.reshape(-1)[plain.free] = given.reshape(-1)
        return made

    def _without_number(self, number: int, known: Mapping[int, Array]) -> Array:
        """Return a sum without the number in it, which a kernel stands for."""
        node = self.graph.nodes[number]
        (data, *_) = [one for one in node.operands if self.graph.nodes[one].op != "constant"]
        return np.broadcast_to(self.value(data, known), node.shape)

    def _answer(self, number: int, known: Mapping[int, Array], assumed: Assumed) -> Array:
        kernel, data, place = self.parameters.contractions[number]
        binding = assumed.bindings.get(kernel) or self.bindings[kernel]
        return answered(self.graph, kernel, number, place, self.value(data, known), binding)

    def places(self, ready: Any) -> list[tuple[int, int, int]]:
        """Return of each contraction its node, the node of its data, and which operand those are."""
        return [(number, *self.parameters.contractions[number][1:]) for number in ready.nodes]

    def around(self, goals: Iterable[int]) -> dict[int, Array]:
        """Return the values of goals and of all that they are computed from, back to what is settled."""
        wanted = list(goals)
        region = self.region(wanted)
        known = self.computed(region, Assumed())
        for number in region.nodes:
            for operand in self.graph.nodes[number].operands:
                if operand in self.settled:
                    known[operand] = self.settled[operand]
        known.update({number: self.value(number, known) for number in wanted})
        return known

    def settle(self, goals: Iterable[int]) -> None:
        """Keep the values of nodes that depend on matched leaves alone; drop those nobody needs again."""
        for goal in goals:
            region = self.region([goal])
            if region.blocked or region.plains:
                continue
            known = self.computed(region, Assumed())
            self.settled.update(known)
            for number in region.nodes:
                plain, found = number in self.parameters.plains, self.parameters.contractions.get(number)
                for operand in set(self._operands(number, found[0] if found else None, plain)):
                    self._left[operand] -= 1
                    if not self._left[operand] and operand not in self._kept and operand not in goals:
                        self.settled.pop(operand, None)

    def in_order(self, number: int, value: Array, order: Array) -> Array:
        """Return what a contraction gives, with its outer elements in another order."""
        index = outer_index(self.graph, self.parameters.contractions, number).reshape(value.shape)
        axes = [axis for axis in range(value.ndim) if np.ptp(index, axis=axis).any()]
        rest = [axis for axis in range(value.ndim) if axis not in axes]
        turned = value.transpose(*rest, *axes)
        made = turned.reshape(-1, len(order))[:, order].reshape(turned.shape)
        return made.transpose(np.argsort([*rest, *axes]))

    def value(self, number: int, known: Mapping[int, Array]) -> Array:
        """Return the value of a node, among those known or settled."""
        return known[number] if number in known else self.settled[number]
