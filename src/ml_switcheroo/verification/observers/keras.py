"""Keras: another ``Layer.__call__`` for as long as the model runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from ml_switcheroo.ops import Array
from ml_switcheroo.targets.keras_nodes import called, nodes
from ml_switcheroo.verification.calls import Recorder, first_array, replaced

__all__ = ["read", "run", "write"]


def read(value: Any) -> Array:
    """Return a tensor of whatever backend as NumPy's."""
    import keras

    return np.asarray(keras.ops.convert_to_numpy(value))


def write(value: Array) -> Any:
    """Return an array as a tensor of the backend."""
    import keras

    return keras.ops.convert_to_tensor(value)


def run(
    model: Any,
    call: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    recorder: Recorder,
) -> Any:
    """Run a model; without a call, with ``training=False`` where it takes that."""
    import keras

    paths = {id(node): path for path, node in nodes(model) if isinstance(node, keras.Layer)}

    def watching(function: Callable[..., Any]) -> Callable[..., Any]:
        def watch(self: Any, *inputs: Any, **keywords: Any) -> Any:
            made = function(self, *inputs, **keywords)
            path = paths.get(id(self), "")
            if not path or isinstance(first_array((inputs, keywords)), keras.KerasTensor):
                return made
            return _record(recorder, path, self, (inputs, keywords), made)

        return watch

    with replaced([keras.Layer], "__call__", watching), _eager():
        return call(model, *args, **kwargs) if call else called(model, args, kwargs)


def _record(recorder: Recorder, path: str, layer: Any, given: Any, made: Any) -> Any:
    import keras

    if keras.backend.backend() == "jax":
        from ml_switcheroo.verification.traced import record

        made = record(recorder, path, given, made)
    else:
        recorder.add(path, given, made, read)
    recorder.calls[-1].beside = _activation(layer)
    return made


def _activation(layer: Any) -> tuple[str, Callable[[Array], Array]] | None:
    """Return the activation that a Dense or a convolution has in it; PyTorch's have none."""
    import keras

    activation = getattr(layer, "activation", None)
    if activation in (None, keras.activations.linear) or not hasattr(layer, "kernel"):
        return None
    name = getattr(activation, "__name__", type(activation).__name__)
    return name, lambda array: read(activation(keras.ops.convert_to_tensor(array)))


def _eager() -> Any:
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.disable_jit()
    return nullcontext()
