"""Write the folders that Orbax reads, through ``tensorstore``, leaf by leaf.

Layout: :mod:`.orbax`. Orbax's own ``save`` needs the whole tree in memory; here a leaf is written in chunks,
and at most two groups of chunks are held at a time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats.atomic_folder import AtomicFolder
from ml_switcheroo.formats.deferred import Deferred
from ml_switcheroo.formats.leaves import LeafCheck
from ml_switcheroo.formats.orbax import ORBAX_CHECKPOINT, ORBAX_METADATA, SEPARATOR, import_tensorstore
from ml_switcheroo.formats.parts import Box
from ml_switcheroo.formats.stream import Leaf
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["write_orbax"]

_CHUNK = 2**24
"""Most bytes of a chunk, and of a group of chunks that is written at once."""

_DICT_KEY = 2  # orbax.checkpoint._src.tree.types.KeyType.DICT
_HANDLER = "orbax.checkpoint._src.handlers.standard_checkpoint_handler.StandardCheckpointHandler"


def write_orbax(
    path: str | Path,
    specs: Mapping[str, TensorSpec],
    leaves: Iterable[tuple[str, Leaf]],
    metadata: Mapping[str, str] | None = None,
    *,
    separator: str = ".",
) -> None:
    """Write a folder for ``ocp.StandardCheckpointer().restore``; it appears when it is complete.

    Args:
        path: The folder; an Orbax checkpoint at that path is replaced at the end.
        specs: Every leaf with its shape and dtype.
        leaves: Each leaf once, in any order.
        metadata: Kept as Orbax's ``custom_metadata``.
        separator: Between the keys of the tree in a leaf's path.

    Raises:
        UsageError: A leaf is missing, unknown, there twice or not what its spec says, or paths are no tree.
        CheckpointError: ``tensorstore`` is not there, or the folder cannot be written.
    """
    tensorstore = import_tensorstore(Path(path), "which is written")
    keys = {name: tuple(name.split(separator)) for name in specs}
    _check_tree(keys)
    check = LeafCheck(specs)
    with AtomicFolder(path, lambda there: (there / ORBAX_METADATA).is_file()) as out:
        store = _Store(tensorstore, out)
        for name, leaf in check.each(leaves):
            store.write(".".join(keys[name]), specs[name], Deferred.of(leaf))
        check.finish()
        store.commit()
        store.wait()
        extra = {**(metadata or {}), SEPARATOR: separator} if metadata else {}
        try:
            _write_metadata(out.temporary, keys, specs, extra)
        except OSError as error:
            raise out.fault(error) from error


def _check_tree(keys: Mapping[str, tuple[str, ...]]) -> None:
    taken = {".".join(parts[:end]) for parts in keys.values() for end in range(1, len(parts))}
    for name, parts in keys.items():
        if not all(parts) or any("/" in part for part in parts):
            raise UsageError(f"{name!r} cannot be a path in an Orbax tree: an empty key, or one with a slash")
        if ".".join(parts) in taken:
            raise UsageError(f"{name!r} is a leaf and a branch of the Orbax tree at once")
    if len({".".join(parts) for parts in keys.values()}) != len(keys):
        raise UsageError("two paths are one in an Orbax tree, which joins keys by dots")


class _Store:
    """An OCDBT store that takes chunks and commits them in groups, one commit in flight."""

    def __init__(self, tensorstore: Any, out: AtomicFolder) -> None:
        self._tensorstore = tensorstore
        self._out = out
        # The folder is synced as a whole before it gets its name.
        self._context = tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}, "file_io_sync": False})
        self._group = tensorstore.Transaction(atomic=False)
        self._nbytes = 0
        self._running: Any = None

    def write(self, name: str, spec: TensorSpec, leaf: Deferred) -> None:
        """Write one leaf, chunk by chunk."""
        chunk = _chunk_of(spec)
        array = self._open(name, spec, chunk, create=True)
        for box in _boxes(spec.shape, chunk):
            if self._nbytes >= _CHUNK:
                self.commit()
                array = self._open(name, spec, chunk, create=False)
            index = tuple(slice(*bounds) for bounds in box)
            piece = Deferred.of(leaf[index]) if index else leaf
            content = piece.make()
            piece.drop()
            self._result(array[index].write(content, can_reference_source_data_indefinitely=True))
            self._nbytes += content.nbytes

    def commit(self) -> None:
        """Begin to write the chunks that were taken."""
        self.wait()
        self._running = self._group.commit_async()
        self._group = self._tensorstore.Transaction(atomic=False)
        self._nbytes = 0

    def wait(self) -> None:
        """Wait until everything begun is written."""
        if self._running is not None:
            self._result(self._running)
        self._running = None

    def _open(self, name: str, spec: TensorSpec, chunk: tuple[int, ...], *, create: bool) -> Any:
        base = {"driver": "file", "path": f"{self._out.temporary}/"}
        found = {
            "driver": "zarr",
            "kvstore": {"driver": "ocdbt", "base": base, "path": f"{name}/"},
            "dtype": spec.dtype,
            "metadata": {"shape": spec.shape, "chunks": chunk, "compressor": None, "order": "C"},
            "store_data_equal_to_fill_value": True,
        }
        # What a group that is still in flight has created cannot be read back yet.
        mode = {"create": True} if create else {"open": True, "assume_metadata": True}
        return self._result(
            self._tensorstore.open(found, context=self._context, transaction=self._group, **mode)
        )

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except (ValueError, OSError) as error:  # what tensorstore raises for each of its statuses
            text = str(error).partition(" [")[0]
            # The operating system's own words come last, after a path for each layer.
            text = text.rpartition(": ")[2] if "os_error_code" in str(error) else text[:300]
            raise CheckpointError(
                self._out.path, f"cannot be written: {text}", cure="Nothing was changed."
            ) from error


def _chunk_of(spec: TensorSpec) -> tuple[int, ...]:
    """Return the shape of a chunk: whole last axes, as many as fit.

    >>> _chunk_of(TensorSpec((30, 4096, 4096), "float32"))
    (1, 1024, 4096)
    """
    room = _CHUNK // DTYPES[spec.dtype].itemsize
    chunk = []
    for size in reversed(spec.shape):
        chunk.append(max(1, min(size, room)))
        room //= max(1, size)
    return tuple(reversed(chunk))


def _boxes(shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[Box]:
    counts = [-(-size // step) for size, step in zip(shape, chunk, strict=True)]
    for index in np.ndindex(*counts):
        yield tuple(
            (i * step, min((i + 1) * step, size)) for i, step, size in zip(index, chunk, shape, strict=True)
        )


def _write_metadata(
    folder: Path,
    keys: Mapping[str, tuple[str, ...]],
    specs: Mapping[str, TensorSpec],
    metadata: Mapping[str, str],
) -> None:
    tree = {
        repr(parts): {
            "key_metadata": [{"key": key, "key_type": _DICT_KEY} for key in parts],
            "value_metadata": {
                "value_type": "jax.Array",
                "skip_deserialize": False,
                "write_shape": list(specs[name].shape),
            },
        }
        for name, parts in keys.items()
    }
    about = {
        "tree_metadata": tree,
        "use_ocdbt": True,
        "use_zarr3": False,
        "store_array_data_equal_to_fill_value": True,
        "custom_metadata": dict(metadata) or None,
    }
    now = time.time_ns()
    checkpoint = {
        "item_handlers": _HANDLER,
        "metrics": {},
        "performance_metrics": {},
        "init_timestamp_nsecs": now,
        "commit_timestamp_nsecs": now,
        "custom_metadata": {},
    }
    (folder / ORBAX_CHECKPOINT).write_text(json.dumps(checkpoint), encoding="utf-8")
    (folder / ORBAX_METADATA).write_text(json.dumps(about), encoding="utf-8")
