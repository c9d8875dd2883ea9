"""The verb ``rewrite``: the code that loads the weights."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ml_switcheroo.cli.configured import take_layers, take_settings
from ml_switcheroo.cli.given import CHECKPOINT, FILE, INPUT, NAMED, Known
from ml_switcheroo.cli.options import as_json, configured_target, with_examples
from ml_switcheroo.cli.screen import loudness, tell
from ml_switcheroo.errors import RewriteError

if TYPE_CHECKING:
    from ml_switcheroo.codemod.repository import Rewritten

__all__ = ["rewrite"]

_SETTINGS = (
    *("to", "runtime", "no-torch", "save", "exclude", "jobs"),
    *("select", "ignore", "output-format", "exit-on-left"),
)
"""What ``[tool.ml-switcheroo]`` may set."""
_STREAM = Path("-")


def _formats() -> Iterable[str]:
    from ml_switcheroo.cli.findings import FORMATS

    return FORMATS


@click.command(short_help="Rewrite the code that loads the weights.")
@click.argument("paths", nargs=-1, required=True, type=INPUT)
@configured_target
@click.option("--diff", "mode", flag_value="diff", default=True, help="Show what would change (the default).")
@click.option("--write", "mode", flag_value="write", help="Change the files.")
@click.option("--check", "mode", flag_value="check", help="Change nothing; exit 1 if a file would change.")
@click.option(
    "--runtime",
    type=Known(lambda: ["auto", "inject", "module", "import"]),
    default="auto",
    show_default=True,
    help="Put KeyMapper (NumPy only) into each file, keep one key_mapper.py per package, or import it from"
    " ml_switcheroo. auto: import where the project needs that; else module for folders, inject for files.",
)
@click.option("--update-runtime", is_flag=True, help="Write each KeyMapper anew from this version.")
@click.option("--checkpoint", type=CHECKPOINT, help="With --layers: carry the plan of this model along.")
@click.option(
    "--layers",
    type=NAMED,
    metavar="FILE:CLASS",
    help="The model's source, read and never executed: model.py:Net.",
)
@click.option("--full", is_flag=True, help="Print the whole diff, for patch: KeyMapper is folded otherwise.")
@click.option("--no-torch", is_flag=True, help="Also replace a torch.load that only feeds a rewritten call.")
@click.option(
    "--save", is_flag=True, help="Also replace a state_dict() that is saved by one of the ported model."
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out files and folders: tests, or docs/*.py. Hidden folders, virtual environments, build, "
    "dist and the like are left out anyway.",
)
@click.option(
    "--jobs",
    type=click.IntRange(0),
    metavar="N",
    default=1,
    show_default=True,
    help="Share the work among processes; 0 for one a core.",
)
@click.option("--select", multiple=True, metavar="CODE", help="Show these notes alone: SW2, or SW201.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Show all notes but these: SW4, or SW401.")
@click.option(
    "--output-format",
    type=Known(_formats),
    default="text",
    show_default=True,
    help="How to print the result: github for annotations of a pull request.",
)
@click.option("--exit-on-left", is_flag=True, help="Exit 1 if a shown note says what to do by hand.")
@click.option(
    "--stdin-filename", type=FILE, metavar="FILE", help="With -: the name of what comes from stdin."
)
@loudness
@as_json
@with_examples(
    "ml-switcheroo rewrite infer.py --to nnx",
    "ml-switcheroo rewrite infer.py --to nnx --write \\",
    "    --checkpoint weights.pt --layers model.py:Net",
    "ml-switcheroo rewrite . --to nnx --check --exclude model.py",
)
@click.pass_context
def rewrite(ctx: click.Context, /, **_: Any) -> None:
    """Rewrite the calls of load_state_dict in PATHS: Python files, stubs, notebooks, or folders of them.

    One call in, one call out, at the same place; every other byte stays as it was, and a second run changes
    nothing. Where it is unsure the code stays as it is, and a note with file:line and a code says why.

    \b
      -                        as PATHS: a file from stdin; the new one is printed
      # ml-switcheroo: skip    behind a line, or at the top of a file: it stays
      [tool.ml-switcheroo]     in pyproject.toml: options, such as to = "nnx"
    """  # noqa: D301 - click wants the character itself
    from ml_switcheroo.cli.findings import Findings
    from ml_switcheroo.codemod.configuration import find_configuration
    from ml_switcheroo.codemod.notes import select_codes

    paths = ctx.params["paths"]
    place = ctx.params["stdin_filename"] or Path()
    configuration = find_configuration([place if path == _STREAM else path for path in paths])
    take_settings(ctx, configuration, _SETTINGS)
    take_layers(configuration)
    request = Request(**ctx.params)
    request.check()
    # What comes from stdin goes on to stdout, unless a diff or a check is asked for.
    plain = request.is_stream and ctx.get_parameter_source("mode") is ParameterSource.DEFAULT
    findings = Findings(
        mode="stream" if plain else request.mode,
        form="json" if request.as_json else request.output_format,
        codes=select_codes(_words(request.select), _words(request.ignore)),
        asked=bool(request.select),
        full=request.full,
    )
    for done in request.results(configuration.file.parent if configuration.file else None):
        problem = _write(done) if findings.mode == "write" and done.changed else ""
        findings.add(done, problem, named=request.is_stream or done.path in paths)
    findings.close()
    ctx.exit(findings.exit_code(on_left=request.exit_on_left))


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for, on the command line and by the project."""

    paths: tuple[Path, ...]
    to: str | None
    mode: str
    runtime: str
    checkpoint: Path | None
    layers: str | None
    update_runtime: bool
    full: bool
    no_torch: bool
    save: bool
    exclude: tuple[str, ...]
    jobs: int
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    output_format: str
    exit_on_left: bool
    stdin_filename: Path | None
    as_json: bool

    @property
    def is_stream(self) -> bool:
        """Whether the file comes from stdin."""
        return _STREAM in self.paths

    def check(self) -> None:
        """Refuse options that do not go together."""
        if self.to is None and not self.update_runtime:
            raise click.UsageError("Missing option '--to' (or to = ... in [tool.ml-switcheroo])")
        if (self.checkpoint is None) != (self.layers is None):
            raise click.UsageError(
                "--checkpoint and --layers go together: a checkpoint and its model's source"
            )
        if self.is_stream and len(self.paths) > 1:
            raise click.UsageError("- reads one file from stdin, and takes no other paths beside it")
        if self.is_stream and self.mode == "write":
            raise click.UsageError("- has no file to write; without --write the new text goes to stdout")

    def results(self, root: Path | None) -> Iterator[Rewritten]:
        """Yield what becomes of each file; ``root`` is the folder that patterns are meant in."""
        from ml_switcheroo.codemod.repository import rewrite_paths, rewrite_stream, update_paths

        if self.update_runtime:
            yield from update_paths(self.paths, exclude=self.exclude, root=root)
            return
        settings, to = self._settings(), str(self.to)
        if self.is_stream:
            name = self.stdin_filename or Path("stdin.py")
            yield rewrite_stream(sys.stdin.buffer.read(), name, to, **settings)
            return
        yield from rewrite_paths(self.paths, to, exclude=self.exclude, root=root, jobs=self.jobs, **settings)

    def _settings(self) -> dict[str, Any]:
        settings = {"runtime": self.runtime, "no_torch": self.no_torch, "save": self.save}
        if self.checkpoint is None:
            return settings
        from ml_switcheroo.codemod.known_kinds import kinds_of
        from ml_switcheroo.codemod.known_plan import plan_of

        table = plan_of(self.checkpoint, self.layers, str(self.to))
        if isinstance(table, str):
            tell(f"only the kinds of {self.layers} are carried along, not its plan: {table}")
        kinds = kinds_of(self.checkpoint, self.layers)
        return {**settings, "kinds": kinds, "table": None if isinstance(table, str) else table}


def _words(options: Iterable[str]) -> list[str]:
    """Return the parts of ``--select SW1,SW2 --select SW3``."""
    return [word.strip() for option in options for word in option.split(",")]


def _write(done: Rewritten) -> str:
    try:
        done.write()
    except RewriteError as error:
        return error.reason
    return ""
