"""Hold the leaves that arrive at a writer against what was announced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.stream import Leaf
from ml_switcheroo.tensors import TensorSpec, spec_of

__all__ = ["LeafCheck"]


class LeafCheck:
    """Holds arriving leaves against their specs: each one once, with its shape and dtype."""

    def __init__(self, specs: Mapping[str, TensorSpec]) -> None:
        self._specs = specs
        self._left = dict.fromkeys(specs)

    def take(self, name: str, array: Leaf) -> None:
        """Check one leaf.

        Raises:
            UsageError: It is unknown, there for the second time, or not what its spec says.
        """
        if name not in self._specs:
            raise UsageError(f"{name}: no such leaf was announced")
        if name not in self._left:
            raise UsageError(f"{name}: the leaf came twice")
        found, expected = spec_of(array), self._specs[name]
        if found != expected:
            raise UsageError(f"{name}: expected {expected!r}, found {found!r}")
        del self._left[name]

    def each(self, leaves: Iterable[tuple[str, Leaf]]) -> Iterator[tuple[str, Leaf]]:
        """Check leaves as they pass through."""
        for name, leaf in leaves:
            self.take(name, leaf)
            yield name, leaf

    def finish(self) -> None:
        """Raise :class:`UsageError` if a leaf has not come."""
        if self._left:
            names = list(self._left)
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            raise UsageError(f"{len(names)} leaves did not come: {', '.join(names[:10])}{more}")
