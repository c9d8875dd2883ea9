"""The verb ``rewrite``: the code that loads the weights."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_switcheroo.cli.options import FILE, as_json, show_json, target

if TYPE_CHECKING:
    from ml_switcheroo.core.rewriter import Rewrite

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
@as_json
def rewrite(paths: tuple[Path, ...], to: str, mode: str, runtime: str, *, as_json: bool) -> None:
    """Rewrite the calls of load_state_dict in PATHS (files or folders).

    One call in, one call out, at the same place; every other byte stays as it was, and a second run changes
    nothing. Where it is unsure the code stays as it is, and a note with file:line says why.
    """
    from ml_switcheroo.core.rewriter import rewrite as rewrite_source

    records: list[dict[str, object]] = []
    changed = False
    for path in _files(paths):
        before = _read(path)
        after = rewrite_source(before, to, file=str(path), runtime=runtime)
        changed |= after.code != before
        if mode == "write" and after.code != before:
            path.write_bytes(after.code.encode("utf-8"))
        records.append({"path": str(path), "changed": after.code != before, "edits": len(after.edits)})
        records[-1]["notes"] = [str(note) for note in after.notes]
        if not as_json:
            _show(path, before, after, mode)
    if as_json:
        show_json(records)
    raise click.exceptions.Exit(1 if mode == "check" and changed else 0)


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _read(path: Path) -> str:
    from ml_switcheroo.errors import RewriteError

    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RewriteError(str(path), str(error)) from error


def _show(path: Path, before: str, after: Rewrite, mode: str) -> None:
    if mode == "diff":
        lines = difflib.unified_diff(
            before.splitlines(), after.code.splitlines(), f"a/{path}", f"b/{path}", lineterm=""
        )
        for line in lines:
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[0])
            click.secho(line, fg=colour)
    elif after.code != before:
        click.echo(f"{'would change' if mode == 'check' else 'changed'} {path}")
    for note in after.notes:
        click.echo(str(note), err=True)
