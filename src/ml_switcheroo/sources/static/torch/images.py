"""Feature maps in ``forward``: how long their axes are behind a window, and what changes their channels."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.counted import whole_numbers
from ml_switcheroo.sources.static.python.values import UNKNOWN, Instance, Value, options
from ml_switcheroo.sources.static.torch.alike import INPUT, followed, layout_of
from ml_switcheroo.sources.static.torch.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.torch.uses import count_of, used
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = [
    "BATCH",
    "feature_map",
    "halved",
    "pooled",
    "resized",
    "shuffled",
    "slid",
    "unshuffled",
    "windowed",
]

BATCH: Axis = (Atom("batch"),)
FRAMES: Axis = (Atom("frames"),)
"""The batch, where it may have been put together of a batch and frames."""

_WINDOW = {"kernel_size": None, "stride": 1, "padding": 0, "dilation": 1, "output_padding": 0}


def rank_of(name: str) -> int | None:
    """Return how many spatial axes a class or function has in its name: 2 for ``Conv2d``."""
    return int(name[-2]) if name[-1:] == "d" and name[-2:-1].isdigit() else None


def places(tensor: Tensor | None, rank: int) -> tuple[Axis, ...]:
    """Return the spatial axes of what is taken for a feature map of so many."""
    axes = tensor.axes if tensor is not None else None
    if axes and axes[0] != (REST,) and len(axes) in (rank + 1, rank + 2):
        return tuple(axes[-rank:])
    key: Hashable = None if tensor is None else ("of", tensor.serial)
    return tuple((Atom("space", key=None if key is None else (key, place)),) for place in range(rank))


def feature_map(
    tensor: Tensor | None, channel: Axis, rank: int, space: tuple[Axis, ...] | None = None
) -> Tensor:
    """Return a feature map of other channels in the place of one."""
    axes = tensor.axes if tensor is not None else None
    batched = axes and axes[0] != (REST,) and len(axes) == rank + 2
    lead: Axis = axes[0] if axes and batched else BATCH if layout_of(tensor) == INPUT else FRAMES
    return made((lead, channel, *(places(tensor, rank) if space is None else space)))


def windowed(layer: Instance, tensor: Tensor | None, rank: int) -> tuple[Axis, ...]:
    """Return the spatial axes behind a convolution or a pool."""
    given = {name: layer.args.get(name, usual) for name, usual in _WINDOW.items()}
    # A pool takes steps as long as its window where nothing else is said.
    if "Pool" in layer.base and given["stride"] in (1, None) and "stride" not in layer.args:
        given["stride"] = given["kernel_size"]
    if given["stride"] is None:
        given["stride"] = given["kernel_size"]
    turned = layer.base.startswith("ConvTranspose")
    ceil = layer.args.get("ceil_mode", False)
    return tuple(
        slid(axis, *(_at(value, at) for value in given.values()), turned=turned, ceil=ceil is not False)
        for at, axis in enumerate(places(tensor, rank))
    )


def _at(value: Value, place: int) -> Value:
    if isinstance(value, tuple | list):
        return value[place] if place < len(value) else value[0] if len(value) == 1 else UNKNOWN
    return value


def slid(
    axis: Axis,
    kernel: Value,
    stride: Value,
    padding: Value,
    dilation: Value = 1,
    more: Value = 0,
    *,
    turned: bool = False,
    ceil: bool = False,
) -> Axis:
    """Return a spatial axis behind a window that slides along it."""
    padding = 0 if padding == "valid" else padding
    if padding == "same" and stride == 1:
        return axis
    whole = (kernel, stride, padding, dilation, more)
    told = whole_numbers(whole)
    if told is None or not stride:
        return (Atom("space"),)
    kernel, stride, padding, dilation, more = told
    reach = dilation * (kernel - 1)
    # As many places as before, each where it was: the axis is the same one, whatever its size.
    if stride == 1 and 2 * padding == reach and not more:
        return axis
    size = long(axis)
    key = identity(axis)
    if size is None:
        return (Atom("space", key=None if key is None else ("window", key, whole, turned, ceil)),)
    if turned:
        return (Atom("space", size=(size - 1) * stride - 2 * padding + reach + more + 1),)
    span = size + 2 * padding - reach - 1
    found = (-(-span // stride) if ceil else span // stride) + 1
    return (Atom("space", size=found if found > 0 else None),)


def long(axis: Axis) -> int | None:
    """Return how long an axis is, where that is known of all its atoms."""
    size = 1
    for atom in axis:
        count = count_of(atom)
        if count is None:
            return None
        size *= count
    return size


def identity(axis: Axis) -> Hashable:
    """Return what axes of one length have in common; None where that is not known."""
    keys = [count_of(atom) or atom.key for atom in axis]
    return None if None in keys else tuple(sorted(map(repr, keys)))


def resized(tensor: Tensor, rank: int, how: Hashable) -> Value:
    """Return a feature map whose spatial axes have another length, by an operation that is described."""
    axes = tensor.axes
    if not axes or axes[0] == (REST,) or len(axes) <= rank:
        return tensor
    found = tuple(
        (Atom("space", key=None if identity(axis) is None else (how, identity(axis))),)
        for axis in axes[-rank:]
    )
    return made((*axes[:-rank], *found))


def pooled(tensor: Tensor | None, rank: int, wanted: Value) -> Value:
    """Return what an adaptive pool gives: of an unknown tensor, a map of channels that nobody knows."""
    axes = tensor.axes if tensor is not None and tensor.axes and tensor.axes[0] != (REST,) else None
    if axes and len(axes) not in (rank + 1, rank + 2):
        axes = None
    space: list[Axis] = []
    for at, axis in enumerate(places(tensor, rank)):
        size = _at(wanted, at)
        if size is None:
            space.append(axis)
        elif isinstance(size, int):
            space.append((Atom("one"),) if size == 1 else (Atom("space", size=size),))
        else:
            space.append((Atom("space"),))
    if axes:
        return made((*axes[:-rank], *space))
    return feature_map(tensor, (Atom("channel"),), rank, tuple(space))


def halved(tensor: Tensor, dim: Value, parts: int) -> Tensor | None:
    """Return one of so many equal parts of an axis of channels; None for any other axis."""
    axes = tensor.axes
    if not axes or axes[0] == (REST,) or not isinstance(dim, int) or not -len(axes) <= dim < len(axes):
        return None
    place = dim % len(axes)
    axis = axes[place]
    if len(axis) != 1 or axis[0].role not in ("channel", "space", "step", "any"):
        return None
    count = count_of(axis[0])
    size = count // parts if count and count % parts == 0 else None
    part = Atom(axis[0].role, None, size=size)
    return made((*axes[:place], (part,), *axes[place + 1 :]))


def unshuffled(tensor: Tensor | None, by: Value) -> Value:
    """Return ``F.pixel_unshuffle``: the channels become ``(c p q)``."""
    axes = tensor.axes if tensor is not None else None
    if tensor is None or not axes or axes[0] == (REST,) or len(axes) != 4 or not isinstance(by, int):
        return followed([tensor], folds=True)
    within = (Atom("space", size=by), Atom("space", size=by))
    return made((axes[0], (*axes[1], *within), *(slid(axis, by, by, 0) for axis in axes[2:])))


def shuffled(machine: Machine, tensor: Tensor | None, by: Value) -> Value:
    """Return ``F.pixel_shuffle``: of the channels ``(c p q)``, the last two become places.

    The layer whose channels they are is marked: another order of them may be wanted in a port.
    """
    axes = tensor.axes if tensor is not None else None
    if tensor is None or not axes or axes[0] == (REST,) or len(axes) != 4 or not isinstance(by, int):
        return followed([tensor], folds=True)
    atom, *rest = axes[1]
    if not rest and isinstance(atom.of, Instance) and atom.role == "channel" and atom.size is None:
        count = count_of(atom)
        channels = count // by**2 if count and count % by**2 == 0 else None
        site = machine.site
        used(atom.of).shuffles.append((channels, site))
        channel = Atom("channel", None, size=channels)
    else:
        channel = Atom("channel")
    space = (slid(axis, by, by, 0, turned=True) for axis in axes[2:])
    return made((axes[0], (channel,), *space))


def alone(value: Value) -> Tensor | None:
    """Return the one tensor that a value is; None where it is not known to be one."""
    found = options(value)
    return found[0] if len(found) == 1 and isinstance(found[0], Tensor) else None
