"""Rows that an image is flattened to, where something else is added to them or multiplied with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.values import Site, Value
from ml_switcheroo.sources.static.torch.alike import LOST, layout_of
from ml_switcheroo.sources.static.torch.atoms import Axis
from ml_switcheroo.sources.static.torch.uses import OwnUse, noted, used
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["is_flattened", "note_gate", "note_matrix", "note_own"]


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
            used(maker).gates.append((other, site))


def note_own(machine: Machine, own: Tensor, other: Tensor) -> None:
    """Note a tensor of the model's own that is added to a flattened image, or multiplied with it."""
    axes: tuple[Axis, ...] | None = other.axes
    if own.role and axes and is_flattened(axes[-1]):
        _note(machine, OwnUse(own, axes[-1], LOST, -1, machine.site))


def note_matrix(machine: Machine, own: Value, other: Value, place: int) -> None:
    """Note a tensor of the model's own that is a matrix for another one's last axis."""
    if isinstance(own, Tensor) and own.role and own.of is None and isinstance(other, Tensor):
        axis = other.axes[-1] if other.axes else None
        _note(machine, OwnUse(own, axis, layout_of(other), place, machine.site))


def _note(machine: Machine, use: OwnUse) -> None:
    noted(machine).own.append(use)
