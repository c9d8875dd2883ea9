"""Haiku: a model is its params (and state), and ``transformed.apply`` runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.of_jax import draw_jax
from ml_switcheroo.targets.haiku import NO_CALL, TARGET

__all__ = ["draw"]


def draw(model: Any, call: Callable[..., Any] | None, inputs: Given) -> Graph:
    """Draw ``call(params, ...)``, or ``call((params, state), ...)``.

    Raises:
        UsageError: There is no call: params alone do not run.
    """
    if call is None:
        raise UsageError(NO_CALL)
    assert TARGET.live is not None
    specs = TARGET.live.template(model).specs

    def function(leaves: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        def filled(tree: Mapping[str, Mapping[str, Any]]) -> Any:
            return {
                module: {name: leaves.get(f"{module}/{name}", leaf) for name, leaf in own.items()}
                for module, own in tree.items()
            }

        whole = tuple(map(filled, model)) if isinstance(model, tuple | list) else filled(model)
        return call(whole, *args, **kwargs)

    return draw_jax(function, specs, inputs)
