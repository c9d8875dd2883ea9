"""Keras: on JAX a scope in which its variables have other values, on TensorFlow the graph of a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.targets.keras_nodes import variables_of
from ml_switcheroo.tensors import spec_of

__all__ = ["draw"]


def draw(model: Any, call: Callable[..., Any] | None, inputs: Given) -> Graph:
    """Draw a model.

    Raises:
        UsageError: Its backend is neither JAX nor TensorFlow.
    """
    import keras

    backend = keras.backend.backend()
    if backend not in _BACKENDS:
        raise UsageError(f"a Keras model is traced on {' or '.join(_BACKENDS)}, this one is on {backend}")

    def run(*args: Any, **kwargs: Any) -> Any:
        return call(model, *args, **kwargs) if call else model(*args, **kwargs)

    return _BACKENDS[backend](run, variables_of(model), inputs)


def _on_jax(run: Callable[..., Any], held: Mapping[str, Any], inputs: Given) -> Graph:
    import keras

    from ml_switcheroo.graph.of_jax import draw_jax

    def function(leaves: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        mapping = [(variable, leaves[path]) for path, variable in held.items()]
        with keras.StatelessScope(state_mapping=mapping):
            return run(*args, **kwargs)

    return draw_jax(function, {path: spec_of(variable) for path, variable in held.items()}, inputs)


def _on_tensorflow(run: Callable[..., Any], held: Mapping[str, Any], inputs: Given) -> Graph:
    from ml_switcheroo.graph.of_tensorflow import draw_tensorflow

    return draw_tensorflow(run, {path: variable.value for path, variable in held.items()}, inputs)


_BACKENDS: Mapping[str, Callable[[Callable[..., Any], Mapping[str, Any], Given], Graph]] = MappingProxyType(
    {"jax": _on_jax, "tensorflow": _on_tensorflow}
)
