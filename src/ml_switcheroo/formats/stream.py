"""Copy leaves into a file: two threads read and reorder strips and write them in place."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import numpy as np

from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.strips import Strip, cut
from ml_switcheroo.formats.tiles import Array

__all__ = ["THREADS", "Leaf", "Sink", "copy_leaves", "strips"]

THREADS = 2
"""More do not help: a file system lets one thread at a time write to a file."""

Leaf = Array | Deferred

_SMALL = 2**16  # bytes of a leaf that is not worth a task of its own
_GATHER = 2**20  # bytes of small leaves that are written at once
_PAGES = 2**14  # bytes of a leaf whose pages are worth dropping
_local = threading.local()


class Sink(Protocol):
    """Where bytes go; several threads may write at once."""

    def write(self, content: memoryview, offset: int) -> None:
        """Write all of ``content`` at ``offset``."""


class _Gather:
    """Collects small leaves that follow one another in a file."""

    def __init__(self, finished: Callable[[str], object]) -> None:
        self._finished = finished
        self._sink: Sink | None = None
        self._bytes = bytearray()
        self._offset = 0
        self._names: list[str] = []

    def add(self, name: str, leaf: Deferred, sink: Sink, offset: int) -> None:
        end = self._offset + len(self._bytes)
        if sink is not self._sink or offset != end or len(self._bytes) > _GATHER:
            self.flush()
            self._sink, self._offset = sink, offset
        for content in strips(leaf):
            self._bytes += content
        self._names.append(name)

    def flush(self) -> None:
        if self._sink and self._bytes:
            self._sink.write(memoryview(self._bytes), self._offset)
        for name in self._names:
            self._finished(name)
        self._bytes, self._names, self._sink = bytearray(), [], None


def copy_leaves(
    leaves: Iterable[tuple[str, Leaf, Sink, int]],
    *,
    threads: int | None = None,
    finished: Callable[[str], object] = str,
) -> None:
    """Write leaves in C order, little-endian, at their offsets.

    Args:
        leaves: Name and elements of each leaf, the file it goes to, and the offset there.
        threads: How many threads read and write; :data:`THREADS` by default.
        finished: Called with the name of each leaf that is written, in any order, from the calling thread.
    """
    threads = threads or THREADS
    gather = _Gather(finished)
    with ThreadPoolExecutor(threads, thread_name_prefix="strips") as pool:
        tasks = _Tasks(pool, threads + 2, finished)
        try:
            for name, array, sink, offset in leaves:
                leaf = _little_endian(array)
                if leaf.nbytes <= _SMALL:
                    gather.add(name, leaf, sink, offset)
                    if leaf.nbytes >= _PAGES:
                        leaf.drop()
                else:
                    tasks.add(name, leaf, sink, offset)
            gather.flush()
            tasks.drain(0)
        except BaseException:
            tasks.abandon()
            raise


class _Tasks:
    """The strips that are being copied, and how many each leaf still waits for."""

    def __init__(self, pool: ThreadPoolExecutor, most: int, finished: Callable[[str], object]) -> None:
        self._pool = pool
        self._most = most
        self._finished = finished
        self._open: dict[Future[None], tuple[str, Deferred]] = {}
        self._left: dict[str, int] = {}

    def add(self, name: str, leaf: Deferred, sink: Sink, offset: int) -> None:
        self._left[name] = 1
        for strip in cut(leaf):
            self.drain(self._most - 1)
            self._left[name] += 1
            self._open[self._pool.submit(_copy_strip, strip, sink, offset)] = (name, leaf)
        self._done(name, leaf)

    def drain(self, most: int) -> None:
        """Wait until no more than ``most`` strips are open; raise what a thread raised."""
        while len(self._open) > most:
            done, _ = wait(self._open, return_when=FIRST_COMPLETED)
            for future in done:
                name, leaf = self._open.pop(future)
                future.result()
                self._done(name, leaf)

    def abandon(self) -> None:
        """Begin no further strip; leaves that come to their end with what is running are finished."""
        wait([future for future in self._open if not future.cancel()])
        for future, (name, leaf) in self._open.items():
            if not future.cancelled() and future.exception() is None:
                self._done(name, leaf)

    def _done(self, name: str, leaf: Deferred) -> None:
        self._left[name] -= 1
        if not self._left[name]:
            del self._left[name]
            leaf.drop()
            self._finished(name)


def strips(array: Leaf) -> Iterator[memoryview]:
    """Yield a leaf's elements in C order, little-endian, in pieces of some MiB.

    A piece is valid until the next one is asked for.

    >>> [piece.tolist() for piece in strips(np.array([[1, 2], [3, 4]], dtype=np.int8).T)]
    [[1, 3, 2, 4]]
    """
    leaf = _little_endian(array)
    for strip in cut(leaf):
        yield strip.fill(_room(strip.nbytes))


def _copy_strip(strip: Strip, sink: Sink, offset: int) -> None:
    content = strip.fill(_room(strip.nbytes))
    for start, place, nbytes in strip.stretches():
        sink.write(content[start : start + nbytes], offset + place)


def _room(nbytes: int) -> Array:
    """Return this thread's buffer, at least so large."""
    room: Array | None = getattr(_local, "room", None)
    if room is None or room.nbytes < nbytes:
        room = _local.room = np.empty(nbytes, np.uint8)
    return room


def _little_endian(array: Any) -> Deferred:
    leaf = Deferred.of(array)
    order = leaf.dtype.byteorder
    if order == ">" or (order == "=" and sys.byteorder == "big"):
        return leaf.astype(leaf.dtype.newbyteorder("<"))
    return leaf
