"""The one place where an analysis of a model's code may fail: what it would have said is unknown then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ml_switcheroo.errors import SwitcherooError
from ml_switcheroo.sources.static.python.heap import Changed
from ml_switcheroo.sources.static.python.machine import Budget
from ml_switcheroo.sources.static.python.values import Raised

__all__ = ["contained"]

T = TypeVar("T")


def contained(what: str, run: Callable[[], T], otherwise: T, notes: list[str]) -> T:
    """Return what an analysis gives; where it fails, say so in the notes and go on without it.

    Args:
        what: What is analysed, as the note begins.
        run: The analysis.
        otherwise: What stands for "unknown".
        notes: Where the reason goes.
    """
    try:
        return run()
    except (SwitcherooError, Changed):
        raise  # a cure for the user, and a signal of the reader to itself
    except Raised as error:
        reason = f"it raises {error}"
    except (Budget, RecursionError):
        reason = "it is too long, or calls itself too often"
    except Exception as error:  # noqa: BLE001
        # Code of any kind comes in, and this reader models Python only in part. Whatever it stumbles over, a
        # plan can do without what it would have said, and asks instead; it must not end there.
        reason = f"the reader failed ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    notes.append(f"{what} could not be followed: {reason}. What depends on it is asked.")
    return otherwise
