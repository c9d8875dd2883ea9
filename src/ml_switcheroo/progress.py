"""How far a long run is, and what it is at: the core says it, whoever wants to shows it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

__all__ = ["LARGE", "Progress", "beginning", "how_far", "listened", "peak_memory", "size_text"]

LARGE = 2**28
"""Bytes of which the writing is shown; fewer are written too fast to watch."""

_EVERY = 0.1  # seconds
_listener: ContextVar[Callable[[str], object] | None] = ContextVar("listener", default=None)


def beginning(step: str) -> None:
    """Say what begins now, to whoever listens.

    >>> steps = []
    >>> with listened(steps.append):
    ...     beginning("planning")
    >>> steps
    ['planning']
    """
    listener = _listener.get()
    if listener is not None:
        listener(step)


@contextmanager
def listened(listener: Callable[[str], object]) -> Iterator[None]:
    """Have each step told to a function while the block runs."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def how_far(done: int, total: int, seconds: float) -> str:
    """Write how far a run is: bytes, rate, the time that is left, and the peak memory of the process.

    >>> how_far(500_000_000, 2_000_000_000, 2.0).partition("  peak")[0]
    ' 25%  500.0 MB of 2.0 GB  250.0 MB/s  6 s left'
    """
    seconds = max(seconds, 1e-9)
    left = seconds * (total - done) / max(done, 1)
    ending = f"{left:.0f} s left" if done < total else f"in {seconds:.1f} s"
    parts = [
        f"{done / total:4.0%}",
        f"{size_text(done)} of {size_text(total)}",
        f"{size_text(done / seconds)}/s",
    ]
    peak = peak_memory()
    return "  ".join([*parts, ending, *([f"peak {size_text(peak)}"] if peak else [])])


def peak_memory() -> int:
    """Return the most memory that this process has had so far, in bytes; 0 where the system does not say."""
    # On Linux getrusage counts what the parent had when it started this process; the kernel's own mark does not.
    with suppress(OSError):
        status = Path("/proc/self/status").read_text("ascii")
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Progress:
    """Show on stderr how many bytes are written: a line written over, or one for each tenth.

    Args:
        wanted: True always shows it, False never; None shows it on a terminal, for large outputs.
    """

    def __init__(self, wanted: bool | None) -> None:
        self._terminal = sys.stderr.isatty()
        self._wanted = wanted
        self._begin = time.monotonic()
        self._shown = 0.0
        self._tenth = 0

    def __call__(self, done: int, total: int) -> None:
        """Take the number of bytes written so far, and the total."""
        if self._wanted is False or not total:
            return
        if self._wanted is None and not (self._terminal and total >= LARGE):
            return
        now = time.monotonic()
        line = how_far(done, total, now - self._begin)
        if self._terminal:
            if now - self._shown >= _EVERY or done == total:
                self._shown = now
                _tell(f"\r{line:<72}" + ("\n" if done == total else ""))
        elif 10 * done // total > self._tenth:
            self._tenth = 10 * done // total
            _tell(f"{line}\n")


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def size_text(nbytes: float) -> str:
    """Write a number of bytes in powers of 1000.

    >>> size_text(1_234_567)
    '1.2 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:.1f} TB"
