"""The verb ``export``: from a converted checkpoint back to PyTorch."""

from __future__ import annotations

from pathlib import Path

import click

from ml_switcheroo.cli.given import CHECKPOINT, INPUT, NAMED, OUT, TARGET
from ml_switcheroo.cli.options import as_json, layout, with_examples
from ml_switcheroo.cli.records import show_record
from ml_switcheroo.cli.screen import loudness, show_text, tell
from ml_switcheroo.cli.working import reading, working

__all__ = ["export"]


@click.command(short_help="Turn a converted checkpoint back into PyTorch's.")
@click.argument("converted", type=CHECKPOINT)
@click.argument("out", type=OUT)
@click.option("--like", type=CHECKPOINT, metavar="CKPT", help="The PyTorch checkpoint it came from.")
@click.option(
    "--plan",
    "saved",
    type=INPUT,
    metavar="PLAN",
    help="The plan it was converted with (plan -o); then --like is needed only for what has no place there.",
)
@click.option("--select", metavar="KEY", help="The part of --like that is the state dict: model, ema.")
@click.option(
    "--to", "target", type=TARGET, metavar="TARGET", help="What it was converted to, if it has no stamp."
)
@click.option("--layers", type=NAMED, metavar="FILE:CLASS", help="The PyTorch model's source: model.py:Net.")
@click.option("--rules", type=INPUT, metavar="FILE", help="Rules for what nothing can know (TOML).")
@layout
@loudness
@as_json
@with_examples(
    "ml-switcheroo export new.safetensors back.safetensors \\",
    "    --like weights.pt --layers model.py:Net",
)
def export(
    converted: Path,
    out: Path,
    like: Path | None,
    saved: Path | None,
    select: str | None,
    target: str | None,
    layers: str | None,
    rules: Path | None,
    layout: str | None,
    *,
    as_json: bool,
) -> None:
    """Turn CONVERTED back into a PyTorch checkpoint OUT (.safetensors, .npz or .pt).

    Names, layouts and dtypes are those of --like, or of the PLAN whose moves are undone. Tensors that the
    target has no place for are copied from --like. torch.load reads a .pt file, with weights_only=True.
    """
    from ml_switcheroo.conversion import export as export_file
    from ml_switcheroo.formats.apart import keep_apart
    from ml_switcheroo.plan import Plan

    if like is None and saved is None:
        raise click.UsageError("say what the PyTorch names are: --like CKPT or --plan PLAN")
    if select is not None and like is None:
        raise click.UsageError("--select names a part of --like; say that, too")
    keep_apart(out, saved)
    with working(reading([converted]), shown=not as_json):
        made = export_file(
            converted,
            out,
            like=like,
            to=target,
            layers=layers,
            rules=rules or (),
            layout=layout,
            select=select,
            plan=Plan.load(saved) if saved is not None else None,
            say=tell,
        )
    nbytes = sum(spec.nbytes for spec in made.values())
    if as_json:
        show_record({"out": str(out), "tensors": len(made), "nbytes": nbytes})
    else:
        show_text(f"{out}: {len(made)} tensors, {nbytes:,} bytes")
