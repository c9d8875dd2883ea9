"""An open checkpoint: names, specs and lazy tensors. Bytes are read only when they are asked for."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ml_switcheroo.errors import UnknownName
from ml_switcheroo.formats.deferred import Deferred, plain_bounds
from ml_switcheroo.formats.files import Region
from ml_switcheroo.formats.parts import Box, Part, Patch
from ml_switcheroo.shown import html_table
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["Array", "Checkpoint", "ChunkedTensor", "LazyTensor", "StridedTensor"]

Array = np.ndarray[Any, Any]

_SHOWN = 10  # tensors in a notebook


class LazyTensor(ABC):
    """A tensor in a file: its spec is known; its bytes are read when asked for.

    Attributes:
        spec: Shape and dtype.
    """

    __slots__ = ("spec",)

    def __init__(self, spec: TensorSpec) -> None:
        self.spec = spec

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.spec.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.spec.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.spec.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the same bits (``ml_dtypes`` for bf16 and fp8)."""
        return DTYPES[self.spec.dtype].numpy

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.spec.nbytes

    @property
    def place(self) -> tuple[object, ...]:
        """A key that two names share if they are the same view of the same bytes."""
        return (id(self),)

    @abstractmethod
    def read(self) -> Array:
        """Return the whole tensor, read-only; it is mapped if the file holds its bytes unchanged."""

    def defer(self) -> Deferred:
        """Return the tensor as an array that a writer reads strip by strip."""
        return Deferred.of(self.read())

    def __getitem__(self, index: Any) -> Array:
        """Return a part. Only its bytes are read, unless the file is compressed."""
        return np.asarray(self.defer()[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Let NumPy read the tensor."""
        array = self.read()
        if dtype is not None and np.dtype(dtype) != array.dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<LazyTensor {self.spec!r}>"


class StridedTensor(LazyTensor):
    """A view of a region of bytes, as torch stores one.

    Args:
        region: The bytes.
        spec: Shape and dtype.
        offset: Where the first element lies in the region, in bytes.
        strides: Steps of the axes in elements; ``None`` for C order.
        swapped: Whether the byte order of the numbers is the opposite of this machine's.
        change: A conjugation or negation that was pending when the tensor was saved; applied to the array.
    """

    __slots__ = ("change", "offset", "region", "strides", "swapped")

    def __init__(
        self,
        region: Region,
        spec: TensorSpec,
        *,
        offset: int = 0,
        strides: tuple[int, ...] | None = None,
        swapped: bool = False,
        change: Callable[[Array], Array] | None = None,
    ) -> None:
        super().__init__(spec)
        self.region = region
        self.offset = offset
        self.strides = strides
        self.swapped = swapped
        self.change = change

    @property
    def place(self) -> tuple[object, ...]:
        """Which bytes they are, and how they are viewed."""
        return (id(self.region), self.spec, self.offset, self.strides, self.change)

    def read(self) -> Array:
        """Return the tensor: a view of the mapped file if alignment and byte order allow it."""
        array = self._view(self.region.load())
        if self.swapped or self.change or not array.flags.aligned:
            array = self._settle(array)
        array.flags.writeable = False
        return array

    def __getitem__(self, index: Any) -> Array:
        """Return a part. Only its bytes are read, unless the file is compressed."""
        part = np.asarray(self._view(self.region.load())[index])
        if self.swapped or self.change or not part.flags.aligned:
            part = self._settle(part)
        if part.flags.writeable:
            part.flags.writeable = False
        return part

    def _view(self, raw: Any) -> Array:
        if not self.size:
            return np.empty(self.shape, self.dtype)
        width = self.dtype.itemsize
        if self.strides is None:
            flat: Array = np.ndarray(self.size, self.dtype, buffer=raw, offset=self.offset)
            return flat.reshape(self.shape)
        flat = np.ndarray((raw.nbytes - self.offset) // width, self.dtype, buffer=raw, offset=self.offset)
        return as_strided(flat, self.shape, [step * width for step in self.strides], writeable=False)

    def _settle(self, array: Array) -> Array:
        """Copy to aligned memory in this machine's byte order, and apply pending changes."""
        width = self.dtype.itemsize
        settled = np.empty(array.shape, self.dtype)
        if self.swapped:
            # A complex number is two floats; ml_dtypes have no byte order of their own.
            part = width // 2 if self.dtype.kind == "c" else width
            flat = np.ascontiguousarray(array).view(np.uint8).reshape(-1, part)
            settled.reshape(-1).view(np.uint8).reshape(-1, part)[...] = flat[:, ::-1]
        else:
            np.copyto(settled, array)
        return self.change(settled) if self.change else settled


class ChunkedTensor(LazyTensor):
    """A tensor stored in pieces, in one file or several.

    Args:
        spec: Shape and dtype.
        chunks: The start of each piece, and the piece. Together they cover the tensor exactly once.
    """

    __slots__ = ("chunks",)

    def __init__(self, spec: TensorSpec, chunks: Sequence[tuple[tuple[int, ...], LazyTensor]]) -> None:
        super().__init__(spec)
        self.chunks = tuple(chunks)

    def read(self) -> Array:
        """Return the whole tensor, assembled in memory."""
        array = np.asarray(self.defer())
        array.flags.writeable = False
        return array

    def defer(self) -> Deferred:
        """Return the tensor as an array that is assembled strip by strip."""
        return self._joined(tuple((0, size) for size in self.shape))

    def __getitem__(self, index: Any) -> Array:
        """Return a part. Only the chunks that it touches are opened."""
        return np.asarray(self._joined(plain_bounds(index, self.shape))[index])

    def _joined(self, bounds: Box) -> Deferred:
        """Join the chunks within ``bounds``; the rest is left undefined."""
        patches = []
        for start, chunk in self.chunks:
            box = tuple((low, low + size) for low, size in zip(start, chunk.shape, strict=True))
            if all(
                low < stop and begin < high for (low, high), (begin, stop) in zip(box, bounds, strict=True)
            ):
                patches.append(Patch(box, chunk.read()))
        return Deferred(self.shape, self.dtype, [Part(self.shape, tuple(patches))])


class Checkpoint(Mapping[str, LazyTensor]):
    """The tensors of a checkpoint by name, in the order of the file.

    It is a context manager; :meth:`close` releases the files. Arrays already read stay valid.

    Attributes:
        path: The file or folder.
        format: ``safetensors``, ``torch-zip``, ``npz`` ...
        metadata: What the file says of itself as texts: ``__metadata__`` of a safetensors header, the comment
            of an archive that this library wrote, the attributes of an HDF5 file.
        tied: Groups of names that are the same view of the same bytes, in file order.
        extras: The rest of the file as plain values by dotted path, such as an epoch or hyperparameters.
            A tensor that was not selected appears as its spec.
        selected: The part of the file that was taken as the state dict, if the file has parts.
    """

    def __init__(
        self,
        path: str | Path,
        format: str,  # noqa: A002 (the attribute's name is fixed by the design)
        tensors: Mapping[str, LazyTensor],
        *,
        metadata: Mapping[str, str] | None = None,
        extras: Mapping[str, Any] | None = None,
        selected: str = "",
        files: Sequence[Any] = (),
    ) -> None:
        self.path = Path(path)
        self.format = format
        self.metadata: Mapping[str, str] = MappingProxyType(dict(metadata or {}))
        self.extras: Mapping[str, Any] = MappingProxyType(dict(extras or {}))
        self.selected = selected
        self._tensors = dict(tensors)
        self._files = tuple(files)
        self.specs: Mapping[str, TensorSpec] = MappingProxyType(
            {name: tensor.spec for name, tensor in self._tensors.items()}
        )
        self.tied = _tied(self._tensors)

    @property
    def nbytes(self) -> int:
        """Size of all tensors in bytes; a tied tensor counts once for each name."""
        return sum(spec.nbytes for spec in self.specs.values())

    def __getitem__(self, name: str) -> LazyTensor:
        try:
            return self._tensors[name]
        except KeyError:
            raise UnknownName("tensor", name, self._tensors) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"<Checkpoint {self.path} ({self.format}): {len(self)} tensors, {self.nbytes:,} bytes>"

    def _repr_html_(self) -> str:
        sizes = Counter(spec.dtype for spec in self.specs.values())
        rows: list[tuple[object, ...]] = [(f"{count} of {dtype}", "", "") for dtype, count in sizes.items()]
        rows += [(name, spec, f"{spec.nbytes:,} bytes") for name, spec in islice(self.specs.items(), _SHOWN)]
        rows += [(f"... and {len(self) - _SHOWN} more", "", "")] * (len(self) > _SHOWN)
        return html_table(repr(self)[1:-1], rows)

    @property
    def digest(self) -> str:
        """SHA-256 of the headers: format, selected part, names, shapes and dtypes.

        Tensor bytes are not read, so two training runs of one model have the same digest.
        """
        facts = [self.format, self.selected, sorted(f"{name} {spec!r}" for name, spec in self.specs.items())]
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """The digest together with the sizes and modification times of the files.

        Tensor bytes are not read. A copy of a file has a different fingerprint.
        """
        return hashlib.sha256(repr((self.digest, self.stamp)).encode()).hexdigest()

    @property
    def stamp(self) -> tuple[Any, ...]:
        """Size and modification time of each file."""
        return tuple(file.stamp for file in self._files)

    def check(self) -> None:
        """Raise :class:`CheckpointError` if a file was closed or has changed since it was opened."""
        for file in self._files:
            file.check()

    def close(self) -> None:
        """Close the files. Reading a tensor afterwards raises; arrays already read stay valid."""
        for file in self._files:
            file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _tied(tensors: Mapping[str, LazyTensor]) -> tuple[tuple[str, ...], ...]:
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.size:
            groups.setdefault(tensor.place, []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)
