"""Tensors that are computed from those of a file when they are read: one at a time, never all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ml_switcheroo.formats.checkpoint import Array, Checkpoint, LazyTensor
from ml_switcheroo.tensors import TensorSpec

__all__ = ["DerivedTensor", "with_tensors"]


class DerivedTensor(LazyTensor):
    """A tensor that is computed when it is read.

    Args:
        spec: Shape and dtype of what is computed.
        compute: Returns the array.
    """

    __slots__ = ("_compute",)

    def __init__(self, spec: TensorSpec, compute: Callable[[], Array]) -> None:
        super().__init__(spec)
        self._compute = compute

    def read(self) -> Array:
        """Return the whole tensor, computed in memory."""
        array = self._compute()
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(f"{array.dtype}{list(array.shape)} was computed, {self.spec!r} announced")
        array.flags.writeable = False
        return array


def with_tensors(
    checkpoint: Checkpoint,
    tensors: Mapping[str, LazyTensor],
    *,
    selected: str = "",
    also: Checkpoint | None = None,
) -> Checkpoint:
    """Return a checkpoint with other tensors; closing it closes the one whose files they are in.

    Args:
        checkpoint: Where the tensors come from.
        tensors: What is in their place.
        selected: What was taken of it; that of the checkpoint, if empty.
        also: Another checkpoint that they come from.
    """
    return Checkpoint(
        checkpoint.path,
        checkpoint.format,
        tensors,
        metadata=checkpoint.metadata,
        extras=checkpoint.extras,
        selected=selected or checkpoint.selected,
        files=[checkpoint, *([also] if also is not None else [])],
    )
