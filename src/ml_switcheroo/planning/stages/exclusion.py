"""What became of the modules that were left over: the stage ``by_exclusion`` says it, the trace keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ml_switcheroo.planning.options.option import Option
from ml_switcheroo.planning.stages.fitting import Fits

__all__ = ["Exclusion"]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What became of the modules that were left over.

    Attributes:
        fits: The sites that each of them fits.
        placed: The modules that were placed, with their moves.
        unvouched: The modules that have one site, for which nothing else speaks.
    """

    fits: Mapping[str, Fits] = field(default_factory=dict)
    placed: Mapping[str, Option] = field(default_factory=dict)
    unvouched: Mapping[str, Option] = field(default_factory=dict)
