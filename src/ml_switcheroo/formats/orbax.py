"""Read the folders that Orbax writes, through ``tensorstore``.

Layout (``orbax/checkpoint/_src/metadata/tree.py``): ``_METADATA`` is JSON that lists the leaves of the
tree; each is a zarr array in an OCDBT store, or in a folder of its own, under its keys joined by dots.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.extras import how_to_install
from ml_switcheroo.formats.checkpoint import Array, Checkpoint, LazyTensor
from ml_switcheroo.formats.files import SourceFile
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["ORBAX_CHECKPOINT", "ORBAX_METADATA", "SEPARATOR", "import_tensorstore", "open_orbax"]

ORBAX_METADATA = "_METADATA"
ORBAX_CHECKPOINT = "_CHECKPOINT_METADATA"

SEPARATOR = "ml_switcheroo.separator"
"""How the paths of a converted tree join its keys; others are joined by dots."""

_MAX_METADATA = 2**26


class _Stored(LazyTensor):
    """An array of the store."""

    __slots__ = ("_array",)

    def __init__(self, spec: TensorSpec, array: Any) -> None:
        super().__init__(spec)
        self._array = array

    def read(self) -> Array:
        """Read the whole array."""
        return self[...]

    def __getitem__(self, index: Any) -> Array:
        """Read a part; only the chunks that it touches are read."""
        return np.asarray(self._array[index].read().result())


def import_tensorstore(folder: Path, doing: str) -> Any:
    """Import the library.

    Raises:
        CheckpointError: It is not installed.
    """
    try:
        import tensorstore
    except ImportError as error:
        reason = f"an Orbax folder, {doing} through tensorstore; it is not installed"
        raise CheckpointError(folder, reason, cure=how_to_install("tensorstore")) from error
    return tensorstore


def open_orbax(folder: Path) -> Checkpoint:
    """Open a folder of Orbax; names are the keys of the tree, joined by dots.

    A converted one has the paths that were written, such as ``params/fc/kernel``.

    Raises:
        CheckpointError: ``tensorstore`` is not there, or the folder is damaged.
    """
    tensorstore = import_tensorstore(folder, "which is read")
    keys, table = _read_metadata(folder / ORBAX_METADATA)
    driver = "zarr3" if table.get("use_zarr3") else "zarr"
    ocdbt = bool(table.get("use_ocdbt", True))
    metadata = _texts(table.get("custom_metadata"))
    separator = metadata.pop(SEPARATOR, ".")
    names = [".".join(parts) for parts in keys]
    base = {"driver": "file", "path": f"{folder.resolve()}/"}
    specs: dict[str, dict[str, Any]] = {}
    for name in names:
        inner = {"driver": "file", "path": f"{folder.resolve() / name}/"}
        store = {"driver": "ocdbt", "base": base, "path": f"{name}/"} if ocdbt else inner
        specs[name] = {"driver": driver, "kvstore": store}
    opening = {name: tensorstore.open(spec, open=True, read=True) for name, spec in specs.items()}
    tensors: dict[str, LazyTensor] = {}
    for parts, (name, future) in zip(keys, opening.items(), strict=True):
        try:
            array = future.result()
        except (ValueError, OSError) as error:
            raise CheckpointError(folder, f"a damaged array: {str(error)[:200]}", member=name) from error
        dtype = array.dtype.name
        if dtype not in DTYPES:
            raise CheckpointError(folder, f"an array of dtype {dtype}, no plain numbers", member=name)
        spec = TensorSpec(tuple(map(int, array.shape)), dtype)
        tensors[separator.join(parts)] = _Stored(spec, array)
    return Checkpoint(folder, "orbax", tensors, metadata=metadata)


def _texts(table: Any) -> dict[str, str]:
    pairs = table.items() if isinstance(table, dict) else ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _read_metadata(path: Path) -> tuple[list[list[str]], dict[str, Any]]:
    with SourceFile(path) as file:
        if file.size > _MAX_METADATA:
            raise CheckpointError(path, f"{file.size} bytes; at most {_MAX_METADATA} are read")
        try:
            metadata = json.loads(file.read(0, file.size))
            leaves = metadata["tree_metadata"].values()
            keys = [[str(key["key"]) for key in leaf["key_metadata"]] for leaf in leaves]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(path, "not the metadata of an Orbax folder", offset=0) from error
    names = [".".join(parts) for parts in keys]
    bad = [name for name in names if "/" in name or ".." in name.split("/") or not name]
    if bad or len(set(names)) != len(names) or not names:
        raise CheckpointError(path, f"names that are none, or are there twice: {', '.join(bad[:5])}")
    return keys, metadata
