"""The options that several verbs share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from ml_switcheroo.cli.given import CHECKPOINT, DTYPE, INPUT, NAMED, SPEC, TARGET, Known

__all__ = [
    "as_json",
    "configured_target",
    "full",
    "layout",
    "planning",
    "read_programs",
    "reading",
    "target",
    "whole",
    "with_examples",
]

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
full = click.option("--full", is_flag=True, expose_value=False, help="Print all lines of an error.")


def with_examples(*lines: str) -> Callable[[F], F]:
    """Add examples to the help of a command, one a line; tests/cli/test_help.py performs them.

    Args:
        lines: Command lines; one that goes on has a backslash at its end.
    """

    def add(command: F) -> F:
        text = "\n".join(f"  {line}" for line in lines)
        command.__doc__ = f"{inspect.cleandoc(command.__doc__ or '')}\n\n\b\nExamples:\n{text}\n"
        return command

    return add


whole = click.option("--full", is_flag=True, help="Print every tensor, and all lines of an error.")
_target = partial(
    click.option,
    "--to",
    metavar="TARGET",
    type=TARGET,
    help="Target: nnx (or flax), linen, equinox, haiku, keras (or tensorflow), mlx, jax (flat), numpy.",
)
target = _target(required=True)
configured_target = _target()
layout = click.option(
    "--layout",
    type=Known(lambda: ["first", "last"]),
    help="Where the target model has the channels of its images, if it does not show it.",
)


_READING: Sequence[Callable[[Any], Any]] = (
    click.option("--select", metavar="KEY", help="Which state dict, if the file holds several: model_ema."),
    click.option("--ema", is_flag=True, help="Take the averaged weights, under the model's own names."),
    click.option(
        "--dequantise", is_flag=True, help="Compute the weights that fp8 with scales or AWQ stand for."
    ),
    click.option(
        "--merge", type=CHECKPOINT, metavar="ADAPTER", help="Merge an adapter of LoRA: the folder of PEFT."
    ),
)


def reading(command: F) -> F:
    """Add the options that say how a checkpoint is read; they are those of ``open_checkpoint``."""
    for option in reversed(_READING):
        command = option(command)
    return command


def planning(command: F) -> F:
    """Add the options that a plan is made from."""
    for option in (
        layout,
        click.option(
            "--dtype", type=DTYPE, metavar="DTYPE", help="Cast floating-point leaves, such as to bfloat16."
        ),
        *reversed(_READING),
        click.option("--rules", type=INPUT, metavar="FILE", help="Rules for what nothing can know (TOML)."),
        click.option(
            "--layers",
            type=NAMED,
            metavar="FILE:CLASS",
            help="The PyTorch model's source, read and never executed: model.py:Net.",
        ),
        click.option(
            "--like",
            type=SPEC,
            metavar="SPEC",
            help="The target's tree: port.py:make_model (called without arguments) or a spec file (JSON).",
        ),
        click.option(
            "--inputs",
            type=NAMED,
            metavar="SHAPES",
            help="What the PyTorch model is given: 'float32[1,3,64,64]', several with a space between, or"
            " data.py:make. With --layers and --like both programs are read, and what they compute decides,"
            " not names.",
        ),
        click.option(
            "--target-inputs",
            type=NAMED,
            metavar="SHAPES",
            help="The same as the target takes it, if that differs.",
        ),
        click.option(
            "--target-call",
            type=NAMED,
            metavar="FILE:FUNCTION",
            help="Runs the target model: f(model, *inputs); needed for the variables of Linen and Haiku.",
        ),
        target,
    ):
        command = option(command)
    return command


def read_programs(inputs: str | None, target_inputs: str | None, target_call: str | None) -> dict[str, Any]:
    """Return what ``make_plan`` takes for reading both programs."""
    from ml_switcheroo.cli.factory import function_of, made_by

    def read(text: str | None, option: str) -> Any:
        return made_by(text, option) if text and ":" in text else text

    return {
        "inputs": read(inputs, "--inputs"),
        "target_inputs": read(target_inputs, "--target-inputs"),
        "target_call": function_of(target_call, "--target-call") if target_call else None,
    }
