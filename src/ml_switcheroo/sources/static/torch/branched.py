"""The axes of a tensor that is one of several, depending on what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

__all__ = ["joined_axes", "joined_layout"]


def joined_layout(tensors: list[Any]) -> str:
    """Return how a port has the axes of a tensor that is one of several; see ``alike``."""
    from ml_switcheroo.sources.static.torch.alike import agreeing, layout_of

    return agreeing(map(layout_of, tensors))


def joined_axes(found: list[Any]) -> Any:
    """Return the axes that all have, whatever their sizes are; None where they are not the same."""
    first = found[0]
    if all(axes == first for axes in found):
        return first
    if any(axes is None or len(axes) != len(first or ()) for axes in found):
        return None
    bare = {
        tuple(tuple(replace(atom, size=None, key=None) for atom in axis) for axis in axes) for axes in found
    }
    return bare.pop() if len(bare) == 1 else None
