"""Rows that an image is flattened to, where something else is added to them or multiplied with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.atoms import REST, Axis
from ml_switcheroo.sources.static.values import Site, Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.machine import Machine

__all__ = ["is_flattened", "note_gate", "note_own"]


def is_flattened(axis: Axis) -> bool:
    """Tell whether an axis is made of channels and places."""
    roles = {atom.role for atom in axis}
    if {"channel", "space"} <= roles:
        return True
    return any(is_flattened(part) for atom in axis for part in atom.parts)


def note_gate(left: tuple[Axis, ...], right: tuple[Axis, ...], site: Site | None) -> None:
    """Note on a linear that its output meets a flattened image, element by element."""
    for mine, other in ((left[-1], right[-1]), (right[-1], left[-1])):
        maker = mine[0].of if len(mine) == 1 and mine[0].role == "out" else None
        if maker is not None and is_flattened(other):
            maker.marks.setdefault("gates", []).append((other, site))


def note_own(machine: Machine, own: Tensor, other: Tensor) -> None:
    """Note a tensor of the model's own that meets a flattened image."""
    axes: tuple[Axis, ...] | None = other.axes
    if own.role and axes and axes[0] != (REST,) and is_flattened(axes[-1]):
        machine.seen.setdefault("own", []).append(
            (own, axes[-1], machine.sites[-1] if machine.sites else None)
        )
