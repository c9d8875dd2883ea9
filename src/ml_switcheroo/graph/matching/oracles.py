"""A random function of rows, in the place of a kernel whose numbers nobody has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.parameters import Kernel
from ml_switcheroo.graph.primitives import PRIMITIVES

__all__ = ["TOLERANCE", "Binding", "Oracle", "Piece", "answered", "content", "data_of", "rows_of"]

Array = np.ndarray[Any, Any]

TOLERANCE = 2e-5
"""How far apart, relative to the largest, two values may be that count as one: constants are float32."""

_PROBES = 4
_FEW = 2**16
"""So few pairs of rows are compared one by one."""
_QUIET, _SHARE = 0.03, 0.25
"""So many rows are so much weaker than others: what a program adds to a variance shows on them alone."""


class Oracle:
    """Random numbers for each row it is asked about; rows that are equal but for rounding get the same ones.

    Args:
        seed: Oracles of one seed and width give the same, in the order in which they are asked.
        width: How many numbers it gives for a row.
    """

    def __init__(self, seed: Sequence[int], width: int) -> None:
        self.width = width
        self._random = np.random.default_rng(list(seed))
        self._points = np.zeros((0, 0))
        self._answers = np.zeros((0, width))
        self._tree: Any = None

    def __call__(self, points: Array) -> Array:
        """Return the answers for rows that are known by points: ``(rows, probes)`` to ``(rows, width)``."""
        found = self._known(points)
        new = np.flatnonzero(found < 0)
        if new.size:
            groups, first = _grouped(points[new])
            found[new] = groups + len(self._points)
            self._add(points[new][first])
        return self._answers[found]

    def _known(self, points: Array) -> Array:
        if not len(self._points):
            return np.full(len(points), -1)
        if len(points) * len(self._points) <= _FEW:
            apart = np.abs(points[:, None] - self._points).max(-1)
            place = apart.argmin(1)
            return np.where(apart.min(1) <= 10 * TOLERANCE, place, -1)
        from scipy.spatial import cKDTree

        self._tree = self._tree or cKDTree(self._points)
        near, place = self._tree.query(points, distance_upper_bound=10 * TOLERANCE)
        return np.where(np.isfinite(near), place, -1)

    def _add(self, points: Array) -> None:
        answers = self._random.normal(size=(len(points), self.width))
        answers[self._random.random(len(points)) < _SHARE] *= _QUIET
        self._points = np.concatenate([self._points, points]) if len(self._points) else points
        self._answers = np.concatenate([self._answers, answers])
        self._tree = None


def _grouped(points: Array) -> tuple[Array, Array]:
    """Return the group of each point, points of one group being equal but for rounding, and one of each."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    _, first, rough = np.unique(np.round(points, 7), axis=0, return_index=True, return_inverse=True)
    kept = points[first]
    pairs = cKDTree(kept).query_pairs(TOLERANCE, output_type="ndarray")
    if not len(pairs):
        return np.argsort(np.argsort(first))[rough.reshape(-1)], np.sort(first)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(kept), len(kept)))
    _, group = connected_components(links, directed=False)
    # Groups are numbered by the place of their first point, so that equal rows in equal order give the same.
    order: dict[int, int] = {}
    for one in np.argsort(first):
        order.setdefault(int(group[one]), len(order))
    numbered = np.array([order[int(one)] for one in group])
    ends = np.zeros(len(order), np.int64)
    ends[numbered[::-1]] = first[::-1]
    return numbered[rough.reshape(-1)], ends


@dataclass(frozen=True, eq=False)
class Piece:
    """What gives some of the outer elements of a kernel.

    Attributes:
        oracle: The oracle; for kernels that share axes with their data, one for each element of those.
        where: Which outer elements those are.
        order: Which of the oracle's answers each of them is.
    """

    oracle: tuple[Oracle, ...]
    where: Array
    order: Array


@dataclass(frozen=True, eq=False)
class Binding:
    """What stands in the place of a kernel.

    Attributes:
        pieces: What gives its outer elements; together, all of them.
        columns: Which column of the other program's data each of its own is; None where they are in order.
    """

    pieces: tuple[Piece, ...]
    columns: Array | None = None


def answered(graph: Graph, kernel: Kernel, number: int, place: int, data: Array, binding: Binding) -> Array:
    """Return what a contraction gives, with oracles in the place of its kernel.

    Args:
        graph: The graph.
        kernel: The kernel.
        number: The contraction.
        place: Which of its operands the data are.
        data: The data.
        binding: What stands in the place of the kernel.
    """
    node = graph.nodes[number]
    if kernel.op == "take":
        flat = _outer(kernel, binding, data.reshape(1, -1, 1).astype(np.float64), taken=True)[0]
        axis, sizes = node.params["axis"], kernel.outer_sizes
        whole = flat.reshape(*data.shape, *sizes)
        before = range(data.ndim, data.ndim + axis)
        turned: Array = whole.transpose(*before, *range(data.ndim), *range(data.ndim + axis, whole.ndim))
        return turned
    if kernel.op == "conv":
        return _convolved(graph, kernel, number, data, binding)
    batch, rows, free = _rows(node.params, place, data)
    made = _outer(kernel, binding, rows).reshape(*batch, *free, *kernel.outer_sizes)
    if place == 1:  # the kernel's axes come before those of the data
        lead, rank = len(batch), len(kernel.outer_sizes)
        outer = range(made.ndim - rank, made.ndim)
        made = made.transpose(*range(lead), *outer, *range(lead, made.ndim - rank))
    return made


def rows_of(graph: Graph, kernel: Kernel, number: int, place: int, data: Array) -> Array:
    """Return what a contraction takes, as ``(rows, columns)``; of a convolution, the rows are the places."""
    if kernel.op == "take":
        return data.reshape(-1, 1).astype(np.float64)
    if kernel.op == "conv":
        return np.moveaxis(data, 1, -1).reshape(-1, data.shape[1])
    rows = _rows(graph.nodes[number].params, place, data)[1]
    return rows.reshape(-1, rows.shape[-1])


def data_of(
    graph: Graph, kernel: Kernel, number: int, place: int, rows: Array, shape: Sequence[int]
) -> Array:
    """Return data of a shape whose rows are given: the way back from :func:`rows_of`."""
    if kernel.op == "take":
        return rows.reshape(shape)
    if kernel.op == "conv":
        return np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
    params = graph.nodes[number].params
    inner, shared = params["contract"][place], params["batch"][place]
    free = [axis for axis in range(len(shape)) if axis not in {*inner, *shared}]
    order = [*shared, *free, *inner]
    return rows.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))


def _rows(params: Any, place: int, data: Array) -> tuple[tuple[int, ...], Array, tuple[int, ...]]:
    """Return the sizes that data share with the kernel, the rows ``(shared, rows, columns)``, their sizes."""
    inner, shared = params["contract"][place], params["batch"][place]
    free = [axis for axis in range(data.ndim) if axis not in {*inner, *shared}]
    batch = tuple(data.shape[axis] for axis in shared)
    sizes = tuple(data.shape[axis] for axis in free)
    columns = math.prod(data.shape[axis] for axis in inner)
    turned = data.transpose(*shared, *free, *inner)
    return batch, turned.reshape(math.prod(batch), math.prod(sizes), columns), sizes


@lru_cache(64)
def _probes(columns: int, taps: tuple[int, ...] = ()) -> Array:
    return np.random.default_rng([columns, *taps]).normal(size=(columns, *taps, _PROBES))


def _outer(kernel: Kernel, binding: Binding, rows: Array, *, taken: bool = False) -> Array:
    """Return ``(shared, rows, outer)`` for ``(shared, rows, columns)``; a longer row gives more."""
    if taken:
        return _given(kernel, binding, np.repeat(rows, _PROBES, -1))
    probes = _probes(rows.shape[-1])
    points = rows @ (probes if binding.columns is None else probes[binding.columns])
    lengths = np.sqrt(np.square(rows).sum(-1))
    return _given(kernel, binding, _scaled(points, lengths)) * _gain(lengths, rows.shape[-1])


def _gain(lengths: Array, count: int) -> Array:
    """Return how strong the answers for rows are: a longer row gives more, but never without end."""
    mean = lengths / math.sqrt(count)
    return np.asarray(mean / (1 + mean))[..., None]


def _scaled(points: Array, lengths: Array) -> Array:
    return np.nan_to_num(points / np.where(lengths > 0, lengths, 1)[..., None])


def _given(kernel: Kernel, binding: Binding, points: Array) -> Array:
    """Return ``(shared, rows, outer)`` for the points of rows."""
    made = np.zeros((*points.shape[:2], len(kernel.outer)))
    for piece in binding.pieces:
        for shared, asked in enumerate(points):
            made[shared][:, piece.where] = piece.oracle[shared % len(piece.oracle)](asked)[:, piece.order]
    return made


def _convolved(graph: Graph, kernel: Kernel, number: int, data: Array, binding: Binding) -> Array:
    """Return what a convolution gives: its rows are the windows, each group of channels by itself."""
    node = graph.nodes[number]
    groups, taps = node.params["groups"], graph.nodes[node.operands[1]].shape[2:]
    batch, columns, width = len(data), data.shape[1] // groups, len(kernel.outer) // groups
    probes = _probes(columns, taps)
    window = np.moveaxis(probes if binding.columns is None else probes[binding.columns], -1, 0)
    run = PRIMITIVES["conv"].run
    points = run([data, np.concatenate([window] * groups)], node.params)  # n (group probe) *places
    squares = run([np.square(data), np.ones((groups, columns, *taps))], node.params)  # n group *places
    lengths = (
        np.sqrt(np.maximum(squares, 0)).reshape(batch, groups, -1).transpose(1, 0, 2).reshape(groups, -1)
    )
    probed = points.reshape(batch, groups, _PROBES, -1).transpose(1, 0, 3, 2).reshape(groups, -1, _PROBES)
    given = _given(kernel, binding, _scaled(probed, lengths))
    made = np.stack([rows[:, group * width :][:, :width] for group, rows in enumerate(given)])
    made = made * _gain(lengths, columns * math.prod(taps))
    turned = made.reshape(groups, batch, -1, width).transpose(1, 0, 3, 2)
    return turned.reshape(batch, len(kernel.outer), *points.shape[2:])


def content(shape: Sequence[int], seed: Sequence[int]) -> Array:
    """Return random numbers in the place of a leaf that enters element by element: all of them positive.

    Axes of different sizes may lie in any order: leaves that are each other's turned are given the same.
    """
    order = np.argsort(shape, kind="stable")
    sizes = [shape[axis] for axis in order]
    random = np.random.default_rng([*seed, *sizes])
    made = random.uniform(0.5, 1.5, size=sizes)
    made = np.where(random.random(size=sizes) < _SHARE, made * _QUIET, made)
    return made.transpose(np.argsort(order))
