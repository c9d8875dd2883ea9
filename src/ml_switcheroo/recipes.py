"""How a target is described: where each slot of each kind goes, and how paths are written.

Everything here is frozen data; a target is a table of it (:mod:`ml_switcheroo.targets`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ml_switcheroo.ops import Array, Op
from ml_switcheroo.tree import Template

__all__ = ["Dropped", "Live", "Naming", "Part", "Target", "Unsupported", "part"]


@dataclass(frozen=True, slots=True)
class Part:
    """Some slots of a kind, the leaves they become, and how.

    Attributes:
        slots: Slots in PyTorch.
        leaves: Names of the leaves in the target, below the module.
        axes: Axes of each leaf, where they differ from the slot's.
        ops: What is done beside the rearranging, before it.
        collection: The collection of the leaf in targets that have collections.
    """

    slots: tuple[str, ...]
    leaves: tuple[str, ...]
    axes: str | None = None
    ops: tuple[Op, ...] = ()
    collection: str = "params"


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
    """A kind that the target cannot hold, and why.

    Attributes:
        why: The reason, as the report prints it.
    """

    why: str


def part(
    slots: str | tuple[str, ...],
    leaves: str | tuple[str, ...],
    axes: str | None = None,
    *ops: Op,
    collection: str = "params",
) -> Part:
    """Make a :class:`Part`; a single name may stand for a tuple of one.

    >>> part("weight", "kernel", "in out")
    Part(slots=('weight',), leaves=('kernel',), axes='in out', ops=(), collection='params')
    """
    return Part(
        (slots,) if isinstance(slots, str) else slots,
        (leaves,) if isinstance(leaves, str) else leaves,
        axes,
        ops,
        collection,
    )


@dataclass(frozen=True, slots=True)
class Naming:
    """How a target writes the path of a leaf.

    Attributes:
        separator: Between the segments.
        join_digits: Whether an index is written onto the segment before it (``layers_0``).
        sequential: The attribute under which the target's Sequential keeps its children.
        collections: Whether the path starts with the collection (``params/``).
    """

    separator: str = "."
    join_digits: bool = False
    sequential: str = ""
    collections: bool = False

    def path(
        self, module: str, leaf: str, *, collection: str = "params", containers: Mapping[str, str] = {}
    ) -> str:
        """Write the path of a leaf.

        Args:
            module: Path of the module in PyTorch; ``""`` is the model itself.
            leaf: Name of the leaf.
            collection: The leaf's collection.
            containers: Which modules are a ``sequential``, by their path in PyTorch.

        >>> Naming(sequential="layers").path("net.0", "bias", containers={"net": "sequential"})
        'net.layers.0.bias'
        >>> Naming("/", join_digits=True, collections=True).path("net.0.fc", "bias")
        'params/net_0/fc/bias'
        """
        written: list[str] = []
        walked: list[str] = []
        for segment in module.split(".") if module else []:
            digits = segment.isdecimal()
            if digits and self.sequential and containers.get(".".join(walked)) == "sequential":
                written.append(self.sequential)
            if digits and self.join_digits and written:
                written[-1] += f"_{segment}"
            else:
                written.append(segment)
            walked.append(segment)
        written += [leaf] if leaf else []
        return self.separator.join([collection, *written] if self.collections else written)


@dataclass(frozen=True, slots=True)
class Live:
    """How the live models of a target are read and written; the functions import the framework.

    Attributes:
        owns: Tells whether an object is surely a model of this target.
        template: Reads paths, shapes, kinds and containers.
        write: Puts arrays (by path, already checked) into the model; returns the model, or the new
            one where models are immutable.
        read: Returns the arrays of the model by path.
        immutable: Whether ``write`` leaves the model as it is and returns a new one.
        accepts: Tells whether a plain tree can be a model of this target, once the target is named; None
            where models are no plain trees.
    """

    owns: Callable[[Any], bool]
    template: Callable[[Any], Template]
    write: Callable[[Any, Mapping[str, Array]], Any]
    read: Callable[[Any], Mapping[str, Array]]
    immutable: bool = False
    accepts: Callable[[Any], bool] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A framework that weights are moved to.

    Attributes:
        name: Its name on the command line.
        summary: One line for a person.
        kinds: For each kind the parts it is made of, or why there are none.
        naming: How its paths are written.
        channels: Where its convolutions have the channel axis: what a Flatten sees.
        aliases: Other names.
        live: How its live models are read and written; None where it has none.
    """

    name: str
    summary: str
    kinds: Mapping[str, tuple[Part | Dropped, ...] | Unsupported]
    naming: Naming
    channels: Literal["first", "last"]
    aliases: tuple[str, ...] = ()
    live: Live | None = None
