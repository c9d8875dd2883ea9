"""The verb ``inspect``: what is in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_switcheroo.cli.given import CHECKPOINT, one_or_all
from ml_switcheroo.cli.options import as_json, reading
from ml_switcheroo.cli.records import show_record

if TYPE_CHECKING:
    from ml_switcheroo.formats import Checkpoint

__all__ = ["inspect"]


@click.command()
@click.argument("checkpoint", type=CHECKPOINT, nargs=-1, required=True)
@reading
@as_json
def inspect(
    checkpoint: tuple[Path, ...],
    select: str | None,
    *,
    ema: bool,
    dequantise: bool,
    merge: Path | None,
    as_json: bool,
) -> None:
    """Show what is in CHECKPOINT: names, dtypes, shapes and sizes; no tensor is read.

    Several CHECKPOINTs are the shards of one, in any order.
    Layers that repeat are folded: h.{0..23}.attn.weight stands for 24 tensors of one shape.
    """
    from ml_switcheroo.formats import open_checkpoint

    with open_checkpoint(
        one_or_all(checkpoint), select=select, ema=ema, dequantise=dequantise, merge=merge
    ) as opened:
        if as_json:
            show_record(_record(opened))
        else:
            click.echo(_text(opened))


def _record(checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "tensors": {
            name: {"dtype": spec.dtype, "shape": spec.shape, "nbytes": spec.nbytes}
            for name, spec in checkpoint.specs.items()
        },
        "tied": checkpoint.tied,
        "metadata": dict(checkpoint.metadata),
    }


def _text(checkpoint: Checkpoint) -> str:
    from ml_switcheroo.report import columns, fold

    specs = checkpoint.specs
    count = sum(spec.size for spec in specs.values())
    nbytes = sum(spec.nbytes for spec in specs.values())
    lines = [
        f"{checkpoint.path} ({checkpoint.format}): {len(specs)} tensors, {count:,} elements, {nbytes:,} bytes"
    ]
    lines += columns(fold((name, str(spec), f"{spec.nbytes:,} bytes") for name, spec in specs.items()))
    lines += [f"tied (one tensor, several names): {', '.join(names)}" for names in checkpoint.tied]
    lines += [f"{key}: {value}" for key, value in checkpoint.metadata.items()]
    return "\n".join(lines)
