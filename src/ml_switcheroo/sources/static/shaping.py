"""Changes of a tensor's shape: which axes stay, merge or change places."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.sequences import regrouped
from ml_switcheroo.sources.static.splits import divided
from ml_switcheroo.sources.static.values import (
    Repeat,
    Site,
    Size,
    Tensor,
    Value,
    known,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.machine import Machine

__all__ = [
    "flattened",
    "indexed",
    "permuted",
    "rearranged",
    "reduced",
    "reshaped",
    "squeezed",
    "swapped",
    "unflattened",
]


def flattened(
    machine: Machine, tensor: Tensor | None, start: Value, end: Value, site: Site | None = None
) -> Value:
    """Return ``tensor.flatten(start, end)``."""
    if tensor is None or not tensor.axes or tensor.axes[0] == (REST,):
        return Tensor()
    rank = len(tensor.axes)
    if (
        not isinstance(start, int)
        or not isinstance(end, int)
        or not (-rank <= start < rank and -rank <= end < rank)
    ):
        return Tensor()
    first, last = start % rank, end % rank
    merged = tuple(atom for axis in tensor.axes[first : last + 1] for atom in axis)
    result = made((*tensor.axes[:first], merged, *tensor.axes[last + 1 :]))
    result.site = site or (machine.sites[-1] if machine.sites else None)
    return result


def reshaped(machine: Machine, tensor: Tensor, sizes: list[Value]) -> Tensor:
    """Return ``tensor.reshape(sizes)``: axes that are kept, and one that takes what is left."""
    axes = tensor.axes
    if not axes or not sizes:
        return Tensor()
    if axes[0] == (REST,):
        return _reshaped_end(machine, tensor, sizes)
    if (units := regrouped(tensor, sizes)) is not None:
        return units
    front = _kept(axes, sizes)
    back = _kept(axes[::-1][: len(axes) - len(front)], sizes[::-1][: len(sizes) - len(front)])
    middle = sizes[len(front) : len(sizes) - len(back)]
    left = axes[len(front) : len(axes) - len(back)]
    if not front and not back and len(middle) == 2 and len(left) > 2 and left[0][0].role == "batch":
        front, middle, left = list(left[:1]), middle[1:], left[1:]
    if len(middle) == 0 and not left:
        merged: tuple[Axis, ...] = ()
    elif len(middle) == 1:
        merged = (tuple(atom for axis in left for atom in axis),)
    elif len(left) == 1 and (parts := divided(left[0], middle, _site(machine))):
        merged = parts
    else:
        return Tensor()
    result = made((*front, *merged, *back[::-1]))
    result.site = _site(machine)
    return result


def unflattened(
    machine: Machine, tensor: Tensor | None, dim: Value, sizes: Value, site: Site | None = None
) -> Tensor:
    """Return ``tensor.unflatten(dim, sizes)`` for the output axis of a Linear."""
    if tensor is None or not tensor.axes or not isinstance(dim, int) or not isinstance(sizes, tuple | list):
        return Tensor()
    last = dim in (-1, len(tensor.axes) - 1) or (tensor.axes[0] == (REST,) and dim == 1)
    parts = divided(tensor.axes[-1], list(sizes), site or _site(machine)) if last else None
    if parts is None:
        return Tensor()
    lead = ((Atom("batch"),),) if tensor.axes[0] == (REST,) and dim == 1 else tensor.axes[:-1]
    return made((*lead, *parts))


def _site(machine: Machine) -> Site | None:
    return machine.sites[-1] if machine.sites else None


def _reshaped_end(machine: Machine, tensor: Tensor, sizes: list[Value]) -> Tensor:
    """Reshape the last axis of a tensor whose leading axes are unknown but named in ``sizes``."""
    axes: tuple[Axis, ...] = tensor.axes or ()
    plain = [size.value if isinstance(size, Repeat) else size for size in sizes]
    lead = [size for size in plain if isinstance(size, Size) and size.atoms[0].role in ("lead", "rest")]
    rest = plain[len(lead) :]
    if not lead and len(axes) == 2 and len(rest) > 2 and all(isinstance(size, int) for size in rest[1:]):
        # view(-1, c, h, w): the batch, and the whole output of a Linear where its size is known.
        parts = divided(axes[1], rest[1:], _site(machine))
        return made(((Atom("batch"),), *parts)) if parts and _is_whole(axes[1], rest[1:]) else Tensor()
    if not lead or plain[: len(lead)] != lead or len(axes) != 2 or not rest:
        return _ending(machine, axes, plain)
    counted = all(size.atoms[0].role == "lead" for size in lead)
    first: tuple[Axis, ...] = tuple(size.atoms for size in lead) if counted else ((REST,),)
    if counted and rest[0] == -1 and len(rest) > 1:
        first, rest = (*first, (Atom("lead", None, len(lead)),)), rest[1:]  # the sizes must make up the rest
        if not all(isinstance(size, int) and size > 0 for size in rest):
            return Tensor()
    if len(rest) == 1:
        kept = not counted or (isinstance(rest[0], Size) and rest[0].atoms == axes[1])
        return made((*first, axes[1])) if kept else Tensor()  # the rank is not known: it may be a flatten
    parts = divided(axes[1], rest, _site(machine))
    return made((*first, *parts)) if parts else Tensor()


def _ending(machine: Machine, axes: tuple[Axis, ...], sizes: list[Value]) -> Tensor:
    """Reshape to sizes of which the last ones make up the whole output of a Linear, whatever comes before."""
    for place in range(len(sizes) - 1, 0, -1):
        rest = sizes[place:]
        if not all(isinstance(size, int) and size > 0 for size in rest):
            break
        if len(axes) == 2 and len(axes[1]) == 1 and len(rest) > 1 and _is_whole(axes[1], rest):
            parts = divided(axes[1], rest, _site(machine))
            lead = tuple((Atom("lead", None, number),) for number in range(place))
            return made((*lead, *parts)) if parts else Tensor()
    return Tensor()


def _is_whole(axis: Axis, sizes: list[Value]) -> bool:
    layer = axis[0].of
    return layer is not None and layer.marks.get("out") == math.prod(size for size in sizes if size)


def _kept(axes: tuple[Axis, ...], sizes: list[Value]) -> list[Axis]:
    found = []
    for axis, size in zip(axes, sizes, strict=False):
        if not isinstance(size, Size) or size.atoms != axis:
            break
        found.append(axis)
    return found


def rearranged(machine: Machine, tensor: Value, pattern: Value) -> Value:
    """Return ``einops.rearrange(tensor, pattern)`` where the pattern names every axis and merges some."""
    axes = tensor.axes if isinstance(tensor, Tensor) else None
    if not axes or axes[0] == (REST,) or not isinstance(pattern, str) or pattern.count("->") != 1:
        return Tensor()
    names, wanted = (side.split() for side in pattern.replace("(", " ( ").replace(")", " ) ").split("->"))
    words = [word for word in wanted if word not in ("(", ")")]
    if len(names) != len(axes) or sorted(names) != sorted(words) or not all(map(str.isidentifier, names)):
        return Tensor()
    held = dict(zip(names, axes, strict=True))
    found: list[Axis] = []
    inside = False
    for word in wanted:
        if word in ("(", ")"):
            inside = word == "("
            found += [()] if inside else []
        elif inside:
            found[-1] += held[word]
        else:
            found.append(held[word])
    result = made(tuple(found))
    result.site = _site(machine)
    return result


def permuted(tensor: Tensor, order: list[Value]) -> Tensor:
    """Return ``tensor.permute(order)``."""
    axes = tensor.axes
    if axes and axes[0] == (REST,):
        return _lost(axes)
    if not axes or not known(order) or sorted(o % len(axes) for o in order) != list(range(len(axes))):
        return Tensor()
    result = made(tuple(axes[place] for place in order))
    result.site = tensor.site
    return result


def _lost(axes: tuple[Axis, ...]) -> Tensor:
    """Return what changing places makes of a divided projection where the leading axes are unknown."""
    layers = [atom.of for axis in axes for atom in axis if atom.role in ("factor", "lost")]
    return made(((REST,), (Atom("lost", layers[0]),))) if layers else Tensor()


def swapped(tensor: Tensor, args: list[Value]) -> Tensor:
    """Return ``tensor.transpose(a, b)``."""
    axes = tensor.axes
    if axes and axes[0] == (REST,):
        return _lost(axes)
    if not axes or len(args) < 2 or not known(args[:2]):
        return Tensor()
    order = list(range(len(axes)))
    a, b = args[0] % len(axes), args[1] % len(axes)
    order[a], order[b] = order[b], order[a]
    return permuted(tensor, list(order))


def reduced(tensor: Tensor, dims: Value, keep: Value) -> Tensor:
    """Return ``tensor.mean(dims, keepdim=keep)``, or any other reduction."""
    axes = tensor.axes
    places = [dims] if isinstance(dims, int) else list(dims) if isinstance(dims, tuple | list) else None
    if not axes or places is None or not known(places):
        return Tensor()
    if axes[0] == (REST,):
        last = places == [-1] and keep is True
        return made((*axes[:-1], (Atom("one"),))) if last else Tensor() if -1 in places else tensor
    gone = {place % len(axes) for place in places}
    if keep is True:
        return made(tuple((Atom("one"),) if i in gone else axis for i, axis in enumerate(axes)))
    return made(tuple(axis for i, axis in enumerate(axes) if i not in gone))


def squeezed(tensor: Tensor, dim: Value) -> Tensor:
    """Return ``tensor.squeeze(dim)``; None as dim stands for every axis of size 1."""
    axes = tensor.axes
    if not axes or axes[0] == (REST,):
        return Tensor()
    ones = {place for place, axis in enumerate(axes) if [atom.role for atom in axis] == ["one"]}
    places = ones if dim is None else {dim % len(axes)} if isinstance(dim, int) else None
    if places is None or not places <= ones:
        return Tensor()
    return made(tuple(axis for place, axis in enumerate(axes) if place not in places))


def indexed(tensor: Tensor, index: tuple[Value, ...]) -> Tensor | None:
    """Return ``tensor[index]`` for numbers, slices, None and Ellipsis; None where the axes do not tell."""
    axes = tensor.axes
    taken = sum(one is not None and one is not Ellipsis for one in index)
    if not axes or axes[0] == (REST,) or taken > len(axes) or index.count(Ellipsis) > 1:
        return None
    place = index.index(Ellipsis) if Ellipsis in index else len(index)
    rest: list[Value] = [slice(None)] * (len(axes) - taken)
    left = list(axes)
    found: list[Axis] = []
    for one in (*index[:place], *rest, *index[place + 1 :]):
        if one is None:
            found.append((Atom("one"),))
            continue
        axis = left.pop(0)
        if isinstance(one, slice):
            kept = _cut(axis, one)
            if kept is None:
                return None
            found.append(kept)
        elif not isinstance(one, int) or isinstance(one, bool) or _is_factor(axis):
            return None
    return made(tuple(found)) if found else None


def _is_factor(axis: Axis) -> bool:
    return bool(axis) and axis[0].role == "factor"


def _cut(axis: Axis, by: slice) -> Axis | None:
    """Return what a slice leaves of an axis; None where that is not known."""
    if by == slice(None):
        return axis
    if len(axis) != 1:
        return None
    return axis if axis[0].role in ("batch", "space", "step", "hidden") else (Atom("any"),)
