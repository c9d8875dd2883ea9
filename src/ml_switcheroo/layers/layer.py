"""What a row of the layer table says, and how the name of a tensor is found in it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Any, Literal

from ml_switcheroo.layers.argument import Argument

__all__ = ["PARAMETRISATIONS", "REPARAMETRISED", "Layer", "Slot"]

NOTHING: Mapping[str, Any] = MappingProxyType({})

# What the braces of a slot's pattern can stand for.
_VARIABLES: Mapping[str, str] = {"layer": r"\d+", "way": r"|_reverse"}
_BRACES = re.compile(r"\{(\w+)\}")

REPARAMETRISED: Mapping[str, tuple[str, ...]] = {
    "weight_norm": ("{0}{1}_g", "{0}{1}_v"),
    "parametrized weight_norm": ("{0}parametrizations.{1}.original0", "{0}parametrizations.{1}.original1"),
    "spectral_norm": ("{0}{1}_orig", "{0}{1}_u", "{0}{1}_v"),
    "parametrized spectral_norm": (
        "{0}parametrizations.{1}.original",
        "{0}parametrizations.{1}.0._u",
        "{0}parametrizations.{1}.0._v",
    ),
}
"""The tensors that stand for one slot under ``torch.nn.utils``: of a slot ``out_proj.weight``, ``{0}`` is
``out_proj.`` and ``{1}`` is ``weight``. Source: the modules of torch.nn.utils.
"""

PARAMETRISATIONS: Mapping[str, str] = {
    "parametrized weight_norm": "_WeightNorm",
    "parametrized spectral_norm": "_SpectralNorm",
}
"""The class of ``torch.nn.utils.parametrizations`` that makes the slot out of them; alone, not in a chain."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of one module.

    Attributes:
        pattern: The slot in the table, such as ``weight_ih_l{layer}{way}``.
        axes: Its axes.
        at: What the braces stand for, such as ``{"layer": "0", "way": "_reverse"}``.
        name: The slot's name in PyTorch: ``weight_ih_l0_reverse``.
        whole: Whether the tensor is the slot itself, not a piece of it under weight norm and the like.
    """

    pattern: str
    axes: str
    at: Mapping[str, str]
    name: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Layer:
    """One kind of layer.

    Attributes:
        kind: The word for it, such as ``conv``.
        classes: The classes that are of this kind.
        slots: For each tensor the axes, such as ``{"weight": "out in"}``; ``""`` is a scalar.
            A dotted slot (``out_proj.weight``) lies in a child module that the kind owns;
            ``{layer}`` and ``{way}`` stand for a number and a direction (:meth:`slot`).
        arguments: The constructor's arguments, in order, without ``device`` and ``dtype``.
        more: What gives the size of an axis that no argument says it states: a number, or an argument.
        left_out: Slots that may be missing, whatever the arguments say.
        package: The package of the classes.
        otherwise: Classes of the kind that take other arguments, with those; :meth:`of_class` knows them.
        refused: Why no target takes the kind; empty where targets may.
        matched: What it is taken for where a tree is matched by structure: ``linear``, ``conv``, ``norm``,
            ``embedding`` or ``parameter``; empty where it has a recipe of its own.
        takes: The axis of its weight that its input goes to, which a Flatten before it makes.
        channels: Where what it computes has the channels in PyTorch: ``first`` of all axes but the batch, or
            ``last``; empty where its input decides.
        uses: How its weight may be used in ``forward``, its own way first, in the words of ``operations``
            (``weight:conv``); a matrix is also used as its axes say. Empty where that is not judged.
        noun: What a message calls it, beside a kind that looks the same.
        turned: The kind whose matrix lies the other way round.
        like: Of a row of your own: the kind of the table that has the same slots under other names.
        renamed: Of such a row: its slots by those of that kind, where the names differ: ``{"weight": "w"}``.
        own: Whether it is a kind of your own: none of the table.
        args: The arguments by name.
        sizes: The argument (or ``argument / argument``, or a number) that gives the size of an axis.
        optional: Slots that an argument can switch off.
        defaults: Values of the arguments that decide the output and are often left out.
        window: Arguments that decide where the kernel stands, with the values they have where they are left
            out in the code; where nothing of the code is known, they are not known either.
    """

    kind: str
    classes: tuple[str, ...]
    slots: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    arguments: tuple[Argument, ...] = ()
    more: Mapping[str, int | str] = field(default_factory=lambda: NOTHING)
    left_out: frozenset[str] = frozenset()
    package: str = "torch.nn"
    otherwise: Mapping[str, tuple[Argument, ...]] = field(default_factory=lambda: NOTHING)
    refused: str = ""
    matched: Literal["", "linear", "conv", "norm", "embedding", "parameter"] = ""
    takes: Literal["", "in", "channel", "*channel"] = ""
    channels: Literal["", "first", "last"] = ""
    uses: tuple[str, ...] = ()
    noun: str = ""
    turned: str = ""
    like: str = ""
    renamed: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    own: bool = False
    args: Mapping[str, Argument] = field(init=False, repr=False)
    sizes: Mapping[str, str | int] = field(init=False, repr=False)
    optional: frozenset[str] = field(init=False, repr=False)
    defaults: Mapping[str, Any] = field(init=False, repr=False)
    window: Mapping[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        args = {one.name: one for one in self.arguments}
        switched = {slot for one in self.arguments for slot in one.switches}
        decided = {
            word: {one.name: one.usual for one in self.arguments if one.decides == word}
            for word in ("output", "window")
        }
        for name, value in (
            ("args", args),
            ("sizes", {**self.more, **_sizes(self.arguments)}),
            ("optional", self.left_out | switched),
            ("defaults", decided["output"]),
            ("window", decided["window"]),
        ):
            object.__setattr__(self, name, value)

    @property
    def alone(self) -> bool:
        """Whether it is a tensor that a class keeps by itself, and no layer."""
        return "" in self.slots

    @property
    def base(self) -> str:
        """The kind of the table that it is, whatever a row of your own calls it and its slots."""
        return self.like or self.kind

    @property
    def dense(self) -> bool:
        """Whether it multiplies its input by a matrix, and no more."""
        return self.matched == "linear" and self.takes == "in"

    @property
    def spatial(self) -> bool:
        """Whether a window of its weight runs over the spatial axes of its input."""
        return any("*space" in axes for axes in self.slots.values())

    @property
    def transposed(self) -> bool:
        """Whether it runs its window the other way: a transposed convolution."""
        return self.spatial and self.place("in") < self.place("out")

    @property
    def oriented(self) -> bool:
        """Whether its weight is a matrix, a kernel or a table, which a tree may keep the other way round."""
        return self.matched in ("linear", "conv", "embedding")

    @property
    def recurrent(self) -> bool:
        """Whether it goes along steps, with gates."""
        return "gate" in self.more

    @property
    def attends(self) -> bool:
        """Whether it is an attention with queries, keys and values."""
        return "qkv" in self.more

    def place(self, axis: str) -> int:
        """Return which axis of its weight has a name.

        >>> from ml_switcheroo.layers import LAYERS
        >>> LAYERS["linear"].place("in"), LAYERS["conv_transpose"].place("in")
        (1, 0)
        """
        return self.slots[self.own_name("weight")].split().index(axis)

    def own_name(self, slot: str) -> str:
        """Return what it calls a slot of the kind that it is.

        >>> row = Layer("acme", ("Dense",), {"w": "out in"}, like="linear", renamed={"weight": "w"})
        >>> row.own_name("weight")
        'w'
        """
        return self.renamed.get(slot, slot)

    def of_class(self, name: str) -> Mapping[str, Argument]:
        """Return the arguments of one class of the kind, by name and in order.

        A lazy class does not take what it learns from its first input.

        >>> from ml_switcheroo.layers import LAYERS
        >>> list(LAYERS["linear"].of_class("LazyLinear"))
        ['out_features', 'bias']
        """
        if name in self.otherwise:
            return {one.name: one for one in self.otherwise[name]}
        return dict(list(self.args.items())[name.startswith("Lazy") :])

    def slot(self, name: str) -> Slot | None:
        """Find the slot that a tensor of the module is, or is a piece of; None where it is none.

        >>> from ml_switcheroo.layers import LAYERS
        >>> LAYERS["lstm"].slot("weight_ih_l0_reverse").at
        {'layer': '0', 'way': '_reverse'}
        >>> LAYERS["conv"].slot("weight_g").name
        'weight'
        """
        for pattern, axes in self.slots.items():
            found = _compiled(pattern).fullmatch(name)
            if found is not None:
                return Slot(pattern, axes, found.groupdict(), name)
        for forms in REPARAMETRISED.values():
            for form in forms:
                for base in _bases(form, name):
                    slot = self.slot(base)
                    if slot is not None and "weight" in base:
                        return Slot(slot.pattern, slot.axes, slot.at, base, whole=False)
        return None

    def names(self, args: Mapping[str, Any] = NOTHING) -> Iterator[str]:
        """Yield the slots of a module that was made with these arguments, optional ones included.

        >>> from ml_switcheroo.layers import LAYERS
        >>> list(LAYERS["rnn"].names({"num_layers": 2}))[:2]
        ['weight_ih_l0', 'weight_ih_l1']
        """
        choices = {
            "layer": [str(index) for index in range(args.get("num_layers", 1))],
            "way": ["", "_reverse"] if args.get("bidirectional") else [""],
        }
        for pattern in self.slots:
            braces = _BRACES.findall(pattern)
            for values in product(*(choices[name] for name in braces)):
                yield pattern.format_map(dict(zip(braces, values, strict=True)))

    def size(self, axis: str, args: Mapping[str, Any]) -> int | None:
        """Return the size of an axis by the constructor's arguments; None where they do not tell.

        >>> from ml_switcheroo.layers import LAYERS
        >>> LAYERS["conv"].size("in", {"in_channels": 8, "groups": 4})
        2
        """
        rule = self.sizes.get(axis)
        if rule is None or isinstance(rule, int):
            return rule
        sizes = [args.get(word.strip()) for word in rule.split("/")]
        known = [size for size in sizes if isinstance(size, int) and not isinstance(size, bool) and size > 0]
        if len(known) != len(sizes):
            return None
        return known[0] // math.prod(known[1:])


def _sizes(arguments: tuple[Argument, ...]) -> dict[str, str | int]:
    """Return what gives the size of each axis: of a product the first, where the others are stated."""
    stated = {one.size: one.name for one in arguments if one.size}
    found: dict[str, str | int] = {}
    for axes, name in stated.items():
        first, *others = axes.split()
        if not first.startswith("*") and all(other in stated for other in others):
            found[first] = " / ".join([name, *(stated[other] for other in others)])
    return found


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    text, position = "", 0
    for word in _BRACES.finditer(pattern):
        text += re.escape(pattern[position : word.start()]) + f"(?P<{word[1]}>{_VARIABLES[word[1]]})"
        position = word.end()
    return re.compile(text + re.escape(pattern[position:]))


def _bases(form: str, name: str) -> Iterator[str]:
    """Yield the slot that a name is a piece of, by one form of :data:`REPARAMETRISED`."""
    found = _form(form).fullmatch(name)
    if found is not None:
        yield found[1] + found[2]


@cache
def _form(form: str) -> re.Pattern[str]:
    return re.compile(re.escape(form).replace(r"\{0\}", r"(.*\.|)").replace(r"\{1\}", r"([^.]+)"))
