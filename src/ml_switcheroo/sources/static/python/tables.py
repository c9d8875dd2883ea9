"""What the machine looks up: what nodes and values mean, by type, and what is asked about unread packages.

Whoever knows a type fills in its rows. Those of Python's own types come from this shelf. What a tensor is
under ``+``, in ``x[0]`` or in a loop comes from the shelf of torch, which this one never imports.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ml_switcheroo.sources.static.python.values import UNKNOWN, Arguments, Instance, Tensor, Value

if TYPE_CHECKING:
    from ml_switcheroo.sources.static.python.frames import Frame
    from ml_switcheroo.sources.static.python.machine import Machine

__all__ = ["Ending", "ForkReader", "Outcome", "Outside", "Reader", "Tables", "Watcher"]


class Ending(Enum):
    """How a block of statements ends."""

    NEXT = "next"
    BREAK = "break"
    CONTINUE = "continue"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a block ended, and with which value it returned."""

    ending: Ending = Ending.NEXT
    value: Value = None


Reader = Callable[["Machine", Any, "Frame"], Any]
"""Evaluates an expression, or runs a statement."""

ForkReader = Callable[["Machine", Any, Sequence[ast.stmt], "Frame"], "Outcome | None"]
"""Runs a statement that forks, given the rest of its block: None where the caller goes on with that."""


def _unread(machine: Machine, node: Any, frame: Frame) -> Value:
    """Pass over a node that the tables lack, a newer Python's: nothing is known but the names it binds."""
    machine.forget(node, frame)
    return UNKNOWN if isinstance(node, ast.expr) else None


@dataclass(frozen=True, slots=True)
class Outside:
    """What the machine asks about packages that are not read, by dotted name.

    Attributes:
        call: What a call of something in a package gives.
        construct: Runs the constructor of a class of a package, for an instance.
        forward: What an instance gives when it is called, and its class is not read.
        member: An attribute that an instance has from a class of a package.
        is_subclass: Whether one class derives from another; None where nobody knows.
        is_layer: Whether a class is made in the usual way, by ``__new__`` of object.
        exports: Whether ``from package import *`` binds a name.
        stands_for: The class of a package that a class in a file is a copy of; empty for any other.
        root: The class that all layers derive from.
    """

    call: Callable[[Machine, str, Arguments], Value]
    construct: Callable[[Machine, Instance, str, Arguments], None]
    forward: Callable[[Machine, Instance, Arguments], Value]
    member: Callable[[Machine, Instance, str, str], Value]
    is_subclass: Callable[[str, str], bool | None]
    is_layer: Callable[[str], bool]
    exports: Callable[[str, str], bool]
    stands_for: Callable[[Path, str], str]
    root: str


@dataclass(slots=True, kw_only=True)
class Tables:
    """What the machine looks up, by type.

    Attributes:
        expressions: How to evaluate, by the type of the node.
        statements: How to run, by the type of the node.
        forks: How to run a statement that forks, by the type of the node.
        unread: How to pass over any other node.
        star: What ``from module import *`` binds a name to; ABSENT where the module lacks it.
        calls: How to call, by the type of the callee.
        readers: How to read an attribute, by the type of the owner.
        writers: How to set an attribute, by the type of the owner.
        truths: How to tell true from false, by type.
        operators: What an operator gives, by the type of either side; NotImplemented where it cannot tell.
        compared: What ``<``, ``==`` and the like give, by the type of either side; NotImplemented as above.
        subscripts: What ``owner[index]`` gives, by the type of the owner.
        stores: What ``owner[index] = value`` does, by the type of the owner.
        items: What iterating gives, by type; None where the items are unknown.
        unpacked: What unpacking into so many names gives where the items are unknown, by type.
        nth: The item at a place, where one value stands for any number of items, by its type.
        widened: What a name holds in any round of a loop, from the first two, by the type it has before.
        instances: Whether ``isinstance(value, cls)``, by the type of the value.
        builtins: The names that need no import.
        externals: What is known of packages that are not read, by dotted name.
        outside: What else is asked about such packages.
    """

    expressions: Mapping[type, Reader]
    statements: Mapping[type, Reader]
    forks: Mapping[type, ForkReader]
    unread: Reader = _unread
    star: Callable[[Machine, ast.ImportFrom, str, Frame], Value]
    calls: Mapping[type, Callable[[Machine, Any, Arguments], Value]]
    readers: Mapping[type, Callable[[Machine, Any, str], Value]]
    writers: Mapping[type, Callable[[Machine, Any, Any, Value], None]]
    truths: Mapping[type, Callable[[Machine, Any], bool | None]]
    operators: Mapping[type, Callable[[Machine, type, Value, Value], Value]] = field(default_factory=dict)
    compared: Mapping[type, Callable[[Machine, Value, Value], Value]] = field(default_factory=dict)
    subscripts: Mapping[type, Callable[[Machine, Any, Value], Value]] = field(default_factory=dict)
    stores: Mapping[type, Callable[[Machine, Any, Value, Value], None]] = field(default_factory=dict)
    items: Mapping[type, Callable[[Machine, Any], list[Value] | None]] = field(default_factory=dict)
    unpacked: Mapping[type, Callable[[Any, int], list[Value] | None]] = field(default_factory=dict)
    nth: Mapping[type, Callable[[Any, int], Value]] = field(default_factory=dict)
    widened: Mapping[type, Callable[[Any, Value], Value]] = field(default_factory=dict)
    instances: Mapping[type, Callable[[Any, Value], bool | None]] = field(default_factory=dict)
    builtins: Mapping[str, Value] = field(default_factory=dict)
    externals: Mapping[str, Value] = field(default_factory=dict)
    outside: Outside


class Watcher(Protocol):
    """Somebody who watches what a program does, and answers for the tensors in it."""

    def named(self, machine: Machine, name: Any, value: Value, /) -> None:
        """Note that a value is called by a name."""

    def stored(self, *values: Value) -> None:
        """Note that something is stored in values."""

    def called(self, machine: Machine, instance: Instance, args: Arguments, /) -> tuple[Value] | None:
        """Return what a module gives, wrapped, where it need not be read."""

    def passed(self, args: Arguments, /) -> Value:
        """Return what a function gives that nobody knows."""

    def items(self, tensor: Tensor, /) -> list[Value] | None:
        """Return what iterating over a tensor gives; None where that is unknown."""

    def layer(self, machine: Machine, layer: Instance, args: Arguments, /) -> Value:
        """Return what a layer of a package gives."""

    def function(self, machine: Machine, name: str, args: Arguments, /) -> Value:
        """Return what a function of a package gives that takes tensors."""

    def foreign(self, machine: Machine, name: str, args: Arguments, /) -> Value:
        """Return what a function of any other package gives."""

    def attribute(self, machine: Machine, tensor: Tensor, name: str, /) -> Value:
        """Return an attribute or a method of a tensor."""

    def operate(self, machine: Machine, op: type, left: Value, right: Value, /) -> Value:
        """Return what an operator gives."""

    def subscript(self, machine: Machine, tensor: Value, index: Value, /) -> Value:
        """Return ``tensor[index]``."""
