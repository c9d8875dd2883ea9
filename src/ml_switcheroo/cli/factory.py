"""``module:name`` and ``file.py:name`` on the command line: the one place where the user's own code runs."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_switcheroo.cli.boundary import bounded
from ml_switcheroo.errors import UsageError, UserCodeError, did_you_mean

__all__ = ["function_of", "made_by"]


def made_by(text: str, option: str) -> Any:
    """Call the function or class that an option names, without arguments.

    Args:
        text: ``module:factory`` or ``file.py:factory``.
        option: The option, for errors: ``--like``.

    Raises:
        UsageError: There is no such file, module or function, or it needs arguments.
        UserCodeError: It raises.
    """
    factory = function_of(text, option)
    lacking = _needed(factory)
    if lacking:
        name = text.rpartition(":")[2]
        raise UsageError(
            f"{option} {text}: {name}() must work without arguments; it needs {', '.join(lacking)}\n"
            f"Write a function that makes it: def make(): return {name}(...)"
        )
    with bounded(f"{option} {text}"):
        made = factory()
    if made is None:
        name = text.rpartition(":")[2]
        raise UsageError(f"{option} {text}: {name}() gave None; it has to return what it makes")
    return made


def _needed(factory: Callable[..., Any]) -> list[str]:
    """Return the arguments that a function or class cannot be called without; none where nobody knows."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    usual = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in usual]


def function_of(text: str, option: str) -> Callable[..., Any]:
    """Return the function or class that an option names.

    Raises:
        UsageError: There is no such file, module or function.
        UserCodeError: The module raises when it is imported.
    """
    place, colon, name = text.rpartition(":")
    if not colon:
        raise UsageError(f"{option} {text}: expected module:function or file.py:function")
    module = _from_file(Path(place), option) if place.endswith(".py") else _from_path(place, option)
    found = getattr(module, name, None)
    if not callable(found):
        known = sorted(key for key, value in vars(module).items() if callable(value) and key[0] != "_")
        meant = did_you_mean(name, known)
        raise UsageError(f"{option} {text}: {place} has no function {name}{meant}; it has {', '.join(known)}")
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
    try:
        with bounded(f"{option} {path}"):
            spec.loader.exec_module(module)
    except UserCodeError:
        sys.modules.pop(name, None)
        raise
    return module


def _from_path(name: str, option: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))
    with bounded(f"{option} {name}"):
        return importlib.import_module(name)
