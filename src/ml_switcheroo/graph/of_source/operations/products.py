"""Sums of products: matrices, einsum, linear layers and tables of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml_switcheroo.graph.of_source.drawn import Drawn, Unlowered
from ml_switcheroo.graph.of_source.lowering import Lowering, rows
from ml_switcheroo.graph.of_source.pen import Pen

__all__ = ["ROWS", "bilinear", "einsum", "linear", "matmul"]


def matmul(pen: Pen, input: Drawn, other: Drawn) -> Drawn:
    """Return the product of matrices, of stacks of them, or of vectors."""
    if not input.rank or not other.rank:
        raise Unlowered("a product of matrices without axes")
    if other.rank == 1:
        return pen.dot(input, other, ((input.rank - 1,), (0,)))
    if input.rank == 1:
        found = matmul(pen, pen.insert(input, 0), other)
        return pen.reshape(found, (*found.shape[:-2], found.shape[-1]))
    if other.rank == 2:
        return pen.dot(input, other, ((input.rank - 1,), (0,)))
    lead = np.broadcast_shapes(input.shape[:-2], other.shape[:-2])
    if input.rank == 2:
        found = pen.dot(input, other, ((1,), (other.rank - 2,)))
        return pen.transpose(found, [*range(1, other.rank - 1), 0, other.rank - 1])
    one = pen.broadcast(input, (*lead, *input.shape[-2:]))
    two = pen.broadcast(other, (*lead, *other.shape[-2:]))
    batch = tuple(range(len(lead)))
    return pen.dot(one, two, ((len(lead) + 1,), (len(lead),)), (batch, batch))


def linear(pen: Pen, input: Drawn, weight: Drawn, bias: Drawn | None = None) -> Drawn:
    """Return what a linear layer gives."""
    found = pen.dot(input, weight, ((input.rank - 1,), (weight.rank - 1,)))
    return found if bias is None else found + bias


def _addmm(pen: Pen, input: Drawn, mat1: Drawn, mat2: Drawn, beta: Any = 1, alpha: Any = 1) -> Drawn:
    product = matmul(pen, mat1, mat2)
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product
    return (input if beta == 1 else input * beta) + product


def _baddbmm(pen: Pen, input: Drawn, batch1: Drawn, batch2: Drawn, beta: Any = 1, alpha: Any = 1) -> Drawn:
    return _addmm(pen, input, batch1, batch2, beta, alpha)


def _outer(pen: Pen, input: Drawn, vec2: Drawn) -> Drawn:
    return pen.insert(input, 1) * pen.insert(vec2, 0)


def _inner(pen: Pen, input: Drawn, other: Drawn) -> Drawn:
    if not input.rank or not other.rank:
        return input * other
    return pen.dot(input, other, ((input.rank - 1,), (other.rank - 1,)))


def bilinear(pen: Pen, input1: Drawn, input2: Drawn, weight: Drawn, bias: Drawn | None = None) -> Drawn:
    """Return what a bilinear layer gives."""
    left = pen.dot(input1, weight, ((input1.rank - 1,), (1,)))  # ... out in2
    batch = tuple(range(input1.rank - 1))
    found = pen.dot(left, input2, ((input1.rank,), (input2.rank - 1,)), (batch, batch))
    return found if bias is None else found + bias


def einsum(pen: Pen, equation: Any, *operands: Any) -> Drawn:
    """Return sums of products by their equation."""
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if not isinstance(equation, str) or not all(isinstance(one, Drawn) for one in given):
        raise Unlowered("an einsum without an equation")
    sides, _, result = equation.replace(" ", "").partition("->")
    terms = sides.split(",")
    if len(terms) != len(given):
        raise Unlowered(f"{equation} of {len(given)} tensors")
    lists = [_letters(term, one.rank) for term, one in zip(terms, given, strict=True)]
    wide = max((sum(isinstance(one, int) for one in term) for term in lists), default=0)
    dots: list[Any] = list(range(-wide, 0))
    if "->" in equation:
        out = [one for part in result.replace("...", ".") for one in (dots if part == "." else [part])]
    else:
        each = [one for term in lists for one in term if isinstance(one, str)]
        out = [*dots, *sorted(one for one in set(each) if each.count(one) == 1)]
    return _summed(pen, lists, list(given), out)


def _letters(term: str, rank: int) -> list[Any]:
    """Return a label for each axis: a letter, or a number below zero for those of the dots."""
    before, dots, behind = term.partition("...")
    many = rank - len(before) - len(behind)
    if many < 0 or (many and not dots):
        raise Unlowered(f"{term} of {rank} axes")
    return [*before, *range(-many, 0), *behind]


def _summed(pen: Pen, lists: list[list[Any]], tensors: list[Drawn], out: list[Any]) -> Drawn:
    pairs = [_diagonal(pen, x, labels) for x, labels in zip(tensors, lists, strict=True)]
    x, labels = pairs[0]
    for place, (y, others) in enumerate(pairs[1:], 2):
        later = {*out, *(one for _, rest in pairs[place:] for one in rest)}
        x, labels = _product(pen, (x, labels), (y, others), later)
    gone = [axis for axis, label in enumerate(labels) if label not in out]
    x = pen.reduce("sum", x, gone)
    labels = [label for label in labels if label in out]
    if sorted(map(str, labels)) != sorted(map(str, out)):
        raise Unlowered("an einsum that repeats or makes up an axis")
    return pen.transpose(x, [labels.index(label) for label in out])


def _diagonal(pen: Pen, x: Drawn, labels: list[Any]) -> tuple[Drawn, list[Any]]:
    """Return the diagonal of axes with one label."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            size = x.shape[first]
            eye = np.eye(size, dtype=bool).reshape(
                [size if axis in (first, second) else 1 for axis in range(x.rank)]
            )
            kept = pen.op("where", pen.constant(eye), x, pen.constant(0, x.dtype), dtype=x.dtype)
            x = pen.reduce("sum", kept, [second])
            labels = [one for axis, one in enumerate(labels) if axis != second]
    return x, labels


def _product(
    pen: Pen, left: tuple[Drawn, list[Any]], right: tuple[Drawn, list[Any]], later: set[Any]
) -> tuple[Drawn, list[Any]]:
    (x, mine), (y, theirs) = left, right
    x, mine = _alone(pen, x, mine, {*later, *theirs})
    y, theirs = _alone(pen, y, theirs, {*later, *mine})
    ones = {
        label
        for label in mine
        if label in theirs and x.shape[mine.index(label)] != y.shape[theirs.index(label)]
    }
    if ones:  # an axis of size 1 stands for any
        x = pen.broadcast(
            x, [max(size, _size(y, theirs, label)) for size, label in zip(x.shape, mine, strict=True)]
        )
        y = pen.broadcast(
            y, [max(size, _size(x, mine, label)) for size, label in zip(y.shape, theirs, strict=True)]
        )
    both = [label for label in mine if label in theirs]
    summed = [label for label in both if label not in later]
    kept = [label for label in both if label in later]
    places = [
        tuple(labels.index(one) for one in words) for words in (summed, kept) for labels in (mine, theirs)
    ]
    found = pen.dot(x, y, (places[0], places[1]), (places[2], places[3]))
    rest = [label for labels in (mine, theirs) for label in labels if label not in both]
    return found, [*kept, *rest]


def _alone(pen: Pen, x: Drawn, labels: list[Any], wanted: set[Any]) -> tuple[Drawn, list[Any]]:
    gone = [axis for axis, label in enumerate(labels) if label not in wanted]
    return pen.reduce("sum", x, gone), [label for label in labels if label in wanted]


def _size(x: Drawn, labels: list[Any], label: Any) -> int:
    return x.shape[labels.index(label)] if label in labels else 1


def _tensordot(pen: Pen, a: Drawn, b: Drawn, dims: Any = 2) -> Drawn:
    if isinstance(dims, int):
        return pen.dot(a, b, (tuple(range(a.rank - dims, a.rank)), tuple(range(dims))))
    left, right = ([x.axis(one) for one in pen.sizes(part)] for x, part in zip((a, b), dims, strict=True))
    return pen.dot(a, b, (left, right))


def embedding(pen: Pen, input: Drawn, weight: Drawn, padding_idx: Any = None, max_norm: Any = None) -> Drawn:
    """Return the rows of a table."""
    if max_norm is not None:
        raise Unlowered("an embedding that shortens its rows")
    return pen.op("take", weight, input, axis=0, dtype=weight.dtype)


def embedding_bag(
    pen: Pen,
    input: Drawn,
    weight: Drawn,
    offsets: Drawn | None = None,
    max_norm: Any = None,
    norm_type: Any = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Drawn | None = None,
    include_last_offset: bool = False,
    padding_idx: Any = None,
) -> Drawn:
    """Return the sum, mean or maximum of the rows of each bag."""
    if padding_idx is not None or max_norm is not None:
        raise Unlowered("an embedding bag with padding_idx or max_norm")
    if offsets is None:
        return _bag(pen, input, weight, mode, per_sample_weights, 1)
    starts = [int(one) for one in np.atleast_1d(pen.known(offsets, "the offsets of the bags"))]
    ends = [*starts[1:], input.shape[0]]
    bags = list(zip(starts, ends, strict=True))[: -1 if include_last_offset else None]
    parts = []
    for start, end in bags:
        weights = None if per_sample_weights is None else pen.slice(per_sample_weights, 0, start, end)
        parts.append(pen.insert(_bag(pen, pen.slice(input, 0, start, end), weight, mode, weights, 0), 0))
    return pen.concat(parts, 0)


def _bag(pen: Pen, places: Drawn, weight: Drawn, mode: str, weights: Drawn | None, axis: int) -> Drawn:
    found = embedding(pen, places, weight)
    found = found if weights is None else found * pen.insert(weights, weights.rank)
    if mode == "mean":
        return pen.mean(found, [axis])
    return pen.reduce({"sum": "sum", "max": "amax"}[mode], found, [axis])


ROWS: list[Lowering] = [
    *rows(
        "tm",
        {
            "matmul mm bmm mv dot vdot": matmul,
            "inner": _inner,
            "outer ger": _outer,
            "addmm addmv": _addmm,
            "baddbmm": _baddbmm,
        },
    ),
    *rows("t", {"einsum": einsum, "tensordot": _tensordot}),
    *rows(
        "l", {"matmul": matmul, "vecdot": lambda pen, x, y, dim=-1: pen.reduce("sum", x * y, [x.axis(dim)])}
    ),
    *rows("f", {"linear": linear, "embedding": embedding, "embedding_bag": embedding_bag}),
    *rows("tf", {"bilinear": bilinear}),
]
