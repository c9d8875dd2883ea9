"""What was weighed while a plan was drawn: kept where somebody asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_switcheroo.match.trace import Weighing
    from ml_switcheroo.planning.options.option import Option
    from ml_switcheroo.planning.stages.exclusion import Exclusion
    from ml_switcheroo.sources.classify import Owner

__all__ = ["Trace"]


@dataclass(slots=True)
class Trace:
    """What the stages had in hand when they were done; each adds its own.

    Attributes:
        asked: The modules that the structure was asked for, by path, with their options by name.
        weighed: What the structure weighed.
        excluded: What became of the modules that were left over.
    """

    asked: dict[str, tuple[Owner, Sequence[Option]]] = field(default_factory=dict)
    weighed: list[Weighing] = field(default_factory=list)
    excluded: list[Exclusion] = field(default_factory=list)
