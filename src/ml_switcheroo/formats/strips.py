"""Cut a leaf into strips: how much is read, reordered and written at a time.

A strip is a box of the leaf's elements. Most are one stretch of 2 MiB of the file. Where a leaf is made of a
large matrix that is transposed, a stretch that short would touch each page of the source; then strips are
wider, and the pages of the source are dropped while the strip is being filled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.pages import check_source, drop_pages
from ml_switcheroo.formats.parts import Box, Part
from ml_switcheroo.formats.tiles import Array

__all__ = ["STRIP", "Strip", "cut"]

STRIP = 2**21
"""Bytes of a strip whose sources lie close together."""

WIDE = 2**23
"""Bytes of a strip that is read from a large transposed matrix."""

LARGE = 2**25
"""Bytes of a transposed matrix that may stay mapped as a whole while it is read."""

_PIECE = 2**15  # bytes written at once where a strip is no single stretch of the file
_GROUP = 2**22  # bytes of a large transposed matrix that are mapped at a time


@dataclass(frozen=True, slots=True)
class Strip:
    """Some of the elements of a part of a leaf.

    Attributes:
        part: The part.
        box: Which of its elements.
        offset: Where the part's bytes begin among the leaf's.
        dtype: The leaf's dtype.
        groups: Into how many groups the last axis is cut while pages are dropped behind; 0 keeps them, for
            the whole part is read again by the next strip.
    """

    part: Part
    box: Box
    offset: int
    dtype: np.dtype[Any]
    groups: int

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(stop - start for start, stop in self.box) * self.dtype.itemsize

    def fill(self, room: Array) -> memoryview:
        """Read the strip into ``room``, an array of bytes, and return its bytes."""
        for patch in self.part.patches:
            check_source(patch.array)
        raw = room[: self.nbytes]
        strip = raw.view(self.dtype).reshape([stop - start for start, stop in self.box])
        if not self.groups or not self.box:
            self.part.fill(strip, self.box)
            return raw.data
        start = self.box[-1][0]
        for low, high in _cuts(self.box[-1], self.groups):
            box = (*self.box[:-1], (low, high))
            self.part.fill(strip[..., low - start : high - start], box)
            for source in self.part.sources(box):
                drop_pages(source)
        return raw.data

    def stretches(self) -> Iterator[tuple[int, int, int]]:
        """Yield where the bytes go: start in the strip, offset among the leaf's, number of bytes."""
        shape, width = self.part.shape, self.dtype.itemsize
        axis = len(shape)
        while axis and self.box[axis - 1] == (0, shape[axis - 1]):
            axis -= 1
        axis = max(axis - 1, 0)  # from here on the box is one stretch
        steps = [math.prod(shape[i + 1 :]) * width for i in range(len(shape))]
        length = math.prod(stop - start for start, stop in self.box[axis:]) * width
        corner = sum(start * step for (start, _), step in zip(self.box, steps, strict=True))
        outer = [stop - start for start, stop in self.box[:axis]]
        for place, index in enumerate(np.ndindex(*outer)):
            at = sum(i * step for i, step in zip(index, steps, strict=False))
            yield place * length, self.offset + corner + at, length


def cut(leaf: Deferred) -> Iterator[Strip]:
    """Cut a leaf into strips, in the order of its bytes.

    >>> [strip.box for strip in cut(Deferred.of(np.zeros((3, 2**18), np.float64)))]
    [((0, 1), (0, 262144)), ((1, 2), (0, 262144)), ((2, 3), (0, 262144))]
    """
    offset, width = 0, leaf.dtype.itemsize
    for part in leaf.parts:
        if math.prod(part.shape):
            far = max((_span(patch.array) for patch in part.patches), default=0)
            large = far and max(patch.array.nbytes for patch in part.patches) > LARGE
            for box in _boxes(part.shape, width, wide=bool(large)):
                groups = -(-_length(box) // max(256, _GROUP // far)) if large else 0 if far else 1
                yield Strip(part, box, offset, leaf.dtype, groups)
        offset += math.prod(part.shape) * width


def _length(box: Box) -> int:
    return box[-1][1] - box[-1][0]


def _span(array: Array) -> int:
    """Return the step in bytes between neighbours in C order, where it is no short one; else 0."""
    steps = [abs(step) for size, step in zip(array.shape, array.strides, strict=True) if size > 1]
    return steps[-1] if steps and steps[-1] > 64 * array.itemsize else 0


def _boxes(shape: tuple[int, ...], width: int, *, wide: bool) -> Iterator[Box]:
    """Yield boxes that cover a shape in C order, each of about the bytes of a strip."""
    if not shape:
        yield ()
        return
    row = math.prod(shape[1:]) * width
    target = WIDE if wide else STRIP
    if wide and len(shape) == 2 and row * 256 > WIDE:
        yield from _patches_of(shape, width)
    elif len(shape) > 1 and row > target:
        for index in range(shape[0]):
            for inner in _boxes(shape[1:], width, wide=wide):
                yield ((index, index + 1), *inner)
    else:
        step = max(1, target // row)
        for start in range(0, shape[0], step):
            rest = tuple((0, size) for size in shape[1:])
            yield ((start, min(start + step, shape[0])), *rest)


def _patches_of(shape: tuple[int, ...], width: int) -> Iterator[Box]:
    """Cover a matrix whose rows are so long that a strip of them would be too narrow to be read well."""
    columns = _PIECE // width
    rows = WIDE // _PIECE
    for left in range(0, shape[1], columns):
        for top in range(0, shape[0], rows):
            yield (top, min(top + rows, shape[0])), (left, min(left + columns, shape[1]))


def _cuts(bounds: tuple[int, int], count: int) -> Iterator[tuple[int, int]]:
    start, stop = bounds
    step = -(-(stop - start) // count) or 1
    for low in range(start, stop, step):
        yield low, min(low + step, stop)
