"""Two programs, drawn and matched: the model that a checkpoint is of, and the target's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo.errors import SwitcherooError
from ml_switcheroo.graph.drawers import draw_target
from ml_switcheroo.graph.failing import failures_text
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.inputs import Given, given, numbers_for, orders_of
from ml_switcheroo.graph.matching.lockstep import match_graphs
from ml_switcheroo.graph.matching.matched import Matched
from ml_switcheroo.graph.naming import outputs_in_order
from ml_switcheroo.recipes import Target
from ml_switcheroo.tensors import TensorSpec

__all__ = ["Programs", "draw_model", "match_programs"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Programs:
    """What two programs are drawn from.

    Attributes:
        layers: The PyTorch model: ``"model.py:Net"``, which is read, or a live module, whose code is read.
        target: The target.
        model: Its live model.
        inputs: What the PyTorch model is given.
        target_inputs: The same as the target takes it; None to try its axes as they are, and channels last.
        call: What runs the target's model, where it is not called by itself.
    """

    layers: Any
    target: Target
    model: Any
    inputs: Any
    target_inputs: Any = None
    call: Callable[..., Any] | None = None


def draw_model(layers: Any, specs: Mapping[str, TensorSpec], inputs: Given) -> Graph:
    """Draw what a PyTorch model computes, without running it.

    Raises:
        SourceError: Its source cannot be read.
    """
    from ml_switcheroo.graph.of_source.entry import draw_live, draw_source

    names, values = inputs.names, inputs.specs
    positional, keywords = ((), dict(zip(names, values, strict=True))) if names else (values, {})
    if isinstance(layers, str | Path):
        return draw_source(str(layers), specs, positional, keywords)
    return draw_live(layers, specs, positional, keywords)


def match_programs(programs: Programs, specs: Mapping[str, TensorSpec]) -> Matched:
    """Draw two programs and match their leaves; the target's inputs are tried in each order they may have.

    Raises:
        SwitcherooError: One of them cannot be drawn.
    """
    mine = given(programs.inputs)
    theirs = given(programs.target_inputs) if programs.target_inputs is not None else None
    source = draw_model(programs.layers, specs, mine)
    numbers = numbers_for(mine, source)
    best: Matched | None = None
    failures: list[tuple[Given, Exception]] = []
    for taken, axes in orders_of(mine, theirs):
        try:
            target = draw_target(programs.target, programs.model, programs.call, taken)
        except SwitcherooError:
            raise
        except Exception as error:  # noqa: BLE001 - the user's own code: said below, where no order works
            failures.append((taken, error))
            continue
        turned = [array.transpose(order) for array, order in zip(numbers, axes, strict=True)]
        found = _best(
            [match_graphs(source, one, numbers, turned) for one in outputs_in_order(source, target)]
        )
        if best is None or len(found.kernels) > len(best.kernels):
            best = found
        if found.complete:
            return found
    if best is None:
        raise SwitcherooError(
            f"the target's model cannot be traced: {failures_text(failures)}"
        ) from failures[0][1]
    return best


def _best(found: Sequence[Matched]) -> Matched:
    """Return the match that goes furthest, with those that go as far with the outputs in another order."""
    ranks = [(one.complete, len(one.kernels), sum(one.outputs)) for one in found]
    first, *rest = [one for one, rank in zip(found, ranks, strict=True) if rank == max(ranks)]
    return replace(first, rivals=tuple(rest))
