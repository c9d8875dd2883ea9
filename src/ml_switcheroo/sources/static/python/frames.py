"""Names: the frames of functions, the module around them, and imports between files."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_switcheroo.code.library import Source
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    UNKNOWN,
    Class,
    Function,
    Instance,
    OneOf,
    Raised,
    Value,
    join,
)

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["Frame", "assigned", "module_frame"]


@dataclass(slots=True, eq=False, repr=False)
class Frame:
    """The names of one call, class body or module.

    Attributes:
        names: What is bound here.
        source: The file.
        outer: The function frame around it, if there is one.
        function: The function that runs in it.
        owner: The class whose method or body it is.
        self_: The first argument of a method.
        elsewhere: Names declared ``nonlocal`` or ``global``, with their dictionary.
        yields: What a generator has yielded.
        returned: What was returned on a path that may have been taken.
        body: Whether this is a class body, which inner functions do not see.
    """

    names: dict[str, Value]
    source: Source
    outer: Frame | None = None
    function: Function | None = None
    owner: Class | None = None
    self_: Instance | Class | None = None
    elsewhere: dict[str, dict[str, Value]] = field(default_factory=dict)
    yields: list[Value] | None = None
    returned: list[Value] = field(default_factory=list)
    body: bool = False

    def look_up(self, name: str, machine: Machine) -> Value:
        """Return what a name stands for.

        Raises:
            Raised: NameError where nothing binds it.
        """
        if name in self.names and not self.elsewhere:
            return present(self.names[name])
        frame: Frame | None = self
        while frame is not None:
            names = frame.elsewhere.get(name, frame.names)
            if name in names and (frame is self or not frame.body):
                return present(names[name])
            frame = frame.outer
        value = machine.module_name(self.source, name)
        if value is ABSENT:
            value = machine.builtins.get(name, ABSENT)
        if value is ABSENT and machine.following and not machine.trying:
            return UNKNOWN  # whatever has put it there
        if value is ABSENT:
            raise Raised("NameError", name)
        return value

    def bind(self, name: str, value: Value, machine: Machine) -> None:
        """Bind a name."""
        if machine.follower is not None:
            machine.follower.named(machine, name, value)
        names = self.elsewhere.get(name, self.names)
        machine.heap.touch(names)
        names[name] = value


def present(value: Value) -> Value:
    """Drop the alternative that something is not there: it is used, so it is."""
    if isinstance(value, OneOf) and ABSENT in value.choices:
        return join(choice for choice in value.choices if choice is not ABSENT)
    return value


def module_frame(source: Source) -> Frame:
    """Return the frame that module-level statements run in."""
    return Frame(source.values, source)


@functools.lru_cache(maxsize=4096)
def assigned(body: tuple[ast.stmt | ast.expr, ...]) -> frozenset[str]:
    """Return the names that statements bind in their own scope."""
    found: set[str] = set()
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        pending.extend(ast.iter_child_nodes(node))
    return frozenset(found)
