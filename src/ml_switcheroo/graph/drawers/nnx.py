"""Flax NNX: a module is merged from its graph, and its variables are set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.of_jax import draw_jax
from ml_switcheroo.targets.nnx import held_by, written
from ml_switcheroo.tensors import spec_of

__all__ = ["draw"]


def draw(model: Any, call: Callable[..., Any] | None, inputs: Given) -> Graph:
    """Draw a module in evaluation mode."""
    from flax import nnx

    copy = nnx.clone(model)
    copy.eval()
    graph, state = nnx.split(copy)

    def function(leaves: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        flat = [(path, _put(node, leaves.get(written(path)))) for path, node in nnx.to_flat_state(state)]
        filled = nnx.merge(graph, nnx.from_flat_state(flat))
        return call(filled, *args, **kwargs) if call else filled(*args, **kwargs)

    specs = {path: spec_of(variable.get_value()) for path, variable in held_by(model).items()}
    return draw_jax(function, specs, inputs)


def _put(node: Any, leaf: Any) -> Any:
    """Return what the state has at a path, with a leaf in it; what is no leaf of ours keeps its value.

    It is another variable all the same: those of outside cannot be changed, as counts of random numbers are.
    """
    if leaf is None:
        return node.replace(node.get_value()) if hasattr(node, "get_value") else node
    return node.replace(leaf) if hasattr(node, "replace") else leaf
