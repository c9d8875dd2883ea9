"""MLX: a module whose parameters are tracers for as long as it is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.of_mlx import draw_mlx
from ml_switcheroo.targets.mlx import evaluating
from ml_switcheroo.tensors import spec_of

__all__ = ["draw"]


def draw(model: Any, call: Callable[..., Any] | None, inputs: Given) -> Graph:
    """Draw a module in evaluation mode; afterwards it holds what it held before."""
    from mlx.utils import tree_flatten, tree_unflatten

    def function(leaves: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        with _restored(model):
            model.update(tree_unflatten(list(leaves.items())))
            return call(model, *args, **kwargs) if call else model(*args, **kwargs)

    specs = {path: spec_of(leaf) for path, leaf in tree_flatten(model.parameters())}
    with evaluating(model):
        return draw_mlx(function, specs, inputs)


@contextmanager
def _restored(model: Any) -> Iterator[None]:
    """Put back the parameters, and whatever else modules keep in themselves."""
    held = [(module, dict(module)) for module in model.modules()]
    parameters = model.parameters()
    try:
        yield
    finally:
        for module, items in held:
            dict.clear(module)
            dict.update(module, items)
        model.update(parameters)
