"""A tensor without a place in the target may have been folded into one that has a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ml_switcheroo.match.assignment.pairing import Match
from ml_switcheroo.match.units.roles import NORM
from ml_switcheroo.match.units.unit import Unit

__all__ = ["folded"]

_MATRICES = frozenset({"linear", "conv"})


def folded(matches: Sequence[Match], sources: Sequence[Unit], targets: Sequence[Unit]) -> dict[int, str]:
    """Return the matches that cannot be trusted, by number, and why.

    A table of segments that the target has none for is added to that of positions by some converters; a
    norm, to the matrices around it. The result has the same shape, so nothing else would show it.

    Args:
        matches: The matches.
        sources: All units of the source.
        targets: All units of the target.
    """
    used = {id(match.source) for match in matches}
    left = [unit for unit in sources if id(unit) not in used]
    found: dict[int, str] = {}
    for unit in left:
        if "seg" in unit.words and not any("seg" in other.words for other in targets):
            found |= dict.fromkeys(_tables(matches, unit), _why(unit))
        if unit.role == NORM and not _waiting(unit, matches, targets):
            found |= dict.fromkeys(_matrices(matches, unit), _why(unit))
    return found


def _why(unit: Unit) -> str:
    return f"{unit} has no place in the target and may be folded into this"


def _tables(matches: Sequence[Match], left: Unit) -> Iterator[int]:
    for number, match in enumerate(matches):
        if "pos" in match.source.words and match.source.containers == left.containers:
            yield number


def _matrices(matches: Sequence[Match], left: Unit) -> Iterator[int]:
    for number, match in enumerate(matches):
        if match.candidate.kind not in _MATRICES or match.source.containers != left.containers:
            continue
        # A norm that was folded into a matrix leaves a bias where none was. Inside a block there may have
        # been one before, so any matrix there can hold it.
        gained = "bias" in match.target.slots.keys() - match.candidate.slots.keys()
        if gained or left.containers:
            yield number


def _waiting(unit: Unit, matches: Sequence[Match], targets: Sequence[Unit]) -> bool:
    """Tell whether a norm of the target still waits for a source in the same block."""
    filled = {id(match.target) for match in matches}
    blocks = {match.target.containers for match in matches if match.source.containers == unit.containers}
    return any(
        id(other) not in filled and NORM in (other.role, *other.words) and other.containers in blocks
        for other in targets
    )
