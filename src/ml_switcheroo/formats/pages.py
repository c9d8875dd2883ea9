"""The mapped pages behind an array: are they still there, and can they be let go?"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ml_switcheroo.formats.files import Mapping

__all__ = ["check_source", "drop_pages"]

Array = np.ndarray[Any, Any]

_CAN_DROP = hasattr(mmap, "MADV_DONTNEED")
_AROUND = 2**16  # the kernel maps that many bytes around a page that is touched


def _mapping_of(array: Array) -> Mapping | None:
    owner: Any = array
    while owner is not None and not isinstance(owner, Mapping):
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
    return owner


def check_source(array: Array) -> None:
    """Raise :class:`CheckpointError` if the file behind an array has changed or was closed.

    Reading a page behind the end of a file that shrank kills the interpreter; asking before each strip leaves
    a window of a millisecond.
    """
    mapping = _mapping_of(array)
    file = mapping.file() if mapping is not None else None
    if file is not None:
        file.check()


def drop_pages(array: Array) -> None:
    """Let go of the pages from an array's first to its last byte.

    They stay in the page cache and come back when they are read again. Arrays that are no view of a mapped
    checkpoint are left alone: dropping private pages would lose what was written to them.
    """
    mapping = _mapping_of(array)
    if mapping is None or not _CAN_DROP or not array.size:
        return
    base = np.frombuffer(mapping, np.uint8, 1).ctypes.data
    low, high = byte_bounds(array)
    start = (low - base) // _AROUND * _AROUND
    stop = min(-(-(high - base) // _AROUND) * _AROUND, len(mapping))
    mapping.madvise(mmap.MADV_DONTNEED, start, stop - start)
