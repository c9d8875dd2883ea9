"""Arrays of MLX: made from NumPy's and back, or read by MLX itself from where they lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import StridedTensor
from ml_switcheroo.formats.files import MappedBytes, SourceFile
from ml_switcheroo.formats.owned import Owned, Stretch
from ml_switcheroo.formats.safetensors import open_safetensors
from ml_switcheroo.ops import Array
from ml_switcheroo.ops.casting import stays
from ml_switcheroo.tensors import DTYPES, dtype_of

__all__ = ["Reader", "from_mlx", "to_mlx"]

_AT_ONCE = 2**27  # bytes that MLX reads together


def to_mlx(array: Array) -> Any:
    """Return an array as MLX's, which copies it; bfloat16 goes through as bits."""
    import mlx.core as mx

    array = np.ascontiguousarray(array)
    if array.dtype == DTYPES["bfloat16"].numpy:
        return mx.array(array.view(np.uint16)).view(mx.bfloat16)
    return mx.array(array)


def from_mlx(leaf: Any) -> Array:
    """Return an array of MLX as NumPy's; bfloat16 goes through as bits."""
    import mlx.core as mx

    if leaf.dtype == mx.bfloat16:
        return np.array(leaf.view(mx.uint16)).view(DTYPES["bfloat16"].numpy)
    return np.array(leaf)


class Reader:
    """Makes arrays of MLX from leaves, some at a time: there are never two models.

    MLX copies what it is given at a fraction of the speed at which it reads a safetensors file by itself, so
    it reads what lies in one as it is.
    """

    def __init__(self, leaves: Owned) -> None:
        self._leaves = leaves
        self._files: dict[SourceFile, dict[int, Any]] = {}
        self._reading: list[Stretch] = []

    def read(self, old: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the leaves of some paths, ready, each in the dtype of the old one or the checkpoint's own.

        Args:
            old: What they replace, by path; each is let go of when its own leaf is begun.
        """
        made: dict[str, Any] = {}
        nbytes = 0
        for path in list(old):
            made[path] = self._leaf(path, old.pop(path))
            nbytes += made[path].nbytes
            if nbytes >= _AT_ONCE:
                yield self._ready(made)
                made, nbytes = {}, 0
        yield self._ready(made)

    def _ready(self, made: dict[str, Any]) -> dict[str, Any]:
        """Wait until MLX has read what it reads by itself."""
        import mlx.core as mx

        mx.eval(list(made.values()))
        for stretch in self._reading:
            self._leaves.read_elsewhere(stretch)
        self._reading = []
        return made

    def _leaf(self, path: str, leaf: Any) -> Any:
        array = self._by_mlx(path, leaf)
        return self._copied(path, leaf) if array is None else array

    def _copied(self, path: str, leaf: Any) -> Any:
        array, wanted = self._leaves.borrowed(path), DTYPES[dtype_of(leaf)].numpy
        return to_mlx(array if stays(array.dtype, wanted) else array.astype(wanted, copy=False))

    def _by_mlx(self, path: str, leaf: Any) -> Any:
        import mlx.core as mx

        stretch, wanted = self._leaves.stretch(path), DTYPES[dtype_of(leaf)].numpy
        if stretch is None or not (stretch.dtype == wanted or stays(stretch.dtype, wanted)):
            return None
        found = self._arrays(stretch.file).get(stretch.offset)
        if found is None or found.shape != stretch.shape or dtype_of(found) != dtype_of(stretch):
            return None
        self._reading.append(stretch)
        return mx.contiguous(found.transpose(stretch.order)) if stretch.order else found

    def _arrays(self, file: SourceFile) -> dict[int, Any]:
        """Return what MLX finds in a safetensors file, by offset; nothing where it reads another file."""
        if file not in self._files:
            self._files[file] = _loaded(file)
        return self._files[file]


def _loaded(file: SourceFile) -> dict[int, Any]:
    import mlx.core as mx

    try:
        tensors = open_safetensors(file)
    except CheckpointError:  # of another format
        return {}
    if not file.is_at_path():
        return {}
    try:
        arrays: Any = mx.load(os.fspath(file.path), format="safetensors")
    except RuntimeError:  # a dtype that MLX does not have
        return {}
    if not file.is_at_path():
        return {}
    return {
        tensor.region.offset: arrays[name]
        for name, tensor in tensors.items()
        if isinstance(tensor, StridedTensor) and isinstance(tensor.region, MappedBytes)
    }
