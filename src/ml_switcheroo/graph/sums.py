"""What a program adds up before anything else is done with it: results of kernels, leaves and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.graph.graph import Graph, Node
from ml_switcheroo.graph.parameters import Kernel, Plain, outer_index
from ml_switcheroo.graph.primitives import PRIMITIVES

__all__ = ["Number", "Term", "sums_of"]

Array = np.ndarray[Any, Any]
_VIEWS = frozenset({"reshape", "transpose", "slice", "flip", "broadcast", "cast"})


@dataclass(frozen=True)
class Number:
    """A number that a program adds.

    Attributes:
        node: The sum.
        value: The number.
    """

    node: int
    value: float


@dataclass(frozen=True, eq=False)
class Term:
    """What is added at the places of a node.

    Attributes:
        what: A kernel, the node of a leaf that enters element by element, or a number.
        lies: Which outer element of the kernel, or element of the leaf, it is at each place; -1 for none.
    """

    what: Kernel | int | Number
    lies: Array

    def seen(self, node: Node) -> Term:
        """Return it as a view has it."""
        return Term(self.what, PRIMITIVES[node.op].run([self.lies], node.params))


def sums_of(
    graph: Graph,
    contractions: Mapping[int, tuple[Kernel, int, int]],
    users: Mapping[int, tuple[int, ...]],
    plains: Mapping[int, Plain],
) -> Iterator[tuple[Term, ...]]:
    """Yield the terms of each node that something takes which adds nothing more.

    A node that several take ends a sum: what a kernel gives there is not known by a later sum alone.
    """
    passed: dict[int, tuple[Term, ...]] = {}
    outputs = set(graph.outputs)
    for number in range(len(graph.nodes)):
        if number not in users and number not in outputs:
            continue
        terms = tuple(_terms(graph, contractions, plains, passed, number))
        if not terms:
            continue
        taken = users.get(number, ())
        closed = number in outputs or not all(_goes_on(graph, contractions, number, user) for user in taken)
        given = any(isinstance(term.what, Kernel) for term in terms)
        if given and not _apart(graph, number, taken):
            closed = True
        if closed:
            yield terms
        if not (closed and given):
            passed[number] = terms


def _terms(
    graph: Graph,
    contractions: Mapping[int, tuple[Kernel, int, int]],
    plains: Mapping[int, Plain],
    passed: Mapping[int, tuple[Term, ...]],
    number: int,
) -> Iterator[Term]:
    node = graph.nodes[number]
    if number in plains:
        yield Term(number, np.arange(math.prod(node.shape)).reshape(node.shape))
    elif number in contractions:
        kernel = contractions[number][0]
        if kernel.op != "take":
            yield Term(kernel, outer_index(graph, contractions, number).reshape(node.shape))
    elif node.op in _VIEWS and _linear(node):
        yield from (term.seen(node) for term in passed.get(node.operands[0], ()))
    elif node.op == "concat":
        yield from _joined(graph, node, passed)
    elif node.op == "add" and len(set(node.operands)) == 2:
        found = [term for one in node.operands for term in passed.get(one, ())]
        yield from (Term(term.what, np.broadcast_to(term.lies, node.shape)) for term in found)
        for one in node.operands if found else ():
            value = _number(graph.nodes[one])
            if value is not None:
                yield Term(Number(number, value), np.zeros(node.shape, np.int64))


def _linear(node: Node) -> bool:
    return node.op != "cast" or "float" in node.params["to"]


def _number(node: Node) -> float | None:
    if node.op != "constant" or not node.params["value"].size:
        return None
    value = node.params["value"]
    return float(value.flat[0]) if (value == value.flat[0]).all() else None


def _joined(graph: Graph, node: Node, passed: Mapping[int, tuple[Term, ...]]) -> Iterator[Term]:
    axis, first = node.params["axis"], 0
    for one in node.operands:
        size = graph.nodes[one].shape[axis]
        for term in passed.get(one, ()):
            lies = np.full(node.shape, -1, np.int64)
            lies[(slice(None),) * axis + (slice(first, first + size),)] = term.lies
            yield Term(term.what, lies)
        first += size


def _goes_on(
    graph: Graph, contractions: Mapping[int, tuple[Kernel, int, int]], number: int, user: int
) -> bool:
    """Tell whether a node's terms are those of one that takes it, too."""
    node = graph.nodes[user]
    if user in contractions:
        return False
    if node.op == "add":
        return len(set(node.operands)) == 2
    if node.op == "concat":
        return node.operands.count(number) == 1
    return node.op in _VIEWS and _linear(node)


def _apart(graph: Graph, number: int, taken: Sequence[int]) -> bool:
    """Tell whether no element of a node is taken by two."""
    if len(taken) < 2:
        return True
    if any(graph.nodes[one].op != "slice" for one in taken):
        return False
    shape = graph.nodes[number].shape
    lies = np.arange(math.prod(shape)).reshape(shape)
    parts = [PRIMITIVES["slice"].run([lies], graph.nodes[one].params).reshape(-1) for one in taken]
    together = np.concatenate(parts)
    return len(np.unique(together)) == len(together)
