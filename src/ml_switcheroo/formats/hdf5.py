"""Read HDF5 files, such as Keras' ``.weights.h5``, through ``h5py``.

A contiguous dataset is mapped; the library reads the others. Keras marks bf16 with an attribute
(``keras/src/saving/saving_lib.py``, ``H5IOStore``). The HDF5 library reads the structure of the file. Unlike
our own readers, it is not built for hostile files.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.extras import how_to_install
from ml_switcheroo.formats.checkpoint import Array, Checkpoint, LazyTensor, StridedTensor
from ml_switcheroo.formats.files import MappedBytes, SourceFile
from ml_switcheroo.formats.zip_directory import ZIP_MAGIC, read_directory
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["HDF5_MAGIC", "LEAF", "import_h5py", "is_keras_archive", "open_hdf5", "open_keras"]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

LEAF = "ml_switcheroo.leaf"
"""The attribute that names the leaf of a converted dataset."""


class _Stored(LazyTensor):
    """A dataset that is chunked or compressed."""

    __slots__ = ("_dataset",)

    def __init__(self, spec: TensorSpec, dataset: Any) -> None:
        super().__init__(spec)
        self._dataset = dataset

    def read(self) -> Array:
        """Read the whole dataset."""
        return self[...]

    def __getitem__(self, index: Any) -> Array:
        """Read a part; the library reads the chunks that it touches."""
        array: Array = self._dataset[index]
        # bf16 arrives as two opaque bytes; only numbers have a byte order to convert.
        return array.view(self.dtype) if array.dtype.kind == "V" else array.astype(self.dtype, copy=False)


def import_h5py(path: Path, doing: str) -> Any:
    """Import the library.

    Raises:
        CheckpointError: It is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        reason = f"an HDF5 file, {doing} through h5py; it is not installed"
        raise CheckpointError(path, reason, cure=how_to_install("h5py")) from error
    return h5py


_WEIGHTS = "model.weights.h5"
_VARIABLE = re.compile(r"(^|/)vars/\d+$")
"""What Keras calls the variables of a layer."""

_OPTIMIZER = "optimizer.vars."

_MAX_PACKED = 2**32  # bytes of weights in an archive that have to be held in memory


def is_keras_archive(head: bytes) -> bool:
    """Tell whether a zip archive begins as ``model.save("model.keras")`` writes it."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return head.startswith(ZIP_MAGIC) and name in (b"metadata.json", b"config.json", _WEIGHTS.encode())


def open_keras(file: SourceFile) -> Checkpoint:
    """Open a ``.keras`` archive: the weights in it, which are an HDF5 file of their own.

    Raises:
        CheckpointError: It is damaged, or holds no weights.
    """
    members, _ = read_directory(file)
    weights = members.get(_WEIGHTS)
    if weights is None:
        raise CheckpointError(file.path, f"an archive of Keras without {_WEIGHTS}")
    if weights.nbytes > _MAX_PACKED:
        cure = "Save the weights by themselves: model.save_weights('model.weights.h5')."
        raise CheckpointError(file.path, f"{weights.nbytes} bytes of weights in an archive", cure=cure)
    return open_hdf5(file, io.BytesIO(weights.load().tobytes()))


def open_hdf5(file: SourceFile, inner: io.BytesIO | None = None) -> Checkpoint:
    """Open an HDF5 file. Names are the paths of its datasets, joined with dots.

    A converted file uses the paths of its leaves in the model. Anything else that Keras stores, such as the
    state of a random generator, is among the extras. Of a whole model in one file, ``model.save("a.h5")``,
    the names are those that it lists for its weights; the state of its optimizer is among the extras.

    Args:
        file: The file.
        inner: The HDF5 file that is packed in it, if it is not the file itself.

    Raises:
        CheckpointError: ``h5py`` is missing, the file is damaged, or a dataset is not a plain tensor.
    """
    h5py = import_h5py(file.path, "which is read")
    try:
        store = h5py.File(file.path if inner is None else inner, "r")
        datasets: dict[str, Any] = {}
        # Links to other files are not followed.
        store.visititems(lambda name, item: datasets.update({name: item}) if hasattr(item, "dtype") else None)
        metadata = {key: value for key, value in store.attrs.items() if isinstance(value, str)}
        tensors, extras = _named(file, datasets, packed=inner is not None)
        if any(_VARIABLE.search(name) for name in datasets):
            metadata = {"format": "keras", **metadata}
            state = {name: tensors.pop(name).spec for name in list(tensors) if name.startswith(_OPTIMIZER)}
            extras |= state
        whole = _whole(store)
        if whole:
            metadata = {"format": "keras"}
            extras |= {name.replace("/", "."): item.spec for name, item in _left(datasets, whole, file)}
            tensors = {name: _tensor(file, path, datasets[path], packed=True) for name, path in whole.items()}
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(file.path, f"a damaged HDF5 file: {str(error)[:200]}", offset=0) from error
    if len(tensors) + len(extras) != len(datasets):
        raise CheckpointError(file.path, "two datasets have the same name")
    if not tensors:
        raise CheckpointError(file.path, "the file holds no dataset")
    files = [file, _Store(store)]
    return Checkpoint(file.path, "hdf5", tensors, metadata=metadata, extras=extras, files=files)


def _whole(store: Any) -> dict[str, str]:
    """Return the weights that a whole model of ``model.save("model.h5")`` lists: by name, where they lie."""
    group = store.get("model_weights")
    found: dict[str, str] = {}
    for layer in _texts(group.attrs.get("layer_names", ())) if group is not None else ():
        for name in _texts(group[layer].attrs.get("weight_names", ())):
            short = name.removesuffix(":0")
            if short in found:
                raise ValueError(f"two weights have the name {short}")
            found[short] = f"model_weights/{layer}/{name}"
    return found


def _texts(listed: Any) -> list[str]:
    return [one.decode() if isinstance(one, bytes) else str(one) for one in listed]


def _left(
    datasets: dict[str, Any], whole: dict[str, str], file: SourceFile
) -> Iterator[tuple[str, LazyTensor]]:
    taken = set(whole.values())
    for path, item in datasets.items():
        if path not in taken:
            yield path, _tensor(file, path, item, packed=True)


def _named(
    file: SourceFile, datasets: dict[str, Any], *, packed: bool
) -> tuple[dict[str, LazyTensor], dict[str, Any]]:
    leaves = {name: item.attrs[LEAF] for name, item in datasets.items() if LEAF in item.attrs}
    tensors: dict[str, LazyTensor] = {}
    extras: dict[str, Any] = {}
    for name, item in datasets.items():
        tensor = _tensor(file, name, item, packed=packed)
        if leaves and name not in leaves:
            extras[name.replace("/", ".")] = tensor.spec
        else:
            tensors[str(leaves.get(name, name.replace("/", ".")))] = tensor
    return tensors, extras


class _Store:
    """Closes the library's file together with the checkpoint."""

    stamp = ()

    def __init__(self, store: Any) -> None:
        self._store = store

    def check(self) -> None:
        """Do nothing: the mapped file is watched."""

    def close(self) -> None:
        """Close the file."""
        self._store.close()


def _tensor(file: SourceFile, name: str, dataset: Any, *, packed: bool) -> LazyTensor:
    if dataset.external or dataset.is_virtual:
        raise CheckpointError(file.path, "a dataset whose bytes are in other files", member=name)
    dtype = dataset.attrs.get("dtype", dataset.dtype.name)
    if dtype not in DTYPES or DTYPES[dtype].itemsize != dataset.dtype.itemsize:
        raise CheckpointError(
            file.path, f"a dataset of dtype {dataset.dtype}, not plain numbers", member=name
        )
    spec = TensorSpec(tuple(map(int, dataset.shape)), dtype)
    offset = dataset.id.get_offset()
    native = dataset.dtype.isnative and dataset.dtype.kind != "b"
    if packed or offset is None or not native or dataset.id.get_storage_size() != spec.nbytes:
        return _Stored(spec, dataset)
    return StridedTensor(MappedBytes(file, int(offset), spec.nbytes), spec)
