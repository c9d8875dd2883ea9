"""Functions that look something up by its name: in a module, among the modules, or as an expression."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from ml_switcheroo.code.library import Source
from ml_switcheroo.sources.static.python.imports import import_module
from ml_switcheroo.sources.static.python.introspection import is_class
from ml_switcheroo.sources.static.python.mappings import OpenDict
from ml_switcheroo.sources.static.python.modules import names_of
from ml_switcheroo.sources.static.python.values import UNKNOWN, Arguments, Maybe, Names, Raised, Repeat, Value

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["BY_NAME", "LOOKUPS"]


def _globals(machine: Machine, args: Arguments) -> Value:
    return Names(machine.frame.source) if machine.frame is not None else UNKNOWN


def _dir(machine: Machine, args: Arguments) -> Value:
    owner = args.get(0, "object")
    names = names_of(machine, owner) if isinstance(owner, Source) else OpenDict()
    return UNKNOWN if isinstance(names, OpenDict) else machine.heap.new(sorted(names))


def _members(machine: Machine, args: Arguments) -> Value:
    """Return what ``inspect.getmembers`` does of a module: pairs, in the order of the names."""
    owner, test = args.get(0, "object"), args.get(1, "predicate")
    if not isinstance(owner, Source):
        return UNKNOWN
    names = names_of(machine, owner)
    found: list[Value] = [Repeat(UNKNOWN)] if isinstance(names, OpenDict) else []
    for name in sorted(names):
        pair = (name, names[name])
        kept = test is None or machine.truth(machine.call(test, Arguments([names[name]])))
        found += [pair] if kept else [Maybe(pair)] if kept is None else []
    return machine.heap.new(found)


def _isclass(machine: Machine, args: Arguments) -> Value:
    def run(one: Value) -> Value:
        answer = is_class(one)
        return UNKNOWN if answer is None else answer

    return machine.spread(run, args.get(0, "object"))


def _import_module(machine: Machine, args: Arguments) -> Value:
    """Return what ``importlib.import_module(name, package)`` does."""
    return machine.spread(
        lambda name, package: _by_name(machine, name, package),
        args.get(0, "name", UNKNOWN),
        args.get(1, "package"),
    )


def _by_name(machine: Machine, name: Value, package: Value) -> Value:
    if isinstance(name, str) and name.startswith("."):
        if not isinstance(package, str):
            return UNKNOWN
        bare = name.lstrip(".")
        parts = package.split(".")
        up = parts[: len(parts) - (len(name) - len(bare)) + 1]
        name = ".".join([*up, bare] if bare else up)
    return import_module(machine, name) if isinstance(name, str) else UNKNOWN


def _dunder_import(machine: Machine, args: Arguments) -> Value:
    """Return what ``__import__(name)`` does: the package at the top."""
    name = args.get(0, "name", UNKNOWN)
    if not isinstance(name, str) or len(args.positional) != 1 or args.keyword:
        return UNKNOWN
    return import_module(machine, name.partition(".")[0])


_LONGEST = 200  # characters of a text that is evaluated


def _eval(machine: Machine, args: Arguments) -> Value:
    """Return what ``eval(text)`` does, where the text is known and the names are those around it."""
    text = args.get(0, "source")
    alone = len(args.positional) == 1 and not args.keyword
    if not alone or not isinstance(text, str) or len(text) > _LONGEST or machine.frame is None:
        return UNKNOWN
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Raised("SyntaxError", text) from error
    return machine.evaluate(node, machine.frame)


BY_NAME: dict[str, Callable[[Machine, Arguments], Value]] = {
    "__import__": _dunder_import,
    "dir": _dir,
    "eval": _eval,
    "globals": _globals,
}
"""The functions of Python that need no import."""

LOOKUPS: dict[str, Callable[[Machine, Arguments], Value]] = {
    "importlib.import_module": _import_module,
    "inspect.getmembers": _members,
    "inspect.isclass": _isclass,
}
"""Those of the standard library."""
