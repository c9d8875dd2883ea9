"""Arrays that do not exist yet: views of files, joined and cast when they are written.

NumPy's functions accept a :class:`Deferred` in place of an array, so :mod:`ml_switcheroo.ops` works on
it unchanged. For ``reshape``, ``transpose``, slices, ``flip``, ``split``, ``concatenate``, ``stack`` and
``astype`` it only records which view of which source goes where. Any other operation turns it into a
real array first, so the result is always the one that NumPy gives. The writers take it apart strip by
strip.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ml_switcheroo.formats.pages import check_source, drop_pages, is_dense
from ml_switcheroo.formats.parts import Box, Part, Patch, Watch, inside
from ml_switcheroo.formats.tiles import Array

__all__ = ["Deferred", "plain_bounds"]

Each = Callable[[Array], Array]


class Deferred:
    """A future array: parts that follow one another in C order.

    >>> rows = Deferred.of(np.arange(6).reshape(2, 3))
    >>> both = np.concatenate([rows.T, rows.T[:1]])
    >>> both, np.asarray(both).tolist()
    (<Deferred int64[4,2]>, [[0, 3], [1, 4], [2, 5], [0, 3]])
    """

    __slots__ = ("dtype", "parts", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], parts: Sequence[Part]) -> None:
        self.shape = shape
        self.dtype = dtype
        self.parts = tuple(parts)

    @classmethod
    def of(cls, array: Any) -> Deferred:
        """Wrap an array; a :class:`Deferred` is returned as it is."""
        if isinstance(array, cls):
            return array
        array = np.asarray(array)
        patch = Patch(tuple((0, size) for size in array.shape), array)
        return cls(array.shape, array.dtype, [Part(array.shape, (patch,))])

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def T(self) -> Deferred:  # noqa: N802 (NumPy's name)
        """The array with its axes reversed."""
        return self.transpose()

    @property
    def patches(self) -> list[Patch]:
        """What fills the parts."""
        return [patch for part in self.parts for patch in part.patches]

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<Deferred {self.dtype.name}[{','.join(map(str, self.shape))}]>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Make the array; it is not copied if it is one view of one source."""
        patches = self.patches
        whole = len(patches) == 1 and not patches[0].casts and patches[0].array.size == self.size
        array = patches[0].array.reshape(self.shape) if whole and not copy else self.make()
        return array if dtype is None else array.astype(dtype, copy=False)

    def make(self) -> Array:
        """Make the array in memory of its own.

        Raises:
            CheckpointError: The file behind it has changed or was closed.
        """
        self.check()
        array = np.empty(self.size, self.dtype)
        start = 0
        for part in self.parts:
            stop = start + math.prod(part.shape)
            part.fill(array[start:stop].reshape(part.shape), tuple((0, size) for size in part.shape))
            start = stop
        return array.reshape(self.shape)

    def check(self) -> None:
        """Raise :class:`CheckpointError` if a file behind the array has changed or was closed."""
        for patch in self.patches:
            check_source(patch.array)

    @property
    def is_dense(self) -> bool:
        """Whether each source is contiguous in its file; a small one is then read without being mapped."""
        return all(is_dense(patch.array) for patch in self.patches)

    def drop(self) -> None:
        """Release the mapped pages behind the array; they are loaded again on the next read."""
        for patch in self.patches:
            drop_pages(patch.array)

    def _part(self) -> Part:
        """Return a single part with the shape of this array."""
        if len(self.parts) == 1 and self.parts[0].shape == self.shape:
            return self.parts[0]
        rest = self.shape[1:]
        if self.shape and all(part.shape[1:] == rest and part.shape for part in self.parts):
            return Part(self.shape, tuple(_moved(self.parts, 0)))
        if self.shape and all(part.shape == rest for part in self.parts):
            rows = [Part((1, *rest), tuple(map(_with_row, part.patches))) for part in self.parts]
            return Part(self.shape, tuple(_moved(rows, 0)))
        return Deferred.of(np.asarray(self)).parts[0]

    def _map(self, shape: Sequence[int], box: Callable[[Box], Box], view: Each) -> Deferred:
        patches = (replace(p, box=box(p.box), array=view(p.array)) for p in self._part().patches)
        return Deferred(tuple(shape), self.dtype, [Part(tuple(shape), tuple(patches))])

    def reshape(self, *shape: Any) -> Deferred:
        """Return the array in another shape. The order of elements stays, so nothing is copied."""
        wanted = _spelled(shape)
        if -1 in wanted:
            rest = math.prod(size for size in wanted if size != -1)
            wanted = tuple(self.size // rest if size == -1 else size for size in wanted)
        if math.prod(wanted) != self.size or min(wanted, default=0) < 0:
            raise ValueError(f"cannot reshape {self!r} into shape {wanted}")
        if wanted == self.shape:
            return self
        part = self.parts[0]
        if len(self.parts) == 1 and len(part.patches) == 1 and part.patches[0].array.size == self.size:
            try:
                view = np.reshape(part.patches[0].array, wanted, copy=False)
            except (
                ValueError
            ):  # The merged axes are not one axis in memory, but they still follow in C order.
                return Deferred(wanted, self.dtype, self.parts)
            patch = replace(part.patches[0], box=tuple((0, size) for size in wanted), array=view)
            return Deferred(wanted, self.dtype, [Part(wanted, (patch,))])
        return Deferred(wanted, self.dtype, self.parts)

    def transpose(self, *order: Any) -> Deferred:
        """Return the array with its axes in another order."""
        axes = [axis % self.ndim for axis in _spelled(order)] if order else list(range(self.ndim))[::-1]
        return self._map(
            [self.shape[axis] for axis in axes],
            lambda box: tuple(box[axis] for axis in axes),
            lambda array: array.transpose(axes),
        )

    def astype(self, dtype: Any, **_: Any) -> Deferred:
        """Return the array with another dtype, by NumPy's rules."""
        wanted = np.dtype(dtype)
        cast = self._each(lambda patch: replace(patch, casts=(*patch.casts, wanted)))
        return self if wanted == self.dtype else Deferred(self.shape, wanted, cast)

    def watched(self, watch: Watch) -> Deferred:
        """Return the array with an observer that is shown the last cast, before and after, piece by piece."""
        return Deferred(self.shape, self.dtype, self._each(lambda patch: replace(patch, watch=watch)))

    def _each(self, change: Callable[[Patch], Patch]) -> list[Part]:
        return [Part(part.shape, tuple(map(change, part.patches))) for part in self.parts]

    def __getitem__(self, index: Any) -> Any:
        """Return a part: deferred for integers and slices of step one, otherwise a real array."""
        indices = index if isinstance(index, tuple) else (index,)
        if len(indices) > self.ndim or not all(map(_is_plain, indices)):
            return np.asarray(self)[index]
        cut = self._cut(plain_bounds(indices, self.shape))
        gone = [axis for axis, wanted in enumerate(indices) if not isinstance(wanted, slice)]
        kept = [size for axis, size in enumerate(cut.shape) if axis not in gone]
        return cut.reshape(kept) if gone else cut

    def _cut(self, box: Box) -> Deferred:
        shape = tuple(stop - start for start, stop in box)
        patches = []
        for patch in self._part().patches:
            common = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(patch.box, box, strict=True))
            if all(start < stop for start, stop in common):
                moved = tuple((a - c, b - c) for (a, b), (c, _) in zip(common, box, strict=True))
                patches.append(replace(patch, box=moved, array=patch.array[inside(common, patch.box)]))
        if not patches:
            return Deferred.of(np.empty(shape, self.dtype))
        return Deferred(shape, self.dtype, [Part(shape, tuple(patches))])

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Let NumPy's functions take deferred arrays."""
        build = _FUNCTIONS.get(function)
        if build is not None:
            return build(*args, **kwargs)
        return function(*map(_settled, args), **{key: _settled(value) for key, value in kwargs.items()})

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Settle for arithmetic."""
        return getattr(ufunc, method)(*map(_settled, inputs), **kwargs)

    def __add__(self, other: Any) -> Array:
        return np.asarray(np.add(_settled(self), _settled(other)))

    def __sub__(self, other: Any) -> Array:
        return np.asarray(np.subtract(_settled(self), _settled(other)))

    __radd__ = __add__


def _spelled(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Return sizes or axes, which NumPy takes one by one or as one sequence."""
    one = len(sizes) == 1 and not isinstance(sizes[0], int | np.integer)
    return tuple(map(int, sizes[0] if one else sizes))


def plain_bounds(index: Any, shape: tuple[int, ...]) -> Box:
    """Return the bounds that integers and slices of step one select; all elements for any other index.

    >>> plain_bounds((slice(1, 3), -1), (4, 5, 6))
    ((1, 3), (4, 5), (0, 6))
    """
    indices = index if isinstance(index, tuple) else (index,)
    if len(indices) > len(shape) or not all(map(_is_plain, indices)):
        return tuple((0, size) for size in shape)
    box = []
    for axis, size in enumerate(shape):
        wanted = indices[axis] if axis < len(indices) else slice(None)
        if isinstance(wanted, slice):
            start, stop, _ = wanted.indices(size)
            box.append((start, max(start, stop)))
        else:
            at = range(size)[int(wanted)]
            box.append((at, at + 1))
    return tuple(box)


def _is_plain(index: Any) -> bool:
    return isinstance(index, int | np.integer) or (isinstance(index, slice) and index.step in (None, 1))


def _settled(value: Any) -> Any:
    if isinstance(value, Deferred):
        return np.asarray(value)
    return type(value)(map(_settled, value)) if type(value) in (list, tuple) else value


def _with_row(patch: Patch) -> Patch:
    return replace(patch, box=((0, 1), *patch.box), array=patch.array[np.newaxis])


def _moved(parts: Sequence[Part], axis: int) -> Iterator[Patch]:
    """Yield the patches of parts that follow one another along an axis."""
    start = 0
    for part in parts:
        for patch in part.patches:
            low, high = patch.box[axis]
            box = (*patch.box[:axis], (low + start, high + start), *patch.box[axis + 1 :])
            yield replace(patch, box=box)
        start += part.shape[axis]


def _concatenate(arrays: Any, axis: int | None = 0, **options: Any) -> Any:
    pieces = [Deferred.of(array) for array in arrays]
    if options or axis is None or not pieces[0].shape:
        return np.concatenate([np.asarray(piece) for piece in pieces], axis, **options)
    axis %= pieces[0].ndim
    rests = {(piece.shape[:axis], piece.shape[axis:][1:], piece.dtype) for piece in pieces}
    if len(rests) != 1:
        return np.concatenate([np.asarray(piece) for piece in pieces], axis)
    total = sum(piece.shape[axis] for piece in pieces)
    shape = (*pieces[0].shape[:axis], total, *pieces[0].shape[axis + 1 :])
    if axis == 0:
        return Deferred(shape, pieces[0].dtype, [part for piece in pieces for part in piece.parts])
    patches = tuple(_moved([piece._part() for piece in pieces], axis))
    return Deferred(shape, pieces[0].dtype, [Part(shape, patches)])


def _stack(arrays: Any, axis: int = 0, **options: Any) -> Any:
    pieces = [Deferred.of(array) for array in arrays]
    axis %= pieces[0].ndim + 1
    shape = (*pieces[0].shape[:axis], 1, *pieces[0].shape[axis:])
    return _concatenate([piece.reshape(shape) for piece in pieces], axis, **options)


def _split(array: Deferred, sections: Any, axis: int = 0) -> list[Any]:
    size = array.shape[axis]
    if isinstance(sections, int):
        if size % sections:
            raise ValueError(f"{array!r} cannot be split into {sections} equal parts")
        sections = range(size // sections, size, max(1, size // sections))
    bounds = [0, *map(int, sections), size]
    before = (slice(None),) * (axis % array.ndim)
    return [array[(*before, slice(a, b))] for a, b in itertools.pairwise(bounds)]


def _moveaxis(array: Deferred, source: int, destination: int) -> Deferred:
    axes = [axis for axis in range(array.ndim) if axis != source % array.ndim]
    axes.insert(destination % array.ndim, source % array.ndim)
    return array.transpose(axes)


def _flip(array: Deferred, axis: Any = None) -> Deferred:
    chosen = range(array.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = {one % array.ndim for one in chosen}
    shape = array.shape

    def mirrored(box: Box) -> Box:
        return tuple(
            (shape[i] - high, shape[i] - low) if i in axes else (low, high)
            for i, (low, high) in enumerate(box)
        )

    return array._map(shape, mirrored, lambda view: np.flip(view, tuple(axes)))


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.split: _split,
    np.moveaxis: _moveaxis,
    np.flip: _flip,
    np.transpose: lambda array, axes=None: array.transpose(*(() if axes is None else (axes,))),
    np.reshape: lambda array, shape: array.reshape(shape),
}
