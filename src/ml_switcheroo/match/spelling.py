"""The same place, spelled in different ways: ``layers_0/fc``, ``layers.0.fc``, ``net.layers.0``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ml_switcheroo.recipes import Naming
from ml_switcheroo.tree import Template

__all__ = ["Spelling", "segments"]

_SEPARATORS = re.compile(r"[./]")
_JOINED = re.compile(r"(.*[^_\d])_(\d+)")


def segments(path: str, attribute: str = "", containers: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Split a path so that different spellings of one place give the same segments.

    An index written onto a name (``layers_0``) becomes a segment of its own; the attribute that holds
    the children of a Sequential, and Haiku's ``~`` and ``~method``, are left out.

    >>> segments("layers_0/fc/kernel")
    ('layers', '0', 'fc', 'kernel')
    >>> segments("net.layers.0.kernel", "layers", {"net": "sequential"})
    ('net', '0', 'kernel')
    >>> segments("net/~/linear/w")
    ('net', 'linear', 'w')
    """
    result: list[str] = []
    parts = [part for part in _SEPARATORS.split(path) if not part.startswith("~")]
    for count, part in enumerate(parts):
        if containers and part == attribute and containers.get(".".join(parts[:count])) == "sequential":
            continue
        joined = _JOINED.fullmatch(part)
        result += joined.groups() if joined else (part,)
    return tuple(result)


class Spelling:
    """Look-up of a template's leaves by any spelling of their paths."""

    def __init__(self, template: Template, naming: Naming) -> None:
        self._naming = naming
        self._paths: dict[tuple[str, ...], set[str]] = {}
        for path in template.specs:
            for key in {segments(path), segments(path, naming.sequential, template.containers)}:
                for end in {key, self._below_root(key, template)}:
                    self._paths.setdefault(end, set()).add(path)
        self._above = {key[:count] for key in self._paths for count in range(len(key) + 1)}

    def _below_root(self, key: tuple[str, ...], template: Template) -> tuple[str, ...]:
        """Leave out the one module that everything lies in: Haiku writes the name of the model's class."""
        first = next(iter(template.specs), "").split(self._naming.separator)[0]
        alone = all(path.startswith(first + self._naming.separator) for path in template.specs)
        return key[len(segments(first)) :] if alone and not self._naming.collections else key

    def knows(self, module: str, containers: Mapping[str, str]) -> bool:
        """Tell whether some leaf is spelled as if it lay in a module, or were it."""
        written = (self._naming.path(module, "", containers=known) for known in (containers, {}))
        return any(segments(text) in self._above for text in written)

    def find(self, module: str, leaf: str, collection: str, containers: Mapping[str, str]) -> str | None:
        """Return the leaf of a module; None where no leaf, or more than one, is spelled like it.

        Args:
            module: Path of the module in PyTorch (after the user's renames).
            leaf: Name of the leaf.
            collection: The leaf's collection.
            containers: The containers of the source, by their paths in PyTorch.
        """
        written = (
            self._naming.path(module, leaf, collection=collection, containers=known)
            for known in (containers, {})
        )
        found = {path for text in written for path in self._paths.get(segments(text), ())}
        return found.pop() if len(found) == 1 else None
