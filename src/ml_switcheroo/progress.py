"""How far a long run is: one line on stderr that is overwritten, or a line for each tenth."""

from __future__ import annotations

import sys
import time

__all__ = ["Progress"]

_LARGE = 2**28  # bytes; fewer are written too fast to watch
_EVERY = 0.1  # seconds


class Progress:
    """Show on stderr how many bytes are written.

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
        if self._wanted is None and not (self._terminal and total >= _LARGE):
            return
        now = time.monotonic()
        seconds = max(now - self._begin, 1e-9)
        left = seconds * (total - done) / max(done, 1)
        line = f"{done / total:4.0%}  {_size(done)} of {_size(total)}  {_size(done / seconds)}/s"
        line += f"  {left:.0f} s left" if done < total else f"  in {seconds:.1f} s"
        if self._terminal:
            if now - self._shown >= _EVERY or done == total:
                self._shown = now
                _tell(f"\r{line:<60}" + ("\n" if done == total else ""))
        elif 10 * done // total > self._tenth:
            self._tenth = 10 * done // total
            _tell(f"{line}\n")


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _size(nbytes: float) -> str:
    """Write a number of bytes in powers of 1000.

    >>> _size(1_234_567)
    '1.2 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:.1f} TB"
