"""Load a checkpoint straight into sharded JAX arrays: each host reads what its devices hold, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.errors import LoadError
from ml_switcheroo.formats.checkpoint import Checkpoint
from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.plan import Plan
from ml_switcheroo.targets.jax_arrays import in_shards

__all__ = ["load_sharded"]


def load_sharded(
    checkpoint: Checkpoint,
    plan: Plan,
    shardings: Mapping[str, Any] | Any,
    *,
    partial: bool = False,
    progress: Callable[[int], object] = int,
) -> dict[str, Any]:
    """Make the leaves of a plan as ``jax.Array``, sharded over devices.

    Only what a device holds of a leaf is read: for a transposed matrix, the columns that become the device's
    rows. Call it in each process of a distributed program.

    Args:
        checkpoint: The open checkpoint.
        plan: What becomes of its tensors.
        shardings: A ``jax.sharding.Sharding`` for each leaf by its path, or one for all.
        partial: Make only the leaves that the plan is certain of.
        progress: Called with the number of bytes of each part that was read.

    Returns:
        The arrays by path.

    Raises:
        PlanError: Something is missing or ambiguous.
        LoadError: A leaf has no sharding.
    """
    leaves = dict(plan.apply(checkpoint, partial=partial).stream())
    if not isinstance(shardings, Mapping):
        shardings = dict.fromkeys(leaves, shardings)
    absent = sorted(set(leaves) - set(shardings))
    if absent:
        raise LoadError(f"{len(absent)} leaves have no sharding: {', '.join(absent[:10])}", absent)

    return {
        path: in_shards(leaf := Deferred.of(leaves[path]), shardings[path], leaf.dtype, progress)
        for path in leaves
    }
