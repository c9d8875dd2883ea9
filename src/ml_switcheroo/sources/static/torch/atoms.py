"""The axes of a tensor in ``forward``: what each of them holds."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ml_switcheroo.sources.static.python.values import Instance
from ml_switcheroo.sources.static.torch.values import Tensor

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


Axis = tuple[Atom, ...]
"""Atoms that lie in one axis, the slowest first."""


REST = Atom("rest")
"""Stands first where the number of leading axes is unknown."""


def made(axes: tuple[Axis, ...] | None, layout: str = "") -> Tensor:
    """Return a tensor with these axes."""
    return Tensor(None, axes=axes, layout=layout)
