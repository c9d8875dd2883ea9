"""The command line: one short function a verb, one file each."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ml_switcheroo._version import __version__
from ml_switcheroo.cli.boundary import run
from ml_switcheroo.cli.completion import completion
from ml_switcheroo.cli.configured import take_layers
from ml_switcheroo.cli.convert import convert
from ml_switcheroo.cli.export import export
from ml_switcheroo.cli.inspect import inspect
from ml_switcheroo.cli.options import with_examples
from ml_switcheroo.cli.plan import plan
from ml_switcheroo.cli.rewrite import rewrite
from ml_switcheroo.cli.tables import layers, targets
from ml_switcheroo.cli.verify import verify
from ml_switcheroo.errors import did_you_mean

__all__ = ["cli", "main"]


class _Verbs(click.Group):
    """The verbs; a misspelled one is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they are used

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            known = ", ".join(self.commands)
            ctx.fail(f"no such verb: {args[0]}{did_you_mean(args[0], self.commands)}; verbs: {known}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ml-switcheroo")
@click.pass_context
@with_examples(
    "ml-switcheroo inspect weights.pt",
    "ml-switcheroo plan    weights.pt --to nnx --layers model.py:Net",
    "ml-switcheroo convert weights.pt new.safetensors --to nnx \\",
    "    --layers model.py:Net",
    "ml-switcheroo rewrite infer.py --to nnx --diff",
    "ml-switcheroo verify  --layers model.py:Net --checkpoint weights.pt \\",
    '    --target-model port.py:make --inputs "float32[1,1,8,8]"',
)
def cli(ctx: click.Context) -> None:
    """Move a PyTorch model's weights, and the code that loads them, to another framework.

    No PyTorch is needed, and every tensor is accounted for.

    Exit codes: 0 done; 1 something is missing, ambiguous or differs; 2 wrong usage or unreadable input;
    70 a fault of ml-switcheroo; 129 hung up; 130 interrupted; 143 terminated.

    Results go to stdout, everything else to stderr; --json prints a result for programs. On a terminal, lines
    are as wide as it is, and coloured (NO_COLOR and FORCE_COLOR are heeded); a pipe gets the same words. -q
    prints less, --full all of a result, and -v says on stderr what is being done.
    """
    from ml_switcheroo.codemod.configuration import find_configuration

    if ctx.invoked_subcommand != rewrite.name:  # which looks above the files that it is given
        take_layers(find_configuration([Path.cwd()]))


for verb in (inspect, plan, convert, rewrite, verify, export, targets, layers, completion):
    cli.add_command(verb)


def main() -> None:
    """Run the command line; whatever goes wrong ends in sentences and an exit code."""
    sys.exit(run(cli.main))
