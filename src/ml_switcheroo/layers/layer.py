"""What a row of the layer table says, and how the name of a tensor is found in it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Any

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
        classes: The classes of ``torch.nn`` that are of this kind.
        slots: For each tensor the axes, such as ``{"weight": "out in"}``; ``""`` is a scalar.
            A dotted slot (``out_proj.weight``) lies in a child module that the kind owns;
            ``{layer}`` and ``{way}`` stand for a number and a direction (:meth:`slot`).
        args: Constructor arguments, in order, with what each one means.
        optional: Slots that a constructor argument can switch off.
        sizes: The argument (or ``argument / argument``, or a number) that gives the size of an axis.
        defaults: Values of arguments that decide the output and are often left out.
        window: Arguments that decide where the kernel stands, with the values they have where they are left
            out in the code; where nothing of the code is known, they are not known either.
        refused: Why no target takes the kind; empty where targets may.
    """

    kind: str
    classes: tuple[str, ...]
    slots: Mapping[str, str]
    args: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    optional: frozenset[str] = frozenset({"bias"})
    sizes: Mapping[str, str | int] = field(default_factory=lambda: NOTHING)
    defaults: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    window: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    refused: str = ""

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
