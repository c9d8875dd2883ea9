"""Modules as values: their names as a dictionary, and modules that are asked for by a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_switcheroo.code.library import Source
from ml_switcheroo.sources.static.python.mappings import OpenDict
from ml_switcheroo.sources.static.python.own_code import module_name
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    External,
    Instance,
    Names,
    Raised,
    Value,
    contents,
    known,
)

if TYPE_CHECKING:
    import ast

    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["dictionary_of", "item_of_module", "names_of", "starred"]

_OF_EVERY_MODULE = ("__name__", "__file__", "__package__")


def names_of(machine: Machine, source: Source) -> dict[str, Value]:
    """Return the names of a module in the order they are bound; open where not all can be told."""
    found: dict[str, Value] = {name: module_name(machine, source, name) for name in _OF_EVERY_MODULE}
    whole = True
    for star in source.stars:
        names = _names_behind(machine, source, star)
        whole = whole and names is not None
        found.update((name, module_name(machine, source, name)) for name in names or ())
    found.update((name, module_name(machine, source, name)) for name in source.bindings)
    there = {name: value for name, value in found.items() if value is not ABSENT}
    return there if whole else OpenDict(there)


def _names_behind(machine: Machine, source: Source, star: ast.ImportFrom) -> list[str] | None:
    """Return the names that ``from module import *`` binds; None where the module is not read."""
    module = machine.library.imported(source, star)
    if module is None:
        return None
    listed = starred(machine, module)
    return (
        [name for name in names_of(machine, module) if not name.startswith("_")] if listed is None else listed
    )


def starred(machine: Machine, module: Source) -> list[str] | None:
    """Return the names in ``__all__``; None where there is no such list, or nobody can tell it."""
    listed = module_name(machine, module, "__all__")
    if isinstance(listed, list | tuple) and known(listed):
        return [name for name in listed if isinstance(name, str)]
    return None


def item_of_module(machine: Machine, owner: Value, name: str) -> Value:
    """Return ``module.__dict__[name]`` or ``sys.modules[name]``.

    Raises:
        Raised: KeyError, where the module has no such name.
    """
    if owner == External("sys.modules"):
        return machine.library.loaded(name) or machine.library.module(name) or UNKNOWN
    if not isinstance(owner, Names):
        return UNKNOWN
    found = module_name(machine, owner.source, name)
    if found is ABSENT:
        raise Raised("KeyError", repr(name))
    return found


def dictionary_of(machine: Machine, owner: Value) -> Value:
    """Return the dictionary that something is looked up in; anything else as it is."""
    if isinstance(owner, Names):
        return names_of(machine, owner.source)
    if isinstance(owner, Instance) and owner.base in machine.tables.outside.keyed:
        return owner.attrs
    return contents(owner)
