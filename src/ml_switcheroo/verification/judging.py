"""Run the target with some moves, and measure how far the layers that they fill are off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_switcheroo.moves import Move
from ml_switcheroo.verification.pairs import BLOCK, Pair
from ml_switcheroo.verification.reference import Reference
from ml_switcheroo.verification.verdict import Layer

__all__ = ["Trial", "Trials"]


@dataclass(frozen=True)
class Trial:
    """One run of the target.

    Attributes:
        pairs: The paired modules, in the order in which PyTorch ran them.
        layers: How far each pair agrees.
        output_error: The largest error of the outputs.
        tolerance: The error that counts as agreement.
    """

    pairs: Sequence[Pair]
    layers: Sequence[Layer]
    output_error: float
    tolerance: float

    def error_of(self, moves: Sequence[Move]) -> float | None:
        """Return how far the layers that some moves fill are off; None if that is unknown.

        It is known if all layers before them agree. The first layer that is off decides.
        """
        worst = 0.0
        places = self._places({name for move in moves for name in move.sources})
        for place in places:
            if not self._agrees_before(place):
                return worst if worst > self.tolerance else None
            layer = self.layers[place]
            if layer.error is None or layer.agrees is None:
                return None
            worst = max(worst, layer.error)
        return worst if places else None

    def _places(self, names: set[str]) -> list[int]:
        """Return the layers that hold the tensors, or else the smallest block that contains all of them."""
        held = [{name for move in pair.moves for name in move.sources} & names for pair in self.pairs]
        layers = [n for n, pair in enumerate(self.pairs) if held[n] and pair.kind != BLOCK]
        if set().union(*(held[n] for n in layers)) == names:
            return layers
        around = [n for n, found in enumerate(held) if found == names]
        around.sort(key=lambda n: len(self.pairs[n].moves))
        return around[:1]

    def _agrees_before(self, place: int) -> bool:
        inside = f"{self.pairs[place].source}."
        return not any(
            layer.agrees is False and pair.kind != BLOCK and not pair.source.startswith(inside)
            for pair, layer in zip(self.pairs[:place], self.layers[:place], strict=True)
        )


class Trials:
    """Runs of a target model that has its own weights again at the end.

    Attributes:
        left: How many runs are left.
        tolerance: The error that counts as agreement.
    """

    def __init__(self, reference: Reference, model: Any, runs: int) -> None:
        self._reference, self._model = reference, model
        self._live = reference.sides.live
        self.tolerance = reference.limit()
        self.left = runs

    def __enter__(self) -> Trials:
        self._before = {path: array.copy() for path, array in self._live.read(self._model).items()}
        return self

    def __exit__(self, *_: object) -> None:
        if not self._live.immutable:
            self._live.write(self._model, self._before)

    def run(self, moves: Iterable[Move]) -> Trial | None:
        """Run the target with the plan's moves and these; None if no runs are left."""
        if self.left <= 0:
            return None
        self.left -= 1
        reference, sides = self._reference, self._reference.sides
        plan = replace(sides.plan, moves=(*sides.plan.moves, *moves), ambiguous=())
        other = reference.run(self._live.write(self._model, plan.apply(reference.state, partial=True)))
        sides = replace(sides, plan=plan)
        pairs, layers = reference.layers(sides, other, self.tolerance)
        outputs = reference.outputs(sides, other, self.tolerance)
        errors = [float("inf") if output.error is None else output.error for output in outputs]
        return Trial(pairs, layers, max(errors, default=float("inf")), self.tolerance)
