"""Haiku: ``hk.intercept_methods``. A model is its params (and state); ``transformed.apply`` runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ml_switcheroo.errors import UsageError
from ml_switcheroo.targets.haiku import NO_CALL
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
    """Run ``call(params, *args)``, or ``call((params, state), *args)``.

    Raises:
        UsageError: There is no call: params alone do not run.
    """
    import haiku as hk
    import jax

    if call is None:
        raise UsageError(NO_CALL)

    def watch(function: Callable[..., Any], inputs: Any, keywords: Any, context: Any) -> Any:
        made = function(*inputs, **keywords)
        if context.method_name != "__call__":
            return made
        return record(recorder, context.module.module_name, (inputs, keywords), made)

    with jax.disable_jit(), hk.intercept_methods(watch):
        return call(model, *args, **kwargs)
