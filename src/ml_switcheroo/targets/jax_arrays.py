"""Arrays of JAX: what the targets that are made of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.owned import owned
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


def placed(old: Mapping[str, Any], leaves: Mapping[str, Array]) -> dict[str, Any]:
    """Return leaves as JAX's arrays, in place of those of a model; their axes are turned where they lie.

    On the CPU, JAX takes an array with its strides and turns it while copying; a device gets the array as it
    lies and turns it there. Of a leaf in shards each device gets its own slice.

    Args:
        old: What they replace, by path; what is no leaf is left out.
        leaves: The leaves.
    """
    made = owned(leaves)
    found = [path for path in made if path in old]
    apart = {path for path in found if _is_in_shards(old[path])}
    new = dict(
        made.hand_over(
            (path for path in found if path not in apart),
            lambda path, array, order: _handed_over(old[path], array, order),
        )
    )
    return new | {path: in_shards(made.deferred(path), old[path].sharding, old[path].dtype) for path in apart}


def _is_in_shards(leaf: Any) -> bool:
    sharding = getattr(leaf, "sharding", None)
    return sharding is not None and len(sharding.device_set) > 1


def _handed_over(leaf: Any, array: Array, order: tuple[int, ...]) -> Any:
    """Return an array as JAX's, with its axes in an order, in place of a leaf."""
    import jax

    if not order:
        return in_place_of(leaf, array)
    if array.dtype != leaf.dtype:
        return in_place_of(leaf, np.array(array.transpose(order), leaf.dtype, order="C"))
    sharding = getattr(leaf, "sharding", None)
    platform = next(iter(sharding.device_set)).platform if sharding else jax.default_backend()
    # Waited for: the memory of the array is used for the next one.
    if platform == "cpu":
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
