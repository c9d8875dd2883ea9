"""From file to file: plan, check, and write leaf by leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo._version import __version__
from ml_switcheroo.errors import CastError, UsageError
from ml_switcheroo.export import to_torch
from ml_switcheroo.formats import open_checkpoint, write_npz, write_safetensors
from ml_switcheroo.formats.apart import keep_apart
from ml_switcheroo.ops import Array
from ml_switcheroo.outputs import choose_output
from ml_switcheroo.plan import Plan
from ml_switcheroo.planning.planner import make_plan
from ml_switcheroo.provenance import exported, stamp, stamped_target
from ml_switcheroo.rules import Rule
from ml_switcheroo.scales import said_of_values
from ml_switcheroo.tensors import TensorSpec, as_numpy, spec_of

__all__ = ["convert", "export", "is_up_to_date"]


def convert(
    checkpoint: str | Path,
    out: str | Path,
    *,
    to: str,
    layers: Any = None,
    like: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    dtype: str | None = None,
    layout: str | None = None,
    select: str | None = None,
    plan: Plan | None = None,
    allow_missing: bool = False,
    allow_unexpected: bool = False,
    allow_overflow: bool = False,
    resume: bool = False,
    max_shard_bytes: int | None = None,
    format: str | None = None,  # noqa: A002 (the word users know)
    say: Callable[[str], object] = str,
    progress: Callable[[int, int], object] | None = None,
) -> Plan:
    """Convert a checkpoint file; the output appears whole or not at all.

    Args:
        checkpoint: The PyTorch checkpoint.
        out: The file to write; its suffix decides the format (``.safetensors``, ``.npz``, ``.weights.h5``). A
            name without a suffix is a folder: of safetensors with ``max_shard_bytes``, else of Orbax.
        to: Name of the target.
        layers: What the PyTorch side is, as in :func:`make_plan`.
        like: What the target side is, as in :func:`make_plan`.
        rules: The user's rules.
        dtype: The dtype that floating-point leaves get.
        layout: Where the target model has the channels of its images, as in :func:`make_plan`.
        select: Which state dict, where the file holds several.
        plan: A plan made before; then nothing is asked again.
        allow_missing: Write although leaves of ``like`` are not filled.
        allow_unexpected: Write although tensors are left over.
        allow_overflow: Write although finite values become infinite, NaN, 0 or other integers.
        resume: Keep what is done if the run is interrupted, and go on with what an interrupted run of the
            same plan, source and version left.
        max_shard_bytes: Write safetensors files of at most that many bytes, and their index.
        format: ``safetensors``, ``npz``, ``keras`` or ``orbax``, where the suffix does not decide.
        say: Called with a sentence when a run goes on or starts anew, or a person should know something.
        progress: Called with the bytes of leaves that are written and those of all leaves.

    Returns:
        The plan that was carried out.

    Raises:
        CastError: A dtype cannot hold what it gets; nothing was written.
        PlanError: Something is missing, unexpected or ambiguous; nothing was written.
        CheckpointError: The source cannot be read, or changed; or ``out`` cannot be written.
        UsageError: Nothing decides the format, the options do not go together, or ``checkpoint`` was
            converted already.
    """
    out = Path(out)
    keep_apart(out, checkpoint, layers, like, rules)
    output = choose_output(out, format, to, resume=resume, max_shard_bytes=max_shard_bytes)
    with open_checkpoint(checkpoint, select=select) as opened:
        plan = plan or make_plan(
            opened, to=to, layers=layers, like=like, rules=rules, dtype=dtype, layout=layout
        )
        if plan.target != output.target:
            raise UsageError(f"the plan is one to {plan.target}, not to {output.target}")
        if not allow_unexpected:
            plan.check_names(opened)
        plan.check(allow_missing=allow_missing, allow_unexpected=allow_unexpected)
        leaves = plan.apply(opened, partial=True, allow_overflow=allow_overflow)
        for note in said_of_values(plan.moves, opened):
            say(note)
        key = f"{__version__} {plan.digest} {opened.fingerprint}"
        write = output.writer(plan, like, key, say)
        stream = _counted(leaves.stream(), sum(spec.nbytes for spec in plan.outputs.values()), progress)
        try:
            write(out, plan.outputs, stream, stamp(plan, opened.digest))
        except CastError:
            leaves.check_values()  # the first leaf was enough to stop; this names all
            raise
    return plan


def _counted(
    leaves: Iterable[tuple[str, Any]], total: int, progress: Callable[[int, int], object] | None
) -> Iterator[tuple[str, Any]]:
    """Report the bytes of each leaf when the next one is asked for: it is written but for some strips."""
    done = 0
    for path, leaf in leaves:
        yield path, leaf
        done += leaf.nbytes
        if progress is not None:
            progress(done, total)


def export(
    converted: str | Path,
    out: str | Path,
    *,
    like: str | Path,
    to: str | None = None,
    layers: Any = None,
    rules: Iterable[Rule] | str | Path = (),
    layout: str | None = None,
) -> dict[str, TensorSpec]:
    """Turn a converted checkpoint back into one of PyTorch.

    Args:
        converted: The file that :func:`convert` wrote, or one with the same leaves.
        out: The file to write; its suffix decides the format (``.safetensors`` or ``.npz``).
        like: The PyTorch checkpoint whose names, layouts and dtypes the result has.
        to: What it was converted to, where its stamp does not say so.
        layers: What the PyTorch side is, as in :func:`make_plan`.
        rules: The rules it was converted with.
        layout: The layout it was converted with.

    Returns:
        The specs of what was written, by PyTorch's names.

    Raises:
        LoadError: The leaves are not those of ``like``.
        UsageError: Nothing says what it was converted to, or it was turned back already.
    """
    out = Path(out)
    if out.suffix not in (".safetensors", ".npz"):
        raise UsageError(f"{out}: a PyTorch state dict is written as .safetensors or .npz")
    keep_apart(out, converted, like, layers, rules)
    with open_checkpoint(converted) as leaves, open_checkpoint(like) as state:
        stamped = stamped_target(leaves)
        if stamped == "torch":
            raise UsageError(f"{converted} was already turned back into a checkpoint of PyTorch")
        target = to or stamped
        if target is None:
            raise UsageError(f"{converted} has no stamp that says what it was converted to; say to= (--to)")
        arrays = {path: tensor.read() for path, tensor in leaves.items()}
        back = to_torch(arrays, like=state, to=target, layers=layers, rules=rules, layout=layout)
        made = {name: as_numpy(value) for name, value in back.items()}
        specs = {name: spec_of(array) for name, array in made.items()}
        writer = write_npz if out.suffix == ".npz" else write_safetensors
        writer(out, specs, iter(made.items()), exported(converted))
    return specs


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
    overflow = options.pop("allow_overflow", False)
    given = options.pop("plan", None)
    with open_checkpoint(checkpoint, select=select) as opened, open_checkpoint(out) as there:
        plan = given or make_plan(opened, **options)
        plan.check(**allowed)
        if dict(there.specs) != dict(plan.outputs):
            return False
        leaves = plan.apply(opened, partial=True, allow_overflow=overflow).stream()
        return all(np.array_equal(_bytes(leaf), _bytes(there[path].read())) for path, leaf in leaves)


def _bytes(array: Any) -> Array:
    return np.ascontiguousarray(np.asarray(array)).reshape(-1).view(np.uint8)
