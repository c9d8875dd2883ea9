"""The axes of a tensor in ``forward``: what each of them holds."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ml_switcheroo.sources.static.python.values import Instance, Tensor
from ml_switcheroo.sources.static.torch.uses import used

__all__ = ["REST", "Atom", "Axis", "made"]


@dataclass(frozen=True, slots=True)
class Atom:
    """One axis that has not been merged with another.

    Attributes:
        role: ``batch``, ``channel``, ``group`` (of channels), ``space``, ``one`` (size 1), ``out`` (of a
            linear), ``step``, ``hidden`` and ``layer`` (of a recurrent layer), ``joined`` or ``any``.
        of: The layer whose channels these are.
        place: Which of the factors of the layer's output this is.
        factors: The sizes a reshape has divided that output into.
        size: Its size, where that is known.
        key: Atoms of one key are of one size, also where that is unknown.
        parts: The axes that ``torch.cat`` has joined to this one, one after the other.
    """

    role: str
    of: Instance | None = None
    place: int = 0
    factors: tuple[int | None, ...] = ()
    size: int | None = None
    key: Hashable = None
    parts: tuple[tuple[Atom, ...], ...] = ()

    @property
    def count(self) -> int | None:
        """Its size, as far as it or its layer says."""
        if self.size is not None or self.role == "one":
            return self.size or 1
        size = None
        if self.role == "factor":
            size = self.factors[self.place]
        elif self.of is not None and self.role in ("out", "channel"):
            size = used(self.of).size if self.role == "out" else used(self.of).channels
        return size if isinstance(size, int) and size > 0 else None


Axis = tuple[Atom, ...]
"""Atoms that lie in one axis, the slowest first."""


REST = Atom("rest")
"""Stands first where the number of leading axes is unknown."""


def made(axes: tuple[Axis, ...] | None, layout: str = "") -> Tensor:
    """Return a tensor with these axes."""
    return Tensor(None, axes=axes, layout=layout)
