"""Fused projections: how ``forward`` takes the output of one Linear apart.

A Linear that computes queries, keys and values at once has the output axis ``(part head dim)`` or
``(head part dim)``, and nothing in the checkpoint says which. The code does: by ``chunk``, ``split``
and slices, or by a reshape to several axes of which one is unbound.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ml_switcheroo.sources.findings import Split
from ml_switcheroo.sources.static.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.values import Instance, Site, Tensor, Value, known

__all__ = ["chunked", "divided", "name_parts", "note_image", "split_of", "unbound"]


def divided(axis: Axis, sizes: list[Value], site: Site | None) -> tuple[Axis, ...] | None:
    """Return the axes that the output axis of a Linear becomes by a reshape; None for another axis."""
    if len(axis) != 1 or axis[0].role != "out" or not isinstance(axis[0].of, Instance):
        return None
    layer = axis[0].of
    plain = tuple(size if isinstance(size, int) and size > 0 else None for size in sizes)
    whole = layer.marks.get("out")
    rest = math.prod(size for size in plain if size)
    if isinstance(whole, int) and (whole % rest or (None not in plain and rest != whole)):
        return None
    if sizes.count(-1) == 1 == plain.count(None) and isinstance(whole, int):
        plain = tuple(whole // rest if size is None else size for size in plain)
    atoms = tuple(Atom("factor", layer, place, plain) for place in range(len(sizes)))
    layer.marks.setdefault("factors", []).append((plain, site))
    return tuple((atom,) for atom in atoms)


def unbound(tensor: Tensor, dim: Value, site: Site | None) -> list[Tensor] | None:
    """Return ``tensor.unbind(dim)`` for a factor of a known size; None where that is not known."""
    place = _place(tensor, dim)
    if tensor.axes is None or place is None or _is_lost(tensor.axes):
        _unclear(tensor)
        return None
    atom = tensor.axes[place][0]
    rest = (*tensor.axes[:place], *tensor.axes[place + 1 :])
    if atom.role != "factor" or atom.factors[atom.place] is None:
        return None
    count = atom.factors[atom.place]
    words = _words(len(atom.factors) - 1)
    words.insert(atom.place, "part")
    return _parts(atom, count, words, [rest] * count, site)


def chunked(tensor: Tensor, sizes: Value, count: Value, dim: Value, site: Site | None) -> list[Tensor] | None:
    """Return ``tensor.chunk(count, dim)`` or ``tensor.split(sizes, dim)``; None where that is not known."""
    place = _place(tensor, dim)
    if tensor.axes is None or place is None or _is_lost(tensor.axes):
        _unclear(tensor)
        return None
    atom = tensor.axes[place][0]
    listed = tuple(sizes) if isinstance(sizes, tuple | list) else ()
    number = len(listed) or count
    if not isinstance(number, int) or not 1 < number <= 16 or not isinstance(atom.of, Instance):
        _unclear(tensor)
        return None
    if atom.role == "out":
        words = ["part", "dim"]
    elif atom.role == "factor":
        words = _words(len(atom.factors))
        words.insert(atom.place, "part")
    else:
        return None
    rest = (*tensor.axes[:place], (Atom("part", atom.of),), *tensor.axes[place + 1 :])
    return _parts(atom, number, words, [rest] * number, site, listed if known(listed) else ())


def _is_lost(axes: tuple[Axis, ...]) -> bool:
    """Tell whether nobody knows which of the axes is which."""
    return any(atom.role == "lost" for axis in axes for atom in axis)


def _unclear(tensor: Tensor) -> None:
    """Note that a projection is divided further, in a way that was not seen."""
    for atom in (atom for axis in tensor.axes or () for atom in axis):
        if atom.role in ("factor", "lost") and atom.of is not None:
            atom.of.marks["unclear"] = True


def _parts(
    atom: Atom,
    count: int,
    words: list[str],
    axes: list[tuple[Axis, ...]],
    site: Site | None,
    sizes: Value = (),
) -> list[Tensor]:
    layer = atom.of
    heads = None
    if atom.role == "factor" and "head" in words:
        rest = [
            size
            for place, size in enumerate(atom.factors)
            if place != atom.place or len(words) > len(atom.factors)
        ]
        heads = rest[0] if rest else None
    record = {
        "parts": count,
        "axes": " ".join(words),
        "heads": heads,
        "sizes": sizes,
        "site": site,
        "names": (),
    }
    if layer is not None:
        layer.marks.setdefault("splits", []).append(record)
    tensors = [made(one) for one in axes]
    for tensor in tensors:
        tensor.marks = record
    return tensors


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
    maker.marks.setdefault("images", []).append((channels, layer))


def split_of(layer: Instance, ended: bool = True) -> Split | None:
    """Return how the output of a linear is divided, where every use of it divides it in the same way.

    Where ``forward`` was not followed to its end, what was divided into heads may be divided further.
    """
    if layer.marks.get("images") or layer.marks.get("unclear"):
        return None  # divided into channels and places, not into heads; or further than was seen
    splits = [_split(record) for record in layer.marks.get("splits", ())]
    if not splits and ended:
        splits = [_heads(sizes, site) for sizes, site in layer.marks.get("factors", ()) if len(sizes) == 2]
    plain = {replace(split, names=(), where="") for split in splits}
    return max(splits, key=lambda split: len(split.names)) if len(plain) == 1 else None


def _split(record: dict[str, Any]) -> Split:
    site = record["site"]
    sizes = record["sizes"] if len(set(record["sizes"])) > 1 else ()
    names = record["names"] if all(record["names"]) else ()
    where = site.where if site is not None else ""
    return Split(record["axes"], record["parts"], record["heads"], names, sizes, where)


def _heads(sizes: tuple[int | None, ...], site: Site | None) -> Split:
    return Split("head dim", 1, sizes[0], where=site.where if site is not None else "")


def name_parts(items: list[Value], names: list[str]) -> None:
    """Note the names that the parts of a projection are unpacked to: ``q, k, v = ...``."""
    marks = [item.marks for item in items if isinstance(item, Tensor) and item.marks]
    if len(marks) == len(items) and all(mark is marks[0] for mark in marks) and not marks[0]["names"]:
        marks[0]["names"] = tuple(names)


def _words(count: int) -> list[str]:
    if count <= 2:
        return ["head", "dim"][-count:] if count else []
    return ["head", *(f"axis{place}" for place in range(1, count - 1)), "dim"]


def _place(tensor: Tensor, dim: Value) -> int | None:
    """Return which axis ``dim`` is, counted from the left; None where that is unknown."""
    axes = tensor.axes
    if not axes or not isinstance(dim, int) or isinstance(dim, bool):
        return None
    if axes[0] == (REST,) and (dim >= 0 or -dim >= len(axes)):
        return None
    place = dim + len(axes) if dim < 0 else dim
    return place if 0 <= place < len(axes) and len(axes[place]) == 1 else None
