"""Draw what live models compute: one module a framework, named in its row of ``targets``.

Nothing is computed: a model is traced on shapes, and its leaves are arguments. It is in evaluation mode, and
stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.recipes import Target

__all__ = ["draw_target"]


def draw_target(target: Target, model: Any, call: Callable[..., Any] | None, inputs: Given) -> Graph:
    """Draw what a live model computes.

    Args:
        target: Its target.
        model: The model.
        call: What runs it, with the model and its inputs; without it the model is called.
        inputs: What it is given.

    Raises:
        UsageError: A tree of variables does not run by itself, or models of this target cannot be drawn.
    """
    if not target.drawer:
        raise target.lacking("drawer", "what its models compute cannot be drawn")
    found: Graph = import_module(target.drawer).draw(model, call, inputs)
    return found
