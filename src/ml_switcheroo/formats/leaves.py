"""Leaves on their way into a file: check them against their specs, copy them in strips."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.checkpoint import Array
from ml_switcheroo.tensors import TensorSpec, spec_of

__all__ = ["LeafCheck", "Sink", "copy_leaf", "strips"]

STRIP = 2**21
"""Bytes that are copied at a time."""


class Sink(Protocol):
    """Where bytes go."""

    def write(self, content: bytes | memoryview, offset: int) -> None:
        """Write all of ``content`` at ``offset``."""


class LeafCheck:
    """Holds arriving leaves against their specs: each one once, with its shape and dtype."""

    def __init__(self, specs: Mapping[str, TensorSpec]) -> None:
        self._specs = specs
        self._left = dict.fromkeys(specs)

    def take(self, name: str, array: Array) -> None:
        """Check one leaf.

        Raises:
            UsageError: It is unknown, there for the second time, or not what its spec says.
        """
        if name not in self._specs:
            raise UsageError(f"{name}: no such leaf was announced")
        if name not in self._left:
            raise UsageError(f"{name}: the leaf came twice")
        found, expected = spec_of(array), self._specs[name]
        if found != expected:
            raise UsageError(f"{name}: expected {expected!r}, found {found!r}")
        del self._left[name]

    def finish(self) -> None:
        """Raise :class:`UsageError` if a leaf has not come."""
        if self._left:
            names = list(self._left)
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            raise UsageError(f"{len(names)} leaves did not come: {', '.join(names[:10])}{more}")


def copy_leaf(array: Array, out: Sink, offset: int) -> None:
    """Write an array's elements in C order, little-endian, at ``offset``, a strip at a time."""
    for strip in strips(array):
        out.write(strip, offset)
        offset += strip.nbytes


def strips(array: Array) -> Iterator[memoryview]:
    """Yield an array's elements in C order, little-endian, in pieces of about 2 MiB.

    >>> [strip.tolist() for strip in strips(np.array([[1, 2], [3, 4]], dtype=np.int8).T)]
    [[1, 3, 2, 4]]
    """
    if array.nbytes > STRIP and array.ndim:
        row = array.nbytes // len(array)
        step = max(1, STRIP // row)
        for start in range(0, len(array), step):
            yield from strips(array[start] if row > STRIP else array[start : start + step])
    elif array.size:
        order = array.dtype.byteorder
        big = order == ">" or (order == "=" and sys.byteorder == "big")
        dtype = array.dtype.newbyteorder("<") if big else array.dtype
        flat = np.ascontiguousarray(array, dtype=dtype).reshape(-1)
        yield flat.view(np.uint8).data
