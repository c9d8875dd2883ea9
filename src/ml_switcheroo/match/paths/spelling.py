"""The same place, spelled in different ways: ``layers_0/fc``, ``layers.0.fc``, ``net.layers.0``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache

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
    if not containers:
        return _split(path)
    result: list[str] = []
    parts = [part for part in _SEPARATORS.split(path) if not part.startswith("~")]
    for count, part in enumerate(parts):
        if part == attribute and containers.get(".".join(parts[:count])) == "sequential":
            continue
        result += _indexed(part)
    return tuple(result)


@lru_cache(maxsize=2**16)
def _split(path: str) -> tuple[str, ...]:
    """Split a path without containers: every stage of a plan asks for the same ones."""
    parts = (part for part in _SEPARATORS.split(path) if not part.startswith("~"))
    return tuple(segment for part in parts for segment in _indexed(part))


@cache
def _indexed(part: str) -> tuple[str, ...]:
    """Split the index off a segment: the same few come with every block of a large tree."""
    joined = _JOINED.fullmatch(part)
    return joined.groups() if joined else (part,)


def _root(template: Template, naming: Naming) -> int:
    """Count the segments of the module around all others: Haiku writes the name of the model's class."""
    first = next(iter(template.specs), "").split(naming.separator)[0]
    alone = all(path.startswith(first + naming.separator) for path in template.specs)
    return len(segments(first)) if alone and not naming.collections else 0


class Spelling:
    """Look-up of a template's leaves by any spelling of their paths."""

    def __init__(self, template: Template, naming: Naming) -> None:
        self._naming = naming
        self._paths: dict[tuple[str, ...], set[str]] = {}
        root = _root(template, naming)
        for path in template.specs:
            for key in {segments(path), segments(path, naming.sequential, template.containers)}:
                for end in {key, key[root:]}:
                    self._paths.setdefault(end, set()).add(path)
        self._above = {key[:count] for key in self._paths for count in range(len(key) + 1)}

    def knows(self, module: str, containers: Mapping[str, str]) -> bool:
        """Tell whether some leaf is spelled as if it were a module, or lay in one."""
        ways = (containers, {}) if containers else ({},)
        written = (self._naming.path(module, "", containers=known) for known in ways)
        return any(segments(text) in self._above for text in written)

    def find(self, module: str, leaf: str, collection: str, containers: Mapping[str, str]) -> str | None:
        """Return the leaf of a module; None where no leaf, or more than one, is spelled like it.

        Args:
            module: Path of the module in PyTorch (after the user's renames).
            leaf: Name of the leaf.
            collection: The leaf's collection.
            containers: The containers of the source, by their paths in PyTorch.
        """
        ways = (containers, {}) if containers else ({},)
        written = (self._naming.path(module, leaf, collection=collection, containers=known) for known in ways)
        found = {path for text in written for path in self._paths.get(segments(text), ())}
        return found.pop() if len(found) == 1 else None
