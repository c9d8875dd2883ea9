"""The leaves that are added to what kernels give: which element of them to which outer element."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.parameters import Kernel, Parameters, entries_of, outer_index
from ml_switcheroo.graph.views import View, followed, places

__all__ = ["bias_of"]

Array = np.ndarray[Any, Any]


def bias_of(graph: Graph, parameters: Parameters, root: int) -> Mapping[Kernel, Array] | None:
    """Return the kernels to whose results a leaf is added, and to nothing else; None for any other leaf."""
    found: dict[Kernel, Array] = {}
    for view_node, user in entries_of(graph, parameters, root):
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
