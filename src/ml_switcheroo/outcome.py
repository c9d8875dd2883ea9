"""What becomes of every source tensor, and what fills every target leaf: the facts of a plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ml_switcheroo.moves import Move
from ml_switcheroo.tensors import TensorSpec
from ml_switcheroo.unmoved import Ambiguity, Unmoved

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What becomes of every source tensor, and what fills every target leaf.

    Attributes:
        target: Name of the target; ``torch`` on the way back.
        moves: The moves. Each source and each leaf stands in one of them at most.
        dropped: Source tensors that are left behind for a good reason.
        kept: Target leaves that stay as they are for a good reason.
        unexpected: Source tensors that no leaf takes.
        missing: Target leaves that nothing fills.
        ambiguous: What has several answers.
        notes: What a person should know.
        differences: Where the two programs compute something else, each with a line of both.
        source: Where the tensors come from, such as a file name.
    """

    target: str
    moves: tuple[Move, ...]
    dropped: Mapping[str, Unmoved] = field(default_factory=dict)
    kept: Mapping[str, Unmoved] = field(default_factory=dict)
    unexpected: Mapping[str, Unmoved] = field(default_factory=dict)
    missing: Mapping[str, Unmoved] = field(default_factory=dict)
    ambiguous: tuple[Ambiguity, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    differences: tuple[str, ...] = ()

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Specs of the source tensors that are moved."""
        return {
            name: spec for move in self.moves for name, spec in zip(move.sources, move.inputs, strict=True)
        }

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """Specs of the leaves that are filled."""
        return {
            path: spec for move in self.moves for path, spec in zip(move.leaves, move.outputs, strict=True)
        }

    @property
    def doubted(self) -> tuple[str, ...]:
        """Source tensors for which several answers fit equally."""
        return tuple(name for entry in self.ambiguous for name in entry.names)

    @property
    def digest(self) -> str:
        """SHA-256 of the plan: the same for the same moves."""
        text = json.dumps({"target": self.target, "moves": [move.to_json() for move in self.moves]})
        return hashlib.sha256(text.encode()).hexdigest()
