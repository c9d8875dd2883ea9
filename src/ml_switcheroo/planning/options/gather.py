"""Which tensors make up each slot of a module: the tensor itself, or pieces that are folded into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.layers import LAYERS, PARAMETRISATIONS, REPARAMETRISED, Slot
from ml_switcheroo.ops import Op, SpectralNorm, WeightNorm
from ml_switcheroo.sources.classify import Owner
from ml_switcheroo.tensors import TensorSpec

__all__ = ["At", "Gathered", "SlotTensors", "gather", "is_length"]

NOTHING: Mapping[str, Any] = MappingProxyType({})

At = tuple[tuple[str, str], ...]
"""What the braces of a slot's pattern stand for: a layer and a way, or nothing."""


@dataclass(frozen=True, slots=True)
class SlotTensors:
    """One slot with the tensors it is made of.

    Attributes:
        slot: The slot.
        names: Names of the tensors.
        ops: What makes them one: nothing, or the fold of a weight norm or spectral norm.
    """

    slot: Slot
    names: tuple[str, ...]
    ops: tuple[Op, ...] = ()


@dataclass(frozen=True, slots=True)
class Gathered:
    """The slots of a module.

    Attributes:
        slots: By pattern and by what its braces stand for.
        broken: Tensors that are pieces of a slot whose other pieces are not there, with the reason.
    """

    slots: Mapping[tuple[str, At], SlotTensors]
    broken: Mapping[str, str]

    def ways(self, patterns: tuple[str, ...]) -> list[At]:
        """Return what the braces stand for, each once, in order; of any slot for ``()``."""
        found = (at for pattern, at in self.slots if not patterns or pattern in patterns)
        return list(dict.fromkeys(found))


def gather(
    owner: Owner, kind: str, specs: Mapping[str, TensorSpec], args: Mapping[str, Any] = NOTHING
) -> Gathered:
    """Put the tensors of a module together to slots of a kind.

    Args:
        owner: The module.
        kind: Its kind.
        specs: The checkpoint.
        args: What is known of its constructor; ``reparametrized`` has the classes that make each slot.

    Raises:
        UsageError: The module has a tensor that layers of the kind do not have.
    """
    made_by = {entry[0]: entry[1:] for entry in args.get("reparametrized", ())}
    pieces: dict[str, dict[str, str]] = {}
    slots: dict[str, Slot] = {}
    for written, name in owner.tensors.items():
        slot = LAYERS[kind].slot(written)
        if slot is None:
            raise UsageError(
                f"{name}: {owner.path} is said to be of kind {kind}, which has no {written}; correct"
                " layers=, or the Kind rule that says so"
            )
        slots.setdefault(slot.name, slot)
        pieces.setdefault(slot.name, {})[written] = name
    sources: dict[tuple[str, At], SlotTensors] = {}
    broken: dict[str, str] = {}
    for base, slot in slots.items():
        found = pieces[base]
        source = _whole(slot, found) or _folded(kind, slot, found, specs, made_by.get(base, ()))
        if isinstance(source, SlotTensors):
            sources[slot.pattern, tuple(slot.at.items())] = source
        else:
            broken.update(dict.fromkeys(found.values(), source))
    return Gathered(sources, broken)


def _whole(slot: Slot, found: Mapping[str, str]) -> SlotTensors | None:
    return SlotTensors(slot, tuple(found.values())) if list(found) == [slot.name] else None


def _folded(
    kind: str,
    slot: Slot,
    found: Mapping[str, str],
    specs: Mapping[str, TensorSpec],
    made_by: Sequence[str],
) -> SlotTensors | str:
    """Fold the pieces of a slot; a text says why that cannot be done."""
    listed = ", ".join(sorted(found))
    head, dot, last = slot.name.rpartition(".")
    for form, patterns in REPARAMETRISED.items():
        written = [pattern.format(head + dot, last) for pattern in patterns]
        if sorted(written) != sorted(found):
            continue
        names = tuple(found[piece] for piece in written)
        if form in PARAMETRISATIONS and made_by not in ((), (PARAMETRISATIONS[form],)):
            return f"{listed}: {slot.name} is made of them by {', then '.join(made_by)}; {_CURE}"
        if form.endswith("weight_norm"):
            g, v = (specs[name] for name in names)
            if not is_length(g.shape, v.shape):
                return (
                    f"{listed}: {names[0]} {g} is no length of {names[1]} {v}, one for the whole or for each"
                    f" place of one axis, so they are no weight norm; {_CURE}"
                )
            return SlotTensors(slot, names, (WeightNorm(),))
        shape, size = specs[names[0]].shape, specs[names[1]].size
        dims = [dim for dim, axis in enumerate(shape) if axis == size]
        # torch.nn.utils.spectral_norm takes axis 1 for transposed convolutions, else axis 0.
        usual = LAYERS[kind].place("out") if LAYERS[kind].spatial else 0
        if not dims:
            return f"no axis of {names[0]} {specs[names[0]]} has the size {size} of {names[1]}"
        return SlotTensors(slot, names, (SpectralNorm(usual if usual in dims else dims[0]),))
    by = f" (made by {', then '.join(made_by)})" if made_by else ""
    return (
        f"{listed} cannot be put together to {slot.name}{by}: known are weight_norm and"
        f" spectral_norm of torch.nn.utils with all their tensors; {_CURE}"
    )


_CURE = "remove the parametrisation in PyTorch and save again"


def is_length(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Tell whether a shape is that of a weight norm's ``g``: of all axes of the weight, or all but one.

    >>> is_length((6, 1), (6, 4)), is_length((), (6, 4)), is_length((6, 6), (6, 6))
    (True, True, False)
    """
    kept = [(size, own) for size, own in zip(shape, whole, strict=False) if size != 1]
    return len(shape) in (0, len(whole)) and len(kept) < 2 and all(size == own for size, own in kept)
