"""MLX: another ``__call__`` on each class for as long as the model runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.ops import Array
from ml_switcheroo.targets.mlx import evaluating
from ml_switcheroo.targets.mlx_arrays import from_mlx, to_mlx
from ml_switcheroo.verification.calls import Recorder, replaced

__all__ = ["read", "run", "write"]


def read(value: Any) -> Array:
    """Return an MLX array as NumPy's, bit for bit."""
    return from_mlx(value)


def write(value: Array) -> Any:
    """Return an array as one of MLX."""
    return to_mlx(value)


def run(
    model: Any,
    call: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    recorder: Recorder,
) -> Any:
    """Run a model in evaluation mode."""
    paths = {id(module): path for path, module in model.named_modules() if path}
    classes = dict.fromkeys(type(module) for _, module in model.named_modules() if callable(module))

    def watching(function: Callable[..., Any]) -> Callable[..., Any]:
        def watch(self: Any, *inputs: Any, **keywords: Any) -> Any:
            path = paths.get(id(self))
            if path is None:
                return function(self, *inputs, **keywords)
            with recorder.entered(path) as outermost:
                made = function(self, *inputs, **keywords)
            if outermost:
                recorder.add(path, (inputs, keywords), made, read)
            return made

        return watch

    with evaluating(model), replaced(classes, "__call__", watching):
        return call(model, *args, **kwargs) if call else model(*args, **kwargs)
