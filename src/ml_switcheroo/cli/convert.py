"""The verb ``convert``: from checkpoint to checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click

from ml_switcheroo.cli.given import CHECKPOINT, INPUT, OUT, Known, one_or_all
from ml_switcheroo.cli.like import read_like
from ml_switcheroo.cli.options import as_json, full, planning, read_programs, with_examples
from ml_switcheroo.cli.records import show_record
from ml_switcheroo.cli.screen import is_quiet, loudness, show, show_text, tell
from ml_switcheroo.cli.working import reading, working

__all__ = ["convert"]


def _formats() -> Iterable[str]:
    from ml_switcheroo.formats.writing import WRITERS

    return WRITERS


@click.command(short_help="Write the converted checkpoint, leaf by leaf.")
@click.argument("checkpoint", type=CHECKPOINT, nargs=-1, required=True)
@click.argument("out", type=OUT)
@planning
@click.option("--plan", "plan_file", type=INPUT, metavar="FILE", help="Carry out a saved plan.")
@click.option("--allow-missing", is_flag=True, help="Write even if leaves of --like are not filled.")
@click.option("--allow-unexpected", is_flag=True, help="Write even if tensors are left over.")
@click.option("--allow-overflow", is_flag=True, help="Write even if values become infinite, NaN or 0.")
@click.option(
    "--resume", is_flag=True, help="Keep what is done if interrupted, and go on where such a run stopped."
)
@click.option(
    "--max-shard-size", metavar="SIZE", help="Write files of at most SIZE (5GB, 500MB) into the folder OUT."
)
@click.option(
    "--format",
    "form",
    type=Known(_formats),
    help="What OUT is, if its suffix does not decide.",
)
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Show how far it is on stderr; by default on a terminal, for large outputs.",
)
@full
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if OUT is not what would be written.")
@loudness
@as_json
@with_examples(
    "ml-switcheroo convert weights.pt new.safetensors --to nnx \\",
    "    --layers model.py:Net",
    "ml-switcheroo convert weights.pt new.safetensors --to nnx \\",
    "    --layers model.py:Net --check",
    "ml-switcheroo convert weights.pt leaves.npz --to nnx --plan plan.json",
    "ml-switcheroo convert weights.pt half.safetensors --to nnx \\",
    "    --layers model.py:Net --dtype bfloat16 --resume",
)
def convert(
    checkpoint: tuple[Path, ...],
    out: Path,
    to: str,
    layers: str | None,
    like: str | None,
    rules: Path | None,
    select: str | None,
    dtype: str | None,
    layout: str | None,
    inputs: str | None,
    target_inputs: str | None,
    target_call: str | None,
    plan_file: Path | None,
    *,
    ema: bool,
    dequantise: bool,
    merge: Path | None,
    allow_missing: bool,
    allow_unexpected: bool,
    allow_overflow: bool,
    resume: bool,
    max_shard_size: str | None,
    form: str | None,
    progress: bool | None,
    check: bool,
    as_json: bool,
) -> None:
    """Convert CHECKPOINT to OUT, leaf by leaf; OUT appears whole or not at all.

    Several CHECKPOINTs are the shards of one, in any order.
    OUT is a .safetensors or .npz file, a .weights.h5 file of Keras (needs --like), or a folder: of
    safetensors with --max-shard-size, else of Orbax.
    """
    from ml_switcheroo.conversion import Conversion
    from ml_switcheroo.errors import UsageError
    from ml_switcheroo.formats.apart import keep_apart
    from ml_switcheroo.outputs import choose_output
    from ml_switcheroo.plan import Plan
    from ml_switcheroo.report import summary, written_blocks

    state, most = one_or_all(checkpoint), _bytes(max_shard_size) if max_shard_size else None
    if not check:
        keep_apart(out, state, merge, layers, like, rules, plan_file)
        if len(checkpoint) > 1 and out.exists():
            raise UsageError(f"{out} is there already; is it one of the shards? The last name is the output")
        choose_output(out, form, to, resume=resume, max_shard_bytes=most)
    conversion = Conversion(
        state,
        to=to,
        layers=layers,
        like=read_like(like),
        rules=rules or (),
        dtype=dtype,
        layout=layout,
        **read_programs(inputs, target_inputs, target_call),
        select=select,
        ema=ema,
        dequantise=dequantise,
        merge=merge,
        plan=Plan.load(plan_file) if plan_file else None,
        allow_missing=allow_missing,
        allow_unexpected=allow_unexpected,
        allow_overflow=allow_overflow,
    )
    if check:
        with working(reading(checkpoint), shown=progress is not False and not as_json):
            same = conversion.is_up_to_date(out)
        tell(f"{out}: {'is' if same else 'is not'} what would be written")
        raise click.exceptions.Exit(0 if same else 1)
    wanted = False if as_json and progress is None else progress
    with working(
        f"reading {' '.join(map(str, checkpoint))}", shown=wanted is not False, wanted=wanted
    ) as work:
        made = conversion.write(
            out, format=form, max_shard_bytes=most, resume=resume, say=tell, progress=work.wrote
        )
    nbytes = sum(spec.nbytes for spec in made.outputs.values())
    if as_json:
        show_record({"out": str(out), "leaves": len(made.outputs), "nbytes": nbytes, "plan": made.digest})
    elif is_quiet():
        show_text(f"{out}: {summary(made)}, {nbytes:,} bytes")
    else:
        show(written_blocks(made, str(out), nbytes))


def _bytes(size: str) -> int:
    """Read a size such as ``5GB``: powers of 1000, as on the label of a disk."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", size.strip().upper())
    if not found:
        raise click.BadParameter(
            f"{size!r} is not a size such as 5GB or 500MB", param_hint="--max-shard-size"
        )
    return int(float(found[1]) * 1000 ** ("KMGT".index(found[2]) + 1 if found[2] else 0))
