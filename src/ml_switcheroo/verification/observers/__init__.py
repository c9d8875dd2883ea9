"""One module a framework: run a model on inputs and record what its modules take and give.

Each has ``run(model, call, args, kwargs, recorder)``, which returns what the model gives, and
``read(value)``, which returns an array of the framework as NumPy's. A model is left as it was.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ml_switcheroo.errors import UsageError

__all__ = ["OBSERVED", "observer_of"]

OBSERVED = ("nnx", "linen", "equinox", "haiku", "keras", "mlx")


def observer_of(target: str) -> Any:
    """Return the module that runs the models of a target.

    Raises:
        UsageError: The target has no models that run.
    """
    if target not in OBSERVED:
        raise UsageError(f"{target} has no models that can run; targets that have: {', '.join(OBSERVED)}")
    return import_module(f"{__name__}.{target}")
