"""Options that a project sets in ``pyproject.toml``; the command line goes before it."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from ml_switcheroo.codemod.configuration import Configuration
from ml_switcheroo.errors import UsageError, did_you_mean

__all__ = ["take_layers", "take_settings"]


def take_settings(ctx: click.Context, configuration: Configuration, allowed: tuple[str, ...]) -> None:
    """Set each option of a command that the command line leaves open and the project sets.

    Raises:
        UsageError: A key is unknown, or its value is none that the option takes.
    """
    options = {param.opts[0].removeprefix("--"): param for param in ctx.command.params}
    for key, value in configuration.settings.items():
        if key not in allowed:
            known = ", ".join(sorted(allowed))
            meant = did_you_mean(key, allowed)
            raise UsageError(
                f"{configuration.file}: [tool.ml-switcheroo] has no key {key!r}{meant}; keys: {known}",
                where=str(configuration.file),
            )
        option = options[key]
        assert isinstance(option, click.Option)
        assert option.name is not None
        if not _is_of(option, value):
            raise UsageError(f"{configuration.file}: {key} takes {_wanted(option)}, not {value!r}")
        if ctx.get_parameter_source(option.name) in (ParameterSource.DEFAULT, None):
            try:
                ctx.params[option.name] = option.type_cast_value(ctx, value)
            except click.BadParameter as error:
                raise UsageError(f"{configuration.file}: {key}: {error.message}") from error


def take_layers(configuration: Configuration) -> None:
    """Add the layers that a project has rows for.

    Raises:
        UsageError: A record is no row, or clashes with another one.
    """
    if not configuration.layers:
        return
    from ml_switcheroo.layers import layers_from, register_layer

    for row in layers_from(configuration.layers, f"{configuration.file}: [[tool.ml-switcheroo.layers]]"):
        register_layer(row)


def _is_of(option: click.Option, value: Any) -> bool:
    if option.multiple:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    kind = bool if option.is_flag else int if isinstance(option.type, click.types.IntRange) else str
    return type(value) is kind


def _wanted(option: click.Option) -> str:
    if option.multiple:
        return "a list of strings"
    return "true or false" if option.is_flag else "a number" if option.type.name != "text" else "a string"
