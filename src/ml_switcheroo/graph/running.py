"""Carry out a graph, or a part of it, on small arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.primitives import PRIMITIVES

__all__ = ["run"]

Array = np.ndarray[Any, Any]


def run(graph: Graph, given: Mapping[int, Array], wanted: Iterable[int]) -> dict[int, Array]:
    """Compute nodes of a graph.

    Args:
        graph: The graph.
        given: The values of nodes that are not to be computed: inputs, leaves, or any others.
        wanted: The nodes to compute.

    Returns:
        What each node gives. One that depends on what nobody can follow is left out.
    """
    known: dict[int, Array | None] = dict(given)
    goals = list(wanted)
    with np.errstate(all="ignore"):
        for number in needed(graph, goals, given):
            known[number] = _computed(graph, number, known)
    return {number: value for number in goals if (value := known.get(number)) is not None}


def needed(graph: Graph, wanted: Iterable[int], given: Iterable[int]) -> list[int]:
    """Return what has to be computed for some nodes, in order."""
    have, found, stack = set(given), set[int](), list(wanted)
    while stack:
        number = stack.pop()
        if number not in have and number not in found:
            found.add(number)
            stack.extend(graph.nodes[number].operands)
    return sorted(found)


def _computed(graph: Graph, number: int, known: Mapping[int, Array | None]) -> Array | None:
    node = graph.nodes[number]
    arrays = [known[one] for one in node.operands]
    if node.op in ("input", "leaf") or any(array is None for array in arrays):
        return None
    if node.op == "call" and node.params["run"] is None:
        return None
    return PRIMITIVES[node.op].run(arrays, node.params)  # type: ignore[arg-type]
