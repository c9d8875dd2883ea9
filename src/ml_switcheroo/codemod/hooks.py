"""Hooks: functions that rewrite one call, and what they may know and do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ml_switcheroo.codemod.notes import FOREIGN, ROWS, Row
from ml_switcheroo.errors import UsageError
from ml_switcheroo.offered import load_offered

if TYPE_CHECKING:
    import libcst

__all__ = ["ENTRY_POINTS", "Hook", "HookContext", "Note", "find_hook", "register_hook"]

ENTRY_POINTS = "ml_switcheroo.hooks"
"""The entry-point group in which other packages offer hooks: ``name = "package.module:function"``."""

_HOOKS: dict[str, Hook] = {}


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """What a person should know about one place: mostly, why it was left as it is.

    Attributes:
        file: The file.
        line: The line, from 1.
        text: What it says.
        code: The code of its row in the table of notes.
    """

    file: str
    line: int
    text: str
    code: str = FOREIGN

    @property
    def row(self) -> Row:
        """The kind of note: title, consequence, cure."""
        return ROWS[self.code]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(frozen=True)
class HookContext:
    """What a hook may know about a call, and what it may ask for.

    One context a call; all contexts of a file share what they ask for, so that a preamble lands there
    once however many calls want it.

    Attributes:
        target: The target's name, such as ``nnx``.
        file: The file, as notes name it.
        line: The line of the call, from 1.
        receiver: The type of the object the method is called on, such as ``module``; empty if unknown.
        scope: The dotted name of the function or class around the call; empty at the top of a file.
        settings: What the caller of the rewrite has set.
    """

    target: str = "jax"
    file: str = "<source>"
    line: int = 0
    receiver: str = ""
    scope: str = ""
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    preambles: dict[str, None] = field(default_factory=dict, repr=False)
    imports: dict[str, None] = field(default_factory=dict, repr=False)
    notes: list[Note] = field(default_factory=list, repr=False)
    needs: dict[str, None] = field(default_factory=dict, repr=False)

    def need(self, method: str) -> None:
        """Ask for a method of ``KeyMapper``; what has it, and where it stands, is the rewrite's to choose."""
        self.needs.setdefault(method)

    def inject_preamble(self, text: str) -> None:
        """Ask for ``text`` (top-level statements) behind the imports; once a file, however often asked."""
        self.preambles.setdefault(text)

    def inject_import(self, statement: str) -> None:
        """Ask for an import statement behind the imports; once a file, however often asked."""
        self.imports.setdefault(statement)

    def note(self, text: str, code: str = FOREIGN) -> None:
        """Tell the person who reads the result something about this call.

        Raises:
            UsageError: No kind of note has that code.
        """
        if code not in ROWS:
            raise UsageError(f"no note has the code {code!r}; known codes: {', '.join(ROWS)}")
        self.notes.append(Note(self.file, self.line, text, code))


Hook = Callable[["libcst.Call", HookContext], "libcst.CSTNode"]


def register_hook(name: str) -> Callable[[Hook], Hook]:
    """Register the decorated function as the hook that operations name in ``requires_plugin``.

    Raises:
        UsageError: Another function has that name already.
    """

    def register(hook: Hook) -> Hook:
        other = _HOOKS.setdefault(name, hook)
        if (other.__module__, other.__qualname__) != (hook.__module__, hook.__qualname__):
            raise UsageError(f"hook {name!r} is {other.__module__}.{other.__qualname__} already")
        _HOOKS[name] = hook
        return hook

    return register


def find_hook(name: str) -> Hook:
    """Return the hook of that name: one that is registered, that comes along, or of another package.

    Raises:
        UsageError: There is none, or its module cannot be imported (the message says which and why).
    """
    if name not in _HOOKS:
        _load_own()
    if name not in _HOOKS:
        for point in entry_points(group=ENTRY_POINTS, name=name):
            _HOOKS[name] = load_offered(point, "hook")
    if name not in _HOOKS:
        raise UsageError(f"no hook is called {name!r}; known hooks: {', '.join(sorted(_HOOKS))}")
    return _HOOKS[name]


@cache
def _load_own() -> None:
    """Import every module of ``ml_switcheroo.plugins``: each registers its hooks."""
    from importlib import import_module
    from pkgutil import iter_modules

    package = import_module("ml_switcheroo.plugins")
    for module in iter_modules(package.__path__):
        import_module(f"ml_switcheroo.plugins.{module.name}")
