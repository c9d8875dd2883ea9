"""The state of a machine whose tensors carry trails: what it follows, and what it writes down."""

from __future__ import annotations

from collections.abc import Mapping

from ml_switcheroo.code.library import Library
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.tables import Tables
from ml_switcheroo.sources.static.python.values import Instance, Value
from ml_switcheroo.sources.static.torch.trails import Traced, Writing, traced_in

__all__ = ["TrailMachine"]


class TrailMachine(Machine):
    """A machine whose tensors carry trails.

    Args:
        library: Where source files come from.
        tables: What the constructs of Python and torch mean for such tensors.
        steps: How many expressions and statements to read at most.
        shapes: The shapes of parameters, by the id of their tensor.

    Attributes:
        root: The module whose ``forward`` is followed.
        writing: What is written down.
    """

    def __init__(
        self, library: Library, tables: Tables[Machine], steps: int, shapes: Mapping[int, tuple[int, ...]]
    ) -> None:
        super().__init__(library, tables, steps)
        self.root: Instance | None = None
        self.writing = Writing()
        self._shapes = shapes

    def shape_of(self, tensor: Traced) -> tuple[int, ...] | None:
        """Return the shape of a parameter as the checkpoint has it; None for anything else."""
        trail = tensor.trails[0] if len(tensor.trails) == 1 else None
        if trail is None or any(step.word not in ("plus", "times", "other") for step in trail.steps):
            return None
        return self._shapes.get(id(trail.tensor))

    def entered(self, *values: Value) -> None:
        """Write down what enters the operation of the module's own layer."""
        for one in traced_in(list(values)):
            if one.moving:
                self.writing.entries.append((one.given, one.scaled))
