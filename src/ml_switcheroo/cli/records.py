"""What ``--json`` prints: one object with the version of its schema, also where something went wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ml_switcheroo.errors import SwitcherooError

__all__ = ["SCHEMA", "error_record", "facts_of", "is_asked", "show_record"]

SCHEMA = 1
"""The version of what is printed; it grows when a key goes or changes its meaning, not when one is added."""

_LEFT_OUT = ("full", "_known")


def is_asked(words: Sequence[str]) -> bool:
    """Tell whether a command line asks for JSON.

    >>> is_asked(["plan", "a.pt", "--json"]), is_asked(["rewrite", "--output-format", "json"])
    (True, True)
    """
    return "--json" in words or "--output-format=json" in words or "--output-format json" in " ".join(words)


def show_record(record: Mapping[str, Any]) -> None:
    """Print a record as JSON on stdout, behind the version of the schema."""
    click.echo(json.dumps({"schema": SCHEMA, **record}, indent=1))


def facts_of(error: SwitcherooError) -> dict[str, Any]:
    """Return an error with all that it carries, in JSON's types.

    >>> from ml_switcheroo.errors import CheckpointError
    >>> facts_of(CheckpointError("a.pt", "the file is empty"))["file"]
    'a.pt'
    """
    facts = {
        name: _plain(value) for name, value in vars(error).items() if name not in _LEFT_OUT and name[0] != "_"
    }
    return {
        **error_record(
            type(error).__name__,
            str(error),
            error.exit_code,
            where=error.where,
            cure=error.cure,
            problems=error.problems,
        ),
        **facts,
    }


def error_record(
    name: str,
    message: str,
    exit_code: int,
    *,
    where: str = "",
    cure: str = "",
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what is said of anything that went wrong."""
    return {
        "class": name,
        "message": message,
        "exit_code": exit_code,
        "where": where,
        "cure": cure,
        "problems": list(problems),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
