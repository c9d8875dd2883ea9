"""Tensors whose elements lie in flat vectors, one run after the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from ml_switcheroo.formats.checkpoint import ChunkedTensor, LazyTensor, StridedTensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Run", "boxes", "find_runs", "is_flat", "join_runs"]

Run = tuple[LazyTensor, int, int]
"""Elements of a vector: from the first number on, as many as the second."""

_Sizes = tuple[int, ...]


def is_flat(tensor: LazyTensor) -> bool:
    """Tell whether a tensor is a vector whose bytes are contiguous and need no conversion."""
    plain = isinstance(tensor, StridedTensor) and tensor.strides is None and not tensor.change
    return plain and tensor.ndim == 1


def find_runs(vectors: Sequence[LazyTensor], start: int, count: int) -> Iterator[Run]:
    """Yield where some elements lie in vectors that follow one another; fewer if these end before."""
    stop, at = start + count, 0
    for flat in vectors:
        low, high = max(start, at), min(stop, at + flat.size)
        if low < high:
            yield flat, low - at, high - low
        at += flat.size


def join_runs(spec: TensorSpec, runs: Iterable[Run]) -> ChunkedTensor:
    """Make the tensor whose elements, in C order, are those of the runs."""
    chunks: list[tuple[_Sizes, LazyTensor]] = []
    at = 0
    for flat, start, count in runs:
        for corner, sizes, offset in boxes(spec.shape, at, at + count):
            chunks.append((corner, _view(flat, start + offset - at, sizes)))
        at += count
    return ChunkedTensor(spec, chunks)


def _view(flat: LazyTensor, start: int, sizes: _Sizes) -> StridedTensor:
    """Return some elements of a vector in a shape."""
    assert isinstance(flat, StridedTensor)
    offset = flat.offset + start * flat.dtype.itemsize
    return StridedTensor(flat.region, TensorSpec(sizes, flat.spec.dtype), offset=offset, swapped=flat.swapped)


def boxes(shape: _Sizes, start: int, stop: int) -> Iterator[tuple[_Sizes, _Sizes, int]]:
    """Cut elements that follow one another in C order into boxes: corner, sizes, and where each begins.

    >>> list(boxes((3, 4), 2, 9))
    [((0, 2), (1, 2), 2), ((1, 0), (1, 4), 4), ((2, 0), (1, 1), 8)]
    """
    if start >= stop:
        return
    if not shape:
        yield (), (), 0
        return
    row = math.prod(shape[1:])
    first, last = -(-start // row), stop // row
    if first > last:  # all within one row
        yield from _within(shape, last, start, stop)
        return
    yield from _within(shape, first - 1, start, first * row)
    if first < last:
        yield (first, *(0,) * (len(shape) - 1)), (last - first, *shape[1:]), first * row
    yield from _within(shape, last, last * row, stop)


def _within(shape: _Sizes, index: int, start: int, stop: int) -> Iterator[tuple[_Sizes, _Sizes, int]]:
    begin = index * math.prod(shape[1:])
    for corner, sizes, offset in boxes(shape[1:], start - begin, stop - begin):
        yield (index, *corner), (1, *sizes), begin + offset
