"""The parts of an array: boxes, each filled by views of sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.formats.pages import fetched, read_source
from ml_switcheroo.formats.tiles import Array, copy_reordered

__all__ = ["Box", "Part", "Patch", "Watch", "inside"]

Box = tuple[tuple[int, int], ...]
"""Start and stop on each axis."""

Watch = Callable[[Array, Array], object]


@dataclass(frozen=True, slots=True)
class Patch:
    """A source that fills a box.

    Attributes:
        box: Where it lies in its part.
        array: The elements; its shape is the box's.
        casts: The dtypes it is cast to, in order.
        watch: Called with the values before the last cast, and after it.
    """

    box: Box
    array: Array
    casts: tuple[np.dtype[Any], ...] = ()
    watch: Watch | None = None

    def fill(self, target: Array, box: Box) -> None:
        """Copy what lies in ``box`` into ``target``, an array of that box."""
        common = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(self.box, box, strict=True))
        if any(start >= stop for start, stop in common):
            return
        source = self.array[inside(common, self.box)]
        target = target[inside(common, box)]
        if not self.casts:
            if not read_source(target, source):
                copy_reordered(target, fetched(source))
            return
        source = fetched(source)
        if not source.flags.c_contiguous:
            plain = np.empty(source.shape, source.dtype)
            copy_reordered(plain, source)
            source = plain
        for dtype in self.casts[:-1]:
            source = source.astype(dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            np.copyto(target, source, casting="unsafe")
        if self.watch is not None:
            self.watch(source, target)


def inside(inner: Box, outer: Box) -> tuple[Any, ...]:
    """Return the index of a box within another one."""
    slices = (slice(a - origin, b - origin) for (a, b), (origin, _) in zip(inner, outer, strict=True))
    return (*slices, ...)  # without the ellipsis, an array without axes would become a number


@dataclass(frozen=True, slots=True)
class Part:
    """A box that patches fill completely."""

    shape: tuple[int, ...]
    patches: tuple[Patch, ...]

    def fill(self, target: Array, box: Box) -> None:
        """Copy what lies in ``box`` into ``target``, an array of that box."""
        for patch in self.patches:
            patch.fill(target, box)

    def sources(self, box: Box) -> Iterator[Array]:
        """Yield the views of the sources that fill ``box``."""
        for patch in self.patches:
            common = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(patch.box, box, strict=True))
            if all(start < stop for start, stop in common):
                yield patch.array[inside(common, patch.box)]
