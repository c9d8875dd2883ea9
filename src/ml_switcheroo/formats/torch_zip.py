"""Read ``.pt`` and ``.pth`` files in torch's zip format (torch 1.6 and later) without torch.

Layout (``torch/serialization.py``, ``_save``): ``<prefix>/data.pkl`` is a pickle whose persistent ids name
the storages ``<prefix>/data/<key>``; ``<prefix>/byteorder`` says how their numbers lie.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor, StridedTensor
from ml_switcheroo.formats.files import Region, SourceFile, StoredBytes
from ml_switcheroo.formats.inert import PickleFault
from ml_switcheroo.formats.pickle_opcodes import Pickled, read_pickle
from ml_switcheroo.formats.pickled_values import (
    CONSTRUCTORS,
    HOSTILE,
    PickledArray,
    PickledTensor,
    storage_ref,
)
from ml_switcheroo.formats.state_dicts import choose, find_parts
from ml_switcheroo.formats.zip_directory import ZipMember, read_directory

__all__ = ["build_tensors", "open_torch_zip", "refuse_foreign"]

MAX_PICKLE = 2**28
"""Bytes that the pickle of an archive may have."""


def open_torch_zip(file: SourceFile, *, select: str | None = None) -> Checkpoint:
    """Open a zip archive that ``torch.save`` wrote.

    Args:
        file: The archive.
        select: The part of it that is the state dict; None where there is one candidate only.

    Raises:
        CheckpointError: It is damaged, names a class that is not allowed, or holds no single state dict.
    """
    members, _ = read_directory(file)
    prefix = find_prefix(file.path, members)
    name = f"{prefix}/data.pkl"
    swapped = _byte_order(members, prefix) != sys.byteorder
    pickle = members[name].content(MAX_PICKLE)
    try:
        pickled = read_pickle(pickle, CONSTRUCTORS, storage_ref)
        refuse_foreign(pickled, select)
        choice = choose(pickled.value, select)
    except PickleFault as fault:
        raise CheckpointError(
            file.path, fault.reason, member=name, offset=fault.offset, cure=fault.cure
        ) from fault

    def region(key: str, nbytes: int) -> Region:
        member = members.get(f"{prefix}/data/{key}")
        if member is None:
            raise CheckpointError(
                file.path, "a tensor's storage is not in the archive", member=f"{prefix}/data/{key}"
            )
        if member.nbytes != nbytes:
            raise member.fault(f"the storage has {member.nbytes} bytes, its pickle says {nbytes}")
        return member

    return Checkpoint(
        file.path,
        "torch-zip",
        build_tensors(choice.tensors, region, swapped=swapped),
        extras=choice.extras,
        selected=choice.path,
        files=[file],
    )


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
        raise member.fault(f"a byte order that is none: {order!r}")
    return order.decode()


def refuse_foreign(pickled: Pickled, select: str | None) -> None:
    """Raise for classes that are not on the allow-list.

    A part of the file that is selected by name may be read past them: they stay records that do nothing.

    Raises:
        PickleFault: Names the first one and where it is, and how to get at the tensors.
    """
    hostile = [path for path in pickled.foreign if path.partition(".")[0] in HOSTILE]
    if hostile:
        reason = f"names {', '.join(hostile[:5])}, which runs code; nothing was run"
        cure = "Do not open this file with a program that unpickles it."
        raise PickleFault(reason, pickled.foreign[hostile[0]], cure)
    if not pickled.foreign or select:
        return
    names = list(pickled.foreign)
    parts = find_parts(pickled.value)
    reason = f"holds {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    reason += ", which a state dict does not have"
    cure = "Save the weights alone: torch.save(model.state_dict(), path)."
    if parts:
        listed = "".join(f"\n  {part}" for part in parts[:20])
        cure += f"\nOr choose what to read with select= (--select); no class is imported:{listed}"
    raise PickleFault(reason, pickled.foreign[names[0]], cure)


def build_tensors(
    leaves: Mapping[str, PickledTensor | PickledArray],
    region: Callable[[str, int], Region],
    *,
    swapped: bool,
) -> dict[str, LazyTensor]:
    """Give each tensor of a pickle its bytes.

    Args:
        leaves: The tensors by name.
        region: Finds the bytes of a storage by its key; raises where the size is wrong.
        swapped: The storages' byte order is not this machine's.
    """
    regions: dict[str, Region] = {}
    tensors: dict[str, LazyTensor] = {}
    for name, leaf in leaves.items():
        if isinstance(leaf, PickledArray):
            assert leaf.spec is not None
            tensors[name] = StridedTensor(StoredBytes(leaf.content), leaf.spec)
            continue
        storage = leaf.storage
        found = regions.get(storage.key)
        if found is None or found.nbytes != storage.nbytes:
            found = regions[storage.key] = region(storage.key, storage.nbytes)
        width = leaf.spec.nbytes // leaf.spec.size if leaf.spec.size else 0
        tensors[name] = StridedTensor(
            found,
            leaf.spec,
            offset=leaf.offset * width,
            strides=None if _in_c_order(leaf) else leaf.strides,
            swapped=swapped,
            change=leaf.change,
        )
    return tensors


def _in_c_order(leaf: PickledTensor) -> bool:
    expected = 1
    for size, step in zip(reversed(leaf.spec.shape), reversed(leaf.strides), strict=True):
        if size != 1 and step != expected:
            return False
        expected *= size
    return True
