"""Read the tar archives that ``torch.save`` wrote before torch 0.1.10, without torch.

Layout (``torch/serialization.py``, ``legacy_load``). The member ``storages`` starts with a pickled
count. For each storage there follow a pickle (key, location, class), 8 bytes with the number of
elements, and the elements. It ends with a pickled list of views (key, key of the whole, offset, number
of elements). The member ``tensors`` starts with a pickled count. For each tensor there follow a pickle
(key, key of its storage, class) and, as 4- and 8-byte integers, its rank, a filler, sizes, strides and
offset. The member ``pickle`` is the object; it names tensors and storages by their keys.
"""

from __future__ import annotations

import mmap
import struct
import sys
import tarfile
from collections.abc import Callable
from typing import Any

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint
from ml_switcheroo.formats.files import MappedBytes, SourceFile
from ml_switcheroo.formats.inert import Global, PickleFault
from ml_switcheroo.formats.pickle_opcodes import read_pickle
from ml_switcheroo.formats.pickled_values import CONSTRUCTORS, StorageRef, storage_ref
from ml_switcheroo.formats.torch_state import checkpoint_of, faults_of

__all__ = ["open_torch_tar"]

_MAX_MEMBERS = 16
_MAX_COUNT = 1_000_000


def open_torch_tar(file: SourceFile, *, select: str | None = None) -> Checkpoint:
    """Open a tar archive of an early torch. Arguments and errors are those of ``open_torch_zip``."""
    members = _members(file)
    absent = [name for name in ("storages", "tensors", "pickle") if name not in members]
    if absent:
        raise CheckpointError(
            file.path, f"a tar archive without {', '.join(absent)}: not written by torch.save"
        )
    with faults_of(file.path):
        try:
            reader = _Reader(file, members)
        except (KeyError, TypeError, ValueError) as error:
            raise PickleFault(f"a damaged list of tensors ({str(error)[:200]})") from error
        pickled = read_pickle(file.mapping(), CONSTRUCTORS, reader.named, start=members["pickle"][0])
        return checkpoint_of(
            file,
            "torch-tar",
            pickled,
            select,
            lambda storage: reader.regions[storage.key],
            swapped=sys.byteorder == "big",
        )


def _members(file: SourceFile) -> dict[str, tuple[int, int]]:
    """Return the start and end of each member."""
    found: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(file.path, "r:") as archive:
            for member in archive:
                if member.isreg() and member.offset_data + member.size <= file.size:
                    found[member.name.removeprefix("./")] = (
                        member.offset_data,
                        member.offset_data + member.size,
                    )
                if len(found) > _MAX_MEMBERS:
                    break
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        raise CheckpointError(file.path, f"a damaged tar archive: {str(error)[:200]}", offset=0) from error
    return found


class _Reader:
    """The storages and tensors of an archive, by key."""

    def __init__(self, file: SourceFile, members: dict[str, tuple[int, int]]) -> None:
        self._content = file.mapping()
        self.regions: dict[str, MappedBytes] = {}
        self._refs: dict[str, StorageRef] = {}
        self._objects: dict[str, Any] = {}
        self._read_storages(file, *members["storages"])
        self._read_tensors(*members["tensors"])

    def named(self, pid: Any) -> Any:
        """Return what a persistent id names: a tensor, a storage, or a class with its source code."""
        if type(pid) is tuple and pid and type(pid[0]) is Global:
            return pid[0]
        found = self._objects.get(str(pid) if type(pid) in (str, int) else "")
        if found is None:
            raise ValueError("a persistent id that names no tensor")
        return found

    def _read_storages(self, file: SourceFile, at: int, stop: int) -> None:
        count, at = self._count(at)
        for _ in range(count):
            (key, location, kind), at = self._record(at, 3)
            elements = self._integers("<q", at)[0]
            ref = storage_ref(("storage", kind, str(key), location, elements))
            if at + 8 + ref.nbytes > stop:
                raise PickleFault(f"storage {ref.key!r} of {ref.nbytes} bytes is truncated", at)
            self.regions[ref.key] = MappedBytes(file, at + 8, ref.nbytes)
            self._refs[ref.key] = self._objects[ref.key] = ref
            at += 8 + ref.nbytes
        views = read_pickle(self._content, CONSTRUCTORS, self.named, start=at).value
        for key, whole, offset, size in views if type(views) is list else ():
            base = self._refs[str(whole)]
            pid = (
                "storage",
                base.kind,
                str(whole),
                "",
                base.nbytes // base.element,
                (str(key), offset, size),
            )
            self._objects[str(key)] = self._refs[str(key)] = storage_ref(pid)

    def _read_tensors(self, at: int, stop: int) -> None:
        build: Callable[..., Any] = CONSTRUCTORS["torch._utils._rebuild_tensor"]
        count, at = self._count(at)
        for _ in range(count):
            (key, storage, _kind), at = self._record(at, 3)
            (rank,) = self._integers("<i4x", at)
            if not 0 <= rank <= 64 or at + 16 + 16 * rank > stop:
                raise PickleFault(f"a tensor of rank {rank}", at)
            *numbers, offset = self._integers(f"<{2 * rank + 1}q", at + 8)
            shape, strides = tuple(numbers[:rank]), tuple(numbers[rank:])
            self._objects[str(key)] = build(self._refs[str(storage)], offset, shape, strides)
            at += 16 + 16 * rank

    def _count(self, at: int) -> tuple[int, int]:
        pickled = read_pickle(self._content, CONSTRUCTORS, self.named, start=at)
        if type(pickled.value) is not int or not 0 <= pickled.value <= _MAX_COUNT:
            raise PickleFault("an invalid count", at)
        return pickled.value, pickled.end

    def _record(self, at: int, length: int) -> tuple[tuple[Any, ...], int]:
        pickled = read_pickle(self._content, CONSTRUCTORS, self.named, start=at)
        if type(pickled.value) is not tuple or len(pickled.value) != length:
            raise PickleFault("an invalid record", at)
        return pickled.value, pickled.end

    def _integers(self, form: str, at: int) -> tuple[int, ...]:
        content: bytes | mmap.mmap = self._content
        try:
            return struct.unpack_from(form, content, at)
        except struct.error as error:
            raise PickleFault("the archive is truncated", at) from error
