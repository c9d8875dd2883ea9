"""The verb ``verify``: the same input through both models, or both programs read and compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ml_switcheroo.cli.factory import function_of, made_by
from ml_switcheroo.cli.given import CHECKPOINT, INPUT, NAMED, OUT, TARGET
from ml_switcheroo.cli.options import as_json, layout, read_programs, with_examples
from ml_switcheroo.cli.records import show_record
from ml_switcheroo.cli.screen import is_quiet, loudness, show_text, tell
from ml_switcheroo.cli.working import working

if TYPE_CHECKING:
    from ml_switcheroo.plan import Plan

__all__ = ["verify"]

_FUNCTION = "FILE:FUNCTION"


@click.command(short_help="Say whether both models give the same, and where they part.")
@click.option(
    "--source",
    type=NAMED,
    metavar=_FUNCTION,
    help="Makes the PyTorch model: model.py:Net. Without it nothing is run: --layers and --checkpoint say"
    " what it is, and both programs are read.",
)
@click.option("--target-model", type=NAMED, required=True, metavar=_FUNCTION, help="Makes the target model.")
@click.option(
    "--inputs",
    type=NAMED,
    required=True,
    metavar="FILE:FUNCTION|SHAPES",
    help="Makes what PyTorch takes: an array, a tuple of arrays, or a dictionary of keyword arguments."
    " Where both programs are read, shapes will do: 'float32[1,3,64,64]'.",
)
@click.option(
    "--target-inputs",
    type=NAMED,
    metavar="FILE:FUNCTION|SHAPES",
    help="The same as the target takes it, if that differs.",
)
@click.option(
    "--source-call", type=NAMED, metavar=_FUNCTION, help="Runs the PyTorch model: f(model, *inputs)."
)
@click.option(
    "--target-call",
    type=NAMED,
    metavar=_FUNCTION,
    help="Runs the target model: f(model, *inputs); needed for the variables of Linen and Haiku.",
)
@click.option("--input-axes", metavar="AXES", help='How inputs lie in the target: "n c h w -> n h w c".')
@click.option("--output-axes", metavar="AXES", help="How the output lies in the target.")
@click.option(
    "--checkpoint",
    type=CHECKPOINT,
    metavar="CKPT",
    help="Loaded into the PyTorch model first. Without --source, names and shapes are read from it, and no"
    " value.",
)
@click.option("--load", is_flag=True, help="Fill the target model with what the plan gives first.")
@click.option("--to", type=TARGET, metavar="TARGET", help="The target, if the model does not show it.")
@click.option("--plan", "plan_file", type=INPUT, metavar="FILE", help="The plan the target was loaded by.")
@click.option(
    "--settle", is_flag=True, help="Keep the candidates of the plan whose outputs agree; then --load."
)
@click.option("-o", "--output", type=OUT, metavar="FILE", help="Save the settled plan as JSON.")
@click.option(
    "--layers",
    type=NAMED,
    metavar="FILE:CLASS",
    help="Without --source: the PyTorch model's source, read and never executed. With --settle: what the plan"
    " is made from, instead of the PyTorch model itself.",
)
@click.option("--rules", type=INPUT, metavar="FILE", help="Rules for what nothing can know (TOML).")
@layout
@click.option(
    "--tolerance",
    type=float,
    metavar="ERROR",
    help="Relative error that counts as agreement (1e-4; 16 bits 2e-2).",
)
@click.option("--strict", is_flag=True, help="Exit with 1 also if agreement proves little.")
@loudness
@as_json
@with_examples(
    "ml-switcheroo verify --layers model.py:Net --checkpoint weights.pt \\",
    '    --target-model port.py:make --inputs "float32[1,1,8,8]"',
    "ml-switcheroo verify --source model.py:Net --checkpoint weights.pt \\",
    "    --target-model port.py:make --inputs port.py:batch --load \\",
    '    --input-axes "n c h w -> n h w c"',
)
def verify(
    source: str | None,
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
    """Say whether both models give the same, and where they part. Exit code 1 if they do not.

    With --source both run on the same input, and the first layer that differs is named. That runs your code
    and needs both frameworks. Outputs that agree but prove little (all zeros, whole numbers, a known
    difference) agree only "so far as this shows", and the cause is printed; --strict counts that as a
    difference. With --settle, exit code 1 also if something stays ambiguous.

    Without --source both programs are read: the PyTorch model's source (--layers), and the target's model,
    traced on shapes. No PyTorch and no weights are needed. Each difference is printed with a line of both.

    FILE:FUNCTION is model.py:make or package.module:make; it is called without arguments.
    """
    from ml_switcheroo.errors import UsageError
    from ml_switcheroo.formats.apart import keep_apart
    from ml_switcheroo.plan import Plan
    from ml_switcheroo.verification import Experiment, filled

    if source is None:
        running = {
            "--source-call": source_call,
            "--input-axes": input_axes,
            "--output-axes": output_axes,
            "--plan": plan_file,
            "--output": output,
            "--rules": rules,
            "--layout": layout,
            "--tolerance": tolerance,
            "--load": load,
            "--settle": settle,
            "--strict": strict,
        }
        _check_reading(running, layers, checkpoint)
        read = read_programs(inputs, target_inputs, target_call)
        _read(str(layers), checkpoint, made_by(target_model, "--target-model"), to, read, as_json=as_json)
    if ":" not in inputs:
        raise UsageError(
            f"--inputs {inputs}: with --source both models run, and take values: {_FUNCTION}, a function that"
            " makes them"
        )
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
        with working("running both models", shown=not as_json):
            plan = experiment.settle(plan, layers=layers)
        if output is not None:
            plan.save(output, *given)
        _show_settled(plan)
    with working("running both models", shown=not as_json):
        report = experiment.verify(plan, load=load or settle)
    if as_json:
        show_record(report.to_json())
    else:
        show_text(_first(str(report)))
    still = plan is not None and bool(plan.ambiguous)
    failed = report.verdict == "differ" or (strict and not report.agrees)
    raise click.exceptions.Exit(1 if failed or still else 0)


def _check_reading(running: Mapping[str, Any], layers: str | None, checkpoint: Path | None) -> None:
    """Raise where the options are not those for reading both programs.

    Args:
        running: What goes with a run alone, by the name of the option.
        layers: What says what the PyTorch model is.
        checkpoint: What says what its tensors are.
    """
    from ml_switcheroo.errors import UsageError

    needless = [name for name, value in running.items() if value not in (None, False)]
    if needless:
        raise UsageError(f"{', '.join(needless)}: only with --source, which runs both models")
    lacking = [
        f"--{name} {what}"
        for name, value, what in (
            ("layers", layers, "model.py:Net (the source of the PyTorch model, which is read)"),
            ("checkpoint", checkpoint, "CKPT (for the names and shapes of its tensors)"),
        )
        if value is None
    ]
    if lacking:
        raise UsageError(
            f"without --source both programs are read: add {' and '.join(lacking)}; or --source, to run both"
        )


def _read(
    layers: str,
    checkpoint: Path | None,
    target_model: Any,
    to: str | None,
    read: Mapping[str, Any],
    *,
    as_json: bool,
) -> NoReturn:
    """Read both programs, print what they have in common, and end."""
    from ml_switcheroo.verification import compare

    with working("reading both programs", shown=not as_json):
        found = compare(checkpoint, layers=layers, like=target_model, to=to, **read)
    if as_json:
        show_record(found.to_json())
    else:
        show_text(_first(str(found)))
    raise click.exceptions.Exit(0 if found.agrees else 1)


def _show_settled(plan: Plan) -> None:
    """Print to stderr what the values decided, and what they did not."""
    for move in plan.moves:
        if move.origin == "settled":
            tell(f"settled: {move}: {move.reason}")
    for note in plan.notes:
        if note.startswith("not settled"):
            tell(note)


def _first(report: str) -> str:
    """Return a report, or only what it says first."""
    return report.partition("\n")[0] if is_quiet() else report
