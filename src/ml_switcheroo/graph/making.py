"""Kernels that a program computes of its leaves: whether both compute theirs alike, and of which leaves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.graph.folding import folded
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.matching.matched import KernelMatch
from ml_switcheroo.graph.parameters import Kernel
from ml_switcheroo.graph.running import run

__all__ = ["Made", "alike", "below"]

Array = np.ndarray[Any, Any]

_TOLERANCE = 1e-5
_MOST = 500
"""So many ways in which leaves may be each other's are tried."""


@dataclass(frozen=True)
class Made:
    """A leaf of the source that is one of the target, both below a computed kernel.

    Attributes:
        source: Its name.
        target: Its path there.
        axes: Which element of the source's each element along each axis is, in either, both flat.
    """

    source: str
    target: str
    axes: Mapping[str, tuple[Array, Array]]


def alike(source: Graph, target: Graph, match: KernelMatch) -> tuple[Made, ...] | None:
    """Return which leaves below two kernels are each other's; none of kernels that are leaves themselves.

    That both make the same kernel of them is tried, with random numbers.

    Returns:
        None where they do not, or where nobody can tell.
    """
    one, other = match.source.kernel, match.target.kernel
    if other.leaf:
        return () if one.leaf or folded(source, one.root) is not None else None
    mine, theirs = below(source, one.root), below(target, other.root)
    if mine is None or theirs is None or len(mine) != len(theirs):
        return None
    random = np.random.default_rng(0)
    given = {number: random.uniform(0.5, 1.5, source.nodes[number].shape) for number in mine}
    wanted = run(source, given, [one.root]).get(one.root)
    if wanted is None:
        return None
    columns = slice(None) if match.columns is None else match.columns
    elements = _elements(one, wanted, match.source.where[match.order], columns)
    for pairs in itertools.islice(_pairs(source, target, mine, theirs), _MOST):
        turned = {
            there: np.reshape(np.squeeze(given[here]).transpose(axes), target.nodes[there].shape)
            for here, there, axes in pairs
        }
        made = run(target, turned, [other.root]).get(other.root)
        if made is None:
            return None
        found = _elements(other, made, match.target.where, slice(None))
        if found.shape == elements.shape and np.allclose(found, elements, rtol=_TOLERANCE, atol=0):
            return tuple(_made(source, target, *pair) for pair in pairs)
    return None


def below(graph: Graph, root: int) -> list[int] | None:
    """Return the leaves that a node is computed from; None where it depends on anything else."""
    found, seen, stack = list[int](), set[int](), [root]
    while stack:
        number = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        op = graph.nodes[number].op
        if op == "input" or (op == "call" and graph.nodes[number].params["run"] is None):
            return None
        found += [number] if op == "leaf" else []
        stack.extend(graph.nodes[number].operands)
    return found


def _elements(kernel: Kernel, values: Array, outer: Array, columns: Any) -> Array:
    """Return the elements of a kernel that was computed, ``(batch, outer, inner, tap)``."""
    axes = kernel.batch, kernel.outer[outer], kernel.inner[columns], kernel.taps
    lies = np.full((1, 1, 1, 1), kernel.offset)
    for place, axis in enumerate(axes):
        shape = [1, 1, 1, 1]
        shape[place] = max(len(axis), 1)
        lies = lies + (np.reshape(axis, shape) if len(axis) else 0)
    made: Array = values.reshape(-1)[lies]
    return made


Pair = tuple[int, int, tuple[int, ...]]


def _pairs(
    source: Graph, target: Graph, mine: Sequence[int], theirs: Sequence[int]
) -> Iterator[tuple[Pair, ...]]:
    """Yield ways in which leaves may be each other's, each with the order of its axes that have a size."""
    for turned in itertools.permutations(theirs):
        choices = [
            [(here, there, axes) for axes in _turns(source.nodes[here].shape, target.nodes[there].shape)]
            for here, there in zip(mine, turned, strict=True)
        ]
        yield from itertools.product(*choices)


def _turns(here: Sequence[int], there: Sequence[int]) -> Iterator[tuple[int, ...]]:
    mine, theirs = ([size for size in shape if size > 1] for shape in (here, there))
    if sorted(mine) == sorted(theirs):
        for axes in itertools.permutations(range(len(mine))):
            if [mine[axis] for axis in axes] == theirs:
                yield axes


def _made(source: Graph, target: Graph, here: int, there: int, axes: tuple[int, ...]) -> Made:
    sizes = [size for size in source.nodes[here].shape if size > 1]
    lies = np.arange(int(np.prod(sizes, dtype=np.int64))).reshape(sizes)
    turned = np.arange(lies.size).reshape([sizes[axis] for axis in axes]).transpose(np.argsort(axes))
    found = {}
    for axis in range(len(sizes)):
        along = tuple(slice(None) if one == axis else 0 for one in range(len(sizes)))
        found[f"axis{axis + 1}"] = (lies[along], turned[along])
    name, path = (graph.nodes[one].params["path"] for graph, one in ((source, here), (target, there)))
    return Made(str(name), str(path), found)
