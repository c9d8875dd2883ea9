"""Flax NNX: another ``__call__`` on each class, for as long as a copy of the model runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.verification.calls import Recorder, replaced
from ml_switcheroo.verification.traced import record, to_jax

__all__ = ["read", "run", "write"]

read, write = np.asarray, to_jax

# A static attribute goes with a module through nnx.jit and nnx.scan, where its identity does not.
_PATH = "_path_in_verification"


def run(
    model: Any,
    call: Callable[..., Any] | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    recorder: Recorder,
) -> Any:
    """Run a copy of a module in evaluation mode."""
    import jax
    from flax import nnx

    copy = nnx.clone(model)
    copy.eval()
    classes: dict[type, None] = {}
    for path, node in nnx.iter_graph(copy):
        if isinstance(node, nnx.Module) and path and callable(node):
            setattr(node, _PATH, ".".join(map(str, path)))
            classes[type(node)] = None

    def watching(function: Callable[..., Any]) -> Callable[..., Any]:
        def watch(self: Any, *inputs: Any, **keywords: Any) -> Any:
            path = vars(self).get(_PATH)
            if path is None:
                return function(self, *inputs, **keywords)
            with recorder.entered(path) as outermost:
                made = function(self, *inputs, **keywords)
            return record(recorder, path, (inputs, keywords), made) if outermost else made

        return watch

    with jax.disable_jit(), replaced(classes, "__call__", watching):
        return call(copy, *args, **kwargs) if call else copy(*args, **kwargs)
