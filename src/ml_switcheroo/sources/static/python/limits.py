"""What the interpreter may do while code is read: deep calls, and little work for the garbage collector."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["deep_recursion", "little_garbage"]


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Let Python follow calls as deep as a model's own."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 50_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextmanager
def little_garbage() -> Iterator[None]:
    """Keep the garbage collector to what is made meanwhile: what was there before is large, and stays."""
    ours = not gc.get_freeze_count()
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()
