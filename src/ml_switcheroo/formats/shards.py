"""Read checkpoints in several files: an index and its shards, as Hugging Face writes them.

Layout (``transformers``, ``huggingface_hub.serialization``): ``model.safetensors.index.json`` or
``pytorch_model.bin.index.json`` is ``{"metadata": {...}, "weight_map": {name: file}}``; the files lie
beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Checkpoint
from ml_switcheroo.formats.files import SourceFile

__all__ = ["INDEX_SUFFIX", "open_index"]

INDEX_SUFFIX = ".index.json"

_MAX_INDEX = 2**28


def open_index(path: Path, open_shard: Callable[[Path], Checkpoint]) -> Checkpoint:
    """Open a sharded checkpoint by its index; the headers of all shards are read.

    Args:
        path: The index.
        open_shard: Opens one shard.

    Raises:
        CheckpointError: The index is damaged, points outside of its folder, or contradicts the shards.
    """
    places = _read_index(path)
    shards: dict[str, Checkpoint] = {}
    with ExitStack() as stack:
        for name in sorted(set(places.values())):
            if not os.path.exists(path.parent / name):  # noqa: PTH110 (Path.exists raises for long names)
                absent = sorted(
                    file[:200]
                    for file in set(places.values())
                    if not os.path.exists(path.parent / file)  # noqa: PTH110
                )
                reason = f"{len(absent)} of {len(set(places.values()))} shards are missing: {_few(absent)}"
                raise CheckpointError(path, reason, cure="Download them too.")
            shards[name] = stack.enter_context(open_shard(path.parent / name))
        _compare(path, places, shards)
        stack.pop_all()
    tensors = {name: tensor for shard in shards.values() for name, tensor in shard.items()}
    metadata = {key: value for shard in shards.values() for key, value in shard.metadata.items()}
    extras = {key: value for shard in shards.values() for key, value in shard.extras.items()}
    form = f"{next(iter(shards.values())).format}-sharded"
    return Checkpoint(path, form, tensors, metadata=metadata, extras=extras, files=list(shards.values()))


def _read_index(path: Path) -> dict[str, str]:
    with SourceFile(path) as file:
        if file.size > _MAX_INDEX:
            raise CheckpointError(path, f"an index of {file.size} bytes; at most {_MAX_INDEX} are read")
        try:
            index: Any = json.loads(file.read(0, file.size))
        except (ValueError, RecursionError) as error:
            raise CheckpointError(path, f"an index that is no JSON: {str(error)[:200]}", offset=0) from error
    places = index.get("weight_map") if isinstance(index, dict) else None
    if (
        not isinstance(places, dict)
        or not places
        or not all(isinstance(file, str) for file in places.values())
    ):
        raise CheckpointError(path, 'an index without a table "weight_map" of file names')
    for file in sorted(set(places.values())):
        if Path(file).name != file or "\\" in file or file in ("", ".", ".."):
            raise CheckpointError(path, f"the index points outside of its folder: {file[:200]!r}")
    return places


def _compare(path: Path, places: dict[str, str], shards: dict[str, Checkpoint]) -> None:
    problems = [f"{name} is not in {file}" for name, file in places.items() if name not in shards[file]]
    for file, shard in shards.items():
        for name in shard:
            if places.get(name) != file:
                where = f"says {places[name]}" if name in places else "does not have it"
                problems.append(f"{name} is in {file}, the index {where}")
    if problems:
        listed = _few(sorted(problems), "\n  ")
        raise CheckpointError(
            path, f"the index contradicts the shards in {len(problems)} tensors:\n  {listed}"
        )


def _few(names: list[str], separator: str = ", ") -> str:
    return separator.join([*names[:10], f"and {len(names) - 10} more"] if len(names) > 10 else names)
