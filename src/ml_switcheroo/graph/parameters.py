"""How the leaves of a graph enter what it computes: as kernels of contractions, or element by element."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph

__all__ = ["Biases", "Kernel", "Parameters", "Plain", "beside_of", "entries_of", "outer_index"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A leaf that data is contracted with, in one way: the weight of a linear layer, a convolution, a table.

    Attributes:
        op: ``dot``, ``conv`` or ``take``.
        leaf: Its path; empty where it is computed from several leaves.
        root: The node of the leaf, or of what is computed from several.
        nodes: The contractions.
        attributes: What two of them must agree in to be the same: the window of a convolution.
        offset: Where its first element lies in the flat leaf.
        inner: Where the elements of the axes lie that are contracted, or looked up.
        taps: Where the places of a window lie.
        batch: Where the elements of the axes lie that data and kernel share.
        outer: Where the elements of the axes that the result has from the kernel lie.
        outer_sizes: The sizes of those axes.
    """

    op: str
    leaf: str
    root: int
    nodes: tuple[int, ...]
    attributes: tuple[Any, ...]
    offset: int
    inner: Array
    taps: Array
    batch: Array
    outer: Array
    outer_sizes: tuple[int, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others, beside what it reads and how wide it is."""
        return self.op, self.attributes, len(self.inner), len(self.taps), len(self.batch)


@dataclass(frozen=True, eq=False)
class Plain:
    """A leaf that enters element by element.

    Attributes:
        leaves: Its path; of several leaves that are added to each other, all of theirs.
        root: The node that stands for it.
        shape: Its shape, without axes of size 1.
        shift: What the program adds to the leaf before anything else.
        part: Where its elements lie in the leaf, where it is a part of one; None for all of it.
        free: Which elements of the node it is, where kernels stand for the others; None for all of them.
    """

    leaves: tuple[str, ...]
    root: int
    shape: tuple[int, ...]
    shift: float = 0.0
    part: Array | None = None
    free: Array | None = None

    @property
    def lies(self) -> Array:
        """Where its elements lie in the leaf."""
        return np.arange(math.prod(self.shape)) if self.part is None else self.part


@dataclass(frozen=True, eq=False)
class Biases:
    """What is added to the results of kernels, so that these may stand for both.

    Attributes:
        leaves: Of each leaf, by its node, the kernels that may: which of its elements is added to each of
            their outer elements, -1 for none.
        taken: Of each of these leaves, for which of its elements a kernel does.
        numbers: The numbers that are added beside such leaves, with the kernels that may stand for each.
        sums: The nodes that add these numbers.
    """

    leaves: Mapping[int, Mapping[Kernel, Array]]
    taken: Mapping[int, Array]
    numbers: tuple[tuple[float, Mapping[Kernel, Array]], ...]
    sums: frozenset[int]


@dataclass(frozen=True, eq=False)
class Parameters:
    """The leaves of a graph, and how they enter.

    Attributes:
        kernels: The kernels, in the order of their first contraction.
        plains: The leaves that enter element by element, by the node that stands for them.
        contractions: Of each contraction the kernel, the node of its data, and which operand that is.
        data: Which nodes depend on what the program is given.
        users: The nodes that take a node.
        biases: What kernels stand for beside themselves.
        added: The leaves of those, by the node that stands for them.
    """

    kernels: tuple[Kernel, ...]
    plains: Mapping[int, Plain]
    contractions: Mapping[int, tuple[Kernel, int, int]]
    data: frozenset[int]
    users: Mapping[int, tuple[int, ...]]
    biases: Biases
    added: Mapping[int, Plain]


def outer_index(graph: Graph, contractions: Mapping[int, tuple[Kernel, int, int]], number: int) -> Array:
    """Return for each element of a contraction, in order, which outer element of its kernel it has."""
    kernel, _, place = contractions[number]
    node = graph.nodes[number]
    shape, count = node.shape, len(kernel.outer)
    if node.op == "conv":
        return np.broadcast_to(np.arange(count).reshape(1, -1, *[1] * (len(shape) - 2)), shape).reshape(-1)
    rank = len(kernel.outer_sizes)
    if node.op == "take":
        axis = node.params["axis"]
        lead = kernel.outer_sizes[:axis]
        index = np.arange(count).reshape(*lead, *[1] * (len(shape) - rank), *kernel.outer_sizes[axis:])
        return np.broadcast_to(index, shape).reshape(-1)
    batch = len(node.params["batch"][0])
    lead = shape[: len(shape) - rank] if place == 0 else shape[:batch]
    inside = count // math.prod(kernel.outer_sizes)
    assert inside == 1
    if place == 0:  # data first: the kernel's axes are last
        index = np.arange(count).reshape(*[1] * len(lead), *kernel.outer_sizes)
    else:
        index = np.arange(count).reshape(
            *[1] * batch, *kernel.outer_sizes, *[1] * (len(shape) - batch - rank)
        )
    return np.broadcast_to(index, shape).reshape(-1)


def beside_of(graph: Graph, parameters: Parameters, root: int) -> list[int]:
    """Return the nodes that a leaf is combined with, element by element."""
    found = (
        one
        for number, user in entries_of(graph, parameters, root)
        for one in graph.nodes[user].operands
        if one != number
    )
    return sorted(set(found))


def entries_of(graph: Graph, parameters: Parameters, root: int) -> Iterator[tuple[int, int]]:
    """Yield each node that is a view of a leaf, with one that takes it and is no view."""
    stack = [root]
    while stack:
        number = stack.pop()
        for user in parameters.users.get(number, ()):
            if graph.nodes[user].op in ("reshape", "transpose", "broadcast", "cast", "slice", "flip"):
                stack.append(user)
            else:
                yield number, user
