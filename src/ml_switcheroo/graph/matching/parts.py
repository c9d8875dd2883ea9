"""Which parts of what a kernel gives go separate ways, and how its outer elements are counted."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.matching.side import Side
from ml_switcheroo.graph.parameters import Kernel, outer_index
from ml_switcheroo.graph.primitives import PRIMITIVES

__all__ = ["kernels_behind", "orders_between", "parts_of", "splits_of", "views_behind"]

Array = np.ndarray[Any, Any]
Split = tuple[int, ...]

_SEEN = frozenset({"reshape", "transpose", "flip", "broadcast", "slice", "cast"})


def parts_of(side: Side, kernel: Kernel) -> list[Array] | None:
    """Return the parts of a kernel's outer elements that a program takes by themselves, each in its order.

    Returns:
        None where something takes all of them, or where the parts overlap or leave some out.
    """
    found: list[Array] = []
    for part in _parts(side, kernel):
        if part is None:
            return None
        if not any(np.array_equal(part, other) for other in found):
            found.append(part)
    together = np.sort(np.concatenate(found)) if found else np.zeros(0)
    whole = np.arange(len(kernel.outer))
    return found if len(found) > 1 and np.array_equal(together, whole) else None


def _parts(side: Side, kernel: Kernel) -> Iterator[Array | None]:
    graph, parameters = side.graph, side.parameters
    for number in kernel.nodes:
        index = outer_index(graph, parameters.contractions, number).reshape(graph.nodes[number].shape)
        queue = deque([(number, index)])  # what is near says soonest that something takes all
        while queue:
            one, lies = queue.popleft()
            if one in graph.outputs:
                yield None
            for user in parameters.users.get(one, ()):
                after = _followed(graph, one, user, lies)
                if after is None:
                    yield None
                    continue
                part = _in_order(after)
                if len(part) < len(kernel.outer):
                    yield part
                else:
                    queue.append((user, after))


def kernels_behind(side: Side, kernel: Kernel) -> set[Kernel]:
    """Return the kernels whose data depend on what a kernel gives."""
    parameters, stack = side.parameters, list(kernel.nodes)
    seen, found = set(stack), set[Kernel]()
    while stack:
        for user in parameters.users.get(stack.pop(), ()):
            if user in parameters.contractions:
                found.add(parameters.contractions[user][0])
            if user not in seen:
                seen.add(user)
                stack.append(user)
    return found


def views_behind(side: Side, kernel: Kernel) -> set[int]:
    """Return the nodes that see what a kernel gives before anything is mixed."""
    graph, stack, found = side.graph, list(kernel.nodes), set[int]()
    while stack:
        for user in side.parameters.users.get(stack.pop(), ()):
            op = graph.nodes[user].op
            if user not in found and (op in _SEEN or PRIMITIVES[op].elementwise):
                found.add(user)
                stack.append(user)
    return found


def _followed(graph: Graph, one: int, user: int, lies: Array) -> Array | None:
    """Return which outer element each element of a node has; None where it mixes them."""
    node = graph.nodes[user]
    primitive = PRIMITIVES[node.op]
    if node.op in _SEEN:
        return lies if node.op == "cast" else primitive.run([lies], node.params)
    if primitive.elementwise and node.operands.count(one) == 1:
        return np.broadcast_to(lies, node.shape)
    return None


def _in_order(lies: Array) -> Array:
    """Return the different numbers of an array, in the order in which they come first."""
    found, first = np.unique(lies, return_index=True)
    return found[np.argsort(first)]


_MOST_ORDERS = 120


def orders_between(size: int, mine: Sequence[Split], theirs: Sequence[Split]) -> Iterator[Array]:
    """Yield orders of elements that both programs divide: for each of the target's, which of the source's.

    Args:
        size: How many elements there are.
        mine: How the source divides them.
        theirs: How the target does.
    """
    seen = {np.arange(size).tobytes()}
    turned = ((split, axes) for split in theirs or mine for axes in itertools.permutations(range(len(split))))
    for split, axes in itertools.islice(turned, _MOST_ORDERS):
        sizes = tuple(split[axis] for axis in axes)
        if theirs and mine and sizes not in mine:
            continue
        order = np.arange(size).reshape(sizes).transpose(np.argsort(axes)).reshape(-1)
        if order.tobytes() not in seen:
            seen.add(order.tobytes())
            yield order


def splits_of(side: Side, nodes: Iterable[int], size: int) -> list[Split]:
    """Return the sizes that some reshapes divide an axis of a size into, or join to one."""
    found: dict[tuple[int, ...], None] = {}
    for number in nodes:
        node = side.graph.nodes[number]
        if node.op == "reshape":
            before = side.graph.nodes[node.operands[0]].shape
            for one, other in ((before, node.shape), (node.shape, before)):
                found.update(dict.fromkeys(_divided(one, other, size)))
    return list(found)


def _divided(one: tuple[int, ...], other: tuple[int, ...], size: int) -> Iterator[tuple[int, ...]]:
    for place, whole in enumerate(one):
        behind = len(one) - place - 1
        inside = other[place : len(other) - behind]
        rest = one[:place] == other[:place] and one[place + 1 :] == other[len(other) - behind :]
        if rest and whole == size and len(inside) > 1 and np.prod(inside) == size:
            yield tuple(part for part in inside if part > 1)
