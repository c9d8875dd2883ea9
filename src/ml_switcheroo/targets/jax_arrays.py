"""Arrays of JAX: what the targets that are made of them share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml_switcheroo.ops import Array

__all__ = ["in_place_of"]


def in_place_of(leaf: Any, array: Array) -> Any:
    """Return an array as JAX's, with the dtype and the sharding of the leaf that it replaces.

    Args:
        leaf: The leaf.
        array: An array that belongs to nobody else (see ``formats.owned``): on the CPU, JAX goes on using the
            memory of a NumPy array that it is given.
    """
    import jax

    return jax.device_put(np.asarray(array, leaf.dtype, order="C"), getattr(leaf, "sharding", None))
