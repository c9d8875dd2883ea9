"""``[tool.ml-switcheroo]`` in ``pyproject.toml``: found above the files that are worked on."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import UsageError

__all__ = ["Configuration", "find_configuration"]

_NAME = "pyproject.toml"
_SECTION = "ml-switcheroo"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a project sets.

    Attributes:
        file: The file that sets it; None where there is none.
        settings: The settings, by the names of the options of the command line.
        layers: The records of ``[[tool.ml-switcheroo.layers]]``.
    """

    file: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    layers: Any = ()


def find_configuration(paths: Iterable[Path]) -> Configuration:
    """Return the section of the nearest ``pyproject.toml`` that has one, in or above what all paths share.

    Raises:
        UsageError: The file is no TOML, or the section is no table.
    """
    folders = [path if path.is_dir() else path.parent for path in (one.resolve() for one in paths)]
    start = Path(os.path.commonpath(folders)) if folders else Path.cwd()
    for folder in (start, *start.parents):
        file = folder / _NAME
        if file.is_file():
            settings = _section(file)
            if settings is not None:
                layers = settings.pop("layers", [])
                return Configuration(file, settings, layers)
    return Configuration()


def _section(file: Path) -> dict[str, Any] | None:
    try:
        with file.open("rb") as stream:
            section = tomllib.load(stream).get("tool", {}).get(_SECTION)
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    if section is not None and not isinstance(section, dict):
        raise UsageError(f"{file}: [tool.{_SECTION}] is no table")
    return section
