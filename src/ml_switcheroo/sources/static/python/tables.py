"""What the machine looks up: what nodes and values mean, by type, and what is asked about unread packages.

Whoever knows a type fills in its rows. Those of Python's own types come from this shelf. What a value of
a package is under ``+``, in ``x[0]`` or in a loop comes from the shelf above, which this one never imports.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ml_switcheroo.sources.static.python.frames import Frame
from ml_switcheroo.sources.static.python.values import Arguments, Foreign, Instance, Value

__all__ = ["Ending", "ForkReader", "Outcome", "Outside", "Reader", "Tables", "Watcher"]


M = TypeVar("M")
"""The machine that looks things up; it holds these tables, so it cannot be named here."""

Reads = TypeVar("Reads", contravariant=True)


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


Reader = Callable[[M, Any, Frame], Any]
"""Evaluates an expression, or runs a statement."""

ForkReader = Callable[[M, Any, Sequence[ast.stmt], Frame], Outcome | None]
"""Runs a statement that forks, given the rest of its block: None where the caller goes on with that."""


@dataclass(frozen=True, slots=True)
class Outside(Generic[M]):
    """What the machine asks about packages that are not read, by dotted name.

    Attributes:
        call: What a call of something in a package gives.
        construct: Runs the constructor of a class of a package, for an instance.
        call_instance: What an instance gives when it is called, and its class is not read.
        member: An attribute that an instance has from a class of a package.
        is_subclass: Whether one class derives from another; None where nobody knows.
        is_layer: Whether a class is made in the usual way, by ``__new__`` of object.
        exports: Whether ``from package import *`` binds a name.
        stands_for: The class of a package that a class in a file is a copy of; empty for any other.
        root: The class that all layers derive from.
        called: The methods that a call of an instance runs, the first of them that its class has.
        keyed: The classes, as ``Instance.base`` says them, that hold what they are given by key.
        sliced_with_names: Those whose slices keep the names of the items.
        apart: How the names of classes begin that no value of Python's own is an instance of.
    """

    call: Callable[[M, str, Arguments], Value]
    construct: Callable[[M, Instance, str, Arguments], None]
    call_instance: Callable[[M, Instance, Arguments], Value]
    member: Callable[[M, Instance, str, str], Value]
    is_subclass: Callable[[str, str], bool | None]
    is_layer: Callable[[str], bool]
    exports: Callable[[str, str], bool]
    stands_for: Callable[[Path, str], str]
    root: str
    called: tuple[str, ...] = ("__call__",)
    keyed: frozenset[str] = frozenset()
    sliced_with_names: frozenset[str] = frozenset()
    apart: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Tables(Generic[M]):
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

    expressions: Mapping[type, Reader[M]]
    statements: Mapping[type, Reader[M]]
    forks: Mapping[type, ForkReader[M]]
    unread: Reader[M]
    star: Callable[[M, ast.ImportFrom, str, Frame], Value]
    calls: Mapping[type, Callable[[M, Any, Arguments], Value]]
    readers: Mapping[type, Callable[[M, Any, str], Value]]
    writers: Mapping[type, Callable[[M, Any, Any, Value], None]]
    truths: Mapping[type, Callable[[M, Any], bool | None]]
    operators: Mapping[type, Callable[[M, type, Value, Value], Value]] = field(default_factory=dict)
    compared: Mapping[type, Callable[[M, Value, Value], Value]] = field(default_factory=dict)
    subscripts: Mapping[type, Callable[[M, Any, Value], Value]] = field(default_factory=dict)
    stores: Mapping[type, Callable[[M, Any, Value, Value], None]] = field(default_factory=dict)
    items: Mapping[type, Callable[[M, Any], list[Value] | None]] = field(default_factory=dict)
    unpacked: Mapping[type, Callable[[Any, int], list[Value] | None]] = field(default_factory=dict)
    nth: Mapping[type, Callable[[Any, int], Value]] = field(default_factory=dict)
    widened: Mapping[type, Callable[[Any, Value], Value]] = field(default_factory=dict)
    instances: Mapping[type, Callable[[Any, Value], bool | None]] = field(default_factory=dict)
    builtins: Mapping[str, Value] = field(default_factory=dict)
    externals: Mapping[str, Value] = field(default_factory=dict)
    outside: Outside[M]


class Watcher(Protocol[Reads]):
    """Somebody who watches what a program does, and answers for the values of packages in it."""

    def named(self, machine: Reads, name: Any, value: Value, /) -> None:
        """Note that a value is called by a name."""

    def stored(self, *values: Value) -> None:
        """Note that something is stored in values."""

    def called(self, machine: Reads, instance: Instance, args: Arguments, /) -> tuple[Value] | None:
        """Return what a module gives, wrapped, where it need not be read."""

    def passed(self, args: Arguments, /) -> Value:
        """Return what a function gives that nobody knows."""

    def items(self, value: Foreign, /) -> list[Value] | None:
        """Return what iterating over a value gives; None where that is unknown."""

    def layer(self, machine: Reads, layer: Instance, args: Arguments, /) -> Value:
        """Return what a layer of a package gives."""

    def function(self, machine: Reads, name: str, args: Arguments, /) -> Value:
        """Return what a function of a package gives that is known by its name."""

    def foreign(self, machine: Reads, name: str, args: Arguments, /) -> Value:
        """Return what a function of any other package gives."""

    def attribute(self, machine: Reads, owner: Foreign, name: str, /) -> Value:
        """Return an attribute or a method."""

    def operate(self, machine: Reads, op: type, left: Value, right: Value, /) -> Value:
        """Return what an operator gives."""

    def subscript(self, machine: Reads, owner: Value, index: Value, /) -> Value:
        """Return ``owner[index]``."""
