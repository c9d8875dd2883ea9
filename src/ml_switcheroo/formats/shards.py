"""Read checkpoints in several files: an index and its shards, as Hugging Face writes them.

Layout (``transformers``, ``huggingface_hub.serialization``): ``model.safetensors.index.json`` or
``pytorch_model.bin.index.json`` is ``{"metadata": {...}, "weight_map": {name: file}}``; the files lie
beside it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats.checkpoint import Checkpoint
from ml_switcheroo.formats.files import SourceFile

__all__ = ["INDEX_SUFFIX", "are_shards", "open_index", "open_shards", "refuse_a_part", "siblings"]

INDEX_SUFFIX = ".index.json"

_MAX_INDEX = 2**28
_MOST_SHARDS = 100_000
_NUMBERED = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<all>\d{5})(?P<suffix>\.\w+)")


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
    return _joined(path, shards)


def open_shards(paths: Sequence[Path], open_shard: Callable[[Path], Checkpoint]) -> Checkpoint:
    """Open all shards of a checkpoint that has no index.

    Args:
        paths: The shards, in any order.
        open_shard: Opens one shard.

    Raises:
        CheckpointError: A shard of a numbered series is missing, or a tensor is in two of them.
        UsageError: There are none.
    """
    if not paths:
        raise UsageError("an empty list is no checkpoint: give the paths of all its shards")
    lacking = sorted({name for path in paths for name in _series(path)} - {path.name for path in paths})
    if lacking:
        reason = f"{len(lacking)} shards of its series are missing: {_few(lacking)}"
        raise CheckpointError(paths[0], reason, cure="Give them too.")
    shards: dict[str, Checkpoint] = {}
    with ExitStack() as stack:
        for path in sorted(set(paths)):
            shards[str(path)] = stack.enter_context(open_shard(path))
        owners: dict[str, list[str]] = {}
        for file, shard in shards.items():
            for name in shard:
                owners.setdefault(name, []).append(file)
        twice = [f"{name} is in {' and '.join(files)}" for name, files in owners.items() if len(files) > 1]
        if twice:
            listed = _few(twice, "\n  ")
            raise CheckpointError(paths[0], f"the shards contradict each other:\n  {listed}")
        stack.pop_all()
    return next(iter(shards.values())) if len(shards) == 1 else _joined(paths[0], shards)


def are_shards(paths: Sequence[Path]) -> bool:
    """Tell whether files are of one numbered series, of more than one file."""
    found = {tuple(_series(path)) for path in paths}
    return len(found) == 1 and len(found.pop()) > 1


def refuse_a_part(state: object) -> None:
    """Raise if a checkpoint is one file of a numbered series, by itself.

    Raises:
        CheckpointError: It is; the error names the others.
    """
    if not isinstance(state, Checkpoint) or state.format.endswith(_JOINED):
        return
    others = [name for name in _series(state.path) if name != state.path.name]
    if others:
        here = {path.name for path in siblings(state.path)}
        lacking = [name for name in others if name not in here]
        cure = (
            f"Download {_few(lacking)} too, and give the folder."
            if lacking
            else "Give all of them, or the folder."
        )
        reason = f"one of {len(others) + 1} files that are one checkpoint; the others: {_few(others)}"
        raise CheckpointError(state.path, reason, cure=cure)


_JOINED = "-sharded"


def siblings(path: Path) -> Iterator[Path]:
    """Yield the shards of the series that a file is one of, as far as they are there."""
    for name in _series(path):
        if (path.parent / name).is_file():
            yield path.parent / name


def _series(path: Path) -> Iterator[str]:
    """Yield the names of a numbered series: ``model-00001-of-00002.safetensors``."""
    found = _NUMBERED.fullmatch(path.name)
    if found:
        for number in range(1, min(int(found["all"]), _MOST_SHARDS) + 1):
            yield f"{found['stem']}-{number:0{len(found['all'])}}-of-{found['all']}{found['suffix']}"


def _joined(path: Path, shards: Mapping[str, Checkpoint]) -> Checkpoint:
    tensors = {name: tensor for shard in shards.values() for name, tensor in shard.items()}
    metadata = {key: value for shard in shards.values() for key, value in shard.metadata.items()}
    extras = {key: value for shard in shards.values() for key, value in shard.extras.items()}
    form = f"{next(iter(shards.values())).format}{_JOINED}"
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
