"""How a target is described: where each slot of each kind goes, and how paths are written.

Everything here is frozen data; a target is a table of it (:mod:`ml_switcheroo.targets`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from ml_switcheroo.ops import Array, Op
from ml_switcheroo.tree import Template

__all__ = [
    "Difference",
    "Dropped",
    "Entry",
    "Form",
    "Live",
    "Naming",
    "Padding",
    "Part",
    "Recipe",
    "Target",
    "Unsupported",
    "Wrapper",
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


@dataclass(frozen=True, slots=True)
class Difference:
    """An attribute of a live module that must agree with a constructor argument in PyTorch.

    Attributes:
        arg: The argument in PyTorch, such as ``eps``; empty where PyTorch knows one value only.
        attribute: The attribute of the target's module, such as ``epsilon``.
        convert: The attribute's value for an argument's; for None where there is no argument.
        nothing: What the attribute stands for where it is None.
    """

    arg: str
    attribute: str
    convert: Callable[[Any], Any] = lambda value: value
    nothing: Any = None

    @classmethod
    def always(cls, attribute: str, value: Any) -> Difference:
        """Make one of an attribute that must have one value.

        >>> Difference.always("reset_after", True).convert(None)
        True
        """
        return cls("", attribute, lambda _: value)


@dataclass(frozen=True, slots=True)
class Padding:
    """How the live convolutions of a target say what they pad, which must agree with PyTorch's padding.

    Attributes:
        stride: The attribute of the step.
        dilation: The attribute of the distance between taps.
        mode: The attribute that says what is padded with; empty where that is always zeros.
        transposed: Empty for a convolution; for a transposed one what the padding counts: ``cut``, rows cut
            off from the whole output, with the words of TensorFlow; ``numbers``, the same without words;
            ``spread``, rows around the spread-out input, as in ``jax.lax.conv_transpose``.
        attribute: The attribute of the padding.
    """

    stride: str
    dilation: str
    mode: str = ""
    transposed: Literal["", "cut", "numbers", "spread"] = ""
    attribute: str = "padding"

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes with a number, or a pair of numbers, for each axis."""
        return self.stride, self.dilation, self.attribute


@dataclass(frozen=True, slots=True)
class Lack:
    """A constructor argument in PyTorch of which the target's own layer has one value only.

    Attributes:
        arg: The argument in PyTorch, such as ``ceil_mode``.
        only: The value that the target has.
        beside: An argument that must not be 0 for this one to decide anything; empty for none.
    """

    arg: str
    only: Any
    beside: str = ""


Compared: TypeAlias = Difference | Padding | Lack
"""What is compared of a kind of layer beside its weights."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A layer of the target around another one, which keeps a norm of its weight as PyTorch does.

    Attributes:
        inner: The attribute that holds the layer within.
        leaves: The leaves of the wrapper, by PyTorch's names for what they hold: ``g`` of a weight norm,
            ``u``, ``v`` and ``sigma`` of a spectral norm; ``{leaf}`` is the name of the weight within.
        axes: The attribute that says which axes of the weight have a length each.
        default: Those axes where no attribute is to be seen; of a spectral norm the axis of ``u``.
        whole: Whether the lengths have the rank of the weight.
        collection: The collection of the leaves in targets that have collections.
        folded: Whether the weight within is the normalised one.
        note: What a person should know of a plan that keeps the norm.
    """

    inner: str
    leaves: Mapping[str, str]
    axes: str = ""
    default: int = -1
    whole: bool = False
    collection: str = "params"
    folded: bool = False
    note: str = ""


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
            leaf: Name of the leaf, dotted where the target has modules within the module.
            collection: The leaf's collection.
            containers: Which modules are a ``sequential``, by their path in PyTorch.

        >>> Naming(sequential="layers").path("net.0", "bias", containers={"net": "sequential"})
        'net.layers.0.bias'
        >>> Naming("/", join_digits=True, collections=True).path("net.0.fc", "bias")
        'params/net_0/fc/bias'
        """
        written: list[str] = []
        walked: list[str] = []
        for segment in f"{module}.{leaf}".strip(".").split("."):
            digits = segment.isdecimal()
            if digits and self.sequential and containers.get(".".join(walked)) == "sequential":
                written.append(self.sequential)
            if digits and self.join_digits and written:
                written[-1] += f"_{segment}"
            else:
                written.append(segment)
            walked.append(segment)
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
        fill: Puts arrays into what a template holds (:attr:`Template.held`), as ``write`` does, without
            walking the model again; None where templates hold nothing.
    """

    owns: Callable[[Any], bool]
    template: Callable[[Any], Template]
    write: Callable[[Any, Mapping[str, Array]], Any]
    read: Callable[[Any], Mapping[str, Array]]
    immutable: bool = False
    accepts: Callable[[Any], bool] | None = None
    fill: Callable[[Mapping[str, Any], Mapping[str, Array]], None] | None = None


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
        differences: By kind, what a live module must agree in beside its weights; of ``max_pool`` and
            ``avg_pool`` too, which have none.
        wrappers: Its layers that keep a ``weight_norm`` or ``spectral_norm``, by these words.
        live: How its live models are read and written; None where it has none.
    """

    name: str
    summary: str
    kinds: Mapping[str, Recipe]
    naming: Naming
    channels: Literal["first", "last"]
    aliases: tuple[str, ...] = ()
    differences: Mapping[str, tuple[Compared, ...]] = field(default_factory=lambda: NOTHING)
    wrappers: Mapping[str, Wrapper] = field(default_factory=lambda: NOTHING)
    live: Live | None = None
