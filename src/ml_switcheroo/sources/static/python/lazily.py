"""Names that a module hands out when it is asked for them: packages that import their parts lazily."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ml_switcheroo.code.library import Source
from ml_switcheroo.sources.static.python.frames import Function
from ml_switcheroo.sources.static.python.modules import starred
from ml_switcheroo.sources.static.python.own_code import from_import, module_name
from ml_switcheroo.sources.static.python.values import ABSENT, Arguments, Raised, Unknown, Value

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["handed_out", "is_replaced"]


def handed_out(machine: Machine, module: Source, name: str) -> Value:
    """Return a name that nothing in a module binds as it runs; ABSENT where the module does not have it.

    What type checkers are shown is what the module hands out: the imports under ``TYPE_CHECKING``. Where
    there are none, it is a table of names by submodule, which is given to whatever takes the place of the
    module in ``sys.modules``, or what ``__getattr__`` makes of the name.
    """
    if name.startswith("__"):
        return ABSENT
    for way in (_shown,) if _for_checkers(module.tree) else (_listed, _made):
        found = way(machine, module, name)
        if found is not ABSENT:
            return found
    return ABSENT


def is_replaced(module: Source) -> bool:
    """Tell whether something else takes the place of a module when it is imported."""
    return bool(_stand_in(module.tree))


def _shown(machine: Machine, module: Source, name: str) -> Value:
    for node in _for_checkers(module.tree):
        for alias in node.names:
            if name == (alias.asname or alias.name):
                found = from_import(machine, module, node, alias.name)
                if found is not ABSENT:
                    return found
            elif alias.name == "*":
                found = _behind(machine, module, node, name)
                if found is not ABSENT:
                    return found
    return ABSENT


def _behind(machine: Machine, source: Source, node: ast.ImportFrom, name: str) -> Value:
    """Return a name that ``from module import *`` brings; ABSENT where it does not."""
    path = machine.library.place(source, node)
    if path is None or not _mentioned(path, name):
        return ABSENT
    module, package = machine.library.file(path), path.name == "__init__.py"
    if name in module.bindings or not package:
        listed = starred(machine, module)
        return module_name(machine, module, name) if listed is None or name in listed else ABSENT
    return _shown(machine, module, name)


def _mentioned(path: Path, name: str) -> bool:
    """Tell whether a name may come from a file, or from what lies beside that of a package."""
    files = [path]
    if path.name == "__init__.py":
        beside = list(path.parent.iterdir())
        if any((folder / "__init__.py").is_file() for folder in beside if folder.is_dir()):
            return True
        files = [one for one in beside if one.suffix == ".py"]
    return any(name.encode() in one.read_bytes() for one in files)


@functools.lru_cache(maxsize=512)
def _for_checkers(tree: ast.Module) -> tuple[ast.ImportFrom, ...]:
    """Return the imports that only a type checker sees."""
    guards = (one for one in tree.body if isinstance(one, ast.If) and _checks_types(one.test))
    return tuple(
        node
        for guard in guards
        for statement in guard.body
        for node in ast.walk(statement)
        if isinstance(node, ast.ImportFrom)
    )


def _checks_types(test: ast.expr) -> bool:
    names = {one.id for one in ast.walk(test) if isinstance(one, ast.Name)}
    names |= {one.attr for one in ast.walk(test) if isinstance(one, ast.Attribute)}
    return "TYPE_CHECKING" in names and not isinstance(test, ast.UnaryOp)


def _listed(machine: Machine, module: Source, name: str) -> Value:
    for argument in _stand_in(module.tree):
        try:
            table = module_name(machine, module, argument.id)
        except Raised:
            continue
        for place in _places(table, name):
            path = machine.library.relative(module, 1, place)
            if path is not None:
                return machine.read(machine.library.file(path), name)
    return ABSENT


def _places(table: Value, name: str) -> Iterator[str]:
    """Yield the submodules under which a table lists a name."""
    if isinstance(table, dict):
        for place, names in table.items():
            if isinstance(place, str) and isinstance(names, list | tuple | set) and name in names:
                yield place


@functools.lru_cache(maxsize=512)
def _stand_in(tree: ast.Module) -> tuple[ast.Name, ...]:
    """Return the names that are given to what takes the place of a module, in ``sys.modules[__name__]``."""
    found: list[ast.Name] = []
    for node in ast.walk(tree):
        match node:
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Attribute(attr="modules"), slice=ast.Name(id="__name__"))],
                value=ast.Call() as call,
            ):
                given = [*call.args, *(word.value for word in call.keywords)]
                found += [one for one in given if isinstance(one, ast.Name)]
    return tuple(found)


def _made(machine: Machine, module: Source, name: str) -> Value:
    if "__getattr__" not in module.bindings:
        return ABSENT
    maker = module_name(machine, module, "__getattr__")
    try:
        found = machine.call(maker, Arguments([name])) if isinstance(maker, Function) else ABSENT
    except Raised:
        return ABSENT
    return ABSENT if isinstance(found, Unknown) else found
