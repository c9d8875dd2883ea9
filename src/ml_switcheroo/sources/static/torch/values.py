"""What torch adds to the values of a program that is read: tensors without bytes, and their sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ml_switcheroo.sources.static.python.values import Foreign, Instance, Measure, Site, Value, next_serial

__all__ = ["Size", "Tensor"]


@dataclass(slots=True, eq=False)
class Tensor(Foreign):
    """A tensor without bytes.

    Attributes:
        shape: Sizes (or unknowns); None where not even the rank is known.
        role: ``parameter``, ``buffer``, or empty for a tensor that no state dict has.
        persistent: Whether a buffer is saved.
        axes: What each axis holds, for the data flow in ``forward``; see ``flow``.
        site: Where it is made.
        layout: How a port has its axes, where they are unknown; see ``alike``.
        of: The layer whose own tensor it is.
        serial: When it was made, in the order of everything that is made.
        trace: The rows it holds, where rows are followed; see ``traces``.
        holds: What it is made with, where programs are drawn.
    """

    shape: tuple[Value, ...] | None = None
    role: str = ""
    persistent: bool = True
    axes: Any = None
    site: Site | None = None
    layout: str = ""
    of: Instance | None = None
    serial: int = field(default_factory=next_serial)
    trace: Any = None
    holds: Any = None

    def copied(self) -> Tensor:
        """Return what ``copy.deepcopy`` gives."""
        made = Tensor(self.shape, self.role, self.persistent, self.axes, self.site)
        made.holds = self.holds
        return made

    def made_again(self, inside: Callable[[Value], Value], first: int) -> Tensor | None:
        """Return a tensor as the constructor would make it once more."""
        plain = type(self) is Tensor and self.axes is None and self.holds is None
        if not plain or self.serial < first:
            return None
        shape = None if self.shape is None else tuple(map(inside, self.shape))
        return Tensor(shape, self.role, self.persistent, site=self.site)


@dataclass(frozen=True, slots=True)
class Size(Measure):
    """The size of an axis of a tensor, or of several merged: ``x.shape[1] * x.shape[2]``.

    Attributes:
        atoms: The axes; see ``flow``.
    """

    atoms: tuple[Any, ...]
