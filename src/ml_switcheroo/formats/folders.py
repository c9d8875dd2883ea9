"""Open a folder: which checkpoint it holds is decided by the files in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats.checkpoint import Checkpoint
from ml_switcheroo.formats.distributed import METADATA, open_distributed
from ml_switcheroo.formats.orbax import ORBAX_METADATA, open_orbax
from ml_switcheroo.formats.shards import INDEX_SUFFIX, are_shards, open_shards
from ml_switcheroo.formats.zero import is_zero, open_zero

__all__ = ["open_folder"]

# In the order in which transformers prefers them.
_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_SUFFIXES = (INDEX_SUFFIX, ".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz", ".h5")


def open_folder(path: Path, select: str | None, open_file: Callable[..., Checkpoint]) -> Checkpoint:
    """Open the checkpoint in a folder.

    Args:
        path: The folder.
        select: As in ``open_checkpoint``.
        open_file: Opens one file; called with the path and ``select=``.

    Raises:
        CheckpointError: There is none, several, or one of a kind that is not read.
    """
    if (path / METADATA).is_file():
        return open_distributed(path, select=select)
    if (path / ORBAX_METADATA).is_file():
        return open_orbax(path)
    if next(path.glob("*.distcp"), None):
        reason = (
            f"the folder has chunks of a distributed checkpoint, but no {METADATA} that says what they are"
        )
        raise CheckpointError(path, reason, cure="Copy that file too: its name begins with a dot.")
    if is_zero(path):
        if select is not None:
            raise UsageError(f"{path}: select= chooses a part of a file; a folder of DeepSpeed has no parts")
        return open_zero(path)
    steps = sorted(step.name for step in path.iterdir() if step.is_dir() and is_zero(step))
    if steps:
        names = "".join(f"\n  {name}" for name in steps[:20])
        reason = (
            f"the folder holds {len(steps)} checkpoints of DeepSpeed, and no file 'latest' that names one"
        )
        raise CheckpointError(path, reason, cure=f"Open one of them:{names}")
    found = [path / name for name in _NAMES if (path / name).is_file()][:1]
    found = found or sorted(
        file for file in path.iterdir() if file.name.endswith(_SUFFIXES) and file.is_file()
    )
    if are_shards(found):  # without an index
        return open_shards(found, lambda shard: open_file(shard, select=select))
    if len(found) == 1:
        return open_file(found[0], select=select)
    if not found:
        known = ", ".join(_NAMES[:2])
        raise CheckpointError(path, f"the folder holds no checkpoint ({known} ... or {METADATA})")
    names = "".join(f"\n  {file.name}" for file in found[:20])
    raise CheckpointError(
        path, f"the folder holds {len(found)} checkpoints", cure=f"Open one of them:{names}"
    )
