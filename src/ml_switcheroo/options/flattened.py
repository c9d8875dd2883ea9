"""Where a channels-last target has the elements of one axis, or the axes of a norm, in another order."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ml_switcheroo.axes import parse
from ml_switcheroo.errors import AxesError
from ml_switcheroo.recipes import Target
from ml_switcheroo.sources.findings import Finding
from ml_switcheroo.tensors import TensorSpec

__all__ = ["before_unflatten", "behind_flatten", "over_several"]

# The axis of each kind that a Flatten before it makes.
_AXIS: Mapping[str, str] = {
    "linear": "in",
    "linear_in_out": "in",
    "batch_norm": "channel",
    "layer_norm": "*channel",
    "rms_norm": "*channel",
}

Sides = tuple[str, str]
"""The axes of a slot and of its leaf."""


def behind_flatten(
    finding: Finding, target: Target, sides: Sides, spec: TensorSpec, sizes: dict[str, int], notes: list[str]
) -> Sides:
    """Permute the axis behind a Flatten: ``(c h w)`` in PyTorch is ``(h w c)`` channels-last.

    Raises:
        AxesError: The axis is no multiple of the channels.
    """
    flatten, axis, groups = finding.flatten, _AXIS.get(finding.kind, ""), parse(sides[0]).groups
    if flatten is None or flatten.channels == 1 or target.channels == "first" or (axis,) not in groups:
        return sides
    size = spec.shape[groups.index((axis,))]
    if size == flatten.channels or (axis.startswith("*") and len(spec.shape) > 1):
        return sides
    if size % flatten.channels:
        raise AxesError(
            f"the input axis is {size}, no multiple of the {flatten.channels} channels that are"
            f" flattened before it ({flatten.of} {flatten.where})"
        )
    origin = " ".join(word for word in (f"from {flatten.of}" if flatten.of else "", flatten.where) if word)
    notes.append(
        f"a Flatten stands before this {'Linear' if axis == 'in' else 'layer'} ({origin}): its input axis"
        f" (c h w) becomes (h w c), c={flatten.channels}, because {target.name} is channels-last"
    )
    sizes["c"] = flatten.channels
    return _replaced(sides[0], axis, "(c *space)"), _replaced(sides[1], axis, "(*space c)")


def before_unflatten(
    finding: Finding, target: Target, sides: Sides, spec: TensorSpec, sizes: dict[str, int], notes: list[str]
) -> Sides:
    """Permute the output axis of a Linear that becomes an image: ``(c h w)`` in PyTorch is ``(h w c)``.

    Raises:
        AxesError: The axis is no multiple of the channels.
    """
    unflatten, groups = finding.unflatten, parse(sides[0]).groups
    if unflatten is None or unflatten.channels == 1 or target.channels == "first" or ("out",) not in groups:
        return sides
    size = spec.shape[groups.index(("out",))]
    if size == unflatten.channels:
        return sides
    if size % unflatten.channels:
        raise AxesError(
            f"the output axis is {size}, no multiple of the {unflatten.channels} channels of the image that"
            f" it becomes ({unflatten.of} {unflatten.where})"
        )
    if len(groups) > 1:
        origin = " ".join(
            word for word in (f"for {unflatten.of}" if unflatten.of else "", unflatten.where) if word
        )
        notes.append(
            f"the output of this Linear becomes an image ({origin}): its output axis (c h w) becomes (h w c),"
            f" c={unflatten.channels}, because {target.name} is channels-last"
        )
    sizes["channel"] = unflatten.channels
    return _replaced(sides[0], "out", "(channel place)"), _replaced(sides[1], "out", "(place channel)")


def over_several(
    path: str,
    finding: Finding,
    target: Target,
    sides: Sides,
    spec: TensorSpec,
    wanted: tuple[int, ...] | None,
) -> Sides:
    """Move the channel axis of a norm over several axes: ``c h w`` in PyTorch is ``h w c`` channels-last.

    Raises:
        AxesError: Nothing shows whether the first axis is that of channels.
    """
    shape = spec.shape
    if target.channels == "first" or sides[0] != "*channel" or len(shape) < 2:
        return sides
    moved = (*shape[1:], shape[0])
    channels = finding.flatten.channels if finding.flatten else None
    if channels is None and shape != moved:
        channels = {moved: shape[0], shape: 1}.get(wanted or ())
    if channels == 1:
        return sides
    if channels != shape[0]:
        raise AxesError(
            f"{path or 'the model'} is a norm over {shape}: {target.name} is channels-last; say"
            f' Kind("{path}", "{finding.kind}", flatten={shape[0]}) if axis 0 is that of channels, which then'
            " become the last, else flatten=1"
        )
    return "c *space", sides[1].replace("*channel", "*space c")


def _replaced(axes: str, axis: str, by: str) -> str:
    """Replace an axis, which may be the only one of a group."""
    pattern = rf"\({re.escape(axis)}\)|(?<![\w*]){re.escape(axis)}(?!\w)"
    return re.sub(pattern, by, axes)
