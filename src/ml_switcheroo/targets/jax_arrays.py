"""Arrays of JAX: what the targets that are made of them share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml_switcheroo.ops import Array

__all__ = ["in_place_of"]


def in_place_of(leaf: Any, array: Array) -> Any:
    """Return an array as JAX's, with the dtype and the sharding of the leaf that it replaces.

    It is a copy: on the CPU, JAX goes on using the memory of a NumPy array that it is given, which may be
    that of a PyTorch tensor or of a file.
    """
    import jax

    own = np.array(array, dtype=leaf.dtype, order="C")
    return jax.device_put(own, getattr(leaf, "sharding", None))
