"""The verb ``completion``: what a shell needs to complete command lines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ml_switcheroo.cli.given import Known
from ml_switcheroo.cli.options import with_examples

__all__ = ["completion"]


@click.command(short_help="Print a script that completes command lines in a shell.")
@click.argument("shell", type=Known(lambda: ["bash", "zsh", "fish"]))
@click.pass_context
@with_examples("ml-switcheroo completion bash")
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that lets SHELL complete verbs, options, targets, dtypes and files.

    \b
    For good, add to the file that your shell reads when it starts:
      ~/.bashrc                    eval "$(ml-switcheroo completion bash)"
      ~/.zshrc                     eval "$(ml-switcheroo completion zsh)"
      ~/.config/fish/config.fish   ml-switcheroo completion fish | source
    """  # noqa: D301 - click wants the character itself
    root = ctx.find_root()
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(root.command, {}, "ml-switcheroo", "_ML_SWITCHEROO_COMPLETE").source())
