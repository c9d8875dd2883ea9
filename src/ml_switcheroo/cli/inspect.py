"""The verb ``inspect``: what is in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_switcheroo.cli.given import CHECKPOINT, one_or_all
from ml_switcheroo.cli.options import as_json, reading, with_examples
from ml_switcheroo.cli.records import show_record
from ml_switcheroo.cli.screen import is_quiet, loudness, show, show_text

if TYPE_CHECKING:
    from ml_switcheroo.formats import Checkpoint
    from ml_switcheroo.laid import Block

__all__ = ["inspect"]


@click.command(short_help="Show what is in a checkpoint; no tensor is read.")
@click.argument("checkpoint", type=CHECKPOINT, nargs=-1, required=True)
@reading
@loudness
@as_json
@with_examples(
    "ml-switcheroo inspect weights.pt",
    "ml-switcheroo inspect weights.pt --json",
)
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
        elif is_quiet():
            show_text(_summary(opened))
        else:
            show(_blocks(opened))


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


def _blocks(checkpoint: Checkpoint) -> Iterator[Block]:
    from ml_switcheroo.laid import Cell, Line
    from ml_switcheroo.report import fold

    yield [Line((Cell(_summary(checkpoint), "title"),))]
    rows = fold((name, str(spec), f"{spec.nbytes:,} bytes") for name, spec in checkpoint.specs.items())
    yield [Line((Cell(name), Cell(spec, "faint"), Cell(size)), 2) for name, spec, size in rows]
    tied = [f"tied (one tensor, several names): {', '.join(names)}" for names in checkpoint.tied]
    said = [*tied, *(f"{key}: {value}" for key, value in checkpoint.metadata.items())]
    yield [Line((Cell(text, "note"),)) for text in said]


def _summary(checkpoint: Checkpoint) -> str:
    specs = checkpoint.specs
    count = sum(spec.size for spec in specs.values())
    nbytes = sum(spec.nbytes for spec in specs.values())
    return (
        f"{checkpoint.path} ({checkpoint.format}): {len(specs)} tensors, {count:,} elements, {nbytes:,} bytes"
    )
