"""Find out how the leaves of a graph enter what it computes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ml_switcheroo.graph.biases import biases_of
from ml_switcheroo.graph.graph import Graph, Node
from ml_switcheroo.graph.parameters import Kernel, Parameters, Plain
from ml_switcheroo.graph.running import needed
from ml_switcheroo.graph.sums import sums_of
from ml_switcheroo.graph.views import View, followed, places

__all__ = ["parameters_of"]

Array = np.ndarray[Any, Any]


def parameters_of(graph: Graph) -> Parameters:
    """Find out how the leaves of a graph enter what it computes."""
    live = set(needed(graph, graph.outputs, ()))
    users: dict[int, list[int]] = {}
    data: set[int] = set(graph.inputs)
    learned: set[int] = set(graph.leaves.values())
    for number, node in enumerate(graph.nodes):
        if number not in live:
            continue
        for operand in dict.fromkeys(node.operands):
            users.setdefault(operand, []).append(number)
        if any(one in data for one in node.operands) or (node.op == "call" and node.params["run"] is None):
            data.add(number)
        if any(one in learned and one not in data for one in node.operands) and number not in data:
            learned.add(number)
    taken = {number: tuple(found) for number, found in users.items()}
    found: dict[Any, tuple[Kernel, list[int]]] = {}
    sides: dict[int, tuple[Any, int, int]] = {}
    for number in sorted(live):
        place = _kernel_operand(graph.nodes[number], data, learned)
        if place is None:
            continue
        kernel = _kernel(graph, number, place)
        key = _identity(kernel)
        found.setdefault(key, (kernel, []))[1].append(number)
        sides[number] = (key, graph.nodes[number].operands[1 - place], 1 - place)
    kernels = {key: replace(kernel, nodes=tuple(nodes)) for key, (kernel, nodes) in found.items()}
    contractions = {n: (kernels[key], operand, place) for n, (key, operand, place) in sides.items()}
    computed = [kernel.root for kernel in kernels.values() if not kernel.leaf]
    kernel_only = set(needed(graph, computed, ()))
    whole = {
        plain.root: plain for plain in _plains(graph, taken, contractions, kernel_only) if plain.root in live
    }
    plains = dict(_parted(graph, taken, whole))
    biases = biases_of(
        sums_of(graph, contractions, taken, plains),
        {root: math.prod(graph.nodes[root].shape) for root in plains},
    )
    left = {
        root: _without(plain, biases.taken[root]) if root in biases.taken else plain
        for root, plain in plains.items()
    }
    return Parameters(tuple(kernels.values()), left, contractions, frozenset(data), taken, biases, plains)


def _kernel_operand(node: Node, data: set[int], learned: set[int]) -> int | None:
    """Return which operand of a contraction is a kernel; None where none is, or all of it is."""
    if node.op not in ("dot", "conv", "take"):
        return None
    for place in (1, 0) if node.op == "dot" else (1,) if node.op == "conv" else (0,):
        if node.operands[place] in learned and node.operands[1 - place] in data:
            return place
    return None


def _kernel(graph: Graph, number: int, place: int) -> Kernel:
    node = graph.nodes[number]
    operand = node.operands[place]
    seen = followed(graph, operand)
    root, view = seen if seen is not None else (operand, View.whole(graph.nodes[operand].shape))
    leaf = graph.nodes[root].params["path"] if graph.nodes[root].op == "leaf" else ""
    rank = len(view.axes)
    taps: Sequence[int] = ()
    batch: Sequence[int] = ()
    attributes: tuple[Any, ...] = ()
    if node.op == "dot":
        inner, batch = node.params["contract"][place], node.params["batch"][place]
    elif node.op == "conv":
        inner, taps = (1,), range(2, rank)
        names = ("stride", "padding", "dilation", "spread", "groups")
        attributes = (*(node.params[name] for name in names), view.shape[2:])
    else:
        inner = (node.params["axis"],)
    outer = [axis for axis in range(rank) if axis not in {*inner, *taps, *batch}]

    def lie(axes: Sequence[int]) -> Array:
        return places([digit for axis in axes for digit in view.axes[axis]])

    return Kernel(
        node.op,
        leaf,
        root,
        (number,),
        attributes,
        view.offset,
        lie(inner),
        lie(taps),
        lie(batch),
        lie(outer),
        tuple(view.shape[axis] for axis in outer),
    )


def _identity(kernel: Kernel) -> tuple[Any, ...]:
    lies = (kernel.inner, kernel.taps, kernel.batch, kernel.outer)
    return kernel.root, kernel.op, kernel.attributes, kernel.offset, *(array.tobytes() for array in lies)


def _plains(
    graph: Graph,
    users: Mapping[int, tuple[int, ...]],
    contractions: Mapping[int, tuple[Kernel, int, int]],
    inside: set[int],
) -> Iterator[Plain]:
    """Yield the leaves that enter element by element, and sums of such leaves."""
    done: set[int] = set()
    for path, number in graph.leaves.items():
        if number in done or number in inside or not _enters(graph, number, users, contractions):
            continue
        number = _as_used(graph, number, users)
        (user, *more) = users.get(number, (-1,))
        node = graph.nodes[user] if user >= 0 and not more else None
        other = next((one for one in node.operands if one != number), None) if node is not None else None
        leaves: tuple[str, ...] = (path,)
        root, shift = number, 0.0
        if node is not None and node.op == "add" and other is not None:
            beside = graph.nodes[other]
            if _is_one(beside):
                root, shift = user, 1.0
            elif (
                beside.op == "leaf" and users[other] == (user,) and beside.shape == graph.nodes[number].shape
            ):
                leaves, root = (path, beside.params["path"]), user
                done.add(other)
        shape = tuple(size for size in graph.nodes[number].shape if size != 1)
        yield Plain(leaves, root, shape, shift)


def _as_used(graph: Graph, number: int, users: Mapping[int, tuple[int, ...]]) -> int:
    """Return a leaf in the shape in which a program uses it, whatever the one is in which it is kept."""
    while len(users.get(number, ())) == 1 and graph.nodes[users[number][0]].op == "reshape":
        (number,) = users[number]
    return number


def _parted(
    graph: Graph,
    users: Mapping[int, tuple[int, ...]],
    plains: Mapping[int, Plain],
) -> Iterator[tuple[int, Plain]]:
    """Yield plain leaves; of one whose rows go separate ways, as those of stacked layers do, each row."""
    for root, plain in plains.items():
        slices = users.get(root, ())
        if len(slices) < 2 or any(graph.nodes[one].op != "slice" for one in slices):
            yield root, plain
            continue
        parts = {one: followed(graph, one) for one in slices}
        lies = {
            one: places([digit for axis in seen[1].axes for digit in axis]) + seen[1].offset
            for one, seen in parts.items()
            if seen is not None and seen[0] == root
        }
        whole = np.concatenate(list(lies.values())) if lies else np.zeros(0)
        if len(lies) < len(slices) or len(np.unique(whole)) < len(whole):
            yield root, plain
            continue
        for one, part in lies.items():
            end, shift = _shifted(graph, users, one)
            shape = tuple(size for size in graph.nodes[one].shape if size != 1)
            yield end, Plain(plain.leaves, end, shape, shift, part)


def _without(plain: Plain, taken: Array) -> Plain:
    """Return a leaf without the elements that kernels stand for."""
    free = np.flatnonzero(~taken)
    return replace(plain, shape=(len(free),), part=plain.lies[free], free=free)


def _shifted(graph: Graph, users: Mapping[int, tuple[int, ...]], number: int) -> tuple[int, float]:
    """Return the node of a part of a leaf with 1 added, where that is what a program does with it first."""
    end = number
    while len(users.get(end, ())) == 1 and graph.nodes[users[end][0]].op in ("reshape", "cast"):
        (end,) = users[end]
    (user, *more) = users.get(end, (-1,))
    node = graph.nodes[user]
    if user < 0 or more or node.op != "add" or not any(_is_one(graph.nodes[one]) for one in node.operands):
        return number, 0.0
    return user, 1.0


def _is_one(node: Node) -> bool:
    return (
        node.op == "constant" and node.params["value"].size == 1 and bool((node.params["value"] == 1).all())
    )


def _enters(
    graph: Graph,
    number: int,
    users: Mapping[int, tuple[int, ...]],
    contractions: Mapping[int, tuple[Kernel, int, int]],
) -> bool:
    """Tell whether anything but a contraction takes a leaf, itself or a view of it."""
    stack = [number]
    while stack:
        one = stack.pop()
        for user in users.get(one, ()):
            node = graph.nodes[user]
            if user in contractions and contractions[user][1] != one:
                continue
            if node.op in ("reshape", "transpose", "slice", "flip", "cast"):
                stack.append(user)
            else:
                return True
    return False
