"""How the parts of a fused tensor may lie, where nothing shows it: the candidates of a question."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import permutations

from ml_switcheroo.sources.findings import Part

__all__ = ["Arrangement", "arrangements", "head_sizes"]

Arrangement = tuple[str, tuple[Part, ...]]
"""How the parts lie, in words, and the parts in the order of their first rows."""

_USUAL = (64, 128, 32, 96, 80, 48, 256, 16, 40, 72, 8)
_MOST = 6


def head_sizes(sizes: Sequence[int]) -> list[int]:
    """Return how many rows a head may have, the usual sizes first; none where the parts have no heads.

    >>> head_sizes([12, 6, 6])
    [2, 3, 6]
    """
    common = math.gcd(*sizes)
    possible = [n for n in range(2, common + 1) if common % n == 0 and n < max(sizes)]
    usual = [n for n in _USUAL if n in possible]
    return (usual or possible)[:_MOST]


def arrangements(
    roles: Sequence[str], sizes: Sequence[int], dims: Sequence[int], *, heads: bool
) -> Iterator[Arrangement]:
    """Yield the ways in which parts are known to be fused, the most usual first.

    Args:
        roles: The parts, in the order in which the name says them.
        sizes: How many rows each has.
        dims: How many rows a head may have.
        heads: Whether the leaf has the heads as an axis of its own: then their rows may also take turns.
    """
    orders = list(permutations(range(len(roles))))
    for order in orders[:1]:
        yield _blocks(roles, sizes, order, dims[0] if heads and dims else 0)
        for dim in dims:
            yield from _by_head(roles, sizes, order, dim)
        yield from _by_row(roles, sizes, order)
    for order in orders[1:]:
        yield _blocks(roles, sizes, order, dims[0] if heads and dims else 0)
    for order in orders[1:]:
        for dim in dims:
            yield from _by_head(roles, sizes, order, dim)
        yield from _by_row(roles, sizes, order)
    for dim in dims if heads else ():
        for order in orders:
            yield from _dims_first(roles, sizes, order, dim)


def _named(order: Sequence[int], roles: Sequence[str]) -> str:
    return ", ".join(roles[number] for number in order)


def _heads(size: int, dim: int) -> int | None:
    return size // dim if dim and size % dim == 0 else None


def _blocks(roles: Sequence[str], sizes: Sequence[int], order: Sequence[int], dim: int) -> Arrangement:
    parts, start = [], 0
    for number in order:
        parts.append(Part(roles[number], start, ((sizes[number], 1),), _heads(sizes[number], dim)))
        start += sizes[number]
    return f"{_named(order, roles)} one after another", tuple(parts)


def _by_head(
    roles: Sequence[str], sizes: Sequence[int], order: Sequence[int], dim: int
) -> Iterator[Arrangement]:
    """Parts in each head; where queries have more heads than keys, each head of the keys is one group."""
    if any(size % dim for size in sizes):
        return
    groups = math.gcd(*(size // dim for size in sizes))
    parts, start = [], 0
    for number in order:
        each = sizes[number] // dim // groups
        axes = ((groups, sum(sizes) // groups), (each, dim), (dim, 1))
        parts.append(Part(roles[number], start, axes, groups * each))
        start += each * dim
    if groups > 1:
        yield f"{_named(order, roles)} in turns, head by head of {dim} rows", tuple(parts)


def _by_row(roles: Sequence[str], sizes: Sequence[int], order: Sequence[int]) -> Iterator[Arrangement]:
    if len(set(sizes)) == 1:
        parts = tuple(Part(roles[n], place, ((sizes[n], len(order)),)) for place, n in enumerate(order))
        yield f"{_named(order, roles)} in turns, row by row", parts


def _dims_first(
    roles: Sequence[str], sizes: Sequence[int], order: Sequence[int], dim: int
) -> Iterator[Arrangement]:
    if len(set(sizes)) != 1 or sizes[0] % dim:
        return
    count, number = sizes[0] // dim, len(order)
    blocks = tuple(
        Part(roles[n], place * sizes[0], ((count, 1), (dim, count)), count) for place, n in enumerate(order)
    )
    yield f"{_named(order, roles)} one after another, the heads of each in turns", blocks
    turns = tuple(
        Part(roles[n], place * count, ((count, 1), (dim, number * count)), count)
        for place, n in enumerate(order)
    )
    yield f"{_named(order, roles)} in turns, row by row of all heads", turns
