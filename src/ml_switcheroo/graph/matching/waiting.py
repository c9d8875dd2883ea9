"""Which kernels wait for which others: a kernel is asked again only when the one it waits for is known."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from ml_switcheroo.graph.matching.side import Region
from ml_switcheroo.graph.parameters import Kernel

__all__ = ["Waiting"]


class Waiting:
    """The kernels of a program that nothing stands for yet.

    Args:
        kernels: The kernels, in the order of the program.
    """

    def __init__(self, kernels: Iterable[Kernel]) -> None:
        self._place = {kernel: place for place, kernel in enumerate(kernels)}
        self._blocker: dict[Kernel, Kernel | None] = dict.fromkeys(self._place)
        self._behind: dict[Kernel | None, dict[Kernel, None]] = {None: dict.fromkeys(self._place)}

    def kernels(self, known: AbstractSet[Kernel]) -> list[Kernel]:
        """Return the kernels that may have their data with some kernels known, in order."""
        found = dict(self._behind.get(None, {}))
        for kernel in self._behind.keys() & known:
            found.update(self._behind[kernel])
        return sorted((kernel for kernel in found if kernel not in known), key=self._place.__getitem__)

    def done(self, kernel: Kernel) -> None:
        """Take a kernel out that something stands for."""
        del self._behind[self._blocker.pop(kernel)][kernel]

    def put(self, kernel: Kernel, region: Region) -> None:
        """Note what a kernel waits for: the first that blocks its data."""
        blocker = region.blocker if region.blocked else None
        before = self._blocker[kernel]
        if blocker is not before:
            del self._behind[before][kernel]
            self._behind.setdefault(blocker, {})[kernel] = None
            self._blocker[kernel] = blocker
