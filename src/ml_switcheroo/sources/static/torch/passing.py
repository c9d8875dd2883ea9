"""What the layers of ``torch.nn`` give in ``forward``, and what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS, STATELESS
from ml_switcheroo.layers import Layer as Row
from ml_switcheroo.sources.static.python.containers import children
from ml_switcheroo.sources.static.python.values import (
    UNKNOWN,
    Arguments,
    Instance,
    Maybe,
    Repeat,
    Value,
    options,
)
from ml_switcheroo.sources.static.torch.alike import ALIKE, LOST, followed, layout_of
from ml_switcheroo.sources.static.torch.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.torch.effects import applied
from ml_switcheroo.sources.static.torch.followers import axes_of, through
from ml_switcheroo.sources.static.torch.images import feature_map, pooled, rank_of, windowed
from ml_switcheroo.sources.static.torch.sequences import (
    TRANSFORMERS,
    attended,
    of_features,
    recurrent,
)
from ml_switcheroo.sources.static.torch.shaping import flattened, unflattened
from ml_switcheroo.sources.static.torch.splits import note_image
from ml_switcheroo.sources.static.torch.uses import used
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["forward"]


def forward(machine: Machine, layer: Instance, args: Arguments) -> Value:
    """Return what a layer of torch.nn gives for its input."""
    if machine.follower is not None:
        return machine.follower.layer(machine, layer, args)
    value = args.get(0, "input", UNKNOWN)
    name = layer.base
    if name == "Sequential":
        for child in children(layer):
            bare = child.value if isinstance(child, Maybe | Repeat) else child
            value = machine.call(bare, Arguments([value]))
        return value
    tensors = [one for one in options(value) if isinstance(one, Tensor)]
    tensor = tensors[0] if len(tensors) == len(options(value)) == 1 else None
    run = _run_of(name)
    if run is not None:
        return run(machine, layer, tensor)
    if "Pool" in name and name in STATELESS and (rank := rank_of(name)) is not None:
        return _pooled(layer, tensor, rank)
    if name in STATELESS - _RESHAPING:
        return tensor or value
    return _reshaping(machine, layer, tensor) or followed(
        [value, *args.positional[1:], *args.keyword.values()]
    )


_RESHAPING = frozenset(
    """Unflatten PixelShuffle PixelUnshuffle ChannelShuffle GLU Fold Unfold CosineSimilarity
    PairwiseDistance Upsample UpsamplingNearest2d UpsamplingBilinear2d
    ConstantPad1d ConstantPad2d ConstantPad3d
    ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d
    ZeroPad1d ZeroPad2d ZeroPad3d CircularPad1d CircularPad2d CircularPad3d""".split()
)
"""Layers without tensors that change what the axes hold."""


_SIZES = {"PixelShuffle": "upscale_factor", "PixelUnshuffle": "downscale_factor", "GLU": "dim"}


def _reshaping(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    """Return what a layer gives that is a function, too; None where that is not known."""
    word = {"PixelShuffle": "pixel_shuffle", "PixelUnshuffle": "pixel_unshuffle"}.get(layer.base)
    word = word or layer.base.lower()
    if tensor is None or layer.base not in _RESHAPING:
        return None
    if "pad" in word:
        return applied(machine, "pad", tensor, Arguments([_padding(layer)]))
    if word.startswith("upsampl"):
        return applied(machine, "interpolate", tensor, Arguments([], dict(layer.args)))
    given = layer.args.get(_SIZES.get(layer.base, "kernel_size"), -1 if word == "glu" else UNKNOWN)
    return applied(machine, word, tensor, Arguments([given]))


def _padding(layer: Instance) -> Value:
    """Return the padding of all spatial axes: one number stands for every side."""
    given = layer.args.get("padding", UNKNOWN)
    return given if isinstance(given, tuple | list) else (given,) * 2 * int(layer.base[-2])


def _linear(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    return through(layer, tensor)


def _conv(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    note_image(layer, tensor)
    rank = rank_of(layer.base)
    if rank is None:
        return UNKNOWN
    axes = tensor.axes if tensor is not None and tensor.axes and tensor.axes[0] != (REST,) else None
    channel = axes[1] if axes and len(axes) == rank + 2 else None
    used(layer).inputs.append((channel, tensor.site if tensor else None, layout_of(tensor)))
    return feature_map(tensor, (Atom("channel", layer),), rank, windowed(layer, tensor, rank))


def _pooled(layer: Instance, tensor: Tensor | None, rank: int) -> Value:
    """Return what a pool gives: of an unknown tensor, a map of channels that nobody knows."""
    if layer.base.startswith("Adaptive"):
        return pooled(tensor, rank, layer.args.get("output_size"))
    axes = tensor.axes if tensor is not None and tensor.axes and tensor.axes[0] != (REST,) else None
    space = windowed(layer, tensor, rank)
    if axes and len(axes) in (rank + 1, rank + 2):
        return made((*axes[:-rank], *space))
    return feature_map(tensor, (Atom("channel"),), rank, space)


def _norm(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    axes = axes_of(tensor)
    batch = LAYERS[KIND_OF_CLASS[layer.base]].takes == "channel"
    image = batch and not layer.base.endswith("1d")
    last: Axis = tensor.axes[-1] if tensor is not None and tensor.axes else ()
    over = axes[1] if axes and batch and len(axes) > 1 else last
    site = tensor.site if tensor is not None else None
    if not image:
        used(layer).inputs.append((over or None, site, layout_of(tensor)))
    elif axes and len(over) > 1:
        used(layer).inputs.append((over, site, LOST))
    if len(last) == 1 and last[0].role == "out" and last[0].of is not None:
        used(layer).behind.append(last[0].of)
    if tensor is not None and axes:
        # A batch norm names the channels of an image that torch.cat has joined, or that nobody knows.
        joined_before = image and len(axes) > 2 and [atom.role for atom in axes[1]] == ["any"]
        unknown = (
            image and len(axes) > 2 and len(over) == 1 and over[0].role == "channel" and over[0].of is None
        )
        channel: Axis = (Atom("channel", layer),)
        return made((axes[0], channel, *axes[2:])) if joined_before or unknown else tensor
    rank = rank_of(layer.base)
    return (
        feature_map(tensor, (Atom("channel", layer),), rank)
        if image and rank
        else tensor or followed([UNKNOWN])
    )


def _pass(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    return tensor or followed([UNKNOWN])


def _flatten_layer(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    start, end = layer.args.get("start_dim", 1), layer.args.get("end_dim", -1)
    return flattened(machine, tensor, start, end, layer.site)


def _unflatten_layer(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    dim, sizes = layer.args.get("dim"), layer.args.get("unflattened_size")
    return unflattened(tensor, dim, sizes)


def _embedding(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    return made(((REST,), (Atom("out", layer),)), ALIKE)


Run = Callable[["Machine", Instance, Tensor | None], Value]

_LAYERS: dict[str, Run] = {
    "Flatten": _flatten_layer,
    "Unflatten": _unflatten_layer,
    **dict.fromkeys(TRANSFORMERS, of_features),
}
_KINDS: tuple[tuple[Callable[[Row], bool], Run], ...] = (
    (lambda row: row.dense, _linear),
    (lambda row: row.spatial, _conv),
    (lambda row: row.matched == "norm" and bool(row.takes), _norm),
    (lambda row: row.matched == "norm", _pass),
    (lambda row: row.matched == "embedding", _embedding),
    (lambda row: row.attends, attended),
    (lambda row: row.recurrent, recurrent),
)
"""What layers give, by what their rows say; the first that holds."""


def _run_of(cls: str) -> Run | None:
    """Return what says what a layer gives; None for one that changes no axes, or that nobody knows."""
    if cls not in KIND_OF_CLASS:
        return _LAYERS.get(cls)
    row = LAYERS[KIND_OF_CLASS[cls]]
    return next((run for holds, run in _KINDS if holds(row)), None)
