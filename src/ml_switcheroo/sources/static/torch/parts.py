"""Parts of a tensor by an index, and tensors put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.values import UNKNOWN, Maybe, Repeat, Value
from ml_switcheroo.sources.static.torch.alike import ALIKE, OWN, followed, layout_of
from ml_switcheroo.sources.static.torch.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.torch.gates import is_flattened
from ml_switcheroo.sources.static.torch.images import long
from ml_switcheroo.sources.static.torch.sequences import joined_units
from ml_switcheroo.sources.static.torch.shaping import indexed
from ml_switcheroo.sources.static.torch.splits import unbound
from ml_switcheroo.sources.static.torch.uses import count_of, noted
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

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
    if tensor.shape and isinstance(index, int):
        return Tensor(tensor.shape[1:], layout=tensor.layout)
    return followed([tensor, *(one for one in places if isinstance(one, Tensor))])


def _part(machine: Machine, tensor: Tensor, places: tuple[Value, ...], at: int) -> Tensor | None:
    """Return ``tensor[..., 1, :]`` where a reshape has divided a projection; None for anything else."""
    number = places[at]
    if not tensor.axes or not isinstance(number, int) or isinstance(number, bool):
        return None
    place = at - len(places) if Ellipsis in places[:at] else at
    key = (id(tensor), place % len(tensor.axes))
    kept = noted(machine).parts
    if key not in kept:
        kept[key] = (tensor, unbound(tensor, place))
    parts = kept[key][1]
    for part in parts or ():
        part.layout = tensor.layout
    return parts[number] if parts is not None and -len(parts) <= number < len(parts) else None


def joined(tensors: Value, dim: Value) -> Value:
    """Return ``torch.cat``: of the axis it goes along, what the tensors have there, one after the other."""
    if (units := joined_units(tensors)) is not UNKNOWN:
        return units
    lost = followed([tensors])
    held = tensors if isinstance(tensors, list | tuple) else ()
    if not held or not all(isinstance(one, Tensor) for one in held):
        return _vaguely(held, dim) or lost
    known_ones = [one for one in held if one.axes and one.axes[0] != (REST,)]
    ranks = {len(one.axes) for one in known_ones}
    if len(ranks) != 1 or not isinstance(dim, int) or not -min(ranks) <= dim < min(ranks):
        return lost
    (rank,) = ranks
    place = dim % rank
    axes = known_ones[0].axes
    for one in known_ones[1:]:
        mine = tuple(axis if at != place else axes[place] for at, axis in enumerate(one.axes))
        axes = broadcast(axes, mine)
        if axes is None:
            return lost
    parts = [_part_of(one, place, rank) for one in held]
    if any(part is None for part in parts):
        return lost
    axis = _one_after_the_other([part for part in parts if part is not None])
    site = next((one.site for one in held if one.site is not None), None)
    result = made((*axes[:place], axis, *axes[place + 1 :]))
    result.site = site
    return result


def _vaguely(held: Sequence[Value], dim: Value) -> Value:
    """Join any number of feature maps along their channels."""
    bare = [one.value if isinstance(one, Maybe | Repeat) else one for one in held]
    each = [one.axes for one in bare if isinstance(one, Tensor) and one.axes and one.axes[0] != (REST,)]
    if not each or len(each) < len(bare):
        return None
    axes = each[0]
    alike = all(len(one) == len(axes) for one in each)
    if not alike or not isinstance(dim, int) or not -len(axes) <= dim < len(axes):
        return None
    place = dim % len(axes)
    role = {axis.role for one in each for axis in one[place]}
    single = all(len(one[place]) == 1 for one in each)
    atom = Atom("channel") if role == {"channel"} and single else Atom("any") if single else None
    return None if atom is None else made((*axes[:place], (atom,), *axes[place + 1 :]))


def _part_of(tensor: Tensor, place: int, rank: int) -> Axis | None:
    """Return what a tensor has in the axis along which it is joined to others; None where nobody knows."""
    axes: tuple[Axis, ...] | None = tensor.axes
    if axes and axes[0] != (REST,):
        return axes[place]
    if axes and place == rank - 1:
        role = axes[-1][0].role
        return (Atom("any", key=("of", tensor.serial)),) if role == "input" else axes[-1]
    size = tensor.shape[place] if tensor.shape and len(tensor.shape) == rank else None
    if layout_of(tensor) in (OWN, ALIKE):
        return (Atom("any", size=size if isinstance(size, int) else None, key=("of", tensor.serial)),)
    return None


def _one_after_the_other(parts: list[Axis]) -> Axis:
    """Return the axis that is made of several."""
    roles = {atom.role for part in parts for atom in part}
    if roles & {"space", "step"} and roles <= {"space", "step", "one", "any", "layer"}:
        lengths = [long(part) for part in parts]
        size = None if None in lengths else sum(length for length in lengths if length is not None)
        return (Atom("space" if roles == {"space"} else "step", size=size),)
    atoms = [part[0] for part in parts if len(part) == 1]
    if len(atoms) < len(parts) or any(atom.role == "joined" for atom in atoms):
        return (Atom("joined", parts=tuple(parts)),)
    counts = [count_of(atom) for atom in atoms]
    size = sum(count for count in counts if count is not None) if None not in counts else None
    if roles == {"channel"} or "lost" in roles:
        return (Atom("lost" if "lost" in roles else "channel", size=size),)
    return (Atom("any", size=size),)


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
    if [atom.role for atom in left] == [atom.role for atom in right] and len(left) > 1:
        return left
    gate = [side for side in (left, right) if is_flattened(side)]
    single = [side for side in (left, right) if len(side) == 1 and side[0].role == "out"]
    if len(gate) == len(single) == 1:
        return gate[0]  # the linear puts out what the image is flattened to
    if len(left) != 1 or len(right) != 1:
        return left if [atom.role for atom in left] == [atom.role for atom in right] else None
    if left[0].role == right[0].role:
        return right if count_of(left[0]) is None and count_of(right[0]) is not None else left
    role = "channel" if "channel" in (left[0].role, right[0].role) else "any"
    return (Atom(role, size=count_of(left[0]) or count_of(right[0])),)
