"""What recurrent layers and transformers put out: steps and units, whose order is the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.values import UNKNOWN, Instance, Maybe, Repeat, Value
from ml_switcheroo.sources.static.torch.alike import ALIKE, layout_of
from ml_switcheroo.sources.static.torch.atoms import REST, Atom, Axis, made
from ml_switcheroo.sources.static.torch.uses import used
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = [
    "TRANSFORMERS",
    "attended",
    "in_order",
    "joined_units",
    "of_features",
    "recurrent",
    "regrouped",
]

TRANSFORMERS = frozenset(
    """Transformer TransformerEncoder TransformerDecoder TransformerEncoderLayer
    TransformerDecoderLayer""".split()
)

_STEP: Axis = (Atom("step"),)


def recurrent(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    """Return what RNN, LSTM, GRU or one of their cells gives: the output, and the last states.

    Of an input whose rank is unknown it is taken to have a batch; without one, there is one step less,
    and nothing else is another.
    """
    hidden: Axis = (Atom("hidden", layer),)
    axes = tensor.axes if tensor is not None else None
    used(layer).inputs.append(
        (axes[-1] if axes else None, tensor.site if tensor else None, layout_of(tensor))
    )
    if layer.base.endswith("Cell"):
        state = made((_STEP, hidden))
        return (state, state) if layer.base == "LSTMCell" else state
    rank = len(axes) if axes and axes[0] != (REST,) else 3
    if rank not in (2, 3):
        return UNKNOWN
    steps = (_STEP,) * (rank - 1)
    state = made(((Atom("layer"),), *steps[1:], hidden))
    return made((*steps, hidden)), ((state, state) if layer.base == "LSTM" else state)


def of_features(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    """Return what a transformer gives: any number of axes, and its features last."""
    return made(((REST,), (Atom("out"),)), ALIKE)


def attended(machine: Machine, layer: Instance, tensor: Tensor | None) -> Value:
    """Return what attention gives: the features, and the weights of the steps."""
    return of_features(machine, layer, tensor), UNKNOWN


def in_order(axis: Axis) -> bool:
    """Tell whether an axis is made of steps and, behind them, the units of one layer."""
    return all(atom.role == "step" for atom in axis[:-1]) and axis[-1].role in ("step", "hidden", "out")


def _units(tensor: Value) -> tuple[Axis, ...]:
    """Return the axes of steps and, last, hidden units; empty for any other tensor."""
    axes = tensor.axes if isinstance(tensor, Tensor) else None
    whole = tuple(atom for axis in axes or () for atom in axis)
    return axes if axes and whole and whole[-1].role == "hidden" and in_order(whole) else ()


def regrouped(tensor: Tensor, sizes: list[Value]) -> Tensor | None:
    """Return steps and hidden units in a new shape: each is in its place still; None for any other tensor."""
    axes = _units(tensor)
    if not axes or any(isinstance(size, Maybe | Repeat) for size in sizes):
        return None
    return made((*((_STEP,) * (len(sizes) - 1)), (axes[-1][-1],)))


def joined_units(tensors: Value) -> Value:
    """Return ``torch.cat`` of steps and hidden units; unknown for anything else."""
    if not isinstance(tensors, list | tuple) or not tensors or not all(map(_units, tensors)):
        return UNKNOWN
    return tensors[0] if len({len(one.axes) for one in tensors}) == 1 else UNKNOWN
