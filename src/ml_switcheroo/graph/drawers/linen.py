"""Flax Linen: a model is a tree of variables, and ``module.apply`` runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.of_jax import draw_jax
from ml_switcheroo.targets.linen import NO_CALL, mapped
from ml_switcheroo.tensors import TensorSpec, spec_of

__all__ = ["draw"]


def draw(model: Any, call: Callable[..., Any] | None, inputs: Given) -> Graph:
    """Draw ``call(variables, ...)``.

    Raises:
        UsageError: There is no call: variables alone do not run.
    """
    if call is None:
        raise UsageError(NO_CALL)
    specs: dict[str, TensorSpec] = {}

    def noted(path: str, leaf: Any) -> Any:
        specs[path] = spec_of(leaf.unbox() if hasattr(leaf, "unbox") else leaf)
        return leaf

    mapped(model, noted)

    def function(leaves: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        def put(path: str, leaf: Any) -> Any:
            return leaf.replace_boxed(leaves[path]) if hasattr(leaf, "replace_boxed") else leaves[path]

        return call(mapped(model, put), *args, **kwargs)

    return draw_jax(function, specs, inputs)
