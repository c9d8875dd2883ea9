"""How the leaves of a graph enter what it computes: as kernels of contractions, or element by element."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph, Node
from ml_switcheroo.graph.views import View, followed, places

__all__ = ["Kernel", "Parameters", "Plain", "beside_of", "outer_index", "parameters_of"]

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
    """

    leaves: tuple[str, ...]
    root: int
    shape: tuple[int, ...]
    shift: float = 0.0
    part: Array | None = None

    @property
    def lies(self) -> Array:
        """Where its elements lie in the leaf."""
        return np.arange(math.prod(self.shape)) if self.part is None else self.part


@dataclass(frozen=True, eq=False)
class Parameters:
    """The leaves of a graph, and how they enter.

    Attributes:
        kernels: The kernels, in the order of their first contraction.
        plains: The leaves that enter element by element, by the node that stands for them.
        contractions: Of each contraction the kernel, the node of its data, and which operand that is.
        data: Which nodes depend on what the program is given.
        users: The nodes that take a node.
        biases: Of each leaf that is added to what kernels gave, and to nothing else, those kernels, and where
            the element of each of the outer elements of each lies in it.
    """

    kernels: tuple[Kernel, ...]
    plains: Mapping[int, Plain]
    contractions: Mapping[int, tuple[Kernel, int, int]]
    data: frozenset[int]
    users: Mapping[int, tuple[int, ...]]
    biases: Mapping[int, Mapping[Kernel, Array]]


def parameters_of(graph: Graph) -> Parameters:
    """Find out how the leaves of a graph enter what it computes."""
    live = _live(graph)
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
    kernels = {key: _with_nodes(kernel, nodes) for key, (kernel, nodes) in found.items()}
    contractions = {n: (kernels[key], operand, place) for n, (key, operand, place) in sides.items()}
    kernel_only = _inside(graph, [kernel for kernel in kernels.values() if not kernel.leaf])
    plains = {
        plain.root: plain for plain in _plains(graph, taken, contractions, kernel_only) if plain.root in live
    }
    made = Parameters(tuple(kernels.values()), plains, contractions, frozenset(data), taken, {})
    biases = {root: bias for root in plains if (bias := _bias(graph, made, root)) is not None}
    parted = dict(_parted(graph, taken, plains, biases))
    return Parameters(made.kernels, parted, contractions, made.data, taken, biases)


def _live(graph: Graph) -> set[int]:
    found: set[int] = set()
    stack = list(graph.outputs)
    while stack:
        number = stack.pop()
        if number not in found:
            found.add(number)
            stack.extend(graph.nodes[number].operands)
    return found


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


def _with_nodes(kernel: Kernel, nodes: Sequence[int]) -> Kernel:
    return Kernel(
        kernel.op,
        kernel.leaf,
        kernel.root,
        tuple(nodes),
        kernel.attributes,
        kernel.offset,
        kernel.inner,
        kernel.taps,
        kernel.batch,
        kernel.outer,
        kernel.outer_sizes,
    )


def _inside(graph: Graph, kernels: Sequence[Kernel]) -> set[int]:
    """Return the nodes that computed kernels are made of."""
    found: set[int] = set()
    stack = [kernel.root for kernel in kernels]
    while stack:
        number = stack.pop()
        if number not in found:
            found.add(number)
            stack.extend(graph.nodes[number].operands)
    return found


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
        (user, *more) = users.get(number, (-1,))
        node = graph.nodes[user] if user >= 0 and not more else None
        other = next((one for one in node.operands if one != number), None) if node is not None else None
        leaves: tuple[str, ...] = (path,)
        root, shift = number, 0.0
        if node is not None and node.op == "add" and other is not None:
            beside = graph.nodes[other]
            if beside.op == "constant" and beside.params["value"].size == 1:
                added = float(beside.params["value"].reshape(()))
                if added == 1.0:
                    root, shift = user, added
            elif (
                beside.op == "leaf" and users[other] == (user,) and beside.shape == graph.nodes[number].shape
            ):
                leaves, root = (path, beside.params["path"]), user
                done.add(other)
        shape = tuple(size for size in graph.nodes[number].shape if size != 1)
        yield Plain(leaves, root, shape, shift)


def _parted(
    graph: Graph,
    users: Mapping[int, tuple[int, ...]],
    plains: Mapping[int, Plain],
    biases: Mapping[int, Mapping[Kernel, Array]],
) -> Iterator[tuple[int, Plain]]:
    """Yield plain leaves; of one whose rows go separate ways, as those of stacked layers do, each row."""
    for root, plain in plains.items():
        slices = users.get(root, ())
        if root in biases or len(slices) < 2 or any(graph.nodes[one].op != "slice" for one in slices):
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


def _bias(graph: Graph, parameters: Parameters, root: int) -> Mapping[Kernel, Array] | None:
    """Return the kernels to whose results a leaf is added, and to nothing else; None for any other leaf."""
    found: dict[Kernel, Array] = {}
    for view_node, user in _entries(graph, parameters, root):
        added = _added(graph, parameters, view_node, user, root)
        if not added:
            return None
        if any(kernel in found and not np.array_equal(found[kernel], lies) for kernel, lies in added.items()):
            return None
        found.update(added)
    return found or None


def _added(
    graph: Graph, parameters: Parameters, view_node: int, user: int, root: int
) -> dict[Kernel, Array] | None:
    """Return the kernels to whose results a view of a leaf is added, and where its elements lie for each."""
    node = graph.nodes[user]
    if node.op != "add":
        return None
    (other,) = [one for one in node.operands if one != view_node] or [view_node]
    found: dict[Kernel, Array] = {}
    for number in _addends(graph, parameters, other):
        kernel, lies = (
            parameters.contractions[number][0],
            _aligned(graph, parameters, number, view_node, user, root),
        )
        if lies is None or (kernel in found and not np.array_equal(found[kernel], lies)):
            return None
        found[kernel] = lies
    return found


def beside_of(graph: Graph, parameters: Parameters, root: int) -> list[int]:
    """Return the nodes that a leaf is combined with, element by element."""
    found = (
        one
        for number, user in _entries(graph, parameters, root)
        for one in graph.nodes[user].operands
        if one != number
    )
    return sorted(set(found))


def _entries(graph: Graph, parameters: Parameters, root: int) -> Iterator[tuple[int, int]]:
    """Yield each node that is a view of a leaf, with one that takes it and is no view."""
    stack = [root]
    while stack:
        number = stack.pop()
        for user in parameters.users.get(number, ()):
            if graph.nodes[user].op in ("reshape", "transpose", "broadcast", "cast", "slice", "flip"):
                stack.append(user)
            else:
                yield number, user


def _addends(graph: Graph, parameters: Parameters, number: int) -> list[int]:
    """Return the contractions among what is added up to a node, none of which anything else takes."""
    found, stack = [], [number]
    while stack:
        one = stack.pop()
        if len(parameters.users.get(one, ())) > 1:
            continue
        if one in parameters.contractions:
            found.append(one)
        elif graph.nodes[one].op in ("reshape", "transpose", "cast", "add"):
            stack.extend(two for two in graph.nodes[one].operands if two in parameters.data)
    return found


def _aligned(
    graph: Graph, parameters: Parameters, number: int, leaf: int, user: int, root: int
) -> Array | None:
    """Return where in a leaf lies what is added to each outer element of a contraction."""
    kernel = parameters.contractions[number][0]
    seen = followed(graph, leaf)
    shape = graph.nodes[user].shape
    data = _view_between(graph, parameters, number, user)
    if seen is None or seen[0] != root or data is None or kernel.op == "take":
        return None
    outer = outer_index(graph, parameters, number)
    mine = outer[data]
    lies = places([digit for axis in seen[1].broadcast(shape).axes for digit in axis]) + seen[1].offset
    found = np.full(len(kernel.outer), -1, np.int64)
    found[mine] = lies
    return found if np.array_equal(found[mine], lies) and (found >= 0).all() else None


def _view_between(graph: Graph, parameters: Parameters, number: int, user: int) -> Array | None:
    """Return for each element of a node, in order, the element of a contraction that it comes from."""
    path, one = [], number
    while one != user:
        (after,) = parameters.users[one]
        if graph.nodes[after].shape != graph.nodes[one].shape and after == user:
            return None
        path.append(after)
        one = after
    view: View | None = View.whole(graph.nodes[number].shape)
    for after in path:
        node = graph.nodes[after]
        if node.op == "reshape":
            view = view.reshaped(node.params["shape"]) if view is not None else None
        elif node.op == "transpose":
            view = view.transposed(node.params["axes"]) if view is not None else None
        elif view is not None and view.shape != node.shape:
            return None
    return places([digit for axis in view.axes for digit in axis]) if view is not None else None


def outer_index(graph: Graph, parameters: Parameters, number: int) -> Array:
    """Return for each element of a contraction, in order, which outer element of its kernel it has."""
    kernel, _, place = parameters.contractions[number]
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
