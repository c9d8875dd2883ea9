"""PyTorch's run, which every run of the target is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_switcheroo.ops import Array
from ml_switcheroo.verification.comparing import compare, tolerance_of
from ml_switcheroo.verification.layerwise import compare_layers
from ml_switcheroo.verification.pairs import Pair, pair_modules
from ml_switcheroo.verification.readings import AS_IT_IS, Reading, readings_of_output, stated
from ml_switcheroo.verification.sides import Inputs, Run, Sides, run_target
from ml_switcheroo.verification.verdict import Layer, Output

__all__ = ["Reference"]


@dataclass(frozen=True)
class Reference:
    """What PyTorch gave, and how the target is run and compared with it.

    Attributes:
        sides: The two models and the plan between them.
        state: PyTorch's state dict.
        mine: PyTorch's run.
        given: What the target is called with.
        call: Runs the target; None to call the model itself.
        output_axes: How the output lies in the target; None where the kind of the last layer says it.
        tolerance: The relative error that counts as agreement; None to take it from the dtypes.
        remarks: How PyTorch's inputs were moved for the target.
    """

    sides: Sides
    state: Mapping[str, Any]
    mine: Run
    given: Inputs
    call: Callable[..., Any] | None = None
    output_axes: str | None = None
    tolerance: float | None = None
    remarks: Sequence[str] = ()

    def run(self, model: Any) -> Run:
        """Run a model of the target on the same input."""
        return run_target(self.sides.target, model, self.call, self.given)

    def limit(self, *others: Run) -> float:
        """Return the error that counts as agreement with these runs."""
        if self.tolerance is not None:
            return self.tolerance
        return tolerance_of([array for run in (self.mine, *others) for array in run.arrays.values()])

    def layers(self, sides: Sides, other: Run, limit: float) -> tuple[tuple[Pair, ...], tuple[Layer, ...]]:
        """Pair the modules that ran, in the order in which PyTorch ran them, and compare them."""
        here, there = ({call.path for call in run.calls} for run in (self.mine, other))
        order = {path: n for n, path in enumerate(dict.fromkeys(call.path for call in self.mine.calls))}
        found = pair_modules(sides.plan.moves, here, there, sides.target.naming)
        pairs = tuple(sorted(found, key=lambda pair: order[pair.source]))
        args = {path: finding.args for path, finding in sides.findings.items()}
        channels, images = sides.target.channels, sides.images
        calls = self.mine.calls, other.calls
        layers = compare_layers(pairs, *calls, channels, args, images=images, tolerance=limit)
        return pairs, layers

    def outputs(self, sides: Sides, other: Run, limit: float) -> tuple[Output, ...]:
        """Compare the outputs; their axes are stated, or those of the layer that gives the output."""
        if self.output_axes:
            return _outputs(self.mine.arrays, other.arrays, [stated(self.output_axes)], limit)
        kinds = {path: finding.kind for path, finding in sides.findings.items()}
        gives = next((kinds.get(call.path, "") for call in self.mine.calls if call.gives), "")
        ways = readings_of_output(gives, sides.target.channels, images=sides.images)
        return _outputs(self.mine.arrays, other.arrays, ways, limit)


def _outputs(
    mine: Mapping[str, Array], other: Mapping[str, Array], ways: Sequence[Reading], tolerance: float
) -> tuple[Output, ...]:
    """Compare the outputs by their keys; by their order where they have others."""
    names = [name for name in mine if name in other]
    pairs = [(name, mine[name], other[name]) for name in names] or [
        (name, a, b) for (name, a), b in zip(mine.items(), other.values(), strict=False)
    ]
    found = []
    for name, a, b in pairs:
        compared = compare(a, b, ways if a.ndim > 2 else [AS_IT_IS], tolerance)
        agrees = compared.error is not None and compared.error <= tolerance
        note = f"{compared.note}; pass output_axes" if compared.open else compared.note
        found.append(Output(name, compared.error, agrees, note, compared.weak))
    more = len(mine) - len(found), len(other) - len(found)
    if any(more) and found:
        extra = f"{more[0]} more outputs in PyTorch and {more[1]} in the target are not compared"
        found[-1] = replace(found[-1], note=f"{found[-1].note} {extra}".strip())
    return tuple(found)
