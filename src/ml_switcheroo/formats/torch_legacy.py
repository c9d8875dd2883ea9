"""Read what ``torch.save`` wrote before torch 1.6, and plain pickles of tensors, without torch.

Stream layout (``torch/serialization.py``, ``_legacy_save``): five pickles follow one another: a magic number,
the protocol version, facts about the system, the object, and the keys of its storages. For each key there
follow 8 bytes with the number of elements, then the elements, always little-endian
(``torch/csrc/serialization.cpp``).

A plain pickle holds each storage as bytes in the same layout (``torch.storage._load_from_bytes``).
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint
from ml_switcheroo.formats.files import MappedBytes, Region, SourceFile, StoredBytes
from ml_switcheroo.formats.inert import Global, PickleFault
from ml_switcheroo.formats.pickle_opcodes import Pickled, read_pickle
from ml_switcheroo.formats.pickled_values import CONSTRUCTORS, StorageRef, storage_ref
from ml_switcheroo.formats.torch_state import checkpoint_of, faults_of

__all__ = ["LEGACY_MAGIC", "open_pickle", "open_torch_legacy"]

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that the first pickle of a file holds."""

_PROTOCOL = 1001
_SWAPPED = sys.byteorder == "big"


class _Stream:
    """The five pickles, and the places of the storages that follow them.

    Attributes:
        pickled: The fourth pickle.
        places: Offset and size in bytes of each storage, by key.
    """

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._sizes: dict[str, int] = {}
        end, values = 0, []
        for _ in range(5):
            pickled = read_pickle(content, CONSTRUCTORS, self._storage, start=end)
            end = pickled.end
            values.append(pickled)
        magic, protocol, _, self.pickled, keys = values
        if magic.value != LEGACY_MAGIC or protocol.value != _PROTOCOL:
            raise PickleFault("not a file of torch.save: its magic number or its version is different", 0)
        if type(keys.value) is not list:
            raise PickleFault("the list of storages is not a list", self.pickled.end)
        self.places = dict(self._find(content, keys.value, end))

    def _storage(self, pid: Any) -> Any:
        # A module's source code may be saved beside its class: ("module", class, file, text).
        if type(pid) is tuple and len(pid) == 4 and pid[0] == "module" and type(pid[1]) is Global:
            return pid[1]
        storage = storage_ref(pid)
        known = self._sizes.setdefault(storage.key, storage.element)
        if known != storage.element:
            raise ValueError(f"storage {storage.key!r} has elements of two different sizes")
        return storage

    def _find(self, content: bytes | mmap.mmap, keys: list[Any], at: int) -> Any:
        for key in keys:
            if type(key) is not str or key not in self._sizes:
                raise PickleFault("a storage that holds no tensor", at)
            count = int.from_bytes(content[at : at + 8], "little", signed=True)
            nbytes = count * self._sizes[key]
            if count < 0 or at + 8 + nbytes > len(content):
                reason = f"storage {key!r} has {nbytes} bytes, but the file is truncated or damaged"
                raise PickleFault(reason, at)
            yield key, (at + 8, nbytes)
            at += 8 + nbytes
        if at != len(content):
            raise PickleFault(f"{len(content) - at} bytes after the last storage belong to nothing", at)

    def region(self, storage: StorageRef, regions: Mapping[str, Region]) -> Region:
        found = regions.get(storage.key)
        if found is None or storage.start + storage.nbytes > found.nbytes:
            held = "not in the file" if found is None else f"{found.nbytes} bytes long"
            raise PickleFault(f"storage {storage.key!r} of {storage.nbytes} bytes is {held}")
        return found


def open_torch_legacy(file: SourceFile, *, select: str | None = None) -> Checkpoint:
    """Open a file that ``torch.save`` wrote before 1.6 (arguments and errors as for ``open_torch_zip``)."""
    with faults_of(file.path):
        stream = _Stream(file.mapping())
        regions = {key: MappedBytes(file, *place) for key, place in stream.places.items()}
        return checkpoint_of(
            file,
            "torch-legacy",
            stream.pickled,
            select,
            lambda storage: stream.region(storage, regions),
            swapped=_SWAPPED,
        )


def open_pickle(file: SourceFile, *, select: str | None = None) -> Checkpoint:
    """Open what ``pickle.dump`` wrote: tensors or NumPy arrays (arguments and errors as above)."""

    def none(storage: StorageRef) -> Region:
        raise CheckpointError(file.path, f"storage {storage.key!r} is not in the file")

    def refuse(_: Any) -> Any:
        raise ValueError("a persistent id, which does not belong in a plain pickle")

    constructors = {**CONSTRUCTORS, "torch.storage._load_from_bytes": _held_storage}
    with faults_of(file.path):
        pickled: Pickled = read_pickle(file.mapping(), constructors, refuse)
        return checkpoint_of(file, "pickle", pickled, select, none, swapped=_SWAPPED)


def _held_storage(content: Any) -> StorageRef:
    """Build a storage whose file is held in a pickle as bytes."""
    if type(content) is not bytes:
        raise ValueError("a malformed storage")
    try:
        stream = _Stream(content)
    except PickleFault as fault:
        raise ValueError(f"a storage in the pickle: {fault.reason}") from fault
    storage = stream.pickled.value
    if not isinstance(storage, StorageRef) or list(stream.places) != [storage.key]:
        raise ValueError("something that is not a storage")
    if storage.unreadable:
        return storage
    start, nbytes = stream.places[storage.key]
    if storage.start + storage.nbytes > nbytes:
        raise ValueError("a truncated storage")
    return replace(storage, held=StoredBytes(content[start : start + nbytes]))
