"""The option ``--like``: a spec file, a converted checkpoint, or a function that makes the target model."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import UsageError

__all__ = ["read_like"]


def read_like(text: str | None) -> Any:
    """Return what ``like=`` takes for the text of ``--like``.

    Args:
        text: ``file.json`` (a list of leaves with path and shape, or ``{path: shape}``), or
            ``module:factory`` / ``file.py:factory``: the function or class is called without arguments
            and returns the target model. This is the one place where the user's own code runs.

    Raises:
        UsageError: There is no such file, module or function, or calling it failed.
    """
    if text is None or ":" not in text:
        return text
    place, _, name = text.rpartition(":")
    module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    factory = getattr(module, name, None)
    if not callable(factory):
        known = sorted(key for key, value in vars(module).items() if callable(value) and key[0] != "_")
        raise UsageError(f"--like {text}: {place} has no function {name}; it has {', '.join(known)}")
    try:
        return factory()
    except TypeError as error:
        raise UsageError(f"--like {text}: {name}() must work without arguments: {error}") from error


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"--like: there is no file {path}")
    sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"--like: {name} cannot be imported: {error}") from error
