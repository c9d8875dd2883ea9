"""The verb ``verify``: the same input through both models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_switcheroo.cli.factory import function_of, made_by
from ml_switcheroo.cli.options import FILE, as_json, layout, show_json

if TYPE_CHECKING:
    from ml_switcheroo.plan import Plan

__all__ = ["verify"]

_FUNCTION = "FILE:FUNCTION"


@click.command()
@click.option("--source", required=True, metavar=_FUNCTION, help="Makes the PyTorch model: model.py:Net.")
@click.option("--target-model", required=True, metavar=_FUNCTION, help="Makes the target model.")
@click.option(
    "--inputs",
    required=True,
    metavar=_FUNCTION,
    help="Makes what PyTorch takes: an array, a tuple of arrays, or a dictionary of keyword arguments.",
)
@click.option("--target-inputs", metavar=_FUNCTION, help="Makes what the target takes, if that differs.")
@click.option("--source-call", metavar=_FUNCTION, help="Runs the PyTorch model: f(model, *inputs).")
@click.option(
    "--target-call",
    metavar=_FUNCTION,
    help="Runs the target model: f(model, *inputs); needed for the variables of Linen and Haiku.",
)
@click.option("--input-axes", metavar="AXES", help='How inputs lie in the target: "n c h w -> n h w c".')
@click.option("--output-axes", metavar="AXES", help="How the output lies in the target.")
@click.option("--checkpoint", type=FILE, metavar="CKPT", help="Loaded into the PyTorch model first.")
@click.option("--load", is_flag=True, help="Fill the target model with what the plan gives first.")
@click.option("--to", metavar="TARGET", help="The target, if the model does not show it.")
@click.option("--plan", "plan_file", type=FILE, metavar="FILE", help="The plan the target was loaded by.")
@click.option(
    "--settle", is_flag=True, help="Keep the candidates of the plan whose outputs agree; then --load."
)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Save the settled plan as JSON.")
@click.option(
    "--layers", metavar="FILE:CLASS", help="What the plan is made from, instead of the PyTorch model itself."
)
@click.option("--rules", type=FILE, metavar="FILE", help="Rules for what nothing can know (TOML).")
@layout
@click.option(
    "--tolerance",
    type=float,
    metavar="ERROR",
    help="Relative error that counts as agreement (1e-4; 16 bits 2e-2).",
)
@click.option("--strict", is_flag=True, help="Exit with 1 also if agreement proves little.")
@as_json
def verify(
    source: str,
    target_model: str,
    inputs: str,
    target_inputs: str | None,
    source_call: str | None,
    target_call: str | None,
    input_axes: str | None,
    output_axes: str | None,
    checkpoint: Path | None,
    to: str | None,
    plan_file: Path | None,
    output: Path | None,
    layers: str | None,
    rules: Path | None,
    layout: str | None,
    tolerance: float | None,
    *,
    load: bool,
    settle: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Run both models on the same input; name the first layer that differs. Exit code 1 if the outputs do.

    Outputs that agree but prove little (all zeros, whole numbers, a known difference) agree only "so far as
    this shows", and the cause is printed; --strict counts that as a difference.

    FILE:FUNCTION is model.py:make or package.module:make; it is called without arguments. This verb runs
    your code and needs both frameworks. With --settle, exit code 1 also if something stays ambiguous.
    """
    from ml_switcheroo.errors import UsageError
    from ml_switcheroo.formats.apart import keep_apart
    from ml_switcheroo.plan import Plan
    from ml_switcheroo.verification import Experiment, filled

    given = [source, target_model, inputs, target_inputs, source_call, target_call, checkpoint, plan_file]
    given += [layers, rules]
    if output is not None:
        keep_apart(output, *given)
    model = made_by(source, "--source")
    experiment = Experiment(
        model if checkpoint is None else filled(model, checkpoint),
        made_by(target_model, "--target-model"),
        made_by(inputs, "--inputs"),
        to=to,
        target_inputs=made_by(target_inputs, "--target-inputs") if target_inputs else None,
        source_call=function_of(source_call, "--source-call") if source_call else None,
        target_call=function_of(target_call, "--target-call") if target_call else None,
        input_axes=input_axes,
        output_axes=output_axes,
        rules=rules or (),
        layout=layout,
        tolerance=tolerance,
    )
    plan = Plan.load(plan_file) if plan_file else None
    if (output or layers) and not settle:
        raise UsageError("--output and --layers go with --settle")
    if settle:
        plan = experiment.settle(plan, layers=layers)
        if output is not None:
            plan.save(output, *given)
        _show_settled(plan)
    report = experiment.verify(plan, load=load or settle)
    if as_json:
        show_json(report.to_json())
    else:
        click.echo(str(report))
    still = plan is not None and bool(plan.ambiguous)
    failed = report.verdict == "differ" or (strict and not report.agrees)
    raise click.exceptions.Exit(1 if failed or still else 0)


def _show_settled(plan: Plan) -> None:
    """Print to stderr what the values decided, and what they did not."""
    for move in plan.moves:
        if move.origin == "settled":
            click.echo(f"settled: {move}: {move.reason}", err=True)
    for note in plan.notes:
        if note.startswith("not settled"):
            click.echo(note, err=True)
