"""What a person sees while it takes long: the step, the time, the peak memory; a bar of what is written."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Timer
from typing import TYPE_CHECKING

from ml_switcheroo.cli.boundary import aside
from ml_switcheroo.cli.screen import console_of, is_quiet, is_verbose, tell, width_of
from ml_switcheroo.progress import LARGE, Progress, how_far, listened, peak_memory, size_text

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

__all__ = ["Work", "reading", "working"]

_PATIENCE = 1.0  # seconds that pass before anything is shown
_BAR, _LEAST, _WORDS = (
    30,
    8,
    66,
)  # characters: of a bar, of one that is worth it, and of what stands beside it


def reading(checkpoint: Sequence[Path]) -> str:
    """Name the first step of what begins with a checkpoint."""
    more = f" and {len(checkpoint) - 1} more" if len(checkpoint) > 1 else ""
    return f"reading {checkpoint[0]}{more}"


@contextmanager
def working(first: str, *, shown: bool = True, wanted: bool | None = None) -> Iterator[Work]:
    """Do what may take long; what the user's code prints meanwhile goes to stderr.

    Args:
        first: The first step; the core says the next ones.
        shown: Whether a terminal shows the step, once that takes a second.
        wanted: Whether the bytes written are shown; None shows them on a terminal, if it takes a second.
    """
    with aside():
        work = Work(first, shown=shown and not is_quiet() and sys.stderr.isatty(), wanted=wanted)
        try:
            with listened(work.begin):
                yield work
        finally:
            work.end()


class Work:
    """A run that is shown on stderr as soon as it takes a second."""

    def __init__(self, first: str, *, shown: bool, wanted: bool | None) -> None:
        self._step, self._shown, self._wanted = first, shown, wanted
        self._begin = self._wrote = time.monotonic()
        self._told = is_verbose()
        self._plain = Progress(wanted)
        self._lock = Lock()
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._ended = self._writing = False
        self._timer = Timer(_PATIENCE, self._open)
        self._timer.daemon = True
        if shown:
            self._timer.start()

    def begin(self, step: str) -> None:
        """Take the next step."""
        self._tell()
        self._step, self._begin = step, time.monotonic()
        with self._lock:
            if self._bars is not None and self._task is not None:
                self._bars.update(self._task, description=step)

    def wrote(self, done: int, total: int) -> None:
        """Take the number of bytes written so far, and the total."""
        if not total or self._wanted is False:
            return
        if not self._shown:
            self._plain(done, total)
            return
        if not self._writing:
            self._start_writing(total)
        with self._lock:
            if self._bars is not None and self._task is not None:
                said = _fitting(how_far(done, total, time.monotonic() - self._wrote))
                self._bars.update(self._task, completed=done, said=said)

    def end(self) -> None:
        """Show no more; the last line stays where it is one of bytes that are written."""
        self._timer.cancel()
        with self._lock:
            self._ended = True
            if self._bars is not None:
                self._bars.stop()
        self._tell()

    def _tell(self) -> None:
        if self._told:
            peak = peak_memory()
            took = f"{time.monotonic() - self._begin:.2f} s"
            tell(f"{self._step}: {took}" + (f", peak memory {size_text(peak)}" if peak else ""), "faint")

    def _open(self) -> None:
        """Show the step, from the thread of the timer."""
        from rich.progress import Progress as Bars
        from rich.progress import ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
        from rich.text import Text

        class _Peak(ProgressColumn):
            def render(self, task: Task) -> Text:
                peak = peak_memory()
                return Text(f"peak {size_text(peak)}" if peak else "")

        with self._lock:
            if self._ended or self._bars is not None:
                return
            columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._bars = Bars(*columns, _Peak(), console=console_of(sys.stderr), transient=True)
            self._task = self._bars.add_task(self._step, total=None)
            self._bars.start()

    def _start_writing(self, total: int) -> None:
        """Put a bar in the place of the step."""
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        late = time.monotonic() - self._wrote > _PATIENCE
        if not (self._wanted or total >= LARGE or late):
            return
        self._timer.cancel()
        self._writing = True
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
            room = min((width_of(sys.stderr) or 0) - _WORDS, _BAR)
            bar = [BarColumn(room)] if room >= _LEAST else []
            words = TextColumn("{task.fields[said]}", style="none")
            self._bars = Bars(*bar, words, console=console_of(sys.stderr))
            self._wrote = time.monotonic()
            self._task = self._bars.add_task("", total=total, said="")
            self._bars.start()


def _fitting(text: str) -> str:
    """Leave away the last of what does not fit on a line."""
    width = width_of(sys.stderr)
    while width is not None and len(text) > width and "  " in text.strip():
        text = text.rpartition("  ")[0]
    return text
