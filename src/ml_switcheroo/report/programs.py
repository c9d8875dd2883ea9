"""What is left open where two programs were matched, as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ml_switcheroo.report.folding import fold

if TYPE_CHECKING:
    from ml_switcheroo.graph.matching.matched import Matched
    from ml_switcheroo.graph.moving import Refused

__all__ = ["gap_lines", "refused_lines"]

_MOST = 3


def gap_lines(matched: Matched) -> Iterator[str]:
    """Yield what of the programs could not be followed; the same in many layers is folded."""
    for side, word in ((matched.source, "the PyTorch model"), (matched.target, "the target's model")):
        for (gap,) in fold((gap,) for gap in side.graph.gaps):
            yield f"{word} is not followed all the way: {gap}"


def refused_lines(refused: Iterable[Refused]) -> Iterator[str]:
    """Yield why leaves are known and yet not filled; of many with the same reason a few are named."""
    by_reason: dict[str, list[str]] = {}
    for leaf, sources, why in fold((one.leaf, ", ".join(one.sources), one.why) for one in refused):
        by_reason.setdefault(why, []).append(f"{leaf}: {sources}")
    for why, found in by_reason.items():
        if len(found) <= _MOST:
            yield from (f"{one}: {why}" for one in found)
        else:
            yield f"{'; '.join(found[:_MOST])}; and {len(found) - _MOST} more: {why}"
