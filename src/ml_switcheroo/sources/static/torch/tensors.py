"""A tensor as any other value: iterated over, unpacked, changed in a loop, asked for its class."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.values import External, Value
from ml_switcheroo.sources.static.torch.alike import agreeing, followed, layout_of
from ml_switcheroo.sources.static.torch.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.torch.splits import unbound
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["is_instance", "items", "unpacked", "widened"]


def unpacked(value: Tensor, count: int) -> list[Value] | None:
    """Return what unpacking a tensor into ``count`` names gives; None where nobody knows."""
    if value.axes is None and value.layout:
        return [followed([value]) for _ in range(count)]
    parts = unbound(value, 0)
    for part in parts or ():
        part.layout = value.layout
    if parts is None and value.axes:
        return [followed([value]) for _ in range(count)]
    return list(parts) if parts is not None and len(parts) == count else None


_MOST_ITEMS = 20_000


def items(machine: Machine, tensor: Tensor) -> list[Value] | None:
    """Return what iterating over a tensor gives; None where that is unknown."""
    if machine.follower is not None:
        return machine.follower.items(tensor)
    if tensor.shape and isinstance(tensor.shape[0], int) and 0 < tensor.shape[0] <= _MOST_ITEMS:
        return [Tensor(tensor.shape[1:])] * tensor.shape[0]
    return None


def is_instance(value: Tensor, cls: Value) -> bool | None:
    """Tell whether ``isinstance(tensor, cls)``; None where nobody knows."""
    if not isinstance(cls, External) or not cls.name.startswith("torch."):
        return False
    if cls.name == "torch.nn.Parameter":
        return value.role == "parameter"
    return cls.name == "torch.Tensor" or None


def widened(before: Tensor, after: Value) -> Value:
    """Return what a name may hold in any round of a loop, from the first two.

    It has the axes that agree in what they hold; of another one, nothing is known but that it is one.
    """
    if not isinstance(after, Tensor):
        return NotImplemented
    lost = Tensor(layout=agreeing([layout_of(before), layout_of(after)]))
    if before.axes is None or after.axes is None or len(before.axes) != len(after.axes):
        return lost
    axes: list[Axis] = []
    for mine, other in zip(before.axes, after.axes, strict=True):
        if [atom.role for atom in mine] != [atom.role for atom in other]:
            if len(mine) != 1 or len(other) != 1 or REST in (*mine, *other):
                return lost
            mine = (Atom("any"),)
        elif mine != other:
            mine = tuple(
                replace(atom, size=None, key=None) if a != atom else a
                for a, atom in zip(other, mine, strict=True)
            )
        axes.append(mine)
    return before if tuple(axes) == before.axes else made(tuple(axes))
