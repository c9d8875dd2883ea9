"""Changes of a tensor's shape: which axes stay, merge or change places."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.counted import whole_numbers
from ml_switcheroo.sources.static.python.values import Repeat, Site, Value
from ml_switcheroo.sources.static.torch.alike import ALIKE, INPUT, behind_features, followed, layout_of
from ml_switcheroo.sources.static.torch.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.torch.images import feature_map, long
from ml_switcheroo.sources.static.torch.regroup import einstein, merged, regroup, same_size
from ml_switcheroo.sources.static.torch.sequences import regrouped
from ml_switcheroo.sources.static.torch.splits import divided
from ml_switcheroo.sources.static.torch.uses import count_of, used
from ml_switcheroo.sources.static.torch.values import Size, Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

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
        whole = start in (0, 1) and end == -1
        return followed([tensor], flattens=whole or not isinstance(start, int), folds=True)
    rank = len(tensor.axes)
    if (
        not isinstance(start, int)
        or not isinstance(end, int)
        or not (-rank <= start < rank and -rank <= end < rank)
    ):
        return followed([tensor], flattens=True, folds=True)
    first, last = start % rank, end % rank
    axis = merged(tensor.axes[first : last + 1])
    result = made((*tensor.axes[:first], axis, *tensor.axes[last + 1 :]))
    result.site = site or (machine.site)
    return result


def reshaped(machine: Machine, tensor: Tensor, sizes: list[Value]) -> Tensor:
    """Return ``tensor.reshape(sizes)``: axes that are kept, merged or divided."""
    found = _reshaped(machine, tensor, sizes) if tensor.axes and sizes else Tensor()
    if found.axes is None and tensor.axes and tensor.axes[0] != (REST,):
        axes = regroup(tensor.axes, sizes)
        found = made(axes) if axes is not None else found
        found.site = machine.site
    if found.axes is None or found.axes[0] == (REST,):
        few = len(sizes) < 3 and not any(isinstance(size, Repeat) for size in sizes)
        found.layout = followed([tensor], flattens=few, folds=True).layout
    return found


def _reshaped(machine: Machine, tensor: Tensor, sizes: list[Value]) -> Tensor:
    axes: tuple[Axis, ...] = tensor.axes or ()
    if axes[0] == (REST,):
        return _reshaped_end(machine, tensor, sizes)
    if (units := regrouped(tensor, sizes)) is not None:
        return units
    front = _kept(axes, sizes)
    back = _kept(axes[::-1][: len(axes) - len(front)], sizes[::-1][: len(sizes) - len(front)])
    middle = sizes[len(front) : len(sizes) - len(back)]
    left = axes[len(front) : len(axes) - len(back)]
    parts = _image_of(machine, axes, sizes)
    if parts is not None:
        result = made(parts)
        result.site = machine.site
        return result
    if len(middle) == 0 and not left:
        parts = ()
    elif len(middle) == 1:
        parts = (merged(left),)
    elif len(left) == 1 and (parts := divided(left[0], middle)):
        pass
    else:
        return Tensor()
    result = made((*front, *(parts or ()), *back[::-1]))
    result.site = machine.site
    return result


def _image_of(machine: Machine, axes: tuple[Axis, ...], sizes: list[Value]) -> tuple[Axis, ...] | None:
    """Divide the whole output of a Linear, which is the last axis; what is before it is kept or merged."""
    for place in range(len(sizes) - 2, 0, -1):
        rest = sizes[place:]
        told = whole_numbers(rest) if not any(isinstance(size, bool) for size in rest) else None
        if told is None or told.count(-1) > 1 or any(size < 1 and size != -1 for size in told):
            break
        if len(axes[-1]) == 1 and axes[-1][0].role == "out" and _is_whole(axes[-1], rest):
            lead = regroup(axes[:-1], sizes[:place])
            parts = divided(axes[-1], rest) if lead is not None else None
            return None if parts is None or lead is None else (*lead, *parts)
    return None


def unflattened(tensor: Tensor | None, dim: Value, sizes: Value) -> Tensor:
    """Return ``tensor.unflatten(dim, sizes)`` for the output axis of a Linear."""
    if tensor is None or not tensor.axes or not isinstance(dim, int) or not isinstance(sizes, tuple | list):
        return followed([tensor], folds=True)
    last = dim in (-1, len(tensor.axes) - 1) or (tensor.axes[0] == (REST,) and dim == 1)
    parts = divided(tensor.axes[-1], list(sizes)) if last else None
    if parts is None and tensor.axes[0] != (REST,) and -len(tensor.axes) <= dim < len(tensor.axes):
        place = dim % len(tensor.axes)
        parts = regroup([tensor.axes[place]], list(sizes))
        if parts is not None:
            return made((*tensor.axes[:place], *parts, *tensor.axes[place + 1 :]))
    if parts is None:
        return followed([tensor], folds=True)
    lead = ((Atom("batch"),),) if tensor.axes[0] == (REST,) and dim == 1 else tensor.axes[:-1]
    return made((*lead, *parts), behind_features(layout_of(tensor)))


def _reshaped_end(machine: Machine, tensor: Tensor, sizes: list[Value]) -> Tensor:
    """Reshape the last axis of a tensor whose leading axes are unknown but named in ``sizes``."""
    axes: tuple[Axis, ...] = tensor.axes or ()
    plain = [size.value if isinstance(size, Repeat) else size for size in sizes]
    lead = [size for size in plain if isinstance(size, Size) and size.atoms[0].role in ("lead", "rest")]
    rest = plain[len(lead) :]
    if not lead and len(axes) == 2 and len(rest) > 2 and all(isinstance(size, int) for size in rest[1:]):
        # view(-1, c, h, w): the batch, and the whole output of a Linear where its size is known.
        parts = divided(axes[1], rest[1:])
        return made(((Atom("batch"),), *parts)) if parts and _is_whole(axes[1], rest[1:]) else Tensor()
    if not lead or plain[: len(lead)] != lead or len(axes) != 2 or not rest:
        return _ending(machine, axes, plain)
    counted = all(size.atoms[0].role == "lead" for size in lead)
    if counted and rest[0] == -1 and (parts := _with_rest(machine, axes[1], rest)) is not None:
        return made((*(size.atoms for size in lead), *parts))
    first: tuple[Axis, ...] = tuple(size.atoms for size in lead) if counted else ((REST,),)
    if counted and rest[0] == -1 and len(rest) > 1:
        first, rest = (*first, (Atom("lead", None, len(lead)),)), rest[1:]  # the sizes must make up the rest
        if not all(isinstance(size, int) and size > 0 for size in rest):
            return Tensor()
    if len(rest) == 1:
        kept = not counted or (isinstance(rest[0], Size) and rest[0].atoms == axes[1])
        return made((*first, axes[1])) if kept else Tensor()  # the rank is not known: it may be a flatten
    parts = divided(axes[1], rest)
    return made((*first, *parts)) if parts else Tensor()


def _with_rest(machine: Machine, axis: Axis, sizes: list[Value]) -> tuple[Axis, ...] | None:
    """Divide the output of a Linear where known sizes make up a part of it: -1 is the rest."""
    known = [size for size in sizes[1:] if isinstance(size, int) and not isinstance(size, bool) and size > 0]
    whole = count_of(axis[0]) if len(axis) == 1 else None
    part = math.prod(known)
    if len(known) < len(sizes) - 1 or not whole or whole == part or whole % part:
        return None
    return divided(axis, sizes)


def _ending(machine: Machine, axes: tuple[Axis, ...], sizes: list[Value]) -> Tensor:
    """Reshape where the last sizes make up the whole output of a Linear, whatever comes before."""
    for place in range(len(sizes) - 1, 0, -1):
        rest = sizes[place:]
        if not all(isinstance(size, int) and size > 0 for size in rest):
            break
        if len(axes) == 2 and len(axes[1]) == 1 and len(rest) > 1 and _is_whole(axes[1], rest):
            parts = divided(axes[1], rest)
            lead = tuple((Atom("lead", None, number),) for number in range(place))
            return made((*lead, *parts)) if parts else Tensor()
    return Tensor()


def _is_whole(axis: Axis, sizes: list[Value]) -> bool:
    layer, known = axis[0].of, math.prod(size for size in sizes if isinstance(size, int) and size > 0)
    whole = used(layer).size if layer is not None else None
    if not isinstance(whole, int):
        return False
    return bool(whole == known if -1 not in sizes else whole % known == 0)


def _kept(axes: tuple[Axis, ...], sizes: list[Value]) -> list[Axis]:
    found = []
    for axis, size in zip(axes, sizes, strict=False):
        if not isinstance(size, Size) or not same_size(size.atoms, axis):
            break
        found.append(axis)
    return found


def rearranged(
    machine: Machine, tensor: Value, pattern: Value, sizes: dict[str, Value], *, drops: bool = False
) -> Value:
    """Return ``einops.rearrange(tensor, pattern, **sizes)``, or ``reduce``, as far as the pattern tells."""
    if not isinstance(tensor, Tensor) or not isinstance(pattern, str) or pattern.count("->") != 1:
        return followed([tensor], turns=True, flattens=True, folds=True)
    given, wanted = (side.replace("(", " ( ").replace(")", " ) ").split() for side in pattern.split("->"))
    axes = tensor.axes
    if not axes or axes[0] == (REST,):
        count = _axes_in(given)
        if axes and len(axes[-1]) == 1 and layout_of(tensor) == ALIKE and "..." not in given and count > 1:
            axes = ((Atom("batch"),), *(((Atom("step"),),) * (count - 2)), axes[-1])
        elif not _image_given(tensor, given):
            flat = wanted.count("(") == 1 and wanted[-1] == ")" and wanted.index("(") == 1
            return followed([tensor], turns=True, flattens=flat, folds=True)
        else:
            axes = feature_map(tensor, (Atom("channel", key=INPUT),), 2).axes
    known = {name: size for name, size in sizes.items() if isinstance(size, int)}
    found = einstein(axes or (), pattern, known, divided, drops=drops)
    if found is None:
        return followed([tensor], turns=True, flattens=True, folds=True)
    result = made(found)
    result.site = machine.site
    return result


def _image_given(tensor: Tensor, names: list[str]) -> bool:
    """Tell whether the model's own input is named as an image: four axes, the second undivided."""
    plain = [name for name in names if name not in ("(", ")")]
    return (
        layout_of(tensor) == INPUT
        and "..." not in plain
        and names[1:2] == plain[1:2]
        and _axes_in(names) == 4
    )


def _axes_in(names: list[str]) -> int:
    inside, count = False, 0
    for name in names:
        count += not inside and name != ")"
        inside = name == "(" or (inside and name != ")")
    return count


def permuted(tensor: Tensor, order: list[Value]) -> Tensor:
    """Return ``tensor.permute(order)``."""
    axes = tensor.axes
    if axes and axes[0] == (REST,):
        return _lost(tensor, axes)
    told = whole_numbers(order)
    if not axes or told is None or sorted(place % len(axes) for place in told) != list(range(len(axes))):
        return followed([tensor], turns=True)
    result = made(tuple(axes[place] for place in told))
    result.site = tensor.site
    return result


def _lost(tensor: Tensor, axes: tuple[Axis, ...]) -> Tensor:
    """Return what changing places makes of a divided projection where the leading axes are unknown."""
    layers = [atom.of for axis in axes for atom in axis if atom.role in ("factor", "lost")]
    found = followed([tensor], turns=True)
    return made(((REST,), (Atom("lost", layers[0]),)), found.layout) if layers else found


def swapped(tensor: Tensor, args: list[Value]) -> Tensor:
    """Return ``tensor.transpose(a, b)``."""
    axes = tensor.axes
    if axes and axes[0] == (REST,):
        return _lost(tensor, axes)
    told = whole_numbers(args) if len(args) == 2 else None
    if not axes or told is None or not all(-len(axes) <= place < len(axes) for place in told):
        return followed([tensor], turns=True)
    order = list(range(len(axes)))
    a, b = told[0] % len(axes), told[1] % len(axes)
    order[a], order[b] = order[b], order[a]
    return permuted(tensor, list(order))


def reduced(tensor: Tensor, dims: Value, keep: Value) -> Tensor:
    """Return ``tensor.mean(dims, keepdim=keep)``, or any other reduction."""
    axes = tensor.axes
    places = [dims] if isinstance(dims, int) else list(dims) if isinstance(dims, tuple | list) else None
    if not axes or places is None or not all(isinstance(place, int) for place in places):
        return followed([tensor])
    if axes[0] == (REST,):
        last = places == [-1] and keep is True
        if last:
            return made((*axes[:-1], (Atom("one"),)), tensor.layout)
        return followed([tensor]) if -1 in places else tensor
    gone = {place % len(axes) for place in places}
    if keep is True:
        return made(tuple((Atom("one"),) if i in gone else axis for i, axis in enumerate(axes)))
    return made(tuple(axis for i, axis in enumerate(axes) if i not in gone))


def squeezed(tensor: Tensor, dim: Value) -> Tensor:
    """Return ``tensor.squeeze(dim)``; None as dim stands for every axis of size 1."""
    axes = tensor.axes
    if not axes or axes[0] == (REST,):
        return followed([tensor])
    ones = {place for place, axis in enumerate(axes) if all(atom.role == "one" for atom in axis)}
    places = ones if dim is None else {dim % len(axes)} if isinstance(dim, int) else None
    if places is None:
        return followed([tensor])
    places -= {place for place in places if (long(axes[place]) or 1) > 1}
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
        places = all(atom.role in ("space", "step", "one") for atom in axis)
        return (Atom("step"),) if places else None
    role = axis[0].role
    if role in ("batch", "step", "hidden"):
        return axis
    if role in ("space", "channel"):
        return (Atom(role, size=_length(count_of(axis[0]), by)),)
    return (Atom("any"),)


def _length(size: int | None, by: slice) -> int | None:
    """Return how long a slice is, where that is known."""
    parts = (by.start, by.stop, by.step)
    if not all(part is None or isinstance(part, int) for part in parts):
        return None
    if size is None:
        whole = by.start in (None, 0) and by.step in (None, 1) and isinstance(by.stop, int) and by.stop > 0
        return by.stop if whole and by.stop == 1 else None
    return len(range(*by.indices(size))) or None
