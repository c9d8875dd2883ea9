"""Read ``.pt`` and ``.pth`` files in torch's zip format (torch 1.6 and later) without torch.

Layout (``torch/serialization.py``, ``_save``): ``<prefix>/data.pkl`` is a pickle whose persistent ids name
the storages ``<prefix>/data/<key>``; ``<prefix>/byteorder`` gives the byte order of their numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor
from ml_switcheroo.formats.files import Region, Source, SourceFile
from ml_switcheroo.formats.pickle_opcodes import read_pickle
from ml_switcheroo.formats.pickled_values import CONSTRUCTORS, PickledTensor, StorageRef, storage_ref
from ml_switcheroo.formats.torch_state import build_tensors, checkpoint_of, faults_of, refuse_hostile
from ml_switcheroo.formats.zip_directory import ZipMember, metadata_of, read_directory

__all__ = ["TorchArchive", "open_tensor", "open_torch_zip"]

MAX_PICKLE = 2**28
"""How many bytes the pickle of an archive may have."""


class TorchArchive:
    """An archive of ``torch.save`` whose pickle has been read."""

    def __init__(self, file: Source) -> None:
        self.path = file.path
        self._members, comment = read_directory(file)
        self.metadata = metadata_of(comment)
        self._prefix = find_prefix(file.path, self._members)
        self.pickle = f"{self._prefix}/data.pkl"
        self.swapped = _byte_order(self._members, self._prefix) != sys.byteorder
        content = self._members[self.pickle].content(MAX_PICKLE)
        with faults_of(file.path, self.pickle):
            self.pickled = read_pickle(content, CONSTRUCTORS, storage_ref)

    def region(self, storage: StorageRef) -> Region:
        """Find the bytes of a storage."""
        path = f"{self._prefix}/data/{storage.key}"
        member = self._members.get(path)
        if member is None:
            raise CheckpointError(self.path, "a tensor's storage is not in the archive", member=path)
        if member.nbytes != storage.start + storage.nbytes:
            raise member.fault(f"the storage has {member.nbytes} bytes, its pickle says {storage.nbytes}")
        return member

    def parts(self) -> Any:
        """Return the contents of the pickle; classes that it names stay records that do nothing.

        Raises:
            CheckpointError: It names a class that runs code.
        """
        with faults_of(self.path, self.pickle):
            refuse_hostile(self.pickled)
        return self.pickled.value

    def tensors(self, leaves: Mapping[str, PickledTensor]) -> dict[str, LazyTensor]:
        """Give the tensors of the pickle their bytes."""
        return build_tensors(leaves, self.region, swapped=self.swapped)


def open_torch_zip(file: SourceFile, *, select: str | None = None) -> Checkpoint:
    """Open a zip archive that ``torch.save`` wrote.

    Args:
        file: The archive.
        select: The part of it that is the state dict; None if there is only one candidate.

    Raises:
        CheckpointError: It is damaged, names a class that is not allowed, or holds no single state dict.
    """
    archive = TorchArchive(file)
    with faults_of(file.path, archive.pickle):
        return checkpoint_of(
            file,
            "torch-zip",
            archive.pickled,
            select,
            archive.region,
            swapped=archive.swapped,
            metadata=archive.metadata,
        )


def open_tensor(file: Source) -> LazyTensor:
    """Open an archive that holds one tensor and nothing else."""
    archive = TorchArchive(file)
    value = archive.pickled.value
    if archive.pickled.foreign or not isinstance(value, PickledTensor):
        raise CheckpointError(file.path, "an archive without a single tensor", member=archive.pickle)
    return archive.tensors({"": value})[""]


def find_prefix(path: Path, members: Mapping[str, ZipMember]) -> str:
    """Return the folder of the archive that holds ``data.pkl``."""
    found = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
    found = [prefix for prefix in found if "/" not in prefix]
    if len(found) != 1:
        reason = f"a zip archive with {len(found)} data.pkl: not written by torch.save"
        raise CheckpointError(path, reason)
    if f"{found[0]}/constants.pkl" in members or any(
        name.startswith(f"{found[0]}/code/") for name in members
    ):
        cure = "Save the weights: torch.save(torch.jit.load(path).state_dict(), 'weights.pt')."
        raise CheckpointError(path, "a TorchScript archive: a program, not a state dict", cure=cure)
    return found[0]


def _byte_order(members: Mapping[str, ZipMember], prefix: str) -> str:
    member = members.get(f"{prefix}/byteorder")
    if member is None:
        return "little"
    order = member.content(16)
    if order not in (b"little", b"big"):
        raise member.fault(f"an unknown byte order: {order!r}")
    return order.decode()
