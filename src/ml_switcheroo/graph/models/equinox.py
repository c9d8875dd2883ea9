"""Equinox: a module is a pytree; without a call it is mapped over the first axis of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.targets.equinox import TARGET, path_of, whole
from ml_switcheroo.tensors import TensorSpec

__all__ = ["function_of"]


def function_of(
    model: Any, call: Callable[..., Any] | None
) -> tuple[Callable[..., Any], Mapping[str, TensorSpec]]:
    """Return a module, or the pair (module, state), in inference mode as a function of its leaves."""
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
        return (call or _mapped)(made, *args, **kwargs)

    return function, specs


def _mapped(model: Any, *args: Any, **kwargs: Any) -> Any:
    import jax

    if isinstance(model, tuple):
        module, state = model
        axes = (*[0] * len(args), None)
        return jax.vmap(module, axis_name="batch", in_axes=axes, out_axes=(0, None))(*args, state)[0]
    return jax.vmap(lambda args, kwargs: model(*args, **kwargs))(args, kwargs)
