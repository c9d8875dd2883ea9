"""Arrays of JAX: what the targets that are made of them share."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ml_switcheroo.formats.owned import Owned
from ml_switcheroo.ops import Array

__all__ = ["in_place_of", "placed"]

_PARALLEL = 2**20  # bytes of a leaf that JAX is asked to turn


def in_place_of(leaf: Any, array: Array) -> Any:
    """Return an array as JAX's, with the dtype and the sharding of the leaf that it replaces.

    Args:
        leaf: The leaf.
        array: An array that belongs to nobody else (see ``formats.owned``): on the CPU, JAX goes on using the
            memory of a NumPy array that it is given.
    """
    import jax

    return jax.device_put(np.asarray(array, leaf.dtype, order="C"), getattr(leaf, "sharding", None))


def placed(leaf: Any, leaves: Owned, path: str) -> Any:
    """Return a leaf of some leaves as JAX's, in place of one of a model: its axes are turned where it lies.

    XLA turns them on all cores, and on the device. Of a leaf in shards each device gets its own slice.
    """
    import jax

    sharding = getattr(leaf, "sharding", None)
    if sharding is None or len(sharding.device_set) > 1:
        return in_place_of(leaf, leaves[path])
    array, order = leaves.unturned(path)
    if not order or array.dtype != leaf.dtype or array.nbytes < _PARALLEL:
        return in_place_of(leaf, array.transpose(order) if order else array)
    # Waited for, so that no more than one leaf is in memory twice.
    return jax.block_until_ready(_turn()(jax.device_put(array, sharding), order))


@cache
def _turn() -> Any:
    import jax

    return jax.jit(lambda array, order: array.transpose(order), static_argnums=1)
