"""The verbs ``targets`` and ``layers``: what is supported."""

from __future__ import annotations

import click

from ml_switcheroo.cli.given import TARGET
from ml_switcheroo.cli.options import as_json, with_examples
from ml_switcheroo.cli.records import show_record
from ml_switcheroo.cli.screen import show

__all__ = ["layers", "targets"]


@click.command(short_help="List the targets, and what can be done with each.")
@as_json
@with_examples("ml-switcheroo targets")
def targets(*, as_json: bool) -> None:
    """List the targets: their kinds of layers, and what can be done with each.

    \b
      layers    how many kinds of layers it takes (ml-switcheroo layers)
      models    live models can be filled (load_into) and given as --like
      rewrite   code that loads weights can be rewritten for it
      verify    its models can be run beside PyTorch's
      inputs=   its programs can be read: what they compute decides
    """  # noqa: D301 - click wants the character itself
    from ml_switcheroo.layers import LAYERS
    from ml_switcheroo.report.support import targets_blocks
    from ml_switcheroo.targets import all_targets

    known = list(all_targets().values())
    if not as_json:
        show(targets_blocks(known))
        return
    records = [
        {
            "name": one.name,
            "aliases": list(one.aliases),
            "summary": one.summary,
            "channels": one.channels,
            "layers": [kind for kind in LAYERS if isinstance(one.kinds.get(kind), tuple)],
            "live_models": one.live is not None,
            "rewrite": one.mapper is not None,
            "verify": bool(one.observer),
            "programs": bool(one.drawer),
        }
        for one in known
    ]
    show_record({"targets": records})


@click.command(short_help="Print which target takes which kind of layer.")
@click.option(
    "--to", "--target", "to", type=TARGET, metavar="TARGET", help="Show what one target makes of each."
)
@as_json
@with_examples("ml-switcheroo layers", "ml-switcheroo layers --to nnx")
def layers(to: str | None, *, as_json: bool) -> None:
    """Print which target takes which kind of layer, and why one does not.

    With --to, print what becomes of the tensors of each kind in one target.
    """
    from ml_switcheroo.report.support import layers_block, matrix_blocks, supported
    from ml_switcheroo.targets import all_targets, find_target

    known = [find_target(to)] if to else list(all_targets().values())
    if as_json:
        show_record({"layers": [row.to_json() for row in supported(known)]})
    else:
        show([layers_block(known[0])] if to else matrix_blocks(known))
