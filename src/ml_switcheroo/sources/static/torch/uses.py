"""What ``forward`` does with the layers of a model: written down as it is followed, read at its end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from ml_switcheroo.sources.static.python.values import Instance, Site
from ml_switcheroo.sources.static.torch.atoms import Atom, Axis
from ml_switcheroo.sources.static.torch.values import Tensor

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["Noted", "OwnUse", "Uses", "count_of", "noted", "used"]


@dataclass(slots=True)
class Uses:
    """What a layer is given, and what becomes of what it puts out.

    Attributes:
        sizes: How long the axis is that it puts out, by the checkpoint; several where it is several layers.
        counts: How many channels it puts out.
        inputs: The axis that it takes in, where its input was flattened, and how a port has its axes.
        behind: The layers whose output a norm is given as it is.
        gates: The flattened images that its output meets element by element, and where.
        images: The channels of the image that its output becomes, and the convolution that takes it.
        shuffles: The channels that are left behind a shuffle of pixels, and where.
    """

    sizes: set[int] = field(default_factory=set)
    counts: set[int] = field(default_factory=set)
    inputs: list[tuple[Axis | None, Site | None, str]] = field(default_factory=list)
    behind: list[Instance] = field(default_factory=list)
    gates: list[tuple[Axis, Site | None]] = field(default_factory=list)
    images: list[tuple[int | None, Instance]] = field(default_factory=list)
    shuffles: list[tuple[int | None, Site | None]] = field(default_factory=list)

    @property
    def size(self) -> int | None:
        """How long the axis is that it puts out; None where that is unknown, or open."""
        return next(iter(self.sizes)) if len(self.sizes) == 1 else None

    @property
    def channels(self) -> int | None:
        """How many channels it puts out; None where that is unknown, or open."""
        return next(iter(self.counts)) if len(self.counts) == 1 else None

    def copy(self) -> Uses:
        """Return the uses of a copy of the layer: so far they are the same."""
        return replace(
            self,
            sizes=set(self.sizes),
            counts=set(self.counts),
            inputs=list(self.inputs),
            behind=list(self.behind),
            gates=list(self.gates),
            images=list(self.images),
            shuffles=list(self.shuffles),
        )


def used(layer: Instance) -> Uses:
    """Return what is written down of a layer."""
    if layer.uses is None:
        layer.uses = Uses()
    return cast("Uses", layer.uses)


def count_of(atom: Atom) -> int | None:
    """Return the size of an axis, as far as it or its layer says."""
    if atom.size is not None or atom.role == "one":
        return atom.size or 1
    size = None
    if atom.role == "factor":
        size = atom.factors[atom.place]
    elif atom.of is not None and atom.role in ("out", "channel"):
        size = used(atom.of).size if atom.role == "out" else used(atom.of).channels
    return size if isinstance(size, int) and size > 0 else None


@dataclass(frozen=True, slots=True)
class OwnUse:
    """What a tensor of the model's own meets.

    Attributes:
        tensor: The tensor.
        axis: The last axis of what it meets; None where that is unknown.
        layout: The layout of what it meets.
        place: Which of its own axes goes along that.
        site: Where.
    """

    tensor: Tensor
    axis: Axis | None
    layout: str
    place: int
    site: Site | None


@dataclass(slots=True)
class Noted:
    """What a ``forward`` does besides calling layers.

    Attributes:
        own: What tensors of the model's own meet.
        channels: How many channels functions put out that convolve with such tensors.
        convolves: Whether there are such functions.
        parts: The parts of divided projections, so that each has the same ones whenever it is asked.
    """

    own: list[OwnUse] = field(default_factory=list)
    channels: set[int] = field(default_factory=set)
    convolves: bool = False
    parts: dict[tuple[int, int], tuple[Tensor, list[Tensor] | None]] = field(default_factory=dict)


def noted(machine: Machine) -> Noted:
    """Return what is written down of the ``forward`` that a machine follows."""
    if machine.noted is None:
        machine.noted = Noted()
    return cast("Noted", machine.noted)
