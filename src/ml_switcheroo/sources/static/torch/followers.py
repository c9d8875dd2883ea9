"""Operations of torch on tensors whose axes are known, by their names as methods and functions alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_switcheroo.layers import KIND_OF_CLASS
from ml_switcheroo.sources.static.python.values import UNKNOWN, Arguments, External, Instance, Tensor, Value
from ml_switcheroo.sources.static.torch.alike import INPUT, agreeing, followed, layout_of
from ml_switcheroo.sources.static.torch.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.torch.gates import note_matrix
from ml_switcheroo.sources.static.torch.images import (
    feature_map,
    halved,
    rank_of,
    resized,
    shuffled,
    slid,
    unshuffled,
    windowed,
)
from ml_switcheroo.sources.static.torch.parts import broadcast
from ml_switcheroo.sources.static.torch.shaping import indexed, permuted, reduced
from ml_switcheroo.sources.static.torch.uses import noted

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["NUMBERS", "PASSING", "axes_of", "cut", "multiplied", "other_operation", "summed"]

PASSING = frozenset(
    """clip clamp_min clamp_max clamp_ abs_ neg_ exp_ sqrt_ rsqrt_ tanh_ sigmoid_ erf log log2 log10 log1p
    expm1 logsigmoid nan_to_num round floor ceil trunc sign positive bool int long short tan atan tanh
    sinh cosh
    logit log_softmax softmax softmin relu relu_ relu6 leaky_relu leaky_relu_ elu selu celu gelu silu mish
    sigmoid hardswish hardsigmoid hardtanh hardshrink softplus softsign softshrink threshold prelu rrelu
    dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout cpu cuda
    to_dense coalesce pin_memory share_memory_ masked_fill masked_fill_ detach_ retain_grad requires_grad_
    bernoulli bernoulli_ cumsum cumprod logcumsumexp type as_subclass zero_ fill_ nan_to_num_ group_norm
    instance_norm batch_norm layer_norm rms_norm normalize local_response_norm fmod remainder reciprocal_ frac
    conj resolve_conj real imag angle deg2rad rad2deg bitwise_not logical_not isnan isinf isfinite
    contiguous clone detach""".split()
)
"""What leaves every axis as it is."""

NUMBERS = frozenset(
    """size dim numel nelement ndimension item tolist stride storage_offset element_size get_device
    is_contiguous is_floating_point is_complex data_ptr numpy register_hook backward __len__
    is_same_size is_tensor
    is_grad_enabled is_available manual_seed no_grad set_grad_enabled inference_mode autocast finfo iinfo
    device dtype Size Generator is_autocast_enabled get_autocast_gpu_dtype _assert""".split()
)
"""What gives no tensor."""

_TURNING = frozenset(
    "permute transpose swapaxes swapdims movedim moveaxis t T mT H mH einsum rearrange".split()
)
_FLATTENING = frozenset("flatten ravel view reshape unfold fold".split())
_FOLDING = frozenset(
    "flatten ravel view reshape unfold fold unflatten rearrange pixel_shuffle pixel_unshuffle reduce".split()
)


def other_operation(machine: Machine, word: str, tensor: Tensor, args: Arguments) -> Value:
    """Return what any other operation of a tensor gives."""
    if word in PASSING:
        return tensor
    if word in NUMBERS:
        return UNKNOWN
    if word in ("roll", "flip") and all(len(axis) == 1 for axis in axes_of(tensor) or ((), ())):
        return tensor
    run = _OPERATIONS.get(word)
    found = run(machine, tensor, args) if run is not None else None
    if found is None and rank_of(word) is not None:
        found = _windowed(machine, word, tensor, args)
    if found is not None:
        return found
    values = [tensor, *args.positional, *args.keyword.values()]
    return followed(values, turns=word in _TURNING, flattens=word in _FLATTENING, folds=word in _FOLDING)


def axes_of(value: Value) -> tuple[Axis, ...] | None:
    """Return the axes of a tensor all of which are known."""
    axes = value.axes if isinstance(value, Tensor) else None
    return axes if axes and axes[0] != (REST,) else None


def _windowed(machine: Machine, word: str, tensor: Tensor, args: Arguments) -> Value:
    """Return ``F.conv2d``, ``F.max_pool2d`` and the like."""
    rank = rank_of(word) or 0
    if word.startswith(("max_pool", "avg_pool", "lp_pool")):
        names = ("kernel_size", "stride", "padding")
        given = {name: args.get(place, name, UNKNOWN) for place, name in enumerate(names)}
        given = {name: value for name, value in given.items() if value is not UNKNOWN and value is not None}
        given |= {name: value for name, value in args.keyword.items() if name in ("dilation", "ceil_mode")}
        fake = Instance(External(f"torch.nn.MaxPool{rank}d"), torch=f"MaxPool{rank}d", args=given)
        axes = axes_of(tensor)
        if axes and len(axes) in (rank + 1, rank + 2):
            return made((*axes[:-rank], *windowed(fake, tensor, rank)))
        return feature_map(tensor, (Atom("channel"),), rank, windowed(fake, tensor, rank))
    if word.startswith("conv"):
        return _convolved(machine, word, tensor, args, rank)
    return None


def _convolved(machine: Machine, word: str, tensor: Tensor, args: Arguments, rank: int) -> Value:
    weight = args.get(0, "weight")
    shape = weight.shape if isinstance(weight, Tensor) and isinstance(weight.shape, tuple) else None
    turned = word.startswith("conv_transpose")
    count = shape[1 if turned else 0] if shape is not None and len(shape) == rank + 2 else None
    names = ("bias", "stride", "padding", "output_padding" if turned else "dilation")
    given = {name: args.get(place, name, UNKNOWN) for place, name in enumerate(names, 1) if name != "bias"}
    given = {name: value for name, value in given.items() if value is not UNKNOWN and value is not None}
    if shape is not None and len(shape) == rank + 2:
        given["kernel_size"] = tuple(shape[2:])
    name = f"ConvTranspose{rank}d" if turned else f"Conv{rank}d"
    fake = Instance(External(f"torch.nn.{name}"), torch=name, args=given)
    groups = args.get(5, "groups", 1)
    if turned and isinstance(count, int):
        count = count * groups if isinstance(groups, int) else None
    maker = _maker(machine, weight)
    channel = Atom("channel", maker, size=count if isinstance(count, int) else None)
    if isinstance(count, int):
        noted(machine).channels.add(count)
    noted(machine).convolves = True
    return feature_map(tensor, (channel,), rank, windowed(fake, tensor, rank))


def _maker(machine: Machine, weight: Value) -> Instance | None:
    """Return the convolution whose kernel it is, also where its class has changed it before."""
    maker = weight.of if isinstance(weight, Tensor) else None
    own = machine.frame.self_ if machine.frame is not None else None
    if maker is None and isinstance(own, Instance):
        maker = own
    kind = KIND_OF_CLASS.get(maker.torch, "") if maker is not None else ""
    return maker if kind in ("conv", "conv_transpose") else None


def multiplied(left: Value, right: Value) -> Value:
    """Return ``left @ right``."""
    mine, other = axes_of(left), axes_of(right)
    if isinstance(right, Tensor) and right.role and isinstance(left, Tensor) and left.axes:
        return made((*left.axes[:-1], (Atom("any"),)), left.layout)
    if mine is None or other is None or len(mine) < 2 or len(other) < 2:
        return followed([left, right])
    if len(mine) != len(other) and len(mine) != 2 and len(other) != 2:
        return followed([left, right])
    longer = mine if len(mine) >= len(other) else other
    return made((*longer[:-2], mine[-2], other[-1]))


def _matmul(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    other = args.get(0, "mat2", args.keyword.get("other", UNKNOWN))
    note_matrix(machine, other, tensor, -2)
    return multiplied(tensor, other)


def summed(machine: Machine, args: Arguments) -> Value:
    """Return ``torch.einsum``: of tensors whose axes are known, each letter is one of them."""
    pattern, tensors = args.get(0, "equation"), args.positional[1:]
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = list(tensors[0])
    if isinstance(pattern, str) and pattern.count("->") == 1 and "." not in pattern:
        inputs, _, wanted = pattern.replace(" ", "").partition("->")
        held: dict[str, Axis] = {}
        for letters, tensor in zip(inputs.split(","), tensors, strict=False):
            axes = axes_of(tensor)
            if axes is not None and len(axes) == len(letters):
                held = dict(zip(letters, axes, strict=True)) | held
        if len(inputs.split(",")) == len(tensors) and set(wanted) <= held.keys():
            return made(tuple(held[letter] for letter in wanted))
    return followed(tensors, turns=True)


def _attended(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    """Return attention over values: the places of the queries, the features of the values."""
    mine, other = axes_of(tensor), axes_of(args.get(1, "value"))
    if mine is None or other is None:
        return followed([tensor, *args.positional[:2]])
    return made((*mine[:-1], other[-1]))


def _unsqueezed(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    axes, dim = axes_of(tensor), args.get(0, "dim")
    if axes is None and dim != -1 and layout_of(tensor) == INPUT:
        return tensor
    if axes is None or not isinstance(dim, int) or not -len(axes) - 1 <= dim <= len(axes):
        return followed([tensor])
    place = dim % (len(axes) + 1)
    return made((*axes[:place], (Atom("one"),), *axes[place:]))


def _moved(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    """Return ``movedim``."""
    axes, source, wanted = axes_of(tensor), args.get(0, "source"), args.get(1, "destination")
    if axes is None or not isinstance(source, int) or not isinstance(wanted, int):
        return None
    order = [place for place in range(len(axes)) if place != source % len(axes)]
    order.insert(wanted % len(axes), source % len(axes))
    return permuted(tensor, list(order))


def _sizes(args: Arguments) -> list[Value]:
    """Return the sizes of a call, which may come as one sequence or one by one."""
    sizes = args.positional[0] if len(args.positional) == 1 else args.positional
    return list(sizes) if isinstance(sizes, list | tuple) else [sizes]


def _repeated(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    """Return ``repeat``: an axis of size 1 gets another size, any other holds its items several times."""
    return _stretched(tensor, args, lambda axis: (Atom("mixed"),))


def _expanded(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    """Return ``expand``: an axis of size 1 gets another size, any other stays as it is."""
    return _stretched(tensor, args, lambda axis: axis)


def _stretched(tensor: Tensor, args: Arguments, other: Callable[[Axis], Axis]) -> Value:
    axes, sizes = axes_of(tensor), _sizes(args)
    if axes is None or len(sizes) != len(axes):
        return followed([tensor])
    found: list[Axis] = []
    for axis, size in zip(axes, sizes, strict=True):
        number = size if isinstance(size, int) else None
        if number in (1, -1):
            found.append(axis)
        elif all(atom.role == "one" for atom in axis):
            found.append((Atom("step", size=number),))
        else:
            found.append(other(axis))
    return made(tuple(found))


def cut(tensor: Tensor, given: Value, word: str, dim: Value) -> list[Tensor] | None:
    """Return ``chunk`` or ``split`` of an axis that is no projection's; None where they are not known."""
    axes = axes_of(tensor)
    if axes is None or not isinstance(dim, int) or not -len(axes) <= dim < len(axes):
        return None
    axis = axes[dim % len(axes)]
    if len(axis) != 1 or axis[0].role not in ("channel", "space", "any", "step"):
        return None
    if word == "tensor_split" and isinstance(given, list | tuple):
        word, given = "split", [None] * (len(given) + 1)
    if word != "split" and isinstance(given, int) and 0 < given <= 64:
        part = halved(tensor, dim, given)
        return None if part is None else [part] * given
    if isinstance(given, int) and given > 0 and axis[0].count:
        whole, rest = divmod(axis[0].count, given)
        given = [given] * whole + ([rest] if rest else [])
    if not isinstance(given, list | tuple) or word == "tensor_split":
        return None
    place = dim % len(axes)
    sizes = [size if isinstance(size, int) and size > 0 else None for size in given]
    return [made((*axes[:place], (Atom(axis[0].role, size=size),), *axes[place + 1 :])) for size in sizes]


def _glu(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    return halved(tensor, args.get(0, "dim", -1), 2)


def _resized(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    axes = axes_of(tensor)
    how = repr(
        [
            value
            for value in (*args.positional, *args.keyword.values())
            if isinstance(value, int | float | tuple)
        ]
    )
    return resized(tensor, len(axes) - 2, ("resized", how)) if axes and len(axes) > 2 else None


def _padded(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    axes, pad = axes_of(tensor), args.get(0, "pad")
    if axes is None:
        return tensor if layout_of(tensor) else None
    count = (len(pad) + 1) // 2 if isinstance(pad, tuple | list) else len(axes) - 2
    last = axes[-count:] if 0 < count <= len(axes) else ()
    if any(len(axis) != 1 or axis[0].role != "space" for axis in last):
        return tensor if all(len(axis) == 1 for axis in last) else None
    return resized(tensor, count, ("padded", repr(pad)))


def _extreme(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    """Return ``max`` or ``min``: with an axis the values and their places, of two tensors the larger ones."""
    dim = args.get(0, "dim")
    if isinstance(dim, Tensor):
        axes = broadcast(tensor.axes, dim.axes) if tensor.axes and dim.axes else None
        return made(axes) if axes else followed([tensor, dim])
    if not isinstance(dim, int):
        return followed([tensor])
    found = reduced(tensor, dim, args.get(1, "keepdim", False))
    return found, found


def _reduced(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    return reduced(tensor, args.get(0, "dim"), args.get(1, "keepdim", args.keyword.get("keepdims", False)))


def _sliding(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    """Return ``F.unfold`` of a map, or ``tensor.unfold`` along one axis."""
    axes, first = axes_of(tensor), args.get(0, "kernel_size", args.keyword.get("dimension"))
    if axes is None:
        return None
    if len(args.positional) == 3 and all(isinstance(one, int) for one in args.positional):
        place = first % len(axes)
        if len(axes[place]) != 1 or axes[place][0].role not in ("space", "step"):
            return None
        size, step = args.positional[1:]
        number = slid(axes[place], size, step, 0)
        return made((*axes[:place], number, *axes[place + 1 :], (Atom(axes[place][0].role, size=size),)))
    sizes = first if isinstance(first, tuple | list) else (first, first)
    if len(axes) != 4 or len(sizes) != 2:
        return None
    within = tuple(Atom("space", size=size if isinstance(size, int) else None) for size in sizes)
    return made((axes[0], (*axes[1], *within), (Atom("space"),)))


def _chosen(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    """Return ``torch.where``: of two tensors, element by element."""
    sides = [args.get(place, name) for place, name in enumerate(("input", "other"))]
    found = [side for side in sides if not isinstance(side, int | float)]
    if not found or not all(isinstance(side, Tensor) and side.axes for side in found):
        return None
    axes = found[0].axes if len(found) == 1 else broadcast(found[0].axes, found[1].axes)
    return made(axes, agreeing(side.layout for side in found)) if axes else None


def _narrowed(machine: Machine, tensor: Tensor, args: Arguments) -> Value:
    """Return ``narrow(dim, start, length)``: a slice."""
    axes, values = axes_of(tensor), [args.get(place, name) for place, name in enumerate(_NARROW)]
    if axes is None or not all(isinstance(value, int) for value in values) or values[1] < 0:
        return None
    dim, start, length = values
    index: list[Value] = [slice(None)] * len(axes)
    index[dim % len(axes)] = slice(start, start + length)
    return indexed(tensor, tuple(index))


_NARROW = ("dim", "start", "length")


_REDUCING = (
    "mean sum amax amin std var prod logsumexp nanmean median all any norm argmax argmin nansum".split()
)

_OPERATIONS: dict[str, Callable[[Any, Tensor, Arguments], Value]] = {
    **dict.fromkeys(_REDUCING, _reduced),
    "narrow": _narrowed,
    "where": _chosen,
    **dict.fromkeys(("max", "min"), _extreme),
    **dict.fromkeys(("matmul", "bmm", "mm"), _matmul),
    "scaled_dot_product_attention": _attended,
    "unsqueeze": _unsqueezed,
    **dict.fromkeys(("movedim", "moveaxis"), _moved),
    **dict.fromkeys(("repeat", "tile"), _repeated),
    "expand": _expanded,
    "glu": _glu,
    "interpolate": _resized,
    "upsample": _resized,
    "pad": _padded,
    "pixel_unshuffle": lambda machine, x, args: unshuffled(x, args.get(0, "downscale_factor")),
    "pixel_shuffle": lambda machine, x, args: shuffled(machine, x, args.get(0, "upscale_factor")),
    "unfold": _sliding,
}
