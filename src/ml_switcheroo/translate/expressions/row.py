"""What a row says of an operation: the expression that stands for it in each target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["IMPORTS", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """The expressions of one operation.

    Attributes:
        name: The operation, by its name in :mod:`ml_switcheroo.operations`.
        expressions: The expression by target, with ``{argument}`` where an argument of torch goes. The
            modules that it names (``jax``, ``jnp``) are those of :data:`IMPORTS`.
        draws: Calls that show it, as Python: tensors are ``f(2, 3)`` of floats, ``b(2, 3)`` of bools.
    """

    name: str
    expressions: Mapping[str, str]
    draws: tuple[str, ...]


IMPORTS: Mapping[str, str] = {"jax": "import jax", "jnp": "import jax.numpy as jnp"}
"""The import that a name in an expression needs."""
