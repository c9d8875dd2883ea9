"""The verb ``rewrite``: the code that loads the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ml_switcheroo.cli.options import FILE, as_json, show_json
from ml_switcheroo.errors import RewriteError

if TYPE_CHECKING:
    from ml_switcheroo.core.repository import Rewritten

__all__ = ["rewrite"]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=FILE)
@click.option(
    "--to",
    metavar="TARGET",
    help="Target: nnx (or flax), linen, equinox, haiku, keras (or tensorflow), mlx, jax (flat), numpy.",
)
@click.option("--diff", "mode", flag_value="diff", default=True, help="Show what would change (the default).")
@click.option("--write", "mode", flag_value="write", help="Change the files.")
@click.option("--check", "mode", flag_value="check", help="Change nothing; exit 1 if a file would change.")
@click.option(
    "--runtime",
    type=click.Choice(["auto", "inject", "module", "import"]),
    default="auto",
    show_default=True,
    help="Put KeyMapper (NumPy only) into each file, keep one key_mapper.py per package, or import it from"
    " ml_switcheroo. auto: import where the project needs that; else module for folders, inject for files.",
)
@click.option("--update-runtime", is_flag=True, help="Write each KeyMapper anew from this version.")
@click.option("--checkpoint", type=FILE, help="With --layers: carry the plan of this model along.")
@click.option(
    "--layers", metavar="FILE:CLASS", help="The model's source, read and never executed: model.py:Net."
)
@click.option("--full", is_flag=True, help="Print the whole diff, for patch: KeyMapper is folded otherwise.")
@click.option("--no-torch", is_flag=True, help="Also replace a torch.load that only feeds a rewritten call.")
@click.option(
    "--save", is_flag=True, help="Also replace a state_dict() that goes into torch.save by one of the port."
)
@as_json
def rewrite(
    paths: tuple[Path, ...],
    to: str | None,
    mode: str,
    runtime: str,
    checkpoint: Path | None,
    layers: str | None,
    *,
    update_runtime: bool,
    full: bool,
    no_torch: bool,
    save: bool,
    as_json: bool,
) -> None:
    """Rewrite the calls of load_state_dict in PATHS: Python files, stubs, notebooks, or folders of them.

    One call in, one call out, at the same place; every other byte stays as it was, and a second run changes
    nothing. Where it is unsure the code stays as it is, and a note with file:line says why.
    """
    from ml_switcheroo.core.repository import rewrite_paths, update_paths

    if (checkpoint is None) != (layers is None):
        raise click.UsageError("--checkpoint and --layers go together: a checkpoint and its model's source")
    if (to is None) != update_runtime:
        raise click.UsageError("--to TARGET says what to rewrite for; --update-runtime goes without it")
    if to is None:
        results = update_paths(paths)
    else:
        known = {} if checkpoint is None else _known(checkpoint, layers, to)
        results = rewrite_paths(paths, to, runtime=runtime, no_torch=no_torch, save=save, **known)
    tally, records = Tally(), list[dict[str, object]]()
    for done in results:
        problem = _write(done) if mode == "write" and done.changed else ""
        tally.add(done, problem, named=done.path in paths)
        records.append(_record(done, problem))
        if not as_json:
            _show(done, mode, problem, full=full)
    if as_json:
        show_json(records)
    else:
        click.echo(tally.text(mode), err=True)
    raise click.exceptions.Exit(2 if tally.failed else 1 if mode == "check" and tally.changed else 0)


def _known(checkpoint: Path, layers: str | None, to: str) -> dict[str, Any]:
    """Return the plan of the model, and the kinds of its layers for where the plan is not enough."""
    from ml_switcheroo.core.known_kinds import kinds_of
    from ml_switcheroo.core.known_plan import plan_of

    table = plan_of(checkpoint, layers, to)
    if isinstance(table, str):
        click.echo(f"the plan of {layers} is not carried along, only its kinds: {table}", err=True)
    return {"kinds": kinds_of(checkpoint, layers), "table": None if isinstance(table, str) else table}


@dataclass
class Tally:
    """What became of all files together."""

    calls: int = 0
    changed: int = 0
    left: int = 0
    failed: int = 0

    def add(self, done: Rewritten, problem: str, *, named: bool) -> None:
        """Count a file; one that was named and cannot be read, or cannot be written, has failed."""
        self.failed += bool(problem) or (done.unreadable and named)
        self.changed += done.changed and not problem
        self.calls += 0 if problem else sum(bool(edit.before) for edit in done.rewrite.edits)
        self.left += sum(note.row.left for note in done.rewrite.notes)

    def text(self, mode: str) -> str:
        """Return one line for a person."""
        if not (self.calls or self.left or self.failed):
            return "nothing to rewrite"
        done = "rewritten" if mode == "write" else "to rewrite"
        text = f"{_count(self.calls, 'call')} {done} in {_count(self.changed, 'file')}"
        text += f"; {_count(self.left, 'place')} left as {'it is' if self.left == 1 else 'they are'}"
        text += f"; {_count(self.failed, 'file')} failed" if self.failed else ""
        return text + (" (--write changes the files)" if mode == "diff" and self.changed else "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _write(done: Rewritten) -> str:
    try:
        done.write()
    except RewriteError as error:
        return error.reason
    return ""


def _record(done: Rewritten, problem: str) -> dict[str, object]:
    edits = [{"line": e.line, "before": e.before, "after": e.after} for e in done.rewrite.edits if e.before]
    notes = [{"line": note.line, "code": note.code, "text": note.text} for note in done.rewrite.notes]
    record = {"path": str(done.path), "changed": done.changed, "edits": edits, "notes": notes}
    return {**record, "error": problem} if problem else record


def _show(done: Rewritten, mode: str, problem: str, *, full: bool) -> None:
    if problem:
        click.echo(f"{done.path}: {problem}", err=True)
    elif mode == "diff":
        for line in done.diff(full=full).split("\n")[:-1]:
            click.secho(line, fg={"+": "green", "-": "red", "@": "cyan"}.get(line[:1]))
    elif done.changed:
        click.echo(f"{'would change' if mode == 'check' else 'changed'} {done.path}")
    for note in done.rewrite.notes:
        click.echo(f"{note} [{note.code}]", err=True)
