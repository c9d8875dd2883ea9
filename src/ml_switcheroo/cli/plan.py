"""The verb ``plan``: what would become of every tensor, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ml_switcheroo.cli.given import CHECKPOINT, INPUT, OUT, one_or_all
from ml_switcheroo.cli.like import read_like
from ml_switcheroo.cli.options import as_json, planning, read_programs, whole, with_examples
from ml_switcheroo.cli.records import facts_of, show_record
from ml_switcheroo.cli.screen import is_quiet, loudness, show, show_text, tell
from ml_switcheroo.cli.working import reading, working

if TYPE_CHECKING:
    from ml_switcheroo.errors import PlanError
    from ml_switcheroo.plan import Plan

__all__ = ["plan"]


@click.command(short_help="Show what would become of every tensor, and why.")
@click.argument("checkpoint", type=CHECKPOINT, nargs=-1, required=True)
@planning
@click.option("-o", "--output", type=OUT, metavar="FILE", help="Save the plan as JSON.")
@click.option("--html", type=OUT, metavar="FILE", help="Save the plan as a page for a browser.")
@click.option(
    "--values",
    is_flag=True,
    help="Show samples of the values in that page, before and after; every tensor is read once.",
)
@click.option(
    "--diff",
    "old",
    type=INPUT,
    metavar="PLAN",
    help="Print only what differs from a saved plan; exit 1 if anything does.",
)
@click.option(
    "--explain",
    metavar="NAME",
    help="Print all that is known of one tensor or leaf, and what was weighed.",
)
@click.option(
    "--graph",
    is_flag=True,
    help="Print both programs, operation by operation, instead of the plan; needs --inputs.",
)
@whole
@loudness
@as_json
@with_examples(
    "ml-switcheroo plan weights.pt --to nnx --layers model.py:Net",
    "ml-switcheroo plan weights.pt --to nnx --layers model.py:Net --full",
    "ml-switcheroo plan weights.pt --to nnx --layers model.py:Net \\",
    "    --explain fc1.weight",
    "ml-switcheroo plan weights.pt --to nnx --rules rules.toml \\",
    "    -o plan.json --html plan.html",
    "ml-switcheroo plan weights.pt --to nnx --layers model.py:Net \\",
    '    --like port.py:make --inputs "float32[1,1,8,8]"',
)
def plan(
    checkpoint: tuple[Path, ...],
    to: str,
    layers: str | None,
    like: str | None,
    rules: Path | None,
    select: str | None,
    dtype: str | None,
    layout: str | None,
    inputs: str | None,
    target_inputs: str | None,
    target_call: str | None,
    output: Path | None,
    html: Path | None,
    old: Path | None,
    explain: str | None,
    *,
    ema: bool,
    dequantise: bool,
    merge: Path | None,
    graph: bool,
    values: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Show what would become of every tensor of CHECKPOINT, and why; only headers are read.

    Several CHECKPOINTs are the shards of one, in any order.
    What is moved, dropped (by reason), missing and ambiguous is counted; what needs a person is listed, with
    the rule to write. With --full, each line names a tensor, the leaf it becomes, the kind of its layer, the
    move ("out in -> in out" is a transpose), and who decided the kind: your rules, the source code, the
    target, or the state dict itself. With --layers, --like and --inputs both programs are read, and what they
    compute decides (graph).
    Exit code 1 if anything is missing or ambiguous, or the programs compute something else.
    """
    from ml_switcheroo.explain import explain as explained
    from ml_switcheroo.formats import open_checkpoint
    from ml_switcheroo.formats.apart import write_text
    from ml_switcheroo.plan import Plan
    from ml_switcheroo.planning.planner import make_plan, matched_programs

    options: dict[str, Any] = {
        "to": to,
        "layers": layers,
        "like": read_like(like),
        "rules": rules or (),
        "dtype": dtype,
        "layout": layout,
        **read_programs(inputs, target_inputs, target_call),
    }
    if values and html is None:
        raise click.UsageError("--values shows samples in the page of --html; name that page")
    state = one_or_all(checkpoint)
    given = [state, merge, layers, like, rules, old, inputs, target_inputs, target_call]
    _check_outputs([path for path in (output, html) if path is not None], given)
    with open_checkpoint(state, select=select, ema=ema, dequantise=dequantise, merge=merge) as opened:
        if explain is not None:
            with working(reading(checkpoint), shown=not as_json):
                text = explained(explain, opened, **options)
            show_text(text)
            return
        if graph:
            with working(reading(checkpoint), shown=not as_json):
                matched = matched_programs(opened, **options)
            show_text(f"{matched.source.graph}\n\n{matched.target.graph}")
            return
        with working(reading(checkpoint), shown=not as_json):
            made = make_plan(opened, **options)
        page = _page(made, opened if values else None, options, like) if html is not None else ""
    if output is not None:
        made.save(output, *given)
    if html is not None:
        write_text(html, page, *given)
    if old is not None:
        _show_changes(Plan.load(old).changes(made), old)
    _show(made, full=full, as_json=as_json)


def _show_changes(changes: str, old: Path) -> NoReturn:
    """Print what differs from a saved plan, and end."""
    if changes:
        show_text(changes)
    else:
        tell(f"as in {old}")
    raise click.exceptions.Exit(1 if changes else 0)


def _show(made: Plan, *, full: bool, as_json: bool) -> None:
    """Print a plan, and what to do about it; end with its exit code."""
    from ml_switcheroo.report import plan_blocks, summary

    problem = _problem(made)
    if as_json:
        show_record({**made.to_json(), **({"error": facts_of(problem)} if problem else {})})
    elif is_quiet():
        show_text(f"{made.source} -> {made.target}: {summary(made)}")
    else:
        show(plan_blocks(made, full=full))
    if problem:
        tell(str(problem).rpartition("\n")[2], "note")
        raise click.exceptions.Exit(problem.exit_code)
    if not full and not as_json:
        tell("--full lists every tensor; --explain NAME says all that is known of one", "faint")


def _page(made: Plan, state: Mapping[str, Any] | None, options: Mapping[str, Any], like: str | None) -> str:
    """Write the page, with what it needs of the command line."""
    sources = [given for given in (options["layers"], like) if isinstance(given, str)]
    return made.to_html(rules=options["rules"], state=state, sources=sources)


def _problem(made: Plan) -> PlanError | None:
    """Return why a plan cannot be carried out; None if it can."""
    from ml_switcheroo.errors import PlanError

    try:
        made.check()
    except PlanError as error:
        return error
    return None


def _check_outputs(outputs: Sequence[Path], inputs: Sequence[object]) -> None:
    """Raise before anything is read if an output is an input, or both outputs are one file."""
    from ml_switcheroo.errors import UsageError
    from ml_switcheroo.formats.apart import keep_apart

    for out in outputs:
        keep_apart(out, *inputs)
    if len({out.resolve() for out in outputs}) < len(outputs):
        raise UsageError(f"{outputs[0]} cannot be both the plan and the page; give two names")
