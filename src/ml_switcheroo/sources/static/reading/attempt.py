"""One reading of a model, and how it fits the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field

from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.values import Value
from ml_switcheroo.sources.static.reading.fit import Claim, Fit

__all__ = ["Attempt"]


@dataclass(slots=True)
class Attempt:
    """One reading of the model, and how it fits the checkpoint.

    Attributes:
        doubts: By tensor what else it can be, where an argument is not its default.
        reasons: By key and kind the argument that makes it that kind.
    """

    machine: Machine
    name: str
    label: str
    value: Value
    fit: Fit
    prefix: str = ""
    failure: str = ""
    target: Value = None
    steps: int = 0
    doubts: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """Whether the code makes just what the checkpoint has."""
        return not self.failure and not self.fit.contradictions and not self.fit.open

    @property
    def alone(self) -> bool:
        """Whether the reading has changed nothing that another one would see."""
        machine = self.machine
        return not (self.failure or machine.heap.changed or machine.patched or machine.blind)
