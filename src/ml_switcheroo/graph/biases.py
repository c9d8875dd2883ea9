"""What is added to the results of kernels, and to nothing else: a kernel may stand for both.

``x @ w + b`` with a random function in the place of ``w`` is another random function. So ``b`` needs no
numbers while programs are matched, as long as it is added wherever that kernel is, once; what has been added
on both sides is compared afterwards, kernel by kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from ml_switcheroo.graph.parameters import Biases, Kernel
from ml_switcheroo.graph.sums import Number, Term

__all__ = ["biases_of"]

Array = np.ndarray[Any, Any]
_Key = Any
"""The node of a leaf; or a number, with the first of the kernels that it is met with."""

_UNSEEN, _NONE, _TWICE = -2, -1, -3


@dataclass(eq=False)
class _Sum:
    """A sum: at each of its places the element of each kernel, leaf and number, if any."""

    kernels: dict[Kernel, Array] = field(default_factory=dict)
    added: dict[_Key, Array] = field(default_factory=dict)


def biases_of(sums: Iterable[Sequence[Term]], sizes: Mapping[int, int]) -> Biases:
    """Return what kernels may stand for.

    Args:
        sums: What a program adds up.
        sizes: How many elements each node has that stands for a leaf that enters element by element.
    """
    collected = list(sums)
    firsts = _firsts(collected)
    numbers: dict[_Key, set[int]] = defaultdict(set)
    found = [_sum(terms, firsts, numbers) for terms in collected]
    tables = _tables(found)
    able = {key: _able(key, sizes.get(key, 1), found, tables) for one in found for key in one.added}
    lies = {
        key: {kernel: _within(tables[kernel, key], mask) for kernel, mask in kernels.items() if mask.any()}
        for key, kernels in able.items()
    }
    leaves = {key: own for key, own in lies.items() if key in sizes and own}
    stand_in = {key: _beside(own, leaves.values()) for key, own in lies.items() if key in numbers}
    stand_in = {key: own for key, own in stand_in.items() if own}
    return Biases(
        MappingProxyType(leaves),
        MappingProxyType({key: np.any(list(able[key].values()), axis=0) for key in leaves}),
        tuple((key[0], own) for key, own in stand_in.items()),
        frozenset(node for key in stand_in for node in numbers[key]),
    )


def _within(table: Array, mask: Array) -> Array:
    """Return a table without the elements that a kernel cannot stand for."""
    return np.where((table >= 0) & mask[np.maximum(table, 0)], table, _NONE)


def _firsts(sums: Sequence[Sequence[Term]]) -> Mapping[Kernel, Kernel]:
    """Return for each kernel the first of those that are added up with it, or with one that is."""
    leader: dict[Kernel, Kernel] = {}

    def top(kernel: Kernel) -> Kernel:
        while leader.setdefault(kernel, kernel) is not kernel:
            kernel = leader[kernel]
        return kernel

    for terms in sums:
        kernels = [term.what for term in terms if isinstance(term.what, Kernel)]
        for kernel in kernels:
            leader[top(kernel)] = top(kernels[0])
    return {kernel: top(kernel) for kernel in leader}


def _sum(terms: Sequence[Term], firsts: Mapping[Kernel, Kernel], numbers: dict[_Key, set[int]]) -> _Sum:
    made = _Sum()
    first = next((firsts[term.what] for term in terms if isinstance(term.what, Kernel)), None)
    for term in terms:
        if isinstance(term.what, Kernel):
            _put(made.kernels, term.what, term.lies)
        elif isinstance(term.what, Number):
            key = term.what.value, first
            numbers[key].add(term.what.node)
            _put(made.added, key, term.lies)
        else:
            _put(made.added, term.what, term.lies)
    return made


def _put(into: dict[Any, Array], key: Any, lies: Array) -> None:
    flat = lies.reshape(-1)
    if key in into:
        before = into[key]
        flat = np.where(before == _NONE, flat, np.where(flat == _NONE, before, _TWICE))
    into[key] = flat


def _tables(sums: Sequence[_Sum]) -> dict[tuple[Kernel, _Key], Array]:
    """Return what is added to each outer element of each kernel, the same wherever the kernel is."""
    keys: dict[Kernel, dict[_Key, None]] = defaultdict(dict)
    for one in sums:
        for kernel in one.kernels:
            keys[kernel].update(dict.fromkeys(one.added))
    found = {
        (kernel, key): np.full(len(kernel.outer), _UNSEEN) for kernel, own in keys.items() for key in own
    }
    for one in sums:
        for kernel, places in one.kernels.items():
            for key in keys[kernel]:
                _note(found[kernel, key], places, one.added.get(key))
    return found


def _note(table: Array, places: Array, lies: Array | None) -> None:
    """Note what is added to the outer elements of a kernel here; what is not the same everywhere, as such."""
    here = np.flatnonzero(places >= 0)
    own = places[here]
    values = np.full(len(here), _NONE) if lies is None else lies[here]
    now = np.full(len(table), _UNSEEN)
    now[own] = values
    now[own[now[own] != values]] = _TWICE
    if (places == _TWICE).any():  # which of its elements is added to itself is not known any more
        now[:] = _TWICE
    table[(table != _UNSEEN) & (now != _UNSEEN) & (table != now)] = _TWICE
    fresh = table == _UNSEEN
    table[fresh] = now[fresh]


def _able(
    key: _Key, size: int, sums: Sequence[_Sum], tables: Mapping[tuple[Kernel, _Key], Array]
) -> dict[Kernel, Array]:
    """Return the kernels that may stand for elements of a leaf: those that are added wherever they are."""
    found: dict[Kernel, Array] = {}
    seen = np.zeros(size, bool)
    for one in sums:
        if key not in one.added:
            continue
        lies = one.added[key]
        here = np.flatnonzero(lies != _NONE)
        own = np.where(lies[here] == _TWICE, 0, lies[here])
        inside = np.zeros(size, bool)
        inside[own] = True
        if (lies == _TWICE).any():
            inside[:] = True
        for kernel in {**found, **one.kernels}:
            mask = found.get(kernel, ~seen)
            places = one.kernels.get(kernel)
            if places is None:
                mask = mask & ~inside
            else:
                at = places[here]
                good = (at >= 0) & (tables[kernel, key][np.maximum(at, 0)] == lies[here])
                mask = mask.copy()
                mask[own[~good]] = False
                mask &= ~inside if (lies == _TWICE).any() else True
            found[kernel] = mask
        seen |= inside
    return {kernel: mask & seen for kernel, mask in found.items()}


def _beside(own: Mapping[Kernel, Array], leaves: Iterable[Mapping[Kernel, Array]]) -> dict[Kernel, Array]:
    """Return the kernels that may stand for a number: those that stand for a leaf wherever it is added."""
    found = {}
    for kernel, lies in own.items():
        beside = [each[kernel] >= 0 for each in leaves if kernel in each]
        if beside and (np.any(beside, axis=0) | (lies < 0)).all():
            found[kernel] = lies
    return found
