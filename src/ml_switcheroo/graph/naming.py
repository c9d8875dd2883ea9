"""Which output of the target is which of the source: those in a mapping have names instead of an order."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from ml_switcheroo.errors import SwitcherooError
from ml_switcheroo.graph.graph import Graph

__all__ = ["outputs_in_order"]

_MOST = 24
"""So many orders of outputs are tried."""


def outputs_in_order(source: Graph, target: Graph) -> Iterator[Graph]:
    """Yield the target with its outputs in each order that the source's may have.

    Outputs that both programs return under the same name are each other's. The order of others says something
    only where neither program gives them names: a mapping is sorted by one framework and not by another.

    Raises:
        SwitcherooError: There are too many.
    """
    named = any((*source.names, *target.names))
    if not named or len(source.outputs) != len(target.outputs) or len(target.outputs) == 1:
        yield target
        return
    orders = list(_orders(source, target))
    if not orders:
        yield target  # some output has no other of its shape: the first that differs is said
    for order in orders:
        yield replace(
            target,
            outputs=tuple(target.outputs[place] for place in order),
            names=tuple(target.names[place] for place in order),
        )


def _orders(source: Graph, target: Graph) -> Iterator[tuple[int, ...]]:
    """Yield for each output of the source the place of one of the target's: of the same name, or shape."""
    there = {name: place for place, name in enumerate(target.names) if name}
    order = {place: there.pop(name) for place, name in enumerate(source.names) if name in there}
    taken = set(order.values())
    left: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, number in enumerate(target.outputs):
        if place not in taken:
            left[_sizes(target, number)].append(place)
    asked: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, number in enumerate(source.outputs):
        if place not in order:
            asked[_sizes(source, number)].append(place)
    if any(len(asked[sizes]) != len(left[sizes]) for sizes in {*asked, *left}):
        return
    if math.prod(math.factorial(len(places)) for places in left.values()) > _MOST:
        raise SwitcherooError(
            "both return many outputs of one shape, and one of them under names that the other does not have;"
            " return them under the same names, or in a tuple (target_call= can do so)"
        )
    kinds = list(left)
    for turned in itertools.product(*(itertools.permutations(left[sizes]) for sizes in kinds)):
        found = dict(order)
        for sizes, places in zip(kinds, turned, strict=True):
            found.update(zip(asked[sizes], places, strict=True))
        yield tuple(found[place] for place in range(len(source.outputs)))


def _sizes(graph: Graph, number: int) -> tuple[int, ...]:
    """Return the sizes of an output in any order: a target may have its channels last."""
    return tuple(sorted(graph.nodes[number].shape))
