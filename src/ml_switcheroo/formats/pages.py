"""The mapped pages behind an array: check them, release them, or read their bytes without mapping."""

from __future__ import annotations

import mmap
import os
import threading
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.files import Mapping, SourceFile

__all__ = [
    "buffer",
    "check_source",
    "drop_pages",
    "fetched",
    "is_dense",
    "offset_in_file",
    "read_source",
    "slowest_first",
]

Array = np.ndarray[Any, Any]

_CAN_DROP = hasattr(mmap, "MADV_DONTNEED")
_CAN_READ = hasattr(os, "preadv")
_local = threading.local()
_FETCHED = 2**23
"""Most bytes that a thread's buffer takes: the source of a strip of 2 MiB, before a cast."""

_AROUND = 2**16  # the kernel maps that many bytes around a page that is touched


def _mapping_of(array: Array) -> Mapping | None:
    owner: Any = array
    while owner is not None and not isinstance(owner, Mapping):
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
    return owner


def check_source(array: Array) -> None:
    """Raise :class:`CheckpointError` if the file behind an array has changed.

    Reading a page behind the end of a file that shrank kills the interpreter; asking before each strip leaves
    a window of a millisecond. An array outlives its checkpoint: of a closed one the mapping knows the size.
    """
    mapping = _mapping_of(array)
    if mapping is None:
        return
    file = mapping.file()
    if file is not None and file.is_open:
        file.check()
    elif mapping.size() != len(mapping):
        reason = f"the file changed after it was closed: {len(mapping)} bytes before, {mapping.size()} now"
        raise CheckpointError(mapping.path, reason, cure="Open it again once it is complete.")


def read_source(target: Array, source: Array) -> bool:
    """Fill ``target`` with the bytes of ``source`` by a read of its file, where both are single stretches.

    That takes half the time of touching mapped pages, and a file that shrinks meanwhile is an error instead
    of the end of the interpreter.

    Args:
        target: The elements to fill, of the shape and dtype of ``source``.
        source: The elements wanted.

    Returns:
        Whether it was done; it is not if ``source`` is not a view of a file, or has to be reordered.

    Raises:
        CheckpointError: The file behind it has changed.
    """
    if not (_CAN_READ and source.flags.c_contiguous and target.flags.c_contiguous):
        return False
    found = offset_in_file(source)
    if found is None:
        return False
    file, offset = found
    file.read_into(target.reshape(-1).view(np.uint8), offset)
    return True


def offset_in_file(array: Array) -> tuple[SourceFile, int] | None:
    """Return the open file that an array is a view of, and where in it the first element lies."""
    mapping = _mapping_of(array)
    file = mapping.file() if mapping is not None else None
    if mapping is None or file is None or not file.is_open:
        return None
    return file, array.ctypes.data - _base(mapping)


def fetched(source: Array) -> Array:
    """Read a small array that is dense in its file, and return the copy; return any other as it is.

    The copy lies in this thread's buffer, and is valid until the next call.
    """
    if source.nbytes > _FETCHED:
        return source
    order = slowest_first(source)
    plain = source.transpose(order)
    if not plain.flags.c_contiguous:
        return source
    copy = buffer(_local, plain.nbytes)[: plain.nbytes].view(plain.dtype).reshape(plain.shape)
    if not read_source(copy, plain):
        return source
    return copy.transpose(np.argsort(order))


def is_dense(array: Array) -> bool:
    """Tell whether an array's elements are one stretch of memory, in any order of the axes."""
    return bool(array.flags.forc or array.transpose(slowest_first(array)).flags.c_contiguous)


def slowest_first(array: Array) -> list[int]:
    """Return the axes in the order in which they lie in memory."""
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def buffer(owner: Any, nbytes: int) -> Array:
    """Return the bytes that an object, usually a ``threading.local``, keeps for reuse: at least so many."""
    room: Array | None = getattr(owner, "room", None)
    if room is None or room.nbytes < nbytes:
        room = owner.room = np.empty(nbytes, np.uint8)
    return room


def drop_pages(array: Array) -> None:
    """Let go of the pages from an array's first to its last byte.

    They stay in the page cache and come back when they are read again. Arrays that are no view of a mapped
    checkpoint are left alone: dropping private pages would lose what was written to them.
    """
    mapping = _mapping_of(array)
    if mapping is None or not _CAN_DROP or not array.size:
        return
    base = _base(mapping)
    low, high = byte_bounds(array)
    start = (low - base) // _AROUND * _AROUND
    stop = min(-(-(high - base) // _AROUND) * _AROUND, len(mapping))
    mapping.madvise(mmap.MADV_DONTNEED, start, stop - start)


def _base(mapping: Mapping) -> int:
    """Return the address of a mapping's first byte."""
    return int(np.frombuffer(mapping, np.uint8, 1).ctypes.data)
