"""From file to file: plan, check, and write leaf by leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo import __version__
from ml_switcheroo.errors import UsageError
from ml_switcheroo.export import to_torch
from ml_switcheroo.formats import open_checkpoint, write_npz, write_safetensors, write_shards
from ml_switcheroo.ops import Array
from ml_switcheroo.plan import Plan
from ml_switcheroo.planner import make_plan
from ml_switcheroo.rules import Rule
from ml_switcheroo.stamp import stamp, stamped_target
from ml_switcheroo.tensors import TensorSpec, as_numpy, spec_of

__all__ = ["WRITERS", "convert", "export", "is_up_to_date"]

WRITERS = {".safetensors": write_safetensors, ".npz": write_npz}


def convert(
    checkpoint: str | Path,
    out: str | Path,
    *,
    to: str,
    layers: Any = None,
    like: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    dtype: str | None = None,
    select: str | None = None,
    plan: Plan | None = None,
    allow_missing: bool = False,
    allow_unexpected: bool = False,
    resume: bool = False,
    max_shard_bytes: int | None = None,
    say: Callable[[str], object] = str,
) -> Plan:
    """Convert a checkpoint file; the output appears whole or not at all.

    Args:
        checkpoint: The PyTorch checkpoint.
        out: The file to write; its suffix decides the format (``.safetensors`` or ``.npz``). With
            ``max_shard_bytes``, the folder.
        to: Name of the target.
        layers: What the PyTorch side is, as in :func:`make_plan`.
        like: What the target side is, as in :func:`make_plan`.
        rules: The user's rules.
        dtype: The dtype that floating-point leaves get.
        select: Which state dict, where the file holds several.
        plan: A plan made before; then nothing is asked again.
        allow_missing: Write although leaves of ``like`` are not filled.
        allow_unexpected: Write although tensors are left over.
        resume: Keep what is done if the run is interrupted, and go on with what an interrupted run of the
            same plan, source and version left.
        max_shard_bytes: Write safetensors files of at most that many bytes, and their index.
        say: Called with a sentence when a run goes on or starts anew.

    Returns:
        The plan that was carried out.

    Raises:
        PlanError: Something is missing, unexpected or ambiguous; nothing was written.
        UsageError: The suffix of ``out`` names no format.
    """
    out = Path(out)
    _check_out(out, resume=resume, sharded=max_shard_bytes is not None)
    with open_checkpoint(checkpoint, select=select) as opened:
        plan = plan or make_plan(opened, to=to, layers=layers, like=like, rules=rules, dtype=dtype)
        if not allow_unexpected:
            plan.check_names(opened)
        plan.check(allow_missing=allow_missing, allow_unexpected=allow_unexpected)
        leaves = plan.apply(opened, partial=True)
        content = (plan.outputs, leaves.stream(), stamp(plan))
        if max_shard_bytes is not None:
            write_shards(out, *content, max_bytes=max_shard_bytes)
        elif resume:
            key = f"{__version__} {plan.digest} {opened.fingerprint}"
            write_safetensors(out, *content, resume=key, say=say)
        else:
            WRITERS[out.suffix](out, *content)
    return plan


def export(
    converted: str | Path,
    out: str | Path,
    *,
    like: str | Path,
    to: str | None = None,
    layers: Any = None,
    rules: Iterable[Rule] | str | Path = (),
) -> dict[str, TensorSpec]:
    """Turn a converted checkpoint back into one of PyTorch.

    Args:
        converted: The file that :func:`convert` wrote, or one with the same leaves.
        out: The file to write; its suffix decides the format (``.safetensors`` or ``.npz``).
        like: The PyTorch checkpoint whose names, layouts and dtypes the result has.
        to: What it was converted to, where its stamp does not say so.
        layers: What the PyTorch side is, as in :func:`make_plan`.
        rules: The rules it was converted with.

    Returns:
        The specs of what was written, by PyTorch's names.

    Raises:
        LoadError: The leaves are not those of ``like``.
        UsageError: Nothing says what it was converted to.
    """
    out = Path(out)
    _check_out(out, resume=False, sharded=False)
    with open_checkpoint(converted) as leaves, open_checkpoint(like) as state:
        target = to or stamped_target(leaves)
        if target is None:
            raise UsageError(f"{converted} has no stamp that says what it was converted to; say to= (--to)")
        arrays = {path: tensor.read() for path, tensor in leaves.items()}
        back = to_torch(arrays, like=state, to=target, layers=layers, rules=rules)
        made = {name: as_numpy(value) for name, value in back.items()}
        specs = {name: spec_of(array) for name, array in made.items()}
        WRITERS[out.suffix](out, specs, iter(made.items()), {})
    return specs


def _check_out(out: Path, *, resume: bool, sharded: bool) -> None:
    if sharded:
        if resume:
            raise UsageError(
                "a run into several files cannot be resumed: leave out resume or the largest size"
            )
        if out.suffix in WRITERS or out.is_file():
            raise UsageError(f"{out}: several files go into a folder; give its name")
    elif out.suffix not in WRITERS:
        raise UsageError(f"{out}: the suffix is none of {', '.join(WRITERS)}")
    elif resume and out.suffix != ".safetensors":
        raise UsageError(f"{out}: only a run into a .safetensors file can be resumed")


def is_up_to_date(
    checkpoint: str | Path, out: str | Path, *, select: str | None = None, **options: Any
) -> bool:
    """Tell whether a file is, leaf for leaf and bit for bit, what :func:`convert` would write.

    Args:
        checkpoint: The PyTorch checkpoint.
        out: The file that may be there already.
        select: Which state dict, where the file holds several.
        options: The other arguments of :func:`convert`.
    """
    if not Path(out).exists():
        return False
    allowed = {key: options.pop(key) for key in ("allow_missing", "allow_unexpected") if key in options}
    given = options.pop("plan", None)
    with open_checkpoint(checkpoint, select=select) as opened, open_checkpoint(out) as there:
        plan = given or make_plan(opened, **options)
        plan.check(**allowed)
        if dict(there.specs) != dict(plan.outputs):
            return False
        leaves = plan.apply(opened, partial=True).stream()
        return all(np.array_equal(_bytes(leaf), _bytes(there[path].read())) for path, leaf in leaves)


def _bytes(array: Any) -> Array:
    return np.ascontiguousarray(np.asarray(array)).reshape(-1).view(np.uint8)
