"""What a pickle's globals and foreign objects become: records that do nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Foreign", "Global", "PickleFault", "Record", "Unreadable"]


class PickleFault(Exception):
    """Say what is wrong with a pickle, and at which byte of it; readers add the file.

    Attributes:
        reason: What is wrong.
        offset: Where in the pickle; None where it is not one place.
        cure: What to do about it.
    """

    def __init__(self, reason: str, offset: int | None = None, cure: str = "") -> None:
        self.reason = reason
        self.offset = offset
        self.cure = cure
        super().__init__(reason)


# Python 2 wrote other names for these modules.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "UserDict": "collections"}


class Global:
    """A class or function that a pickle names; never looked up, never called.

    Attributes:
        path: ``module.name``.
        offset: Where the pickle first names it.
    """

    __slots__ = ("offset", "path")

    def __init__(self, module: str, name: str, offset: int = 0) -> None:
        self.path = f"{_RENAMED.get(module, module)}.{name}"
        self.offset = offset

    def __repr__(self) -> str:
        return self.path


@dataclass(slots=True, eq=False, repr=False)
class Foreign:
    """An object of a class that is not on the list: what would have been handed to it.

    Attributes:
        kind: The class.
        args: The arguments of its constructor.
        offset: Where the pickle makes it.
        state: What its ``__setstate__`` would have got.
        items: What would have been appended.
        entries: What would have been set by key.
    """

    kind: Global
    args: tuple[Any, ...]
    offset: int
    state: Any = None
    items: list[Any] = field(default_factory=list)
    entries: dict[Any, Any] = field(default_factory=dict)

    def set_state(self, state: Any) -> None:
        """Keep the state."""
        self.state = state

    @property
    def attributes(self) -> dict[Any, Any]:
        """The instance's ``__dict__`` as far as the pickle tells it."""
        state = self.state
        if isinstance(state, tuple) and len(state) == 2:  # (__dict__, slots)
            return {**(state[0] or {}), **(state[1] or {})} if all(map(_dict_or_none, state)) else {}
        return state if isinstance(state, dict) else {}

    def __repr__(self) -> str:
        return f"<{self.kind.path}>"


def _dict_or_none(part: Any) -> bool:
    return part is None or isinstance(part, dict)


class Record(dict[Any, Any]):
    """A namespace, as a dict of its attributes."""

    __slots__ = ()

    def set_state(self, state: Any) -> None:
        """Take the attributes."""
        if not isinstance(state, dict):
            raise TypeError("a namespace whose state is no dict")
        self.update(state)


@dataclass(frozen=True, slots=True, eq=False)
class Unreadable:
    """A tensor that is known to be there but cannot be read.

    Attributes:
        what: Such as ``a quantised tensor (torch.qint8)``.
    """

    what: str

    def set_state(self, state: Any) -> None:
        """Ignore the state of what cannot be read."""
