"""Open any checkpoint: its bytes decide which reader it gets, not its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_switcheroo.errors import CheckpointError, UsageError, described
from ml_switcheroo.formats.adapters import merged
from ml_switcheroo.formats.averaged import averaged
from ml_switcheroo.formats.checkpoint import Checkpoint
from ml_switcheroo.formats.files import SourceFile
from ml_switcheroo.formats.flax_msgpack import is_flax_msgpack, open_flax_msgpack
from ml_switcheroo.formats.folders import open_folder
from ml_switcheroo.formats.hdf5 import HDF5_MAGIC, is_keras_archive, open_hdf5, open_keras
from ml_switcheroo.formats.mistaken import mistaken
from ml_switcheroo.formats.npz import NPY_MAGIC, open_npy, open_npz
from ml_switcheroo.formats.quantised import dequantised
from ml_switcheroo.formats.safetensors import MAX_HEADER, open_safetensors
from ml_switcheroo.formats.shards import INDEX_SUFFIX, open_index, open_shards
from ml_switcheroo.formats.state_dicts import WHOLE
from ml_switcheroo.formats.tensor_bundle import is_tensor_bundle, open_tensor_bundle
from ml_switcheroo.formats.torch_legacy import LEGACY_MAGIC, open_pickle, open_torch_legacy
from ml_switcheroo.formats.torch_tar import open_torch_tar
from ml_switcheroo.formats.torch_zip import open_torch_zip
from ml_switcheroo.formats.zip_directory import ZIP_MAGIC

__all__ = ["Paths", "open_checkpoint"]

_HEAD = 512
_PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(1, 6))
_NAME = 30  # where the name of a zip archive's first member begins; bytes 26 and 27 are its length


@dataclass(frozen=True, slots=True)
class _Format:
    """How to recognise a format by the first bytes of a file, and who reads it."""

    tell: Callable[[bytes], bool]
    read: Callable[..., Checkpoint]
    has_parts: bool = False


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" or int.from_bytes(head[:8], "little") <= MAX_HEADER


def _is_npz(head: bytes) -> bool:
    name = head[_NAME : _NAME + int.from_bytes(head[26:28], "little")]
    return head.startswith(ZIP_MAGIC) and name.endswith(b".npy")


_FORMATS = (
    _Format(_is_npz, open_npz),
    _Format(is_keras_archive, open_keras),
    _Format(lambda head: head.startswith(ZIP_MAGIC), open_torch_zip, has_parts=True),
    _Format(lambda head: head.startswith(NPY_MAGIC), open_npy),
    _Format(lambda head: head.startswith(HDF5_MAGIC), open_hdf5),
    _Format(lambda head: head[4:9] == b"\0\0\0\0{", open_safetensors),
    _Format(lambda head: LEGACY_MAGIC.to_bytes(10, "little") in head[:32], open_torch_legacy, has_parts=True),
    _Format(lambda head: head[257:262] == b"ustar", open_torch_tar, has_parts=True),
    _Format(lambda head: head[:2] in _PICKLES, open_pickle, has_parts=True),
    _Format(is_flax_msgpack, open_flax_msgpack),
    _Format(_is_safetensors, open_safetensors),
)


Paths = str | Path | Sequence[str | Path]
"""The path of a checkpoint, or the paths of all its shards."""


def open_checkpoint(
    path: Paths,
    *,
    select: str | None = None,
    ema: bool = False,
    dequantise: bool = False,
    merge: str | Path | None = None,
) -> Checkpoint:
    """Open a checkpoint; only headers are read, and no code of the file runs.

    Args:
        path: A file of torch (``.pt``, ``.pth``, ``.bin``, ``.ckpt``), a safetensors file, an ``.npz``,
            ``.npy``, ``.weights.h5`` or pickle; an index of shards (``*.index.json``); or a folder that
            holds one of these, or what ``torch.distributed.checkpoint``, DeepSpeed or Orbax wrote. Without an
            index: the paths of all shards.
        select: The part of a torch file that is the state dict, as a dotted path (``"model"``), or ``"."``
            for everything; None if only one part can be.
        ema: Whether to take averaged weights, under the names of the model that they are the average of.
        dequantise: Whether to compute the weights that fp8 codes with scales, or those of AWQ, stand for.
        merge: An adapter of LoRA to merge into the weights: the folder that PEFT has saved.

    Raises:
        CheckpointError: The file cannot be read, is damaged or hostile, or no checkpoint; or several parts of
            it could be the state dict: the error lists them.
        UsageError: ``select`` for a format that has no parts; ``dequantise`` where nothing is quantised.
    """
    opened = _averaged(path, select) if ema else _opened(path, select)
    try:
        opened = dequantised(opened) if dequantise else opened
        return merged(opened, merge, lambda file: _opened(file, None)) if merge is not None else opened
    except BaseException:
        opened.close()
        raise


def _averaged(path: Paths, select: str | None) -> Checkpoint:
    """Open a checkpoint with its averaged weights; what has several state dicts is opened as a whole."""
    whole = False
    try:
        opened = _opened(path, select)
    except CheckpointError:
        if select is not None:
            raise
        opened, whole = _opened(path, WHOLE), True
    try:
        return averaged(opened, whole=whole)
    except BaseException:
        opened.close()
        raise


def _opened(path: Paths, select: str | None) -> Checkpoint:
    """Open a checkpoint as it is stored."""
    if not isinstance(path, str | Path):
        return open_shards(_paths(path), lambda shard: _opened(shard, select))
    path = _path(path)
    if path.is_dir():
        return open_folder(path, select, lambda file, select: _opened(file, select))
    if path.name.endswith(INDEX_SUFFIX):
        return open_index(path, lambda shard: _opened(shard, select))
    file = SourceFile(path)
    try:
        head = file.read(0, min(file.size, _HEAD))
        if is_tensor_bundle(file):
            return _without_parts(file, open_tensor_bundle, select)
        if other := mistaken(head):
            raise CheckpointError(file.path, other[0], offset=0, cure=other[1])
        form = next((form for form in _FORMATS if form.tell(head)), None)
        if form is None:
            reason = f"not a checkpoint of a known format; it begins with {head[:8].hex(' ')}"
            cure = "Known: .pt / .pth / .bin / .ckpt of torch, safetensors, .npz, .npy, .h5."
            raise CheckpointError(file.path, reason, offset=0, cure=cure)
        if form.has_parts:
            return form.read(file, select=select)
        return _without_parts(file, form.read, select)
    except BaseException:
        file.close()
        raise


def _without_parts(
    file: SourceFile, read: Callable[[SourceFile], Checkpoint], select: str | None
) -> Checkpoint:
    if select is not None:
        raise UsageError(f"{file.path}: select= chooses a part of a torch checkpoint; this file has no parts")
    return read(file)


def _paths(given: object) -> list[Path]:
    if not isinstance(given, Sequence):
        raise UsageError(f"open_checkpoint takes the path of a file or folder, not {described(given)}")
    return [_path(one) for one in given]


def _path(given: str | Path) -> Path:
    if not str(given):  # Path makes the working directory of it
        raise UsageError("an empty path is no checkpoint")
    return Path(given)
