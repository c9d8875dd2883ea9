"""Arrays of JAX: what the targets that are made of them share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.owned import Owned
from ml_switcheroo.ops import Array

__all__ = ["in_place_of", "in_shards", "placed"]


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

    On the CPU, JAX takes an array with its strides and turns it while copying; a device gets the array as it
    lies and turns it there. Of a leaf in shards each device gets its own slice.
    """
    import jax

    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        return in_place_of(leaf, leaves[path])
    if len(sharding.device_set) > 1:
        return in_shards(leaves.deferred(path), sharding, leaf.dtype)
    array, order = leaves.unturned(path)
    if not order or array.dtype != leaf.dtype:  # of another dtype NumPy makes a copy, turned and all
        return in_place_of(leaf, array.transpose(order) if order else array)
    # Waited for: the memory of the array is used for the next one.
    if next(iter(sharding.device_set)).platform == "cpu":
        return jax.block_until_ready(jax.device_put(array.transpose(order), sharding))
    return jax.block_until_ready(_turn()(jax.device_put(array, sharding), order))


def in_shards(leaf: Deferred, sharding: Any, dtype: Any, progress: Callable[[int], object] = int) -> Any:
    """Return a leaf over several devices; each slice is cut out of what it is made from, once.

    Args:
        leaf: The leaf.
        sharding: A ``jax.sharding.Sharding``.
        dtype: The dtype of the array.
        progress: Called with the number of bytes of each slice.
    """
    import jax

    @cache
    def part(bounds: tuple[tuple[int | None, int | None], ...]) -> Array:
        # A copy: JAX would keep a mapped array as it is, and the file could change under it.
        array = np.array(leaf[tuple(slice(*pair) for pair in bounds)], dtype, copy=True)
        progress(array.nbytes)
        return array

    def cut(index: tuple[slice, ...]) -> Array:
        return part(tuple((one.start, one.stop) for one in index))

    return jax.make_array_from_callback(leaf.shape, sharding, cut, dtype=dtype)


@cache
def _turn() -> Any:
    import jax

    return jax.jit(lambda array, order: array.transpose(order), static_argnums=1)
