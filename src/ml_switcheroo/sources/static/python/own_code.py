"""What names stand for. A statement of a module is read once, when something that it binds is asked for."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ml_switcheroo.code.library import OPAQUE, Source
from ml_switcheroo.sources.static.python.frames import Frame, module_frame, present
from ml_switcheroo.sources.static.python.machine import Machine
from ml_switcheroo.sources.static.python.values import ABSENT, UNKNOWN, External, Raised, Value
from ml_switcheroo.sources.static.python.wrapping import stores

__all__ = ["from_import", "imported", "look_up", "module_name"]


def look_up(machine: Machine, frame: Frame, name: str) -> Value:
    """Return what a name stands for.

    Raises:
        Raised: NameError where nothing binds it.
    """
    if name in frame.names and not frame.elsewhere:
        return present(frame.names[name])
    around: Frame | None = frame
    while around is not None:
        names = around.elsewhere.get(name, around.names)
        if name in names and (around is frame or not around.body):
            return present(names[name])
        around = around.outer
    value = present(module_name(machine, frame.source, name))
    if value is ABSENT:
        value = machine.builtins.get(name, ABSENT)
    if value is ABSENT and name in OPAQUE and name in frame.source.bindings:
        return External(name)  # imported under a condition: it is used, so it is there
    if value is ABSENT and machine.following and not machine.trying:
        return UNKNOWN  # whatever has put it there
    if value is ABSENT:
        raise Raised("NameError", name)
    return value


def module_name(machine: Machine, source: Source, name: str) -> Value:
    """Return a module-level name of a file, running only the statements that bind it."""
    _run_for(machine, source, name)
    if name in source.values:
        return source.values[name]
    for star in reversed(source.stars):
        value = from_import(machine, source, star, name) if not name.startswith("_") else ABSENT
        if value is not ABSENT:
            source.values[name] = value
            return value
    own = {"__name__": source.name, "__package__": source.package, "__file__": source.label}
    return {**own, "__all__": UNKNOWN}.get(name, ABSENT)


def from_import(machine: Machine, source: Source, node: ast.ImportFrom, name: str) -> Value:
    """Return what ``from module import name`` binds, ABSENT where the module lacks it."""
    return machine.tables.star(machine, node, name, module_frame(source))


def _run_for(machine: Machine, source: Source, name: str) -> None:
    """Run what has to have run before a name of a module is used."""
    if source.calls:
        _run_calls(machine, source)
    if not source.settled(name):
        for index in source.bindings[name]:
            if index not in source.ran:
                _run(machine, source, index)
    if name in source.bindings:
        _register(machine, machine.registrations.due(source, name))


def imported(machine: Machine, source: Source) -> None:
    """Note that a file is imported, and run what it registers in objects that are in use."""
    machine.registrations.reach(source)
    _register(machine, machine.registrations.overdue())


def _register(machine: Machine, statements: Sequence[tuple[Source, int]]) -> None:
    """Run statements that register something; those of a file whose code is being read, after that."""
    for source, index in statements:
        if source in machine.registrations.busy:
            machine.registrations.late.append((source, index))
        elif index not in source.ran:
            _run(machine, source, index)


def _run(machine: Machine, source: Source, index: int) -> None:
    source.ran.add(index)
    before, machine.frame = machine.frame, module_frame(source)
    busy = machine.registrations.busy
    busy.append(source)
    try:
        machine.run_at_module_level(source.tree.body[index], machine.frame)
    finally:
        machine.frame = before
        busy.pop()
    if source not in busy:
        late = machine.registrations.late[:]
        machine.registrations.late.clear()
        _register(machine, late)


def _run_calls(machine: Machine, source: Source) -> None:
    """Run the calls at module level of functions that store something: registrations, patches."""
    calls, source.calls = source.calls, ()
    for index, name in calls:
        called = module_name(machine, source, name)
        called = machine.builtins.get(name) if called is ABSENT else called
        if index not in source.ran and stores(called):
            _run(machine, source, index)
