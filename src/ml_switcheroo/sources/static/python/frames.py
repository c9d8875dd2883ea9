"""Code and its names: functions and classes, the frames that they run in, and the module around them."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, field
from typing import Any

from ml_switcheroo.code.library import Source
from ml_switcheroo.sources.static.python.values import (
    ABSENT,
    Instance,
    OneOf,
    Value,
    join,
)

__all__ = ["Class", "Frame", "Function", "Super", "assigned", "module_frame", "present"]


@dataclass(slots=True, eq=False, repr=False)
class Function:
    """A ``def`` or ``lambda`` with what it closes over; ``attrs`` are attributes set on it."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    source: Source
    frame: Frame | None
    defaults: list[Value]
    keyword_defaults: list[Value]
    owner: Class | None = None
    generator: bool = False
    attrs: dict[Any, Value] = field(default_factory=dict)


@dataclass(slots=True, eq=False, repr=False)
class Class:
    """A class whose source has been read; ``mro`` ends with External and Unknown bases."""

    name: str
    node: ast.ClassDef | None
    source: Source | None
    bases: tuple[Value, ...]
    attrs: dict[Any, Value]
    mro: tuple[Value, ...] = ()
    dataclass: bool = False
    fields: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True, eq=False)
class Super:
    """``super()``: attribute look-up in the MRO of ``owner`` behind ``start``."""

    owner: Value
    start: Class


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
