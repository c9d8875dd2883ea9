"""Recording the calls of JAX models, including those under ``vmap`` and inside compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml_switcheroo.ops import Array
from ml_switcheroo.verification.calls import Call, Recorder, first_array

__all__ = ["record", "to_jax"]


def to_jax(value: Array) -> Any:
    """Return an array as a JAX array."""
    import jax.numpy as jnp

    return jnp.asarray(value)


def record(recorder: Recorder, path: str, given: Any, made: Any) -> Any:
    """Record a call and return what it gave, for the caller to go on with.

    Where the values are not there yet (below ``vmap`` or ``scan``), they go through a callback: under
    ``vmap`` it sees all examples at once, as PyTorch does.
    """
    import jax

    x, y = _number(given), _number(made)
    if not any(isinstance(value, jax.core.Tracer) for value in (x, y)):
        recorder.add(path, [] if x is None else [x], [] if y is None else [y], np.asarray)
        return made
    call = Call(path)
    recorder.calls.append(call)
    if y is None:
        return made

    def keep(*values: Array) -> Array:
        *before, after = map(np.asarray, values)
        call.inputs.extend(before)
        call.outputs.append(after)
        return after

    known = [y] if x is None else [x, y]
    shape = jax.ShapeDtypeStruct(y.shape, y.dtype)
    passed = jax.pure_callback(keep, shape, *known, vmap_method="broadcast_all")
    leaves, tree = jax.tree_util.tree_flatten(made)
    return jax.tree_util.tree_unflatten(tree, [passed if leaf is y else leaf for leaf in leaves])


def _number(values: Any) -> Any:
    """Return the first array that is no random key."""
    import jax

    leaves = [leaf for leaf in jax.tree_util.tree_leaves(values) if _is_number(leaf)]
    return first_array(leaves)


def _is_number(leaf: Any) -> bool:
    import jax

    return hasattr(leaf, "dtype") and not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
