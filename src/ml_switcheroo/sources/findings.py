"""What a source has found out: a kind for a module, with the place that shows it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ml_switcheroo.computed import Computed, Pool
from ml_switcheroo.errors import RuleError
from ml_switcheroo.ops import Op

__all__ = [
    "NO_FLATTEN",
    "PRIORITY",
    "Finding",
    "Flatten",
    "Knowledge",
    "Origin",
    "Part",
    "Parts",
    "Usage",
    "flatten_said",
    "flattened_steps",
]

Origin = Literal["rules", "live", "static", "target", "evidence"]

PRIORITY: tuple[Origin, ...] = ("rules", "live", "static", "target", "evidence")
"""Who is believed first (promise 4 of the design)."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """A Flatten before a Linear: the Linear's input axis is ``(c *space)`` in PyTorch.

    Attributes:
        channels: Size of ``c``; 1 when no axis order can show (no flatten of an image).
        of: The module whose output channels these are, such as ``features.4``.
        where: ``file:line`` of the flatten.
        parts: Where several are joined to one axis, each with how often it is repeated, its channels and
            its places: ``(1, 6, 16), (1, 4, 1)`` is an image of 6 x 4 x 4 and, behind it, a row of 4.
    """

    channels: int
    of: str = ""
    where: str = ""
    parts: tuple[tuple[int, int, int], ...] = ()

    @property
    def said(self) -> int | str:
        """As a rule has it.

        >>> Flatten(64).said, Flatten(6, parts=((1, 6, 16), (2, 6, 4), (1, 4, 1))).said
        (64, '6*16 + 2*6*4 + 4')
        """
        return " + ".join(map(_term, self.parts)) if self.parts else self.channels

    @property
    def bare(self) -> Flatten:
        """The same without where it comes from."""
        return Flatten(self.channels, parts=self.parts)


def _term(part: tuple[int, int, int]) -> str:
    times, channels, places = part
    if channels == 1 or places == 1:
        return str(times * channels * places)
    return "*".join(map(str, part[times == 1 :]))


NO_FLATTEN = Flatten(channels=1)


def flatten_said(said: int | str) -> Flatten:
    """Return the Flatten that a rule means.

    >>> flatten_said("2*6*16 + 4").parts
    ((2, 6, 16), (1, 1, 4))

    Raises:
        RuleError: It is neither a number of channels nor a sum of products of up to three numbers.
    """
    if isinstance(said, int) and said > 0:
        return Flatten(said)
    terms = [term.strip() for term in str(said).split("+")]
    if not isinstance(said, str) or not all(
        re.fullmatch(r"[1-9]\d*(\s*\*\s*[1-9]\d*){0,2}", t) for t in terms
    ):
        raise RuleError(
            f"flatten={said!r}: say how many channels (64; 1 for none), or what is joined, each as"
            ' channels*places, times*channels*places or a plain size: "6*16 + 2*6*4 + 10"'
        )
    parts = []
    for term in terms:
        numbers = [int(number) for number in term.split("*")]
        parts.append(
            (1, 1, *numbers) if len(numbers) == 1 else (1, *numbers) if len(numbers) == 2 else tuple(numbers)
        )
    if len(parts) == 1 and len(terms[0].split("*")) == 1:
        return Flatten(parts[0][2])
    return Flatten(max(part[1] for part in parts), parts=tuple((t, c, n) for t, c, n in parts))


def flattened_steps(path: str, flatten: Flatten) -> str:
    """Say that a recurrent layer takes, or may take, the channels and rows of an image as one axis.

    Nothing permutes its columns: a port whose images are channels-last must turn them before its flatten.
    """
    origin = " ".join(word for word in (f"of {flatten.of}" if flatten.of else "", flatten.where) if word)
    return (
        f"{path}: where {flatten.channels} channels {origin} are flattened into its input, it keeps their"
        " order in PyTorch, (c h). Where the port's images are channels-last, transpose before the flatten."
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One of the projections that a layer computes: which of its output rows, in which order.

    Row ``(i, j, ...)`` of the part is output ``start + i * stride + j * stride + ...`` of the layer.

    Attributes:
        role: What it is for: ``q``, ``k``, ``v``, ``gate``, ``up``; ``o`` and ``down`` for what takes the
            result of an attention, or of a gate.
        start: The first row.
        axes: Size and stride of each axis, those of the heads first.
        heads: How many heads the rows are of; None where nobody says.
    """

    role: str
    start: int
    axes: tuple[tuple[int, int], ...]
    heads: int | None = None

    @property
    def size(self) -> int:
        """How many rows it has."""
        return math.prod(size for size, _ in self.axes)

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows in order, head by head.

        >>> Part("k", 3, ((2, 9), (3, 1))).rows
        (3, 4, 5, 12, 13, 14)
        """
        found = [self.start]
        for size, stride in self.axes:
            found = [row + place * stride for row in found for place in range(size)]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Parts:
    """What ``forward`` takes the whole output of a layer for; the parts make it up.

    Attributes:
        parts: The parts, in the order of their first rows.
        where: ``file:line`` of the computation that shows it.
        axis: The axis of the weight that has the rows.
    """

    parts: tuple[Part, ...]
    where: str = ""
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one source says of one module, or of one tensor that a module owns by itself.

    Attributes:
        kind: A key of ``layers.LAYERS``.
        origin: Who says so.
        reason: One phrase a person can check, such as ``nn.Conv2d(1, 16, 3)``.
        where: ``file:line``, where there is one.
        args: Constructor arguments that the source states, by torch's names, as plain values
            (int, float, bool, str, tuple); an argument it cannot tell is left out.
        flatten: For a linear, a norm or a convolution: what flattening comes before it; None where nobody
            knows. For a convolution, it is folded into the channels.
        unflatten: For a linear: that its output becomes an image, whose channels these are: its output axis
            is ``(c *space)`` in PyTorch; None where nobody knows.
        parts: What ``forward`` takes each of its outputs for; None where it does not tell, or nobody knows.
    """

    kind: str
    origin: Origin
    reason: str
    where: str = ""
    args: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    flatten: Flatten | None = None
    unflatten: Flatten | None = None
    parts: Parts | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What ``forward`` does to a parameter before it enters the operation of its layer.

    Attributes:
        ops: What that is, where it is exact; nothing where it is not.
        code: The code, such as ``1 + self.weight``.
        where: ``file:line``.
        by: The class whose ``forward`` it is.
        own: Whether that is the class of the parameter's own module, not of a module around it.
        sure: Whether the layer certainly computes something else; if not, it may.
    """

    ops: tuple[Op, ...]
    code: str
    where: str
    by: str
    own: bool = True
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything one source says of one checkpoint.

    Attributes:
        findings: By module path (``features.0``), or by the full name of a tensor that a class
            of the user's own keeps (``pos_embed``: kind ``parameter`` or ``buffer``).
        candidates: Where several kinds remain possible, all of them, by the same keys.
        containers: By module path: ``sequential``, ``list`` or ``dict``.
        tied: Groups of tensor names that are one tensor, the first being the owner.
        notes: What a person should know, one sentence each.
        computed: What modules compute without weights, by path.
        pools: The pools, by path and in order.
        doubts: What a person should know of a module as long as only this source speaks of it, by path.
        classes: By module path the name of its class, where that is no class of ``torch.nn``.
        uses: By tensor name what ``forward`` does to it before the layer's own operation, where it does.
        more: By module path, where a class's own ``forward`` does more than the layer that it derives from.
        written: By module path what a class that derives from no layer computes, where that is a layer's.
    """

    findings: Mapping[str, Finding] = field(default_factory=lambda: MappingProxyType({}))
    candidates: Mapping[str, tuple[Finding, ...]] = field(default_factory=lambda: MappingProxyType({}))
    containers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tied: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    classes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    doubts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    computed: Mapping[str, tuple[Computed, ...]] = field(default_factory=lambda: MappingProxyType({}))
    pools: Mapping[str, Pool] = field(default_factory=lambda: MappingProxyType({}))
    uses: Mapping[str, Usage] = field(default_factory=lambda: MappingProxyType({}))
    more: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    written: Mapping[str, Finding] = field(default_factory=lambda: MappingProxyType({}))
