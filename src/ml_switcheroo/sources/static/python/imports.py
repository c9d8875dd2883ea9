"""Imports: from file to file, and to what is known of packages that are not read."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from ml_switcheroo.sources.static.python.lazily import handed_out, is_replaced
from ml_switcheroo.sources.static.python.modules import starred
from ml_switcheroo.sources.static.python.own_code import imported, module_name
from ml_switcheroo.sources.static.python.values import ABSENT, External, Raised, Value

if TYPE_CHECKING:
    from ml_switcheroo.code.library import Source
    from ml_switcheroo.sources.static.python.frames import Frame
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["external", "import_module", "run_from_import", "run_import", "star_import"]


def external(machine: Machine, name: str) -> Value:
    """Return what is known under a dotted name of a package that is not read."""
    if name in machine.patched:
        return machine.patched[name]
    found = machine.tables.externals.get(name, ABSENT)
    return External(name) if found is ABSENT else found


def import_module(machine: Machine, dotted: str) -> Source | External:
    """Return a module: its source, or its name where it is not read.

    Raises:
        Raised: ImportError, where it is not on disk and the code is ready for that.
    """
    source = machine.library.module(dotted)
    if source is not None:
        if not machine.heap.at_module_level:
            imported(machine, source)
        return source
    if machine.guarded and not machine.library.exists(dotted):
        raise Raised("ModuleNotFoundError", dotted)
    return External(dotted)


def run_import(machine: Machine, node: ast.Import, frame: Frame) -> None:
    """Run ``import a.b as c``."""
    for alias in node.names:
        if alias.asname:
            machine.bind(frame, alias.asname, import_module(machine, alias.name))
        else:
            top = alias.name.partition(".")[0]
            machine.bind(frame, top, import_module(machine, top))


def run_from_import(machine: Machine, node: ast.ImportFrom, name: str, frame: Frame) -> Value:
    """Return what ``from module import name`` binds; ABSENT where the module has no such name."""
    dotted = node.module or ""
    if not node.level:
        module = import_module(machine, dotted)
        if isinstance(module, External):
            return external(machine, f"{module.name}.{name}")
        return _named(machine, module, name, dotted)
    path = machine.library.relative(frame.source, node.level, dotted)
    if path is not None:
        return _named(machine, machine.library.file(path), name, dotted)
    inner = machine.library.relative(frame.source, node.level, f"{dotted}.{name}".strip("."))
    if inner is not None:
        return machine.library.file(inner)
    if machine.guarded:
        raise Raised("ModuleNotFoundError", f"{'.' * node.level}{dotted}")
    return External(f"{frame.source.path.stem}{'.' * node.level}{dotted}.{name}")


def star_import(machine: Machine, node: ast.ImportFrom, name: str, frame: Frame) -> Value:
    """Return what ``from module import *`` binds a name to; ABSENT where the module has no such name."""
    source = machine.library.imported(frame.source, node)
    if source is not None:
        listed = starred(machine, source)
        if listed is not None:
            return module_name(machine, source, name) if name in listed else ABSENT
        found = module_name(machine, source, name)
        return handed_out(machine, source, name) if found is ABSENT and is_replaced(source) else found
    known = node.module is not None and machine.tables.outside.exports(node.module, name)
    return external(machine, f"{node.module}.{name}") if known else ABSENT


def _named(machine: Machine, module: Source, name: str, dotted: str) -> Value:
    """Return a name of a module; one that nothing binds may be made when the module is asked for it."""
    if known_as := machine.tables.outside.stands_for(module.path, name):
        return External(known_as)
    value = member_of(machine, module, name)
    value = handed_out(machine, module, name) if value is ABSENT else value
    if value is ABSENT and (not machine.guarded or "__getattr__" in module.bindings):
        return External(f"{dotted or module.path.stem}.{name}")
    return value


def member_of(machine: Machine, module: Source, name: str) -> Value:
    """Return a name of a module, or its submodule of that name."""
    value = module_name(machine, module, name)
    if value is not ABSENT:
        return value
    if module.path.name == "__init__.py":
        path = machine.library.relative(module, 1, name)
        if path is not None:
            return machine.library.file(path)
    return ABSENT
