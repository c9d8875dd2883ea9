"""Why outputs that agree may prove nothing: what they hold, how close they are, what is known to differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ml_switcheroo.differences import is_difference
from ml_switcheroo.verification.pairs import BLOCK
from ml_switcheroo.verification.verdict import Layer, Output

__all__ = ["doubts_of"]

_NEAR = 0.3
"""An error above this share of the tolerance is probably more than rounding."""

_IN_TRAINING = re.compile(r"\bmomentum is\b")
"""Differences that have no effect in evaluation mode."""

_JUMP = 100
"""Rounding grows from layer to layer, but not by this factor in a single one."""


def doubts_of(
    outputs: Sequence[Output], layers: Sequence[Layer], notes: Iterable[str], tolerance: float
) -> Iterator[str]:
    """Yield the reasons why outputs that agree prove little, one phrase each."""
    if outputs and all(output.weak for output in outputs):
        yield from (f"output {output.name} shows little: {output.weak}" for output in outputs)
    for output in outputs:
        if output.error is not None and _NEAR * tolerance < output.error <= tolerance:
            yield f"output {output.name} is off by {output.error:.1e}, close to the tolerance"
    for layer in layers:
        if layer.agrees and layer.kind != BLOCK and _jumps(layer, tolerance):
            yield f"the error grows from {layer.input_error:.1e} to {layer.error:.1e} in {layer.source}"
    known = (note for note in notes if is_difference(note) and not _IN_TRAINING.search(note))
    yield from (f"this differs: {note}" for note in known)


def _jumps(layer: Layer, tolerance: float) -> bool:
    if layer.error is None or layer.input_error is None:
        return False
    return layer.error > max(_JUMP * layer.input_error, 0.1 * tolerance)
