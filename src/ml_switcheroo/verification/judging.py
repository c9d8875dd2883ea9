"""Run the target with some moves, and say by how much the layers they fill are off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_switcheroo.moves import Move
from ml_switcheroo.verification.comparing import tolerance_of
from ml_switcheroo.verification.pairs import BLOCK, Pair
from ml_switcheroo.verification.sides import Inputs, Sides, given_to_target, run_source, run_target
from ml_switcheroo.verification.verdict import Layer
from ml_switcheroo.verification.verifying import compared_layers, compared_outputs

__all__ = ["Trial", "Trials"]


@dataclass(frozen=True)
class Trial:
    """One run of the target.

    Attributes:
        pairs: The paired modules, in the order in which PyTorch ran them.
        layers: What came of comparing them.
        output_error: The largest error of the outputs.
        tolerance: The error that counts as agreement.
    """

    pairs: Sequence[Pair]
    layers: Sequence[Layer]
    output_error: float
    tolerance: float

    def error_of(self, moves: Sequence[Move]) -> float | None:
        """Return by how much the layers are off that some moves fill; None where that cannot be told.

        It can where all layers before them agree. Layers are looked at in order: the first that is off tells.
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
        """Return the layers that hold the tensors, or else the smallest block around all of them."""
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

    def __init__(
        self,
        sides: Sides,
        state: Mapping[str, Any],
        source_model: Any,
        target_model: Any,
        inputs: Inputs,
        *,
        target_inputs: Inputs,
        source_call: Callable[..., Any] | None,
        target_call: Callable[..., Any] | None,
        input_axes: str | Sequence[str | None] | None,
        output_axes: str | None,
        tolerance: float | None,
        left: int,
    ) -> None:
        self._sides, self._state, self._model = sides, state, target_model
        self._call, self._axes = target_call, output_axes
        self._mine = run_source(source_model, source_call, inputs)
        self._given, _ = given_to_target(inputs, target_inputs, input_axes, self._mine, sides)
        self.tolerance = tolerance_of([*self._mine.arrays.values()]) if tolerance is None else tolerance
        self.left = left

    def __enter__(self) -> Trials:
        self._before = {path: array.copy() for path, array in self._sides.live.read(self._model).items()}
        return self

    def __exit__(self, *_: object) -> None:
        if not self._sides.live.immutable:
            self._sides.live.write(self._model, self._before)

    def run(self, moves: Iterable[Move]) -> Trial | None:
        """Run the target with the plan's moves and these; None where no runs are left."""
        if self.left <= 0:
            return None
        self.left -= 1
        plan = self._sides.plan
        sides = replace(self._sides, plan=replace(plan, moves=(*plan.moves, *moves), ambiguous=()))
        model = sides.live.write(self._model, sides.plan.apply(self._state, partial=True))
        other = run_target(sides.target, model, self._call, self._given)
        pairs, layers = compared_layers(sides, self._mine, other, self.tolerance)
        outputs = compared_outputs(sides, self._mine, other, self._axes, self.tolerance)
        errors = [float("inf") if output.error is None else output.error for output in outputs]
        return Trial(pairs, layers, max(errors, default=float("inf")), self.tolerance)
