"""Jobs that run several at a time, within a bound of memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_lanes"]

_SMALL = 2**16  # bytes; less is not worth a thread

T = TypeVar("T")


def in_lanes(jobs: Iterable[tuple[int, Callable[[], T]]], lanes: int, most: int) -> Iterator[T]:
    """Run jobs, and yield what they return: small ones at once, the others in threads, in their order.

    Args:
        jobs: The bytes that each job takes, with the job.
        lanes: How many run at a time.
        most: Bytes that jobs which are under way together may take.

    >>> list(in_lanes(((2**20, lambda: "large"), (4, lambda: "small")), lanes=2, most=2**28))
    ['small', 'large']
    """
    waiting: deque[tuple[int, Future[T]]] = deque()
    pool = ThreadPoolExecutor(lanes)
    try:
        for nbytes, job in jobs:
            if nbytes <= _SMALL:
                yield job()
                continue
            while waiting and (len(waiting) >= 2 * lanes or nbytes + sum(n for n, _ in waiting) > most):
                yield waiting.popleft()[1].result()
            waiting.append((nbytes, pool.submit(job)))
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)
