"""How ``forward`` takes the output axis of a Linear apart: by a reshape, ``chunk``, ``split`` or ``unbind``.

Only as far as images are concerned, which a Linear can make as well; what its rows are for is read in
``rows``.
"""

from __future__ import annotations

import math

from ml_switcheroo.sources.static.python.values import Instance, Value
from ml_switcheroo.sources.static.torch.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.torch.uses import used
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["chunked", "divided", "note_image", "unbound"]


def divided(axis: Axis, sizes: list[Value]) -> tuple[Axis, ...] | None:
    """Return the axes that the output axis of a Linear becomes by a reshape; None for another axis."""
    if len(axis) != 1 or axis[0].role != "out" or not isinstance(axis[0].of, Instance):
        return None
    layer = axis[0].of
    plain = tuple(size if isinstance(size, int) and size > 0 else None for size in sizes)
    whole = used(layer).size
    rest = math.prod(size for size in plain if size)
    if isinstance(whole, int) and (whole % rest or (None not in plain and rest != whole)):
        return None
    if sizes.count(-1) == 1 == plain.count(None) and isinstance(whole, int):
        plain = tuple(whole // rest if size is None else size for size in plain)
    atoms = tuple(Atom("factor", layer, place, plain) for place in range(len(sizes)))
    return tuple((atom,) for atom in atoms)


def unbound(tensor: Tensor, dim: Value) -> list[Tensor] | None:
    """Return ``tensor.unbind(dim)`` for a factor of a known size; None where that is not known."""
    place = _place(tensor, dim)
    if tensor.axes is None or place is None or _is_lost(tensor.axes):
        return None
    atom = tensor.axes[place][0]
    if atom.role != "factor" or atom.factors[atom.place] is None:
        return None
    rest = (*tensor.axes[:place], *tensor.axes[place + 1 :])
    return [made(rest) for _ in range(atom.factors[atom.place])]


def chunked(tensor: Tensor, sizes: Value, count: Value, dim: Value) -> list[Tensor] | None:
    """Return ``tensor.chunk(count, dim)`` or ``tensor.split(sizes, dim)``; None where that is not known."""
    place = _place(tensor, dim)
    if tensor.axes is None or place is None or _is_lost(tensor.axes):
        return None
    atom = tensor.axes[place][0]
    number = len(sizes) if isinstance(sizes, tuple | list) and sizes else count
    if not isinstance(number, int) or not 1 < number <= 16 or not isinstance(atom.of, Instance):
        return None
    if atom.role not in ("out", "factor"):
        return None
    rest = (*tensor.axes[:place], (Atom("part", atom.of),), *tensor.axes[place + 1 :])
    return [made(rest) for _ in range(number)]


def _is_lost(axes: tuple[Axis, ...]) -> bool:
    """Tell whether nobody knows which of the axes is which."""
    return any(atom.role == "lost" for axis in axes for atom in axis)


def note_image(layer: Instance, tensor: Tensor | None) -> None:
    """Note on a linear that a convolution takes its output, divided into channels and places, as an image."""
    axes = tensor.axes if tensor is not None else None
    atoms = [axis[0] for axis in axes[1:] if len(axis) == 1] if axes else []
    if not axes or not atoms or len(atoms) != len(axes) - 1 or not isinstance(atoms[0].of, Instance):
        return
    maker = atoms[0].of
    if any(atom.role != "factor" or atom.of is not maker for atom in atoms):
        return
    in_order = [atom.place for atom in atoms] == list(range(len(atoms[0].factors)))
    channels = atoms[0].factors[0] if in_order else 1
    used(maker).images.append((channels, layer))


def _place(tensor: Tensor, dim: Value) -> int | None:
    """Return which axis ``dim`` is, counted from the left; None where that is unknown."""
    axes = tensor.axes
    if not axes or not isinstance(dim, int) or isinstance(dim, bool):
        return None
    if axes[0] == (REST,) and (dim >= 0 or -dim >= len(axes)):
        return None
    place = dim + len(axes) if dim < 0 else dim
    return place if 0 <= place < len(axes) and len(axes[place]) == 1 else None
