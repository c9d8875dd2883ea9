"""``module:name`` and ``file.py:name`` on the command line: the one place where the user's own code runs."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import UsageError

__all__ = ["function_of", "made_by"]


def made_by(text: str, option: str) -> Any:
    """Call the function or class that an option names, without arguments.

    Args:
        text: ``module:factory`` or ``file.py:factory``.
        option: The option, for errors: ``--like``.

    Raises:
        UsageError: There is no such file, module or function, or it needs arguments.
    """
    factory = function_of(text, option)
    try:
        return factory()
    except TypeError as error:
        name = text.rpartition(":")[2]
        raise UsageError(f"{option} {text}: {name}() must work without arguments: {error}") from error


def function_of(text: str, option: str) -> Callable[..., Any]:
    """Return the function or class that an option names.

    Raises:
        UsageError: There is no such file, module or function.
    """
    place, colon, name = text.rpartition(":")
    if not colon:
        raise UsageError(f"{option} {text}: expected module:function or file.py:function")
    module = _from_file(Path(place), option) if place.endswith(".py") else _from_path(place, option)
    found = getattr(module, name, None)
    if not callable(found):
        known = sorted(key for key, value in vars(module).items() if callable(value) and key[0] != "_")
        raise UsageError(f"{option} {text}: {place} has no function {name}; it has {', '.join(known)}")
    return found  # type: ignore[no-any-return]


def _from_file(path: Path, option: str) -> Any:
    """Import a file once, even if several options name it, so that its classes are the same."""
    name = path.stem
    there = sys.modules.get(name)
    if there is not None and getattr(there, "__file__", None) == str(path.resolve()):
        return there
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None or not path.is_file():
        raise UsageError(f"{option}: there is no file {path}")
    sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    if there is None:
        sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _from_path(name: str, option: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{option}: {name} cannot be imported: {error}") from error
