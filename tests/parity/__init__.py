"""Real layers of real frameworks, each made like a torch layer: what ``tests/test_layers.py`` runs.

A framework is one module here with ``LAYERS``: for each kind a function from the torch layer to a
:class:`Port`, and one line in ``FRAMEWORKS``. Whatever has no function must be unsupported in the target.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FRAMEWORKS = ("nnx", "linen", "equinox", "haiku", "keras", "mlx")


@dataclass(frozen=True)
class Port:
    """A model of a framework that holds one layer under the name ``m``.

    Attributes:
        model: The live model, as its users have it.
        run: Gives the output for the model (after loading) and the inputs, as arrays; channels lie
            where the target has them.
        prepared: Whether the layer is none as the framework makes it: the target's row has the code.
    """

    model: Any
    run: Callable[..., Any]
    prepared: bool = False


def ports(framework):
    """Return the table of a framework: kind -> function from the torch layer to a Port."""
    return importlib.import_module(f"parity.{framework}").LAYERS


def by_rank_of(framework):
    """Return the layers of a framework whose tensors have the rank of the input: only a model shows it."""
    return getattr(importlib.import_module(f"parity.{framework}"), "BY_RANK", ())
