"""The verb ``rewrite``: the code that loads the weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_switcheroo.cli.options import FILE, as_json, show_json, target

if TYPE_CHECKING:
    from ml_switcheroo.core.repository import Rewritten

__all__ = ["rewrite"]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=FILE)
@target
@click.option("--diff", "mode", flag_value="diff", default=True, help="Show what would change (the default).")
@click.option("--write", "mode", flag_value="write", help="Change the files.")
@click.option("--check", "mode", flag_value="check", help="Change nothing; exit 1 if a file would change.")
@click.option(
    "--runtime",
    type=click.Choice(["inject", "import"]),
    default="inject",
    show_default=True,
    help="Put KeyMapper (NumPy only) into the file, or import it from ml_switcheroo.",
)
@click.option("--checkpoint", type=FILE, help="With --layers: carry the kinds that the names cannot show.")
@click.option(
    "--layers", metavar="FILE:CLASS", help="The model's source, read and never executed: model.py:Net."
)
@click.option("--no-torch", is_flag=True, help="Also replace a torch.load that only feeds a rewritten call.")
@click.option(
    "--save", is_flag=True, help="Also replace a state_dict() that goes into torch.save by one of the port."
)
@as_json
def rewrite(
    paths: tuple[Path, ...],
    to: str,
    mode: str,
    runtime: str,
    checkpoint: Path | None,
    layers: str | None,
    *,
    no_torch: bool,
    save: bool,
    as_json: bool,
) -> None:
    """Rewrite the calls of load_state_dict in PATHS: Python files, stubs, notebooks, or folders of them.

    One call in, one call out, at the same place; every other byte stays as it was, and a second run changes
    nothing. Where it is unsure the code stays as it is, and a note with file:line says why.
    """
    from ml_switcheroo.core.known_kinds import kinds_of
    from ml_switcheroo.core.repository import rewrite_paths

    if (checkpoint is None) != (layers is None):
        raise click.UsageError("--checkpoint and --layers go together: a checkpoint and its model's source")
    kinds = {} if checkpoint is None else kinds_of(checkpoint, layers)
    records: list[dict[str, object]] = []
    for done in rewrite_paths(paths, to, runtime=runtime, kinds=kinds, no_torch=no_torch, save=save):
        if mode == "write" and done.changed:
            done.write()
        notes = [str(note) for note in done.rewrite.notes]
        record = {"path": str(done.path), "changed": done.changed, "edits": len(done.rewrite.edits)}
        records.append({**record, "notes": notes})
        if not as_json:
            _show(done, mode)
    if as_json:
        show_json(records)
    changed = any(record["changed"] for record in records)
    raise click.exceptions.Exit(1 if mode == "check" and changed else 0)


def _show(done: Rewritten, mode: str) -> None:
    if mode == "diff":
        for line in done.diff().splitlines():
            click.secho(line, fg={"+": "green", "-": "red", "@": "cyan"}.get(line[:1]))
    elif done.changed:
        click.echo(f"{'would change' if mode == 'check' else 'changed'} {done.path}")
    for note in done.rewrite.notes:
        click.echo(str(note), err=True)
