"""Parts of a tensor by an index, and tensors put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.sequences import joined_units
from ml_switcheroo.sources.static.shaping import indexed
from ml_switcheroo.sources.static.splits import unbound
from ml_switcheroo.sources.static.values import UNKNOWN, Site, Tensor, Value

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.machine import Machine

__all__ = ["broadcast", "joined", "taken"]


def taken(machine: Machine, tensor: Tensor, index: Value) -> Value:
    """Return ``tensor[index]``."""
    places = index if isinstance(index, tuple) else (index,)
    given = [place for place, one in enumerate(places) if one != slice(None) and one is not Ellipsis]
    if len(given) == 1 and (part := _part(machine, tensor, places, given[0])) is not None:
        return part
    found = indexed(tensor, places)
    if found is not None:
        return found
    return Tensor(tensor.shape[1:] if tensor.shape and isinstance(index, int) else None)


def _part(machine: Machine, tensor: Tensor, places: tuple[Value, ...], at: int) -> Tensor | None:
    """Return ``tensor[..., 1, :]`` where a reshape has divided a projection; None for anything else."""
    number = places[at]
    if not tensor.axes or not isinstance(number, int) or isinstance(number, bool):
        return None
    place = at - len(places) if Ellipsis in places[:at] else at
    key = (id(tensor), place % len(tensor.axes))
    if key not in machine.seen:
        site: Site | None = machine.sites[-1] if machine.sites else None
        machine.seen[key] = (tensor, unbound(tensor, place, site))
    parts = machine.seen[key][1]
    return parts[number] if parts is not None and -len(parts) <= number < len(parts) else None


def joined(tensors: Value, dim: Value) -> Value:
    """Return ``torch.cat``: of the axis it goes along, nothing is known but that it is one."""
    if (units := joined_units(tensors)) is not UNKNOWN:
        return units
    held = tensors if isinstance(tensors, list | tuple) else ()
    axes: tuple[Axis, ...] | None = None
    for mine in (one.axes for one in held if isinstance(one, Tensor) and one.axes):
        if mine[0] == (REST,) or (axes is not None and len(axes) != len(mine)):
            return UNKNOWN
        axes = mine if axes is None else broadcast(axes, mine)
    if axes is None or not isinstance(dim, int) or not -len(axes) <= dim < len(axes):
        return UNKNOWN
    place = dim % len(axes)
    if any(len(axis) != 1 for at, axis in enumerate(axes) if at != place):
        return UNKNOWN
    return made((*axes[:place], (Atom("any"),), *axes[place + 1 :]))


def broadcast(left: tuple[Axis, ...], right: tuple[Axis, ...]) -> tuple[Axis, ...] | None:
    """Return the axes of a sum, from the right; None where they do not tell."""
    if left == right:
        return left
    if left[0] == (REST,) or right[0] == (REST,):
        longer = right if left[0] == (REST,) else left
        ones = [side[-1] for side in (left, right) if [atom.role for atom in side[-1]] != ["one"]]
        last = ones[0] if len(set(ones)) == 1 else (Atom("any"),)
        return (*longer[:-1], last) if len(left[-1]) == len(right[-1]) == 1 else None
    if len(left) != len(right):
        return None
    axes = [_either(mine, other) for mine, other in zip(left, right, strict=True)]
    return None if None in axes else tuple(axis for axis in axes if axis is not None)


def _either(left: Axis, right: Axis) -> Axis | None:
    """Return the axis of a sum of two: channels are added one by one, so either names them."""
    if left == right or [atom.role for atom in right] == ["one"]:
        return left
    if [atom.role for atom in left] == ["one"]:
        return right
    if len(left) != 1 or len(right) != 1:
        return left if [atom.role for atom in left] == [atom.role for atom in right] else None
    return left if left[0].role == right[0].role else (Atom("any"),)
