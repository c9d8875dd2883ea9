"""From a torch pickle to a checkpoint: refuse what is foreign, choose the state dict, find its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint, LazyTensor, StridedTensor
from ml_switcheroo.formats.files import Region, SourceFile, StoredBytes
from ml_switcheroo.formats.inert import PickleFault
from ml_switcheroo.formats.pickle_opcodes import Pickled
from ml_switcheroo.formats.pickled_values import HOSTILE, PickledArray, PickledTensor, StorageRef
from ml_switcheroo.formats.state_dicts import choose, find_parts

__all__ = ["build_tensors", "checkpoint_of", "faults_of", "refuse_hostile"]

FindRegion = Callable[[StorageRef], Region]
"""Finds the bytes of a storage and checks their number; it gives the same region for the same key."""


@contextmanager
def faults_of(path: Path, member: str = "") -> Iterator[None]:
    """Add the file to the faults of a pickle that is read inside."""
    try:
        yield
    except PickleFault as fault:
        raise CheckpointError(
            path, fault.reason, member=member, offset=fault.offset, cure=fault.cure
        ) from fault


def checkpoint_of(
    file: SourceFile,
    form: str,
    pickled: Pickled,
    select: str | None,
    region: FindRegion,
    *,
    swapped: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Checkpoint:
    """Make the checkpoint of a torch file.

    Args:
        file: The file.
        form: The format's name.
        pickled: What its pickle holds.
        select: The part of it that is the state dict.
        region: Finds the bytes of a storage.
        swapped: Whether the storages have the opposite byte order of this machine.
        metadata: What the file says of itself.

    Raises:
        PickleFault: A class that is not allowed, or no single state dict.
        CheckpointError: A storage is missing or has another size.
    """
    _refuse_foreign(pickled, select)
    choice = choose(pickled.value, select)
    return Checkpoint(
        file.path,
        form,
        build_tensors(choice.tensors, region, swapped=swapped),
        metadata=metadata,
        extras=choice.extras,
        selected=choice.path,
        files=[file],
    )


def refuse_hostile(pickled: Pickled) -> None:
    """Raise for names that run code.

    Raises:
        PickleFault: There are some; it names them, and where the first one is.
    """
    hostile = [path for path in pickled.foreign if path.partition(".")[0] in HOSTILE]
    if hostile:
        reason = f"names {', '.join(hostile[:5])}, which runs code; nothing was run"
        cure = "Do not open this file with a program that unpickles it."
        raise PickleFault(reason, pickled.foreign[hostile[0]], cure)


def _refuse_foreign(pickled: Pickled, select: str | None) -> None:
    """Raise for classes that are not on the allow-list.

    If a part of the file is selected by name, they are allowed: they stay records that do nothing.

    Raises:
        PickleFault: There is one; it says which, where, and how to get at the tensors.
    """
    refuse_hostile(pickled)
    if not pickled.foreign or select:
        return
    names = list(pickled.foreign)
    parts = find_parts(pickled.value)
    reason = f"holds {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    reason += ", which does not belong in a state dict"
    cure = "Save the weights alone: torch.save(model.state_dict(), path)."
    if parts:
        listed = "".join(f"\n  {part}" for part in parts[:20])
        cure += f"\nOr choose what to read with select= (--select); no class is imported:{listed}"
    raise PickleFault(reason, pickled.foreign[names[0]], cure)


def build_tensors(
    leaves: Mapping[str, PickledTensor | PickledArray | LazyTensor],
    region: FindRegion,
    *,
    swapped: bool,
) -> dict[str, LazyTensor]:
    """Give each tensor of a pickle its bytes."""
    tensors: dict[str, LazyTensor] = {}
    for name, leaf in leaves.items():
        if isinstance(leaf, PickledArray):
            assert leaf.spec is not None
            tensors[name] = StridedTensor(StoredBytes(leaf.content), leaf.spec)
            continue
        if isinstance(leaf, LazyTensor):
            tensors[name] = leaf
            continue
        storage = leaf.storage
        found = storage.held or region(storage)
        width = leaf.spec.nbytes // leaf.spec.size if leaf.spec.size else 0
        tensors[name] = StridedTensor(
            found,
            leaf.spec,
            offset=storage.start + leaf.offset * width,
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
