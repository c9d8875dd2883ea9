"""A tensor that is one of several, depending on what nobody knows."""

from __future__ import annotations

from dataclasses import replace

from ml_switcheroo.sources.static.torch.alike import agreeing, layout_of
from ml_switcheroo.sources.static.torch.atoms import Axis
from ml_switcheroo.sources.static.torch.values import Tensor

__all__ = ["joined"]


def joined(tensors: list[Tensor]) -> Tensor | None:
    """Return a tensor that is any of several: it has what they agree in. None for what a state dict has."""
    if not all(type(tensor) is Tensor and not tensor.role for tensor in tensors):
        return None
    first = tensors[0]
    return Tensor(
        first.shape if all(other.shape == first.shape for other in tensors) else None,
        axes=_axes([tensor.axes for tensor in tensors]),
        site=first.site,
        layout=agreeing(map(layout_of, tensors)),
        trace=first.trace.joined([other.trace for other in tensors[1:]]) if first.trace is not None else None,
    )


def _axes(found: list[tuple[Axis, ...] | None]) -> tuple[Axis, ...] | None:
    """Return the axes that all have, whatever their sizes are; None where they are not the same."""
    first = found[0]
    if all(axes == first for axes in found):
        return first
    bare = set()
    for axes in found:
        if axes is None or len(axes) != len(first or ()):
            return None
        bare.add(tuple(tuple(replace(atom, size=None, key=None) for atom in axis) for axis in axes))
    return bare.pop() if len(bare) == 1 else None
