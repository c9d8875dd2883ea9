"""Tensors of a program that is drawn: each is a node of the graph, with a shape and a dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from ml_switcheroo.graph.graph import Draft

__all__ = ["Device", "Drawn", "Limits", "Lost", "Number", "Storage", "Undecided", "Unlowered", "inside"]

Number: TypeAlias = bool | int | float | complex


class Undecided(Exception):  # caught where drawing starts
    """The program goes on by what nobody knows."""


class Unlowered(Exception):
    """Nothing says what an operation computes, or not for such arguments."""


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """A value that nobody can follow, of no known shape: whatever uses it is one, too.

    Attributes:
        node: The gap that it comes from.
    """

    node: int


@dataclass(slots=True, eq=False)
class Storage:
    """What several tensors may look at; its edition tells how often one of them has changed it."""

    edition: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """Where tensors lie: here, they all lie on one."""

    type: str = "cpu"
    index: None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """``torch.finfo`` or ``torch.iinfo`` of a dtype."""

    min: Number
    max: Number
    eps: float = 0.0
    tiny: float = 0.0
    smallest_normal: float = 0.0
    bits: int = 32


class Draws(Protocol):
    """What draws tensors, as far as they ask for it themselves."""

    draft: Draft

    def each(self, op: str, /, *operands: Drawn | Number) -> Drawn:
        """Return what a primitive gives that works element by element."""


@dataclass(slots=True, eq=False, repr=False)
class Drawn:
    """A tensor. In-place operations change its node, and what else looks at its storage is stale then.

    Attributes:
        pen: What draws.
        node: Its node.
        storage: What it looks at.
        edition: The edition of its storage when its node was right.
        back: Writes what it has become into the tensor that it looks at.
        name: The name of the leaf that it is; empty for any other.
    """

    pen: Draws
    node: int
    storage: Storage = field(default_factory=Storage)
    edition: int = -1
    back: Callable[[Drawn], None] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.edition < 0:
            self.edition = self.storage.edition

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.pen.draft.shape(self.node)

    @property
    def dtype(self) -> str:
        """Its dtype, by name."""
        return self.pen.draft.dtype(self.node)

    @property
    def rank(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def stale(self) -> bool:
        """Whether another tensor has changed what it looks at."""
        return self.edition != self.storage.edition

    def become(self, other: Drawn) -> Drawn:
        """Take the values of another tensor, in place."""
        self.storage.edition += 1
        self._is(other)
        return self

    def _is(self, other: Drawn) -> None:
        self.node, self.name, self.edition = other.node, "", self.storage.edition
        if self.back is not None:
            self.back(self)

    def view(self, other: Drawn, back: Callable[[Drawn], Drawn] | None = None) -> Drawn:
        """Return a tensor that looks at the same storage; ``back`` makes this one of what it becomes."""
        if other is self:
            return self
        written = None if back is None else lambda new: self._is(back(new))
        return Drawn(self.pen, other.node, self.storage, self.edition, written)

    def axis(self, dim: int) -> int:
        """Return an axis counted from the front.

        Raises:
            Unlowered: There is no such axis.
        """
        rank = max(self.rank, 1)
        if isinstance(dim, bool) or not isinstance(dim, int) or not -rank <= dim < rank:
            raise Unlowered(f"axis {dim!r} of {self.rank} axes")
        return dim % rank

    def __add__(self, other: Drawn | Number) -> Drawn:
        return self.pen.each("add", self, other)

    def __radd__(self, other: Number) -> Drawn:
        return self.pen.each("add", other, self)

    def __sub__(self, other: Drawn | Number) -> Drawn:
        return self.pen.each("sub", self, other)

    def __rsub__(self, other: Number) -> Drawn:
        return self.pen.each("sub", other, self)

    def __mul__(self, other: Drawn | Number) -> Drawn:
        return self.pen.each("mul", self, other)

    def __rmul__(self, other: Number) -> Drawn:
        return self.pen.each("mul", other, self)

    def __truediv__(self, other: Drawn | Number) -> Drawn:
        return self.pen.each("div", self, other)

    def __rtruediv__(self, other: Number) -> Drawn:
        return self.pen.each("div", other, self)

    def __neg__(self) -> Drawn:
        return self.pen.each("neg", self)


def inside(value: Any, depth: int = 4) -> Iterator[Any]:
    """Yield a value, and what lists, tuples and dictionaries hold."""
    yield value
    if depth and isinstance(value, list | tuple):
        for item in value:
            yield from inside(item, depth - 1)
    elif depth and isinstance(value, dict):
        for item in value.values():
            yield from inside(item, depth - 1)
