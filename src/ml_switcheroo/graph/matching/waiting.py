"""Which kernels wait for which others: a kernel is asked again only when the one it waits for is known."""

from __future__ import annotations

from collections.abc import Iterable

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

    def kernels(self, assumed: Iterable[Kernel]) -> list[Kernel]:
        """Return the kernels that may have their data with some assumed, in order."""
        found = [kernel for blocker in (None, *assumed) for kernel in self._behind.get(blocker, ())]
        return sorted(found, key=self._place.__getitem__)

    def done(self, kernel: Kernel) -> None:
        """Take a kernel out that something stands for; what has waited for it waits no more."""
        self._take(kernel, self._blocker.pop(kernel))
        for waiting in self._behind.pop(kernel, ()):
            self._put(waiting, None)

    def put(self, kernel: Kernel, region: Region) -> None:
        """Note what a kernel waits for: the first that blocks its data."""
        blocker = region.blocker if region.blocked else None
        before = self._blocker[kernel]
        if blocker is not before:
            self._take(kernel, before)
            self._put(kernel, blocker)

    def _put(self, kernel: Kernel, blocker: Kernel | None) -> None:
        self._behind.setdefault(blocker, {})[kernel] = None
        self._blocker[kernel] = blocker

    def _take(self, kernel: Kernel, blocker: Kernel | None) -> None:
        behind = self._behind[blocker]
        del behind[kernel]
        if not behind:
            del self._behind[blocker]
