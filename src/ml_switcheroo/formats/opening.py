"""Open any checkpoint: which reader a file belongs to is decided by its bytes, not by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats.checkpoint import Checkpoint
from ml_switcheroo.formats.files import SourceFile
from ml_switcheroo.formats.npz import NPY_MAGIC, open_npy, open_npz
from ml_switcheroo.formats.safetensors import MAX_HEADER, open_safetensors
from ml_switcheroo.formats.torch_zip import open_torch_zip
from ml_switcheroo.formats.zip_directory import ZIP_MAGIC

__all__ = ["open_checkpoint"]

_LOCAL_HEADER = 30  # bytes of a zip member's header; the name's length is in its bytes 26 and 27
# torch.save before 1.6: a pickle of this number, in protocol 2.
_LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"


def open_checkpoint(path: str | Path, *, select: str | None = None) -> Checkpoint:
    """Open a checkpoint; only headers are read, and no code of the file runs.

    Args:
        path: A ``.pt`` / ``.pth`` / ``.bin`` file of torch, a safetensors file, an ``.npz`` or ``.npy``.
        select: The part of a torch file that is the state dict, as a dotted path (``"model"``), or ``"."``
            for everything; None where one part only can be.

    Raises:
        CheckpointError: The file cannot be read, is damaged or hostile, or no checkpoint; or several parts of
            it could be the state dict: the error lists them.
        UsageError: ``select`` for a format that has no parts.
    """
    file = SourceFile(path)
    try:
        reader = _reader(file)
        if reader is _torch:
            return open_torch_zip(file, select=select)
        if select is not None:
            raise UsageError(f"{path}: select= chooses a part of a torch checkpoint; this file has no parts")
        return reader(file)
    except BaseException:
        file.close()
        raise


def _torch(file: SourceFile) -> Checkpoint:
    return open_torch_zip(file)


def _reader(file: SourceFile) -> Callable[[SourceFile], Checkpoint]:
    head = file.read(0, min(file.size, _LOCAL_HEADER))
    if head.startswith(ZIP_MAGIC):
        first = file.read(0, min(file.size, _LOCAL_HEADER + 0xFFFF))[_LOCAL_HEADER:]
        return open_npz if first[: int.from_bytes(head[26:28], "little")].endswith(b".npy") else _torch
    if head.startswith(NPY_MAGIC):
        return open_npy
    if head.startswith(_LEGACY_MAGIC):
        cure = "Save it again with torch 1.6 or later: torch.save(torch.load(path), path)."
        raise CheckpointError(file.path, "a torch file in the format before 1.6", offset=0, cure=cure)
    if head[8:9] == b"{" or int.from_bytes(head[:8], "little") <= MAX_HEADER:
        return open_safetensors
    reason = f"not a checkpoint of a known format; it begins with {head[:8].hex(' ')}"
    cure = "Known: .pt / .pth / .bin of torch, safetensors, .npz, .npy."
    raise CheckpointError(file.path, reason, offset=0, cure=cure)
