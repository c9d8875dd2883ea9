"""Where the slots of a kind go in a target: parts, forms, what is dropped and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ml_switcheroo.layers import LAYERS
from ml_switcheroo.ops import Op

__all__ = [
    "NOTHING",
    "REFUSED",
    "Dropped",
    "Entry",
    "Form",
    "Part",
    "Recipe",
    "Unsupported",
    "part",
    "parts_of",
]

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Part:
    """Some slots of a kind, the leaves they become, and how.

    A slot may be a pattern of the table (``weight_ih_l{layer}{way}``): the part then stands for each
    layer and way that the module has. In a leaf a segment ``{layer}`` or ``{way:forward|backward}``
    is written for each, and is left out where the module has only one layer or way.

    The order of things: ``ops`` on the tensors as PyTorch has them; several tensors are then stacked
    on a new first axis; ``axes`` rearranges; and where there are several leaves, each gets a piece of
    the first axis. So ``part("in_proj_weight", ("q", "k", "v"), "qkv in heads dim")`` gives three leaves.

    Attributes:
        slots: Slots in PyTorch.
        leaves: Names of the leaves in the target, below the module; dotted where it has modules within.
        axes: Axes of the leaf, where they differ from the slot's; of several leaves, with the axis first
            that they are pieces of. A whole equation says what the slot's axes are made of, too.
        ops: What is done beside the rearranging, before it.
        collection: The collection of the leaf in targets that have collections.
        absent: What the leaf is filled with where a module has none of the slots and the target's layer
            cannot do without the leaf: the bias of an LSTM that has none in PyTorch.
        prepared: What the target's own layer lacks for the leaf, and the code that gives it one; empty where
            the layer has the leaf as the framework makes it.
    """

    slots: tuple[str, ...]
    leaves: tuple[str, ...]
    axes: str | None = None
    ops: tuple[Op, ...] = ()
    collection: str = "params"
    absent: float | None = None
    prepared: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A slot that the target has no place for, and why nothing is lost.

    Attributes:
        slot: The slot in PyTorch.
        why: The reason, as the report prints it.
    """

    slot: str
    why: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A kind that the target cannot hold, and why; as an entry, a slot that it cannot.

    Attributes:
        why: The reason, as the report prints it.
        slot: The slot that is at fault; empty where it is the kind itself.
        needs: Constructor arguments without which the target cannot hold the kind, such as ``{"groups": 1}``.
    """

    why: str
    slot: str = ""
    needs: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


Entry = Part | Dropped | Unsupported


@dataclass(frozen=True, slots=True)
class Form:
    """One of several ways in which a target can hold a kind; the first that fits is taken.

    Attributes:
        entries: What it is made of.
        when: Attributes that the live module must have, such as ``{"transpose_kernel": True}``;
            where they are not to be seen, they are no hindrance.
        note: What a person should know of a plan that takes this form.
        misfit: What to do where a live model has leaves of another shape.
    """

    entries: tuple[Entry, ...]
    when: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    note: str = ""
    misfit: str = ""


Recipe = tuple[Entry, ...] | tuple[Form, ...] | Unsupported

REFUSED: Mapping[str, Recipe] = {
    kind: Unsupported(layer.refused) for kind, layer in LAYERS.items() if layer.refused
}
"""The kinds that no target takes, whatever it is: a part of the table of each."""


def part(
    slots: str | tuple[str, ...],
    leaves: str | tuple[str, ...],
    axes: str | None = None,
    *ops: Op,
    collection: str = "params",
    absent: float | None = None,
    prepared: str = "",
) -> Part:
    """Make a :class:`Part`; a single name may stand for a tuple of one.

    >>> part("weight", "kernel", "in out").leaves
    ('kernel',)
    """
    return Part(
        (slots,) if isinstance(slots, str) else slots,
        (leaves,) if isinstance(leaves, str) else leaves,
        axes,
        ops,
        collection,
        absent,
        prepared,
    )


def parts_of(recipe: Recipe) -> Iterator[Part]:
    """Yield the parts of a recipe, of all its forms."""
    for entry in recipe if isinstance(recipe, tuple) else ():
        if isinstance(entry, Form):
            yield from parts_of(entry.entries)
        elif isinstance(entry, Part):
            yield entry
