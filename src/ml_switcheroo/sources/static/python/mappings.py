"""Dictionaries that know more of themselves than their keys."""

from __future__ import annotations

from typing import Any

from ml_switcheroo.sources.static.python.value import Value

__all__ = ["DefaultDict", "OpenDict"]


class OpenDict(dict[Any, Any]):
    """A dictionary that may hold more keys than the known ones."""

    def copy(self) -> OpenDict:
        """Return a dictionary that is as open."""
        return OpenDict(self)


class DefaultDict(dict[Any, Any]):
    """A ``collections.defaultdict``: it makes what it is asked for and lacks."""

    factory: Value = None

    def copy(self) -> DefaultDict:
        """Return a dictionary that makes the same."""
        made = DefaultDict(self)
        made.factory = self.factory
        return made
