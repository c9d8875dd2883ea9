"""What operations do to the axes of a tensor in ``forward``, by what their rows say becomes of axes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ml_switcheroo.operations import Axes, operation
from ml_switcheroo.sources.static.python.values import UNKNOWN, Arguments, Unknown, Value, known
from ml_switcheroo.sources.static.torch.alike import ALIKE, OWN, TURNED, agreeing, followed
from ml_switcheroo.sources.static.torch.atoms import REST, Axis, made
from ml_switcheroo.sources.static.torch.followers import (
    attended,
    axes_of,
    chosen,
    convolved,
    cut,
    expanded,
    extreme,
    moved,
    multiplied,
    narrowed,
    padded,
    pooled_by_window,
    product,
    repeated,
    scaled,
    slid_along,
    unfolded,
    unsqueezed,
)
from ml_switcheroo.sources.static.torch.gates import note_gate, note_matrix, note_own
from ml_switcheroo.sources.static.torch.given import Given
from ml_switcheroo.sources.static.torch.images import halved, pooled, rank_of, shuffled, unshuffled
from ml_switcheroo.sources.static.torch.parts import broadcast, taken
from ml_switcheroo.sources.static.torch.shaping import (
    flattened,
    permuted,
    rearranged,
    reduced,
    reshaped,
    squeezed,
    swapped,
    unflattened,
)
from ml_switcheroo.sources.static.torch.splits import chunked, unbound
from ml_switcheroo.sources.static.torch.uses import used
from ml_switcheroo.sources.static.torch.values import Size, Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["applied", "compare", "operate", "subscript"]

Effect = Callable[["Machine", Tensor, Given], Value]


def applied(machine: Machine, word: str, tensor: Tensor, args: Arguments, *, method: bool = False) -> Value:
    """Return what an operation gives: a function that is given a tensor first, or a method of it."""
    row = operation(word, method=method)
    if row is not None and row.axes in EFFECTS:
        given = Given(row, args)
        found = EFFECTS[row.axes](machine, tensor, given) if given.counted else None
        if found is not None:
            return found
    values = [tensor, *args.positional, *args.keyword.values()]
    axes = row.axes if row is not None else Axes.OTHER
    return followed(values, turns=axes in _TURNING, flattens=axes in _FLATTENING, folds=axes in _FOLDING)


_TURNING = frozenset((Axes.PERMUTED, Axes.TRANSPOSED, Axes.MOVED, Axes.TURNED, Axes.SUMMED, Axes.PATTERN))
_FLATTENING = frozenset((Axes.FLATTENED, Axes.RESHAPED, Axes.UNFOLDED, Axes.SLID, Axes.FOLDED))
_FOLDING = _FLATTENING | {Axes.UNFLATTENED, Axes.PATTERN, Axes.SHUFFLED, Axes.UNSHUFFLED}


def _broadcast(machine: Machine, tensor: Tensor, given: Given) -> Value:
    return operate(machine, ast.Mult, tensor, given["other"])


def _turned(machine: Machine, tensor: Tensor, given: Given) -> Value:
    axes = axes_of(tensor)
    return permuted(tensor, [1, 0]) if axes is not None and len(axes) == 2 else None


def _rolled(machine: Machine, tensor: Tensor, given: Given) -> Value:
    """Return ``roll`` or ``flip``: of an axis that several make up, nobody knows what is where."""
    return tensor if all(len(axis) == 1 for axis in axes_of(tensor) or ((), ())) else None


def _chunked(machine: Machine, tensor: Tensor, given: Given) -> Value:
    count = _solved(machine, given["chunks"])
    return _parts(machine, tensor, given, chunked(tensor, (), count, given["dim"]), "chunk", count)


def _split(machine: Machine, tensor: Tensor, given: Given) -> Value:
    if given.row.name == "tensor_split":
        count = _solved(machine, given["indices_or_sections"])
        found = chunked(tensor, (), count, given["dim"])
        return _parts(machine, tensor, given, found, "tensor_split", count)
    sizes, dim = _solved(machine, given["split_size_or_sections"]), given["dim"]
    count = _count(tensor, sizes)
    if isinstance(dim, int) and dim > 0 and _makes_up(tensor, sizes, count):
        dim = -1  # any other axis would have to be as long by chance
    return _parts(machine, tensor, given, chunked(tensor, sizes, count, dim), "split", sizes, dim)


def _unbound(machine: Machine, tensor: Tensor, given: Given) -> Value:
    return _listed(machine, tensor, unbound(tensor, given["dim"]))


def _solved(machine: Machine, value: Value) -> Value:
    return machine.solved.get(value.symbol, value) if isinstance(value, Unknown) else value


def _parts(
    machine: Machine,
    tensor: Tensor,
    given: Given,
    parts: list[Tensor] | None,
    word: str,
    by: Value,
    dim: Value = None,
) -> Value:
    return _listed(machine, tensor, parts or cut(tensor, by, word, given["dim"] if dim is None else dim))


def _listed(machine: Machine, tensor: Tensor, parts: list[Tensor] | None) -> Value:
    if parts is None:
        return followed([tensor])
    for part in parts:
        part.layout = part.layout or tensor.layout
    return machine.heap.new(list(parts))


def _makes_up(tensor: Tensor, given: Value, count: Value) -> bool:
    """Tell whether the parts of a split make up the output of a linear whose leading axes are unknown."""
    axes: tuple[Axis, ...] = tensor.axes or ()
    if len(axes) != 2 or axes[0] != (REST,) or (layer := axes[1][0].of) is None:
        return False
    whole, sizes = used(layer).size, given if isinstance(given, list | tuple) else ()
    return isinstance(whole, int) and (isinstance(count, int) or (known(sizes) and sum(sizes) == whole))


def _count(tensor: Tensor, size: Value) -> Value:
    """Return how many parts of one size the output of a linear has."""
    atom = tensor.axes[-1][0] if tensor.axes and tensor.axes[-1] else None
    whole = used(atom.of).size if atom is not None and atom.of is not None else None
    if atom is not None and atom.role == "factor":
        whole = atom.factors[atom.place]
    if not isinstance(whole, int) or not isinstance(size, int) or size <= 0:
        return None
    return whole // size if whole % size == 0 else None


EFFECTS: Mapping[Axes, Effect] = {
    Axes.SAME: lambda machine, x, given: x,
    Axes.BROADCAST: _broadcast,
    Axes.CHOSEN: chosen,
    Axes.REDUCED: lambda machine, x, given: reduced(x, given["dim"], given["keepdim"]),
    Axes.EXTREME: extreme,
    Axes.RESHAPED: lambda machine, x, given: reshaped(machine, x, given.many(given.row.parameters[-1].name)),
    Axes.FLATTENED: lambda machine, x, given: (
        flattened(machine, x, given["start_dim"], given["end_dim"])
        if given.row.name == "flatten"
        else flattened(machine, x, 0, -1)
    ),
    Axes.UNFLATTENED: lambda machine, x, given: unflattened(x, given["dim"], given["sizes"]),
    Axes.SQUEEZED: lambda machine, x, given: squeezed(x, given["dim"]),
    Axes.UNSQUEEZED: unsqueezed,
    Axes.EXPANDED: expanded,
    Axes.REPEATED: repeated,
    Axes.PERMUTED: lambda machine, x, given: permuted(x, given.many("dims")),
    Axes.TRANSPOSED: lambda machine, x, given: swapped(x, [given["dim0"], given["dim1"]]),
    Axes.MOVED: moved,
    Axes.TURNED: _turned,
    Axes.ROLLED: _rolled,
    Axes.CHUNKED: _chunked,
    Axes.SPLIT: _split,
    Axes.UNBOUND: _unbound,
    Axes.NARROWED: narrowed,
    Axes.MULTIPLIED: product,
    Axes.ATTENDED: attended,
    Axes.CONVOLVED: convolved,
    Axes.POOLED: pooled_by_window,
    Axes.ADAPTED: lambda machine, x, given: pooled(x, rank_of(given.row.name) or 0, given["output_size"]),
    Axes.RESIZED: scaled,
    Axes.PADDED: padded,
    Axes.SHUFFLED: lambda machine, x, given: shuffled(machine, x, given["upscale_factor"]),
    Axes.UNSHUFFLED: lambda machine, x, given: unshuffled(x, given["downscale_factor"]),
    Axes.SLID: slid_along,
    Axes.UNFOLDED: unfolded,
    Axes.HALVED: lambda machine, x, given: halved(x, given["dim"], 2),
    Axes.PATTERN: lambda machine, x, given: rearranged(
        machine, x, given["pattern"], given.args.keyword, drops=given.row.name == "reduce"
    ),
    Axes.PACKED: lambda machine, x, given: (x, UNKNOWN),
    Axes.NONE: lambda machine, x, given: UNKNOWN,
}
"""What becomes of the axes of a tensor; None where they do not tell."""


def subscript(machine: Machine, tensor: Tensor, index: Value) -> Value:
    """Return ``tensor[index]``."""
    if machine.follower is not None:
        return machine.follower.subscript(machine, tensor, index)
    return taken(machine, tensor, index)


def compare(machine: Machine, left: Value, right: Value) -> Value:
    """Return the mask that a comparison of tensors gives: its axes are theirs."""
    tensors = [one for one in (left, right) if isinstance(one, Tensor)]
    if machine.follower is not None or not all(isinstance(o, Tensor) or _is_number(o) for o in (left, right)):
        return NotImplemented
    if len(tensors) == 1:
        return made(tensors[0].axes, tensors[0].layout) if tensors[0].axes else followed(tensors)
    mine, other = (one.axes for one in tensors)
    axes = broadcast(mine, other) if mine and other else None
    return followed(tensors) if axes is None else made(axes, _agreed(*tensors))


def operate(machine: Machine, op: type, left: Value, right: Value) -> Value:
    """Return what an operator gives, with a tensor on one side."""
    if machine.follower is not None:
        return machine.follower.operate(machine, op, left, right)
    if op is ast.MatMult:
        note_matrix(machine, right, left, -2)
        return multiplied(left, right)
    if not isinstance(left, Tensor) or not isinstance(right, Tensor):
        (tensor,) = [one for one in (left, right) if isinstance(one, Tensor)]
        plain = all(isinstance(one, Tensor) or _is_number(one) for one in (left, right))
        return tensor if plain else _met(left, right)
    mine, other = left.axes, right.axes
    if mine is None or other is None:
        # One side was not followed. A tensor of the model itself lies as what it meets does.
        weight = left if left.axes is None else right if right.axes is None else left
        rest = right if weight is left else left
        if weight.role or (_small(weight, rest)):
            note_own(machine, weight, rest)
            return rest
        return _met(left, right)
    axes = broadcast(mine, other)
    note_gate(mine, other, machine.site)
    return followed([left, right]) if axes is None else made(axes, _agreed(left, right))


def _agreed(left: Tensor, right: Tensor) -> str:
    """Return the layout of a sum: of two with single axes at the end, either shows that of both."""
    found = {left.layout, right.layout}
    single = all(len(one.axes[-1]) == 1 for one in (left, right))
    return next((one for one in (ALIKE, TURNED) if single and one in found), agreeing(found))


def _met(left: Value, right: Value) -> Value:
    """Return what an operation element by element gives, of whose sides one is not known.

    What has three axes or more, and all of them known, is no row that an image was flattened to: the other
    side then lies as it does.
    """
    for one in (left, right):
        axes = one.axes if isinstance(one, Tensor) else None
        if (
            axes
            and axes[0] != (REST,)
            and len(axes) > 2
            and all(atom.role != "one" for axis in axes for atom in axis)
        ):
            return one
    return followed([left, right])


def _small(tensor: Tensor, other: Tensor) -> bool:
    """Tell whether a tensor that the model makes itself has no more axes than the one it meets."""
    shape, axes = tensor.shape, other.axes
    if tensor.layout != OWN or shape is None or not axes:
        return False
    return len(shape) <= len(axes) and axes[0] != (REST,)


def _is_number(value: Value) -> bool:
    """Tell whether a value is a number, or a setting of the model that nobody knows."""
    return isinstance(value, int | float | Size) or (isinstance(value, Unknown) and bool(value.symbol))
