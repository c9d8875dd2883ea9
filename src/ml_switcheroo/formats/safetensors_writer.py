"""Write safetensors files, one or several with an index, leaf by leaf (layout: :mod:`.safetensors`).

The ``safetensors`` package is not used: it needs each tensor whole, and its version 0.8.0 writes wrong
bytes for transposed arrays (https://github.com/huggingface/safetensors/issues/825).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.journal import Journal
from ml_switcheroo.formats.leaves import LeafCheck
from ml_switcheroo.formats.output import AtomicFile
from ml_switcheroo.formats.safetensors import MAX_HEADER
from ml_switcheroo.formats.stream import Leaf, copy_leaves
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["layout_safetensors", "write_safetensors", "write_shards"]

Leaves = Iterable[tuple[str, Leaf]]
_SIZE = struct.Struct("<Q")


def layout_safetensors(
    specs: Mapping[str, TensorSpec], metadata: Mapping[str, str]
) -> tuple[bytes, dict[str, int], int]:
    """Plan a file: the bytes up to the first tensor, each tensor's offset in the file, and the file's size.

    Wide dtypes come first, so that every tensor lies aligned; names of one width keep their order.

    Raises:
        UsageError: A dtype that the format does not have, a reserved name, or metadata that is not text.

    >>> specs = {"a": TensorSpec((3,), "int8"), "b": TensorSpec((), "float32")}
    >>> head, offsets, size = layout_safetensors(specs, {})
    >>> offsets["b"] - len(head), offsets["a"] - len(head), size - len(head)
    (0, 4, 7)
    """
    wrong = sorted(
        f"{name}: {spec.dtype}" for name, spec in specs.items() if not DTYPES[spec.dtype].safetensors
    )
    if wrong:
        raise UsageError(f"safetensors has no such dtype: {', '.join(wrong)}")
    if "__metadata__" in specs:
        raise UsageError("a tensor cannot have the name __metadata__ in a safetensors file")
    if not all(isinstance(key, str) and isinstance(value, str) for key, value in metadata.items()):
        raise UsageError("the metadata of a safetensors file must be text")
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    begins: dict[str, int] = {}
    position = 0
    for name in sorted(specs, key=lambda name: -DTYPES[specs[name].dtype].itemsize):
        spec = specs[name]
        begins[name] = position
        position += spec.nbytes
        offsets = [begins[name], position]
        code = DTYPES[spec.dtype].safetensors
        header[name] = {"dtype": code, "shape": list(spec.shape), "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise UsageError(f"a safetensors header of {len(text)} bytes; at most {MAX_HEADER} are allowed")
    head = _SIZE.pack(len(text)) + text
    return head, {name: len(head) + begin for name, begin in begins.items()}, len(head) + position


def write_safetensors(
    path: str | Path,
    specs: Mapping[str, TensorSpec],
    leaves: Leaves,
    metadata: Mapping[str, str] | None = None,
    *,
    resume: str | None = None,
    say: Callable[[str], object] = str,
) -> None:
    """Write a safetensors file leaf by leaf, in any order; the file appears when it is complete.

    Args:
        path: The file; one that exists is replaced at the end, or stays as it is if anything fails.
        specs: Every leaf with its shape and dtype; their order is the file's.
        leaves: Each leaf once: an array (transposed, sliced, read-only: as it is), or a
            :class:`~ml_switcheroo.formats.deferred.Deferred` one, which is made strip by strip.
        metadata: Text for the header.
        resume: A text that changes whenever anything about the leaves does (plan, source, version). A run
            that fails leaves its work beside the target; the next run with the same text continues there, and
            does not read again the leaves that are done.
        say: Called with a sentence when a run goes on, or cannot.

    Raises:
        UsageError: A leaf is missing, unknown, there twice, or not of the shape and dtype of its spec.
        CheckpointError: The file cannot be written.
    """
    head, offsets, size = layout_safetensors(specs, metadata or {})
    check = LeafCheck(specs)
    with ExitStack() as stack:
        out = stack.enter_context(AtomicFile(path, size, keep=resume is not None))
        done: set[str] = set()
        finished: Callable[[str], object] = str
        if resume is not None:
            journal = stack.enter_context(Journal(out, head, offsets, specs, resume, say))
            done, finished = set(journal.done), journal.add
        out.write(head, 0)
        copy_leaves(
            ((name, leaf, out, offsets[name]) for name, leaf in check.each(leaves) if name not in done),
            finished=finished,
        )
        check.finish()


def write_shards(
    folder: str | Path,
    specs: Mapping[str, TensorSpec],
    leaves: Leaves,
    metadata: Mapping[str, str] | None = None,
    *,
    max_bytes: int,
    stem: str = "model",
) -> list[Path]:
    """Write safetensors files of limited size and their index, as Hugging Face lays them out.

    The index appears last, and the index of an earlier checkpoint is removed before its shards are replaced:
    an index always names whole files. If one file suffices, there is no index.

    Args:
        folder: The folder; it is made if it does not exist.
        specs: Every leaf with its shape and dtype.
        leaves: Each leaf once, in any order.
        metadata: Text for the header of each file.
        max_bytes: Bytes of tensors in one file; a leaf that is larger gets a file of its own.
        stem: First part of the names.

    Returns:
        The files, the index last.

    Raises:
        UsageError: As for :func:`write_safetensors`.
        CheckpointError: A file cannot be written.
    """
    folder = Path(folder)
    parts = _partition(specs, max_bytes)
    names = [f"{stem}-{i + 1:05}-of-{len(parts):05}.safetensors" for i in range(len(parts))]
    if len(parts) == 1:
        write_safetensors(folder / f"{stem}.safetensors", specs, leaves, metadata)
        return [folder / f"{stem}.safetensors"]
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / f"{stem}.safetensors.index.json"
    check = LeafCheck(specs)
    with ExitStack() as stack:
        places: dict[str, tuple[AtomicFile, int]] = {}
        files: list[AtomicFile] = []
        for name, part in zip(names, parts, strict=True):
            head, offsets, size = layout_safetensors(part, metadata or {})
            files.append(stack.enter_context(AtomicFile(folder / name, size)))
            files[-1].write(head, 0)
            places |= {leaf: (files[-1], offset) for leaf, offset in offsets.items()}
        copy_leaves((name, leaf, *places[name]) for name, leaf in check.each(leaves))
        check.finish()
        index.unlink(missing_ok=True)
        for file in files:
            file.commit()
    _write_index(index, dict(zip(names, parts, strict=True)), metadata or {})
    return [*(folder / name for name in names), index]


def _partition(specs: Mapping[str, TensorSpec], max_bytes: int) -> list[dict[str, TensorSpec]]:
    if max_bytes <= 0:
        raise UsageError(f"a largest size of {max_bytes} bytes for a shard")
    parts: list[dict[str, TensorSpec]] = [{}]
    room = max_bytes
    for name, spec in specs.items():
        if parts[-1] and spec.nbytes > room:
            parts.append({})
            room = max_bytes
        parts[-1][name] = spec
        room -= spec.nbytes
    return parts


def _write_index(
    path: Path, parts: Mapping[str, Mapping[str, TensorSpec]], metadata: Mapping[str, str]
) -> None:
    total = sum(spec.nbytes for part in parts.values() for spec in part.values())
    places = {name: file for file, part in parts.items() for name in part}
    index = {"metadata": {"total_size": total, **metadata}, "weight_map": places}
    content = json.dumps(index, indent=2, ensure_ascii=False).encode()
    with AtomicFile(path, len(content)) as out:
        out.write(content, 0)
