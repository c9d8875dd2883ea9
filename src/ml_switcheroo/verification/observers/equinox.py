"""Equinox: a copy of the model in which each module has a class of its own that records its calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.targets.equinox import mapped, path_of
from ml_switcheroo.verification.calls import Recorder
from ml_switcheroo.verification.traced import record, to_jax

__all__ = ["read", "run", "write"]

read, write = np.asarray, to_jax


def run(
    model: Any,
    call: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    recorder: Recorder,
) -> Any:
    """Run a module, or the pair (module, state), in inference mode.

    Without a call the module is mapped over the first axis of each input, as Equinox's layers expect.
    """
    import equinox
    import jax

    pair = isinstance(model, tuple | list)
    module = equinox.nn.inference_mode(model[0] if pair else model)
    watched = _watched(module, (), recorder)
    whole = (watched, model[1]) if pair else watched
    with jax.disable_jit():
        return (call or mapped)(whole, *args, **kwargs)


def _watched(node: Any, keys: tuple[Any, ...], recorder: Recorder) -> Any:
    """Return a copy of a node of a pytree in which the modules record their calls."""
    import equinox
    import jax

    below, tree = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda child: child is not node)
    if isinstance(node, equinox.nn.StateIndex) or not any(step for step, _ in below):
        return node
    made = jax.tree_util.tree_unflatten(
        tree, [_watched(child, (*keys, *step), recorder) for step, child in below]
    )
    if not keys or not isinstance(node, equinox.Module) or not callable(node):
        return made
    return _of_watching_class(made, path_of(keys), recorder)


def _of_watching_class(node: Any, path: str, recorder: Recorder) -> Any:
    cls: Any = type(node)

    def watch(self: Any, *inputs: Any, **keywords: Any) -> Any:
        made = cls.__call__(self, *inputs, **keywords)
        return record(recorder, path, (inputs, keywords), made)

    own: Any = type(cls)(cls.__name__, (cls,), {"__call__": watch, "__module__": cls.__module__})
    made = object.__new__(own)
    for name, value in vars(node).items():
        object.__setattr__(made, name, value)
    return made
