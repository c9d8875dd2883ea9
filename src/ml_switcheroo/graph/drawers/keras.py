"""Keras on JAX: a scope in which its variables have other values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.of_jax import draw_jax
from ml_switcheroo.targets.keras_nodes import variables_of
from ml_switcheroo.tensors import spec_of

__all__ = ["draw"]


def draw(model: Any, call: Callable[..., Any] | None, inputs: Given) -> Graph:
    """Draw a model.

    Raises:
        UsageError: The backend is not JAX.
    """
    import keras

    backend = keras.backend.backend()
    if backend != "jax":
        raise UsageError(f"a Keras model is traced on the backend jax, this one is on {backend}")
    held = variables_of(model)

    def function(leaves: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        mapping = [(variable, leaves[path]) for path, variable in held.items()]
        with keras.StatelessScope(state_mapping=mapping):
            return call(model, *args, **kwargs) if call else model(*args, **kwargs)

    return draw_jax(function, {path: spec_of(variable) for path, variable in held.items()}, inputs)
