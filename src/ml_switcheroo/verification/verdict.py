"""The result of running two models on the same input, as text or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ml_switcheroo.report import columns
from ml_switcheroo.shown import html_text

__all__ = ["Difference", "Layer", "Output", "Verdict", "Verification"]

Verdict = Literal["agree", "agree so far as this shows", "differ"]

SHOWN_AFTER = 12
SHOWN_LEAVES = 6


@dataclass(frozen=True, slots=True)
class Layer:
    """Two modules that correspond, and how far their inputs and outputs agree.

    Attributes:
        source: Path of the module in PyTorch.
        target: Path of the module in the target.
        kind: Kind of the layer; ``block`` for a module that contains others.
        input_error: Relative error of their inputs; None if these cannot be compared.
        error: Relative error of their outputs; None if these cannot be compared.
        agrees: Whether their outputs agree; None if these cannot be compared.
        takes_the_same: Whether their inputs agree; None if these cannot be compared.
        notes: How it was read, or what a difference looks like.
    """

    source: str
    target: str
    kind: str
    input_error: float | None
    error: float | None
    agrees: bool | None
    takes_the_same: bool | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One output of the models.

    Attributes:
        name: Its number, or its key if the models return mappings.
        error: Relative error; None if it cannot be compared.
        agrees: Whether it agrees.
        note: How it was read, or what the difference looks like.
        weak: Why its agreement proves little; empty if it proves something.
    """

    name: str
    error: float | None
    agrees: bool
    note: str = ""
    weak: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where the models differ.

    Attributes:
        layer: The layer; None if all layers agree and the difference comes after them.
        where: ``inside`` of the layer, ``before`` it (after all that ran before), or ``after`` the last.
        text: A description for people.
    """

    layer: Layer | None
    where: Literal["inside", "before", "after"]
    text: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The comparison of a PyTorch model with its port; print it, or read its attributes.

    Attributes:
        source: Class of the PyTorch model.
        target: Name of the target.
        outputs: The outputs of the models.
        layers: The modules that were compared, in the order in which PyTorch ran them.
        weights: Leaves of the target that differ from what the plan makes of PyTorch's tensors.
        first: The first place that differs; None if the outputs agree.
        tolerance: The relative error that counts as agreement.
        notes: What else a person should know.
        doubts: Why it proves little that the outputs agree.
        filled: How many leaves the plan fills, and how many there are.
    """

    source: str
    target: str
    outputs: tuple[Output, ...]
    layers: tuple[Layer, ...]
    weights: tuple[str, ...]
    first: Difference | None
    tolerance: float
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    filled: tuple[int, int] | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether the outputs agree, agree so far as this shows, or differ."""
        if not self.outputs or not all(output.agrees for output in self.outputs):
            return "differ"
        return "agree so far as this shows" if self.doubts else "agree"

    @property
    def agrees(self) -> bool:
        """Whether all outputs agree, and nothing puts that in doubt."""
        return self.verdict == "agree"

    @property
    def error(self) -> float:
        """The largest relative error of the outputs; infinite if one cannot be compared."""
        errors = [float("inf") if output.error is None else output.error for output in self.outputs]
        return max(errors, default=float("inf"))

    def to_json(self) -> dict[str, Any]:
        """Describe the verification with JSON's types."""
        return {**asdict(self), "agrees": self.agrees, "verdict": self.verdict}

    def __repr__(self) -> str:
        return f"<Verification {self.source} -> {self.target}: the outputs {self.verdict}>"

    def _repr_html_(self) -> str:
        return html_text(str(self))

    def __str__(self) -> str:
        head = f"{self.source} (torch) and its port ({self.target}): the outputs {self.verdict}"
        lines = [f"{head}, tolerance {self.tolerance:g}"]
        if self.filled is not None and self.filled[0] < self.filled[1]:
            filled, leaves = self.filled
            lines.insert(
                0, f"the plan fills {filled} of {leaves} leaves of the port; the others keep their values"
            )
        if self.verdict != "differ":
            lines += [f"because {doubt}" for doubt in self.doubts]
        for output in self.outputs:
            lines.append(f"  output {output.name}: {_error(output.error)}{_tail(output.note)}")
        if self.first is not None:
            lines.append(f"the first that differs: {self.first.text}")
        lines += _weights(self.weights)
        lines += _table(self.layers, self.first.layer if self.first else None)
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def _error(error: float | None) -> str:
    return "not compared" if error is None else f"{error:.1e}"


def _tail(note: str) -> str:
    return f" ({note})" if note else ""


def _weights(leaves: Sequence[str]) -> list[str]:
    if not leaves:
        return []
    more = f" and {len(leaves) - SHOWN_LEAVES} more" if len(leaves) > SHOWN_LEAVES else ""
    return [
        f"weights that are not what the plan gives ({len(leaves)}): {', '.join(leaves[:SHOWN_LEAVES])}{more}"
    ]


def _table(layers: Sequence[Layer], first: Layer | None) -> list[str]:
    """Write the layers in columns; those far from the first difference are only counted."""
    place = layers.index(first) if first in layers else len(layers)
    start = 0 if place <= SHOWN_AFTER else place - 3
    stop = place + SHOWN_AFTER if first is not None else len(layers) if len(layers) <= 30 else 10
    start = 0 if first is None else start
    lines = [f"layers as PyTorch ran them ({len(layers)}):"] if layers else []
    if start:
        lines.append(f"  {start} before these")
    rows = [("PyTorch", "target", "kind", "input", "output", "")]
    rows += [
        (
            layer.source,
            layer.target,
            layer.kind,
            _error(layer.input_error),
            _error(layer.error),
            "; ".join((*(["<- differs"] if layer.agrees is False else []), *layer.notes)),
        )
        for layer in layers[start:stop]
    ]
    lines += columns(rows) if layers else []
    if len(layers) > stop:
        rest = layers[stop:]
        differing = sum(layer.agrees is False for layer in rest)
        lines.append(f"  {len(rest)} after these, {differing} of which differ")
    return lines
