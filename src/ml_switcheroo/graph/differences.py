"""Where two programs compute something else, with a line of each."""

from __future__ import annotations

from collections.abc import Iterator

from ml_switcheroo.graph.matching.lockstep import Matched

__all__ = ["differences"]


def differences(matched: Matched) -> Iterator[str]:
    """Yield what two programs do differently, as sentences."""
    if not matched.complete and not matched.source.graph.gaps and not matched.target.graph.gaps:
        yield "the programs part"
