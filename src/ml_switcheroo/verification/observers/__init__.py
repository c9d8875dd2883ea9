"""One module a framework: run a model on inputs and record what its modules take and give.

The row of a target names its own. Each has ``run(model, call, args, kwargs, recorder)``, which returns what
the model gives, and ``read(value)``, which returns an array of the framework as NumPy's. A model is left as
it was.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ml_switcheroo.recipes import Target

__all__ = ["observer_of"]


def observer_of(target: Target) -> Any:
    """Return the module that runs the models of a target.

    Raises:
        UsageError: The row of the target has none.
    """
    if not target.observer:
        raise target.lacking("observer", "its models cannot be run")
    return import_module(target.observer)
