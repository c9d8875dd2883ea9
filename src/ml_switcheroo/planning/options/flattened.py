"""Where a channels-last target has the elements of one axis, or the axes of a norm, in another order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ml_switcheroo.axes import parse
from ml_switcheroo.errors import AxesError
from ml_switcheroo.layers import LAYERS
from ml_switcheroo.ops import Axes, Branch, Concat, Op, Split
from ml_switcheroo.recipes import Target
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.sources.findings import NO_FLATTEN, Finding, Flatten
from ml_switcheroo.tensors import TensorSpec

__all__ = [
    "before_unflatten",
    "behind_flatten",
    "depends_on_layout",
    "either_layout",
    "in_parts",
    "over_several",
]


def depends_on_layout(owners: Iterable[Owner], specs: Mapping[str, TensorSpec]) -> bool:
    """Tell whether any move can depend on where a port has its channels: reading its code takes a while.

    A Flatten or an Unflatten of an image does, and a norm over several axes.
    """
    return any(_depends(owner, finding, specs) for owner in owners for finding in owner.possible)


def _depends(owner: Owner, finding: Finding, specs: Mapping[str, TensorSpec]) -> bool:
    changes = (finding.flatten, finding.unflatten)
    if any(one is not None and (one.channels != 1 or one.parts) for one in changes):
        return True
    several = any(len(specs[name].shape) > 1 for name in owner.tensors.values())
    return several and LAYERS[finding.kind].takes == "*channel"


def either_layout(owners: Sequence[Owner], why: str) -> tuple[Owner, ...]:
    """Return modules with both readings of a Flatten, where it is open where the port has its channels.

    Args:
        owners: The modules.
        why: Why it is open.
    """
    return tuple(replace(owner, possible=_both(owner.possible, why)) for owner in owners)


def _both(possible: tuple[Finding, ...], why: str) -> tuple[Finding, ...]:
    found: list[Finding] = []
    for finding in possible:
        found.append(finding)
        moved = [one for one in (finding.flatten, finding.unflatten) if one is not None and one.channels > 1]
        if moved and finding.origin != "rules":
            found[-1] = replace(finding, reason=f"{finding.reason}, the port's channels last")
            before, behind = (
                None if one is None else NO_FLATTEN for one in (finding.flatten, finding.unflatten)
            )
            text = f"{finding.reason}, the port's channels first, as in PyTorch ({why}; or say layout=)"
            found.append(replace(finding, reason=text, flatten=before, unflatten=behind))
    return tuple(found)


Sides = tuple[str, str]
"""The axes of a slot and of its leaf."""


def behind_flatten(
    finding: Finding, target: Target, sides: Sides, spec: TensorSpec, sizes: dict[str, int], notes: list[str]
) -> Sides:
    """Permute the axis behind a Flatten: ``(c h w)`` in PyTorch is ``(h w c)`` channels-last.

    Raises:
        AxesError: The axis is no multiple of the channels.
    """
    flatten, axis, groups = finding.flatten, LAYERS[finding.kind].takes, parse(sides[0]).groups
    if flatten is None or flatten.channels == 1 or target.channels == "first" or (axis,) not in groups:
        return sides
    if flatten.parts:
        return sides  # see in_parts
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
    if LAYERS[finding.kind].spatial:
        return _replaced(sides[0], axis, "(c place)"), _replaced(sides[1], axis, "(place c)")
    return _replaced(sides[0], axis, "(c *space)"), _replaced(sides[1], axis, "(*space c)")


def in_parts(finding: Finding, target: Target, axes: str, spec: TensorSpec, notes: list[str]) -> list[Op]:
    """Permute an axis of several images, one after the other, each by itself: as PyTorch lays the tensor out.

    Raises:
        AxesError: The axis is not made up of them.
    """
    ops: list[Op] = []
    sides = ((finding.flatten, LAYERS[finding.kind].takes, "before"), (finding.unflatten, "out", "behind"))
    for flatten, axis, side in sides:
        if LAYERS[finding.kind].alone and flatten is not None and flatten.parts and side == "before":
            axes, axis = _named(spec.shape, flatten)
        groups = parse(axes).groups
        if flatten is None or not flatten.parts or target.channels == "first" or (axis,) not in groups:
            continue
        place = groups.index((axis,))
        sizes = tuple(times * channels * places for times, channels, places in flatten.parts)
        if sum(sizes) != spec.shape[place]:
            raise AxesError(f"the {axis} axis is {spec.shape[place]}, but {flatten.said} is {sum(sizes)}")
        origin = " ".join(
            word for word in (f"from {flatten.of}" if flatten.of else "", flatten.where) if word
        )
        where = f" ({origin})" if origin else ""
        notes.append(
            f"{side} this layer, several Flattens share one axis, {flatten.said}{where}: each (c h w) in it"
            f" becomes (h w c), because {target.name} is channels-last"
        )
        branches = tuple(_branch(axes, axis, part) for part in flatten.parts)
        ops += [Split(place, sizes), Branch(branches), Concat(place)] if len(sizes) > 1 else branches[0]
    return ops


def _named(shape: tuple[int, ...], flatten: Flatten) -> tuple[str, str]:
    """Name the axes of a tensor of a class's own, and tell which of them is flattened.

    Raises:
        AxesError: None of them is as long, or several are.
    """
    length = sum(times * channels * places for times, channels, places in flatten.parts)
    places = [place for place, size in enumerate(shape) if size == length]
    if len(places) != 1:
        raise AxesError(
            f"{flatten.said} is {length}, and {len(places)} axes of {shape} are as long; write a Move instead"
        )
    return " ".join(f"a{place}" for place in range(len(shape))), f"a{places[0]}"


def _branch(axes: str, axis: str, part: tuple[int, int, int]) -> tuple[Op, ...]:
    times, channels, places = part
    if channels == 1 or places == 1:
        return ()
    rule = f"{_replaced(axes, axis, '(t c place)')} -> {_replaced(axes, axis, '(t place c)')}"
    return (Axes(rule, (("t", times), ("c", channels))),)


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
    if unflatten.parts:
        return sides  # see in_parts
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
            f"the output of this layer becomes an image ({origin}): its output axis (c h w) becomes (h w c),"
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
