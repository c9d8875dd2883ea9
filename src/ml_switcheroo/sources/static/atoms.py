"""The axes of a tensor in ``forward``: what each of them holds."""

from __future__ import annotations

from dataclasses import dataclass

from ml_switcheroo.sources.static.values import Instance, Tensor

__all__ = ["REST", "Atom", "Axis", "made"]


@dataclass(frozen=True, slots=True)
class Atom:
    """One axis that has not been merged with another.

    Attributes:
        role: ``batch``, ``channel``, ``space``, ``one`` (size 1), ``out`` (of a linear), ``step``, ``hidden``
            and ``layer`` (of a recurrent layer) or ``any``.
        of: The layer whose channels these are.
        place: Which of the factors of the layer's output this is.
        factors: The sizes a reshape has divided that output into.
    """

    role: str
    of: Instance | None = None
    place: int = 0
    factors: tuple[int | None, ...] = ()


Axis = tuple[Atom, ...]
"""Atoms that lie in one axis, the slowest first."""


REST = Atom("rest")
"""Stands first where the number of leading axes is unknown."""


def made(axes: tuple[Axis, ...] | None) -> Tensor:
    """Return a tensor with these axes."""
    return Tensor(None, axes=axes)
