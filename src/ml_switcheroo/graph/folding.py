"""Weights that a program makes of several tensors, and the operation that does the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ml_switcheroo.errors import AxesError
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.running import run
from ml_switcheroo.ops import Op, SpectralNorm, WeightNorm

__all__ = ["folded"]

Array = np.ndarray[Any, Any]

_TOLERANCE = 1e-9
_COUNTS = frozenset({2, 3})
"""Of how many tensors an operation makes a weight: the orders of many could never be tried."""


def folded(graph: Graph, root: int) -> tuple[tuple[str, ...], tuple[Op, ...]] | None:
    """Return the tensors that a computed weight is made of, and the operation that makes it, if one does.

    That it does is tried, with random numbers.
    """
    leaves = _below(graph, root)
    if leaves is None or len(leaves) not in _COUNTS:
        return None
    random = np.random.default_rng(0)
    given = {number: random.uniform(0.5, 1.5, graph.nodes[number].shape) for number in leaves}
    made = run(graph, given, [root]).get(root)
    if made is None:
        return None
    for numbers in itertools.permutations(leaves):
        for op in _candidates(len(numbers)):
            try:
                (found,) = op(tuple(given[number] for number in numbers))
            except (AxesError, ValueError):
                continue
            if found.shape == made.shape and np.allclose(found, made, rtol=_TOLERANCE, atol=0):
                return tuple(graph.nodes[number].params["path"] for number in numbers), (op,)
    return None


def _below(graph: Graph, root: int) -> list[int] | None:
    """Return the leaves that a node is computed from; None where it depends on anything else."""
    found, seen, stack = list[int](), set[int](), [root]
    while stack:
        number = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        op = graph.nodes[number].op
        if op in ("input", "call"):
            return None
        found += [number] if op == "leaf" else []
        stack.extend(graph.nodes[number].operands)
    return found


def _candidates(count: int) -> Iterator[Op]:
    if count == 2:
        yield WeightNorm()
    if count == 3:
        yield from (SpectralNorm(0), SpectralNorm(1))
