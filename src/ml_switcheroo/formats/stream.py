"""Copy leaves into a file: two threads read and reorder strips and write them in place."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.pages import buffer
from ml_switcheroo.formats.strips import STRIP, Strip, cut
from ml_switcheroo.formats.tiles import Array

__all__ = ["THREADS", "Leaf", "Sink", "copy_leaves", "strips"]

THREADS = 2
"""More do not help: a file system lets one thread at a time write to a file."""

Leaf = Array | Deferred

_SMALL = 2**20  # bytes of a leaf that is not worth a task of its own
_PAGES = 2**14  # bytes of a leaf whose pages are worth dropping
_local = threading.local()


class Sink(Protocol):
    """Where bytes go; several threads may write at once."""

    def write(self, content: memoryview, offset: int) -> None:
        """Write all of ``content`` at ``offset``."""


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
    with ThreadPoolExecutor(threads, thread_name_prefix="strips") as pool:
        tasks = _Tasks(pool, threads + 2, finished)
        batch = _Batch()
        try:
            for name, array, sink, offset in leaves:
                leaf = _little_endian(array)
                if leaf.nbytes > _SMALL:
                    tasks.add_leaf(name, leaf, sink, offset)
                    continue
                if not batch.takes(leaf, sink, offset):
                    tasks.add_batch(batch)
                    batch = _Batch(sink, offset)
                batch.leaves.append((name, leaf))
                batch.nbytes += leaf.nbytes
            tasks.add_batch(batch)
            tasks.drain(0)
        except BaseException:
            tasks.abandon()
            raise


@dataclass(slots=True)
class _Batch:
    """Small leaves that follow one another in a file: copied by one task, and written at once."""

    sink: Sink | None = None
    offset: int = 0
    nbytes: int = 0
    leaves: list[tuple[str, Deferred]] = field(default_factory=list)

    def takes(self, leaf: Deferred, sink: Sink, offset: int) -> bool:
        follows = sink is self.sink and offset == self.offset + self.nbytes
        return follows and self.nbytes + leaf.nbytes <= STRIP

    def copy(self) -> None:
        room = buffer(_local, self.nbytes)
        at = 0
        for _, leaf in self.leaves:
            for strip in cut(leaf):
                strip.fill(room[at:])
                at += strip.nbytes
        if self.sink is not None:
            self.sink.write(room[:at].data, self.offset)


class _Tasks:
    """What is being copied, and how many tasks each leaf still waits for."""

    def __init__(self, pool: ThreadPoolExecutor, most: int, finished: Callable[[str], object]) -> None:
        self._pool = pool
        self._most = most
        self._finished = finished
        self._open: dict[Future[None], list[tuple[str, Deferred]]] = {}
        self._left: Counter[str] = Counter()

    def add_leaf(self, name: str, leaf: Deferred, sink: Sink, offset: int) -> None:
        """Copy a leaf strip by strip."""
        self._left[name] = 1
        for strip in cut(leaf):
            self._add([(name, leaf)], _copy_strip, strip, sink, offset)
        self._done(name, leaf)

    def add_batch(self, batch: _Batch) -> None:
        """Copy small leaves at once."""
        if batch.leaves:
            self._add(batch.leaves, batch.copy)

    def drain(self, most: int) -> None:
        """Wait until no more than ``most`` tasks are open; raise what a thread raised."""
        while len(self._open) > most:
            done, _ = wait(self._open, return_when=FIRST_COMPLETED)
            for future in done:
                leaves = self._open.pop(future)
                future.result()
                for name, leaf in leaves:
                    self._done(name, leaf)

    def abandon(self) -> None:
        """Begin nothing more; leaves that come to their end with what is running are finished."""
        wait([future for future in self._open if not future.cancel()])
        for future, leaves in self._open.items():
            if not future.cancelled() and future.exception() is None:
                for name, leaf in leaves:
                    self._done(name, leaf)

    def _add(self, leaves: list[tuple[str, Deferred]], copy: Callable[..., None], *of: Any) -> None:
        self.drain(self._most - 1)
        self._left.update(name for name, _ in leaves)
        self._open[self._pool.submit(copy, *of)] = leaves

    def _done(self, name: str, leaf: Deferred) -> None:
        self._left[name] -= 1
        if not self._left[name]:
            del self._left[name]
            if leaf.nbytes > _SMALL or (leaf.nbytes >= _PAGES and not leaf.is_dense):
                leaf.drop()
            self._finished(name)


def strips(array: Leaf) -> Iterator[memoryview]:
    """Yield a leaf's elements in C order, little-endian, in pieces of some MiB.

    A piece is valid until the next one is asked for.

    >>> import numpy as np
    >>> [piece.tolist() for piece in strips(np.array([[1, 2], [3, 4]], dtype=np.int8).T)]
    [[1, 3, 2, 4]]
    """
    leaf = _little_endian(array)
    for strip in cut(leaf):
        yield strip.fill(buffer(_local, strip.nbytes))


def _copy_strip(strip: Strip, sink: Sink, offset: int) -> None:
    content = strip.fill(buffer(_local, strip.nbytes))
    for start, place, nbytes in strip.stretches():
        sink.write(content[start : start + nbytes], offset + place)


def _little_endian(array: Any) -> Deferred:
    leaf = Deferred.of(array)
    order = leaf.dtype.byteorder
    if order == ">" or (order == "=" and sys.byteorder == "big"):
        return leaf.astype(leaf.dtype.newbyteorder("<"))
    return leaf
