"""Leaves in memory of their own; each element is touched once, from a file or from any other source.

A framework keeps using the memory of an array that is aligned and that nothing else uses; it has to copy any
other array first. A leaf is filled by several threads, piece by piece along the axis that is the
slowest in its source, and the next leaf is begun while the framework takes this one; or several are handed
over at the same time.
"""

from __future__ import annotations

import math
import mmap
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.files import SourceFile
from ml_switcheroo.formats.lanes import in_lanes
from ml_switcheroo.formats.pages import offset_in_file, slowest_first
from ml_switcheroo.formats.parts import Box, Part
from ml_switcheroo.formats.tiles import Array

__all__ = ["Owned", "Stretch", "owned"]

_ALIGNED = 64  # bytes; what XLA takes without a copy
_PIECE = 2**22  # bytes that a thread fills at a time
_HUGE = 2**22  # bytes of an array for which NumPy asks for huge pages
_AHEAD = 2**28  # bytes of leaves that are begun before they are asked for

THREADS = min(8, os.cpu_count() or 1)
_LANES = min(4, THREADS)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stretch:
    """A leaf as it lies in a file.

    Attributes:
        file: The file, which is open.
        offset: Where the first element lies, in bytes.
        shape: Its shape there.
        dtype: Its dtype there, which is the leaf's.
        order: The order that its axes shall get; empty to keep theirs.
    """

    file: SourceFile
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: tuple[int, ...]


class Owned(Mapping[str, Array]):
    """The leaves of a mapping, each made anew when it is asked for, in the order of the mapping or any other.

    Args:
        leaves: Arrays by path; ``leaves.deferred(path)`` is asked where there is such a method.
        progress: Called with the number of bytes of each leaf that was made.
    """

    def __init__(self, leaves: Mapping[str, Any], progress: Callable[[int], object] = int) -> None:
        self._leaves = leaves
        self._deferred: Callable[[str], Any] = getattr(leaves, "deferred", leaves.__getitem__)
        self._progress = progress
        self._next = dict(zip(leaves, [*leaves][1:], strict=False))
        self._begun: dict[str, _Making] = {}
        self._lent = Deferred.of(np.empty(0))
        self._rooms = _Rooms()
        self._pool = ThreadPoolExecutor(THREADS)

    def __getitem__(self, path: str) -> Array:
        """Return a leaf, in memory that nothing else uses.

        Raises:
            CheckpointError: The file behind it has changed or was closed.
        """
        making = self._begun.pop(path, None) or self._begin(path)
        after = self._next.get(path)
        self._begun = {}
        if after is not None and making.leaf.nbytes <= _AHEAD:
            self._begun = {after: self._begin(after)}
        self._progress(making.leaf.nbytes)
        return making.finish()

    def hand_over(
        self,
        paths: Iterable[str],
        take: Callable[[str, Array, tuple[int, ...]], T],
        *,
        copied: bool = False,
    ) -> Iterator[tuple[str, T]]:
        """Hand leaves to a function, several at a time; yield path and result of each, in any order.

        Args:
            paths: Which ones.
            take: Gets the path, the leaf with its axes as they lie in its source, and the order that they are
                to have: a framework turns them faster than NumPy does. Such an array is valid until the
                function returns. Any other comes as it is, without an order, in memory that nothing else
                uses.
            copied: Whether the function copies every array: then none is valid for longer.
        """

        def jobs() -> Iterator[tuple[int, Callable[[], tuple[str, int, T]]]]:
            for path in paths:
                making = _Making(*_lying(Deferred.of(self._deferred(path))))
                lent = copied or bool(making.order)
                yield making.leaf.nbytes, partial(self._handed_over, path, making, take, lent)

        for path, nbytes, taken in in_lanes(jobs(), _LANES, _AHEAD):
            self._progress(nbytes)
            yield path, taken

    def _handed_over(
        self, path: str, making: _Making, take: Callable[..., T], lent: bool
    ) -> tuple[str, int, T]:
        leaf, order = making.leaf, making.order
        with self._rooms.room(leaf.size, leaf.dtype) if lent else nullcontext() as room:
            making.begin(self._pool, _aligned(leaf.size, leaf.dtype) if room is None else room)
            return path, leaf.nbytes, take(path, making.finish(), order)

    def deferred(self, path: str) -> Deferred:
        """Return a leaf that is not made yet, to cut slices out of it."""
        leaf = Deferred.of(self._deferred(path))
        leaf.check()
        self._progress(leaf.nbytes)
        return leaf

    def stretch(self, path: str) -> Stretch | None:
        """Return where a leaf lies in a file, for a framework that reads it from there by itself.

        Call :meth:`read_elsewhere` once that is done. None where a leaf is more, or less, than one stretch of
        a file whose axes are in another order.
        """
        leaf, order = _lying(Deferred.of(self._deferred(path)))
        found = offset_in_file(leaf.patches[0].array) if _is_view(leaf) else None
        return None if found is None else Stretch(*found, leaf.shape, leaf.dtype, order)

    def read_elsewhere(self, stretch: Stretch) -> None:
        """Count a leaf that a framework has read by itself.

        Raises:
            CheckpointError: The file has changed meanwhile.
        """
        stretch.file.check()
        self._progress(math.prod(stretch.shape) * stretch.dtype.itemsize)

    def borrowed(self, path: str) -> Array:
        """Return a leaf for a framework that copies it anyway: a view of its source where it is one.

        It is valid until the next one is asked for.
        """
        self._lent.drop()
        leaf = Deferred.of(self._deferred(path))
        if not _is_view(leaf):
            self._progress(leaf.nbytes)
            return self._begin(path).finish()
        leaf.check()
        self._progress(leaf.nbytes)
        self._lent = leaf
        return np.asarray(leaf)

    def _begin(self, path: str) -> _Making:
        making = _Making(Deferred.of(self._deferred(path)))
        making.begin(self._pool, _aligned(making.leaf.size, making.leaf.dtype))
        return making

    def __contains__(self, path: object) -> bool:
        return path in self._leaves

    def __iter__(self) -> Iterator[str]:
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)


def _is_view(leaf: Deferred) -> bool:
    """Tell whether a leaf is a stretch of one source."""
    patches = leaf.patches
    return len(patches) == 1 and not patches[0].casts and bool(patches[0].array.flags.c_contiguous)


def _lying(leaf: Deferred) -> tuple[Deferred, tuple[int, ...]]:
    """Return a leaf with its axes as they lie in its source, and the order that makes it of all of that.

    The order is empty, and the leaf as it is, if no axes were turned, or more was done than that.
    """
    if len(leaf.patches) != 1 or len(leaf.parts) != 1 or leaf.patches[0].casts:
        return leaf, ()
    array = leaf.patches[0].array
    lie = slowest_first(array)
    if array.flags.c_contiguous or array.shape != leaf.shape or not array.transpose(lie).flags.c_contiguous:
        return leaf, ()
    return leaf.transpose(lie), tuple(map(int, np.argsort(lie)))


def owned(leaves: Mapping[str, Any]) -> Owned:
    """Return leaves whose arrays belong to the caller."""
    return leaves if isinstance(leaves, Owned) else Owned(leaves)


@dataclass
class _Making:
    """A leaf that is being made.

    Attributes:
        leaf: What it is made from.
        order: The order that its axes shall get; empty to keep theirs.
        array: The leaf.
        pieces: What the threads are filling.
    """

    leaf: Deferred
    order: tuple[int, ...] = ()
    array: Array = field(init=False)
    pieces: list[Future[None]] = field(default_factory=list)

    def begin(self, pool: ThreadPoolExecutor, array: Array) -> None:
        """Hand the pieces to threads, to fill a flat array; a leaf of one piece is made here."""
        self.leaf.check()
        self.array = array
        tasks = list(self._tasks())
        if len(tasks) > 1:
            self.pieces = [pool.submit(part.fill, target, box) for part, target, box in tasks]
        else:
            for part, target, box in tasks:
                part.fill(target, box)

    def finish(self) -> Array:
        """Wait for the pieces, and let go of what they were read from."""
        for piece in self.pieces:
            piece.result()
        self.leaf.drop()
        return self.array.reshape(self.leaf.shape)

    def _tasks(self) -> Iterator[tuple[Part, Array, Box]]:
        start = 0
        for part in self.leaf.parts:
            stop = start + math.prod(part.shape)
            whole = self.array[start:stop].reshape(part.shape)
            for box in _boxes(part, self.leaf.dtype.itemsize):
                yield part, whole[tuple(slice(*bounds) for bounds in box)] if box else whole, box
            start = stop


def _boxes(part: Part, width: int) -> Iterator[Box]:
    """Cut a part along the axis that is the slowest in its source: pieces of that are dense there."""
    box = tuple((0, size) for size in part.shape)
    count = -(-math.prod(part.shape) * width // _PIECE)
    if count < 2:
        yield box
        return
    steps = [abs(step) if size > 1 else 0 for size, step in _axes(part)]
    axis = steps.index(max(steps))
    length = -(-part.shape[axis] // count)
    for low in range(0, part.shape[axis], length):
        yield (*box[:axis], (low, min(low + length, part.shape[axis])), *box[axis + 1 :])


def _axes(part: Part) -> Iterator[tuple[int, int]]:
    """Yield size and step of each axis, as those of the largest source."""
    largest = max((patch.array for patch in part.patches), key=lambda array: array.nbytes)
    return zip(part.shape, largest.strides, strict=True)


class _Rooms:
    """Memory that one leaf after the other is read into: fresh pages cost as much as reading does."""

    def __init__(self) -> None:
        self._free: list[Array] = []
        self._lock = threading.Lock()

    @contextmanager
    def room(self, size: int, dtype: np.dtype[Any]) -> Iterator[Array]:
        """Lend room for a number of elements: the largest that is free, so that few have to be large."""
        nbytes = size * dtype.itemsize
        with self._lock:
            room = self._free.pop() if self._free else None
        if room is None or room.nbytes < nbytes:
            room = _aligned(nbytes, np.dtype(np.uint8))
        yield room[:nbytes].view(dtype)
        with self._lock:
            self._free = sorted([*self._free, room], key=len)


def _aligned(size: int, dtype: np.dtype[Any]) -> Array:
    """Return room for a number of elements, at an address that frameworks take as it is.

    It has small pages: NumPy asks for huge ones, which are faster only where they lie ready. A virtual
    machine has often given them back to its host, and then they come at 0.4 GB/s, small ones at 2.
    """
    nbytes = size * dtype.itemsize
    if nbytes >= _HUGE and hasattr(mmap, "MAP_ANONYMOUS"):
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        return np.frombuffer(mmap.mmap(-1, nbytes, flags=flags), np.uint8)[:nbytes].view(dtype)
    room = np.empty(nbytes + _ALIGNED, np.uint8)
    start = -room.ctypes.data % _ALIGNED
    return room[start : start + nbytes].view(dtype)
