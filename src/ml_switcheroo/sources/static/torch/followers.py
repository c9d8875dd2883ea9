"""What operations of torch do to known axes, beyond changes of shape: windows, products, parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ml_switcheroo.layers import KIND_OF_CLASS, LAYERS
from ml_switcheroo.sources.static.python.counted import whole_numbers
from ml_switcheroo.sources.static.python.values import UNKNOWN, External, Instance, Value
from ml_switcheroo.sources.static.torch.alike import (
    INPUT,
    LOST,
    agreeing,
    behind_features,
    followed,
    layout_of,
)
from ml_switcheroo.sources.static.torch.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.torch.gates import note_matrix
from ml_switcheroo.sources.static.torch.given import Given
from ml_switcheroo.sources.static.torch.images import (
    feature_map,
    halved,
    rank_of,
    resized,
    slid,
    windowed,
)
from ml_switcheroo.sources.static.torch.parts import broadcast
from ml_switcheroo.sources.static.torch.shaping import indexed, permuted, reduced
from ml_switcheroo.sources.static.torch.uses import count_of, noted, used
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = [
    "attended",
    "axes_of",
    "chosen",
    "convolved",
    "cut",
    "dense_of",
    "expanded",
    "extreme",
    "moved",
    "multiplied",
    "narrowed",
    "padded",
    "pooled_by_window",
    "product",
    "repeated",
    "scaled",
    "slid_along",
    "summed",
    "unfolded",
    "unsqueezed",
]


def axes_of(value: Value) -> tuple[Axis, ...] | None:
    """Return the axes of a tensor, if all of them are known."""
    axes = value.axes if isinstance(value, Tensor) else None
    return axes if axes and axes[0] != (REST,) else None


def pooled_by_window(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``F.max_pool2d`` and the like."""
    rank = rank_of(given.row.name) or 0
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    fake = Instance(External(f"torch.nn.MaxPool{rank}d"), base=f"MaxPool{rank}d", args=_told(given, names))
    axes = axes_of(tensor)
    if axes and len(axes) in (rank + 1, rank + 2):
        return made((*axes[:-rank], *windowed(fake, tensor, rank)))
    return feature_map(tensor, (Atom("channel"),), rank, windowed(fake, tensor, rank))


def _told(given: Given, names: Iterable[str]) -> dict[str, Value]:
    """Return the arguments of a window that are known to be something else than left out."""
    found = {name: given[name] for name in names if name in given}
    return {name: value for name, value in found.items() if value is not UNKNOWN and value is not None}


def convolved(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``F.conv2d`` and the like: its weight is a tensor of a layer, or of the model's own."""
    rank, weight = rank_of(given.row.name) or 0, given["weight"]
    shape = weight.shape if isinstance(weight, Tensor) and isinstance(weight.shape, tuple) else None
    turned = LAYERS[given.row.role("weight")].transposed
    count = shape[1 if turned else 0] if shape is not None and len(shape) == rank + 2 else None
    window = _told(given, ("stride", "padding", "output_padding", "dilation"))
    if shape is not None and len(shape) == rank + 2:
        window["kernel_size"] = tuple(shape[2:])
    name = f"ConvTranspose{rank}d" if turned else f"Conv{rank}d"
    fake = Instance(External(f"torch.nn.{name}"), base=name, args=window)
    if turned and isinstance(count, int):
        groups = given["groups"]
        count = count * groups if isinstance(groups, int) else None
    channel = Atom("channel", _maker(machine, weight), size=count if isinstance(count, int) else None)
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
    kind = KIND_OF_CLASS.get(maker.base, "") if maker is not None else ""
    return maker if kind and LAYERS[kind].spatial else None


def dense_of(weight: Value) -> Instance | None:
    """Return the layer whose matrix it is; None for any other tensor."""
    layer = weight.of if isinstance(weight, Tensor) else None
    kind = KIND_OF_CLASS.get(layer.base, "") if layer is not None else ""
    if layer is None or not kind or not LAYERS[kind].dense:
        return None
    name = LAYERS[kind].own_name("weight")
    return layer if weight in (layer.slots.get(name), layer.attrs.get(name)) else None


def through(layer: Instance, tensor: Tensor | None) -> Value:
    """Return what the matrix of a layer makes of a tensor, and note what it is given."""
    axes = tensor.axes if tensor is not None else None
    layout = layout_of(tensor) if tensor is not None else LOST
    used(layer).inputs.append((axes[-1] if axes else None, tensor.site if tensor else None, layout))
    lead = axes[:-1] if axes else ((REST,),)
    return made((*lead, (Atom("out", layer),)), behind_features(layout))


def multiplied(left: Value, right: Value) -> Value:
    """Return ``left @ right``."""
    layer = dense_of(right)
    if layer is not None and isinstance(left, Tensor):
        return through(layer, left)
    mine, other = axes_of(left), axes_of(right)
    if isinstance(right, Tensor) and right.role and isinstance(left, Tensor) and left.axes:
        return made((*left.axes[:-1], (Atom("any"),)), left.layout)
    if mine is None or other is None or len(mine) < 2 or len(other) < 2:
        return followed([left, right])
    if len(mine) != len(other) and len(mine) != 2 and len(other) != 2:
        return followed([left, right])
    longer = mine if len(mine) >= len(other) else other
    return made((*longer[:-2], mine[-2], other[-1]))


def product(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``matmul`` and the like."""
    note_matrix(machine, given["other"], tensor, -2)
    return multiplied(tensor, given["other"])


def summed(machine: Machine, given: Given) -> Value:
    """Return ``torch.einsum``: of tensors whose axes are known, each letter is one of them."""
    pattern, tensors = given["equation"], given.many("operands")
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


def attended(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return attention over values: the places of the queries, the features of the values."""
    mine, other = axes_of(tensor), axes_of(given["value"])
    if mine is None or other is None:
        return followed([tensor, *given.args.positional[:2]])
    return made((*mine[:-1], other[-1]))


def unsqueezed(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``unsqueeze``."""
    axes, dim = axes_of(tensor), given["dim"]
    if axes is None and dim != -1 and layout_of(tensor) == INPUT:
        return tensor
    if axes is None or not isinstance(dim, int) or not -len(axes) - 1 <= dim <= len(axes):
        return followed([tensor])
    place = dim % (len(axes) + 1)
    return made((*axes[:place], (Atom("one"),), *axes[place:]))


def moved(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``movedim``."""
    axes, source, wanted = axes_of(tensor), given["source"], given["destination"]
    if axes is None or not isinstance(source, int) or not isinstance(wanted, int):
        return None
    order = [place for place in range(len(axes)) if place != source % len(axes)]
    order.insert(wanted % len(axes), source % len(axes))
    return permuted(tensor, list(order))


def repeated(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``repeat``: an axis of size 1 gets another size, any other holds its items several times."""
    return _stretched(tensor, given, lambda axis: (Atom("mixed"),))


def expanded(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``expand``: an axis of size 1 gets another size, any other stays as it is."""
    return _stretched(tensor, given, lambda axis: axis)


def _stretched(tensor: Tensor, given: Given, other: Callable[[Axis], Axis]) -> Value:
    axes, sizes = axes_of(tensor), given.many(given.row.parameters[-1].name)
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
    # By edges, there is one part more than there are edges, and no size is said.
    if word == "tensor_split" and isinstance(given, list | tuple):
        word, given = "split", [None] * (len(given) + 1)
    if word != "split" and isinstance(given, int) and 0 < given <= 64:
        part = halved(tensor, dim, given)
        return None if part is None else [part] * given
    count = count_of(axis[0])
    if isinstance(given, int) and given > 0 and count:
        whole, rest = divmod(count, given)
        given = [given] * whole + ([rest] if rest else [])
    if not isinstance(given, list | tuple) or word == "tensor_split":
        return None
    place = dim % len(axes)
    sizes = [size if isinstance(size, int) and size > 0 else None for size in given]
    return [made((*axes[:place], (Atom(axis[0].role, size=size),), *axes[place + 1 :])) for size in sizes]


def scaled(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``interpolate``: what is given the same has the same size."""
    axes = axes_of(tensor)
    how = repr([value for value in given.values() if isinstance(value, int | float | tuple)])
    return resized(tensor, len(axes) - 2, ("resized", how)) if axes and len(axes) > 2 else None


def padded(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``pad``."""
    axes, pad = axes_of(tensor), given["pad"]
    if axes is None:
        return tensor if layout_of(tensor) else None
    count = (len(pad) + 1) // 2 if isinstance(pad, tuple | list) else len(axes) - 2
    last = axes[-count:] if 0 < count <= len(axes) else ()
    if any(len(axis) != 1 or axis[0].role != "space" for axis in last):
        return tensor if all(len(axis) == 1 for axis in last) else None
    return resized(tensor, count, ("padded", repr(pad)))


def extreme(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``max`` or ``min``: with an axis the values and their places, of two tensors the larger ones."""
    dim = given["dim"]
    if isinstance(dim, Tensor):
        axes = broadcast(tensor.axes, dim.axes) if tensor.axes and dim.axes else None
        return made(axes) if axes else followed([tensor, dim])
    if not isinstance(dim, int):
        return followed([tensor])
    found = reduced(tensor, dim, given["keepdim"])
    return found, found


def slid_along(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``tensor.unfold``: an axis becomes windows, and the places in them."""
    axes = axes_of(tensor)
    told = whole_numbers(given[name] for name in ("dimension", "size", "step"))
    if axes is None or told is None:
        return None
    dim, size, step = told
    place = dim % len(axes)
    if len(axes[place]) != 1 or axes[place][0].role not in ("space", "step"):
        return None
    number = slid(axes[place], size, step, 0)
    return made((*axes[:place], number, *axes[place + 1 :], (Atom(axes[place][0].role, size=size),)))


def unfolded(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``F.unfold`` of a map: the channels and places of each window become one axis."""
    axes, size = axes_of(tensor), given["kernel_size"]
    sizes = size if isinstance(size, tuple | list) else (size, size)
    if axes is None or len(axes) != 4 or len(sizes) != 2:
        return None
    within = tuple(Atom("space", size=size if isinstance(size, int) else None) for size in sizes)
    return made((axes[0], (*axes[1], *within), (Atom("space"),)))


def chosen(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``torch.where``: of two tensors, element by element."""
    sides = [given["input"], given["other"]]
    found = [side for side in sides if not isinstance(side, int | float)]
    tensors = [side for side in found if isinstance(side, Tensor) and side.axes]
    if not tensors or len(tensors) < len(found):
        return None
    axes = tensors[0].axes if len(tensors) == 1 else broadcast(tensors[0].axes, tensors[1].axes)
    return made(axes, agreeing(side.layout for side in tensors)) if axes else None


def narrowed(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``narrow(dim, start, length)``: a slice."""
    axes, told = axes_of(tensor), whole_numbers(given[name] for name in ("dim", "start", "length"))
    if axes is None or told is None or told[1] < 0:
        return None
    dim, start, length = told
    index: list[Value] = [slice(None)] * len(axes)
    index[dim % len(axes)] = slice(start, start + length)
    return indexed(tensor, tuple(index))
