"""Why a target's model could not be traced, with the user's own line."""

from __future__ import annotations

from collections.abc import Iterable

from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.lines import raised_at

__all__ = ["failures_text"]

_MOST = 200


def failures_text(failures: Iterable[tuple[Given, Exception]]) -> str:
    """Say in one line why a model could not be traced, for each order of its inputs that was tried."""
    by_reason: dict[str, list[str]] = {}
    for given, error in failures:
        by_reason.setdefault(_reason(error), []).append(", ".join(map(str, given.specs)))
    return "; ".join(f"given {' or '.join(taken)}: {reason}" for reason, taken in by_reason.items())


def _reason(error: Exception) -> str:
    """Return the first line of an error, behind the innermost line that no package has."""
    line = raised_at(error)
    said = next(iter(str(error).strip().splitlines()), "")
    text = f"{type(error).__name__}: {said[:_MOST]}".removesuffix(": ")
    return f"{line}: {text}" if line is not None else text
