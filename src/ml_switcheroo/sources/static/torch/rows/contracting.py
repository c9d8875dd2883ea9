"""Sums of products of two traced tensors: projections, scores of an attention, and what they weigh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.sources.static.torch.rows.traces import LARGEST, Key, Product, Trace, Untold

__all__ = ["Contraction", "contracted", "einsum_labels", "matmul_labels", "project"]

Array = np.ndarray[Any, Any]
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contraction:
    """Which axis of two tensors is which axis of the result.

    Attributes:
        sides: The labels of each tensor's axes.
        result: Those of the result.
    """

    sides: tuple[Labels, Labels]
    result: Labels


def matmul_labels(left: Trace, right: Trace) -> Contraction:
    """Return the labels of ``left @ right``."""
    ranks = len(left.shape), len(right.shape)
    if not min(ranks):
        raise Untold
    batch = tuple(f"b{i}" for i in range(max(ranks) - 2))
    mine = (*batch[len(batch) - max(ranks[0] - 2, 0) :], "i", "k") if ranks[0] > 1 else ("k",)
    other = (*batch[len(batch) - max(ranks[1] - 2, 0) :], "k", "j") if ranks[1] > 1 else ("k",)
    free = (*(("i",) if ranks[0] > 1 else ()), *(("j",) if ranks[1] > 1 else ()))
    return Contraction((mine, other), (*batch, *free))


def einsum_labels(text: Any, left: Trace, right: Trace) -> Contraction:
    """Return the labels of an ``einsum`` of two tensors, in the spelling of torch or of einops."""
    if not isinstance(text, str) or text.count("->") != 1 or text.count(",") != 1:
        raise Untold
    inputs, result = text.split("->")
    one, two = inputs.split(",")
    spaced = any(" " in side.strip() for side in (one, two, result))
    sides = [_spelled(side, spaced) for side in (one, two)]
    ranks = len(left.shape), len(right.shape)
    more = [rank - len(side) + 1 if "..." in side else 0 for rank, side in zip(ranks, sides, strict=True)]
    dots = [f"...{i}" for i in range(max(more))]
    full = [
        tuple(word for name in side for word in (dots[len(dots) - count :] if name == "..." else [name]))
        for side, count in zip(sides, more, strict=True)
    ]
    out = tuple(word for name in _spelled(result, spaced) for word in (dots if name == "..." else [name]))
    if any(len(set(side)) < len(side) or len(side) != rank for side, rank in zip(full, ranks, strict=True)):
        raise Untold
    return Contraction((full[0], full[1]), out)


def _spelled(side: str, spaced: bool) -> list[str]:
    if spaced:
        return side.split()
    before, dots, after = side.strip().partition("...")
    return [*before.strip(), *([dots] if dots else []), *after.strip()]


def contracted(left: Trace, right: Trace, labels: Contraction, number: int) -> Trace:
    """Return the sum of products.

    A projection carries the rows of its weight; a product of two that hold rows, where each of its axes comes
    from; what is weighted by the softmax of one, its own rows.

    Raises:
        Untold: The shapes do not fit.
    """
    sizes = _sizes((left, right), labels)
    shape = tuple(sizes[label] for label in labels.result)
    if math.prod(shape) > LARGEST:
        raise Untold
    if left.weight != right.weight:
        side = 0 if left.weight else 1
        return project((left, right)[side], labels.sides[side], labels.result, shape)
    weighted = [one.product is not None and one.active for one in (left, right)]
    if weighted[0] != weighted[1]:
        side = 1 if weighted[0] else 0
        held = (left, right)[side]
        rows = {key: _carried(held, key, labels.sides[side], labels.result, shape) for key in held.sources}
        return Trace(
            shape,
            {key: numbers for key, numbers in rows.items() if numbers is not None},
            held.unions,
            spent=True,
            result="o",
            of=(held,),
        )
    if left.sources and right.sources and not (left.spent or right.spent):
        return _product(left, right, labels, shape, number)
    return Trace(shape)


def _sizes(sides: tuple[Trace, Trace], labels: Contraction) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for trace, names in zip(sides, labels.sides, strict=True):
        if len(names) != len(trace.shape):
            raise Untold
        for name, size in zip(names, trace.shape, strict=True):
            if sizes.get(name, 1) not in (1, size) and size != 1:
                raise Untold
            sizes[name] = max(size, sizes.get(name, 1))
    if not sizes.keys() >= set(labels.result):
        raise Untold
    return sizes


def project(weight: Trace, mine: Labels, result: Labels, shape: tuple[int, ...]) -> Trace:
    """Return what a parameter gives with an input that is summed over: its rows that are left."""
    rows = {}
    for key in weight.sources:
        numbers = _carried(weight, key, mine, result, shape)
        if numbers is not None:
            rows[key] = numbers
    return Trace(shape, rows, weight.unions)


def _carried(trace: Trace, key: Key, mine: Labels, result: Labels, shape: tuple[int, ...]) -> Array | None:
    """Return the rows of one side as the result has them; None where they change along what is summed."""
    numbers: Array = trace.rows[key]
    kept = [name for name in mine if name in result]
    for place, name in reversed([*enumerate(mine)]):
        if name not in result:
            if not (numbers == numbers.take([0], place)).all():
                return None
            numbers = numbers.take(0, place)
    numbers = numbers.transpose([kept.index(name) for name in result if name in kept])
    index = tuple(slice(None) if name in kept else None for name in result)
    return np.broadcast_to(numbers[index], shape)


def _product(left: Trace, right: Trace, labels: Contraction, shape: tuple[int, ...], number: int) -> Trace:
    along, free = [], []
    rows: dict[Key, Array] = {}
    for side, (mine, other) in enumerate((labels.sides, labels.sides[::-1])):
        own = [name for name in mine if name not in other and name in labels.result]
        along.append(tuple(mine.index(name) for name in mine if name not in labels.result and name in other))
        free.append(tuple(mine.index(name) for name in own))
        rows["side", number, side] = _counted(own, labels.result, shape)
    if not all(along) or not all(free):
        return Trace(shape)
    product = Product(number, (left, right), (along[0], along[1]), (free[0], free[1]))
    return Trace(shape, rows, product=product, of=(left, right))


def _counted(own: Sequence[str], result: Labels, shape: tuple[int, ...]) -> Array:
    """Number the places along the axes that one side has alone."""
    found = np.zeros((1,) * len(shape), np.int32)
    for name in own:
        place = result.index(name)
        line = np.arange(shape[place], dtype=np.int32).reshape(
            [-1 if i == place else 1 for i in range(len(shape))]
        )
        found = found * shape[place] + line
    return np.broadcast_to(found, shape)
