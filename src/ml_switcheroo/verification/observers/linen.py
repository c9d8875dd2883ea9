"""Flax Linen: ``linen.intercept_methods``. A model is a tree of variables; ``module.apply`` runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.errors import UsageError
from ml_switcheroo.targets.linen import NO_CALL
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
    """Run ``call(variables, *args)``.

    Raises:
        UsageError: There is no call: variables alone do not run.
    """
    import jax
    from flax import linen

    if call is None:
        raise UsageError(NO_CALL)

    def watch(function: Callable[..., Any], inputs: Any, keywords: Any, context: Any) -> Any:
        made = function(*inputs, **keywords)
        path = "/".join(map(str, context.module.path))
        if context.method_name != "__call__" or not path:
            return made
        return record(recorder, path, (inputs, keywords), made)

    with jax.disable_jit(), linen.intercept_methods(watch):
        return call(model, *args, **kwargs)
