"""The verb ``export``: from a converted checkpoint back to PyTorch."""

from __future__ import annotations

from pathlib import Path

import click

from ml_switcheroo.cli.given import CHECKPOINT, INPUT, NAMED, OUT, TARGET
from ml_switcheroo.cli.options import as_json, layout, with_examples
from ml_switcheroo.cli.records import show_record
from ml_switcheroo.cli.screen import loudness, show_text
from ml_switcheroo.cli.working import reading, working

__all__ = ["export"]


@click.command(short_help="Turn a converted checkpoint back into PyTorch's.")
@click.argument("converted", type=CHECKPOINT)
@click.argument("out", type=OUT)
@click.option(
    "--like", type=CHECKPOINT, required=True, metavar="CKPT", help="The PyTorch checkpoint it came from."
)
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
    like: Path,
    target: str | None,
    layers: str | None,
    rules: Path | None,
    layout: str | None,
    *,
    as_json: bool,
) -> None:
    """Turn CONVERTED back into a PyTorch checkpoint OUT (.safetensors or .npz).

    Names, layouts and dtypes are those of --like. Tensors that the target has no place for are copied from
    it.
    """
    from ml_switcheroo.conversion import export as export_file

    with working(reading([converted]), shown=not as_json):
        made = export_file(
            converted, out, like=like, to=target, layers=layers, rules=rules or (), layout=layout
        )
    nbytes = sum(spec.nbytes for spec in made.values())
    if as_json:
        show_record({"out": str(out), "tensors": len(made), "nbytes": nbytes})
    else:
        show_text(f"{out}: {len(made)} tensors, {nbytes:,} bytes")
