"""Equinox: a module is a pytree; without a call it is mapped over the first axis of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.graph.graph import Graph
from ml_switcheroo.graph.inputs import Given
from ml_switcheroo.graph.of_jax import draw_jax
from ml_switcheroo.targets.equinox import TARGET, mapped, path_of, whole

__all__ = ["draw"]


def draw(model: Any, call: Callable[..., Any] | None, inputs: Given) -> Graph:
    """Draw a module, or the pair (module, state), in inference mode."""
    import equinox
    import jax

    assert TARGET.live is not None
    specs = TARGET.live.template(model).specs
    pair = isinstance(model, tuple | list)
    module = equinox.nn.inference_mode(whole(model))

    def function(leaves: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        def put(keys: Any, leaf: Any) -> Any:
            return leaves.get(path_of(keys), leaf)

        filled = jax.tree_util.tree_map_with_path(put, module)
        made = (equinox.nn.delete_init_state(filled), equinox.nn.State(filled)) if pair else filled
        return (call or mapped)(made, *args, **kwargs)

    return draw_jax(function, specs, inputs)
