"""A module's own code: each statement is read once, when something that it binds or changes is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_switcheroo.code.library import Source
from ml_switcheroo.sources.static.python.frames import module_frame
from ml_switcheroo.sources.static.python.values import ABSENT
from ml_switcheroo.sources.static.python.wrapping import stores

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["imported", "run_for"]


def run_for(machine: Machine, source: Source, name: str) -> None:
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
        called = machine.module_name(source, name)
        called = machine.builtins.get(name) if called is ABSENT else called
        if index not in source.ran and stores(called):
            _run(machine, source, index)
