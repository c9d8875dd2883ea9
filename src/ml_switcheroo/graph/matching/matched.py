"""What two programs have in common, and what is known on the way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_switcheroo.graph.matching.side import Region, Side
from ml_switcheroo.graph.parameters import Kernel, Plain

__all__ = ["KernelMatch", "Matched", "Pair", "Parted", "PlainMatch", "Ready", "Unit"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Unit:
    """A kernel, or a part of it.

    Attributes:
        kernel: The kernel.
        where: Which of its outer elements.
    """

    kernel: Kernel
    where: Array

    @property
    def width(self) -> int:
        """How many outer elements it has."""
        return len(self.where)


@dataclass(frozen=True, eq=False)
class KernelMatch:
    """A part of a kernel of the source that one of the target is.

    Attributes:
        source: The part of the source's kernel.
        target: The part of the target's.
        columns: Which column of the source each of the target's is; None where they are in order.
        order: Which outer element of the source's part each of the target's is.
        tied: Whether a symmetry of both programs left a choice.
        likely: Whether it is behind a difference, and only the sizes say so.
    """

    source: Unit
    target: Unit
    columns: Array | None
    order: Array
    tied: bool = False
    likely: bool = False


@dataclass(frozen=True, eq=False)
class PlainMatch:
    """A leaf of the source that enters element by element, that one of the target is.

    Attributes:
        source: That of the source.
        target: That of the target.
        order: Which element of the source's each of the target's is, both flat.
        tied: Whether a symmetry of both programs left a choice.
    """

    source: Plain
    target: Plain
    order: Array
    tied: bool = False


@dataclass(frozen=True, eq=False)
class Ready:
    """A kernel whose data are known, before it is matched.

    Attributes:
        kernel: The kernel.
        nodes: Those of its contractions whose data are known.
        rows: Their rows.
        profile: The profile of those.
        region: What was computed for them.
    """

    kernel: Kernel
    nodes: tuple[int, ...]
    rows: Array
    profile: Array
    region: Region


@dataclass(frozen=True, eq=False)
class Parted:
    """Two kernels of one size that are given something else.

    Attributes:
        source: That of the source.
        target: That of the target.
        here: The values before that of the source, by node.
        there: The values before that of the target.
    """

    source: Ready
    target: Ready
    here: Mapping[int, Array]
    there: Mapping[int, Array]


@dataclass(frozen=True)
class Matched:
    """What two programs have in common.

    Attributes:
        source: The PyTorch side, with the values it came to.
        target: The target side.
        kernels: The kernels that are each other's.
        plains: The other leaves that are each other's.
        outputs: Whether each output is the same.
        parted: The kernels that come next where both compute something else, on either side.
        left: The kernels of the source, and of the target, whose data are known and that have no other.
        rivals: The same for the other orders of the target's outputs that fit as well.
        loose: The leaves of the source, and of the target, that enter element by element, that an output
            depends on, and that are not matched.
    """

    source: Side
    target: Side
    kernels: tuple[KernelMatch, ...]
    plains: tuple[PlainMatch, ...]
    outputs: tuple[bool, ...]
    parted: tuple[Parted, ...] = ()
    left: tuple[tuple[Ready, ...], tuple[Ready, ...]] = ((), ())
    rivals: tuple[Matched, ...] = ()
    loose: tuple[tuple[Plain, ...], tuple[Plain, ...]] = ((), ())

    @property
    def complete(self) -> bool:
        """Whether both compute the same, all the way."""
        return bool(self.outputs) and all(self.outputs) and not self.parted and not any(self.loose)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two units that are each other's.

    Attributes:
        source: That of the source.
        target: That of the target.
        tied: Whether a symmetry of both programs left a choice.
        likely: Whether the programs go on differently behind them, and only what they reach says so.
        order: Which outer element of the source's each of the target's is; None where they are in order.
    """

    source: Unit
    target: Unit
    tied: bool = False
    likely: bool = False
    order: Array | None = None
