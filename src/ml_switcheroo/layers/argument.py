"""What a constructor argument of a layer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["REQUIRED", "Argument"]


class _Required:
    """Type of :data:`REQUIRED`."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()
"""Stands for the default of an argument that has none."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a layer's constructor.

    Attributes:
        name: Its name.
        meaning: What it says.
        default: Its default, or REQUIRED.
        size: The axis whose size it states, such as ``out``; of several (``in groups``) their product; of
            ``*space`` the sizes of all that it stands for.
        switches: The slots that are there only where it is true.
        decides: What it decides beside the sizes: ``output`` of the layer, which its weights do not show, or
            the ``window``: where a kernel stands.
        counts_as: What a default of None stands for.
        keyword: Whether it is given by its name alone.
    """

    name: str
    meaning: str
    default: Any = REQUIRED
    size: str = ""
    switches: tuple[str, ...] = ()
    decides: Literal["", "output", "window"] = ""
    counts_as: Any = None
    keyword: bool = False

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is REQUIRED

    @property
    def usual(self) -> Any:
        """The value that it has where it is left out."""
        return self.counts_as if self.default is None else self.default
