"""Read a pickle as plain values: nothing is imported, no code of the file or of any class runs.

A pickle is a program for a small stack machine. This module runs that program itself, opcode by opcode,
instead of Python's unpickler. A global is only ever a :class:`Global` (two strings), and a call of one
is looked up in a table of constructors that the caller passes in. Anything else becomes a
:class:`Foreign` record of name, arguments and state. Keys of dicts and members of sets are checked
before they are hashed, since hashing nested tuples can take exponential time and unbounded C stack.

Opcodes: the docstrings of :mod:`pickletools`. All protocols, 0 to 5, except extension codes and
out-of-band buffers, which no file can carry.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Mapping
from typing import Any

from ml_switcheroo.formats.inert import Foreign, Global, PickleFault

__all__ = ["Constructor", "PickleMachine", "hashable"]

# A Global and a Foreign are hashed by identity.
_SIMPLE = (str, int, bool, float, bytes, type(None), complex, Global, Foreign)
_MAX_LINE = 65536

Constructor = Callable[..., Any]


class PickleMachine:
    """Run one pickle.

    Args:
        content: The bytes.
        constructors: By ``module.name``, what a call of that global builds from the pickled arguments.
        persistent: Called with a persistent id; returns what it stands for (a storage).
        start: Where the pickle starts.

    Attributes:
        content, next: The bytes, and the position of the next one to read.
        position: Where the current opcode starts.
        stack, memo: The machine's own.
        foreign: Globals that are named but not in the table, with the offset of the first use.
    """

    def __init__(
        self,
        content: bytes | mmap.mmap,
        constructors: Mapping[str, Constructor],
        persistent: Callable[[Any], Any],
        *,
        start: int = 0,
    ) -> None:
        self.content = content
        self._constructors = constructors
        self.persistent = persistent
        self.next = start
        self.stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self._globals: dict[str, Global] = {}
        self.position = start
        self.foreign: dict[str, int] = {}

    # Reading arguments

    def take(self, count: int) -> bytes:
        """Read ``count`` bytes."""
        start = self.next
        self.next = stop = start + count
        if count < 0 or stop > len(self.content):
            raise PickleFault("the pickle ends inside a value", self.position)
        return self.content[start:stop]

    def line(self) -> bytes:
        """Read up to the end of a line."""
        start = self.next
        stop = self.content.find(b"\n", start, start + _MAX_LINE)
        if stop < 0:
            raise PickleFault("a line that does not end", self.position)
        self.next = stop + 1
        return self.content[start:stop]

    def number(self, form: struct.Struct) -> Any:
        """Read one number."""
        return form.unpack(self.take(form.size))[0]

    # The stack

    def pop_to_mark(self) -> list[Any]:
        """Return what was pushed since the innermost mark, and drop the mark."""
        items = self.stack
        self.stack = self._outer.pop()
        return items

    def mark(self) -> None:
        """Push a mark."""
        self._outer.append(self.stack)
        self.stack = []

    def pop(self) -> None:
        """Drop the top of the stack, or the innermost mark."""
        if self.stack:
            self.stack.pop()
        else:
            self.pop_to_mark()

    def make_tuple(self, count: int) -> None:
        """Replace the top ``count`` items by a tuple of them."""
        stack = self.stack
        if len(stack) < count:
            raise IndexError("the stack is too short")
        items = tuple(stack[-count:])
        del stack[-count:]
        stack.append(items)

    def make_marked_tuple(self) -> None:
        """Replace what was pushed since the mark by a tuple."""
        items = tuple(self.pop_to_mark())
        self.stack.append(items)

    # Building values

    def add_items(self, items: list[Any]) -> None:
        """Add items to the list or set on top."""
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        elif isinstance(target, Foreign):
            target.items.extend(items)
        elif type(target) is set:
            target.update(hashable(item, self.position) for item in items)
        else:
            raise TypeError(f"{type(target).__name__} takes no items")

    def set_items(self, items: list[Any]) -> None:
        """Set keys of the dict on top; ``items`` alternates keys and values."""
        target = self.stack[-1]
        if isinstance(target, Foreign):
            target = target.entries
        if type(target) is not dict or len(items) % 2:
            raise TypeError(f"{type(target).__name__} takes no keys")
        at = self.position
        for index in range(0, len(items), 2):
            key = items[index]
            target[key if type(key) is str else hashable(key, at)] = items[index + 1]

    def name_global(self, module: str, name: str) -> None:
        """Push a global."""
        path = f"{module} {name}"
        found = self._globals.get(path)
        if found is None:
            found = self._globals[path] = Global(module, name, self.position)
            if found.path not in self._constructors:
                self.foreign.setdefault(found.path, self.position)
        self.stack.append(found)

    def call(self, what: Any, args: Any, named: Mapping[str, Any] | None = None) -> None:
        """Push what calling ``what`` builds."""
        if type(args) is not tuple:
            raise TypeError("a call without a tuple of arguments")
        if isinstance(what, Foreign):  # The result of a foreign call is called in turn.
            self.stack.append(Foreign(what.kind, (what, *args), self.position))
            return
        if type(what) is not Global:
            raise PickleFault(f"calls a {type(what).__name__}, which is not a class", self.position)
        build = self._constructors.get(what.path)
        if build is None or named:
            self.foreign.setdefault(what.path, self.position)
            self.stack.append(Foreign(what, args, self.position))
            return
        self.stack.append(build(*args))

    def build(self) -> None:
        """Hand the state on top to the object below it."""
        state = self.stack.pop()
        target = self.stack[-1]
        if hasattr(target, "set_state"):
            target.set_state(state)
        elif type(target) is not dict:
            raise TypeError(f"{type(target).__name__} takes no state")
        # The attributes of a dict (a state dict's _metadata) say nothing about its tensors.

    def memoize(self, index: int) -> None:
        """Remember the top of the stack."""
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Push what was remembered."""
        self.stack.append(self.memo[index])


def hashable(key: Any, at: int) -> Any:
    """Return ``key`` if it is quick and safe to hash: a simple value, or a flat tuple of them."""
    if type(key) in _SIMPLE:
        return key
    if type(key) is tuple and len(key) <= 64 and all(type(item) in _SIMPLE for item in key):
        return key
    raise PickleFault(f"a {type(key).__name__} as a key", at)
