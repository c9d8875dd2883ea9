"""Find the user's line in a framework's record of frames."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ml_switcheroo.graph.graph import Line

__all__ = ["is_users", "line_of", "raised_at"]

_FRAMEWORKS = ("site-packages", "dist-packages", "<frozen", "importlib", "__autograph_generated_file")
_OURS = str(Path(__file__).parents[1])


def line_of(frames: Iterable[tuple[str, int]]) -> Line | None:
    """Return the first line that no package has, of files and numbers, the innermost first."""
    return next((Line(Path(file).name, number) for file, number in frames if is_users(file)), None)


@lru_cache(1024)
def is_users(file: str) -> bool:
    """Tell whether a file is the user's: of no package, and not ours."""
    return not any(word in file for word in _FRAMEWORKS) and not file.startswith(_OURS)


def raised_at(error: BaseException) -> Line | None:
    """Return the innermost line of a user's program that an error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    return line_of((frame.filename, frame.lineno or 0) for frame in reversed(frames))
