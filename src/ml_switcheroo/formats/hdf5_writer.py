"""Write HDF5 files leaf by leaf: ``h5py`` writes the structure, our own strips the bytes.

Each dataset is contiguous and allocated at once, so its place in the file is known before its bytes are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats.hdf5 import LEAF, import_h5py
from ml_switcheroo.formats.leaves import LeafCheck
from ml_switcheroo.formats.output import AtomicFile
from ml_switcheroo.formats.stream import Leaf, copy_leaves
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["Hdf5Layout", "write_hdf5"]


@dataclass(frozen=True, slots=True)
class Hdf5Layout:
    """Where the leaves of a tree are in a file.

    Attributes:
        places: The path of each leaf's dataset.
        groups: Text attributes of groups, by their path.
        rest: Datasets that are not leaves of the tree, by their path.
    """

    places: Mapping[str, str]
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rest: Mapping[str, Any] = field(default_factory=dict)


def write_hdf5(
    path: str | Path,
    specs: Mapping[str, TensorSpec],
    leaves: Iterable[tuple[str, Leaf]],
    metadata: Mapping[str, str] | None = None,
    *,
    layout: Hdf5Layout | None = None,
) -> None:
    """Write an HDF5 file leaf by leaf, in any order. It appears when it is complete.

    Args:
        path: The file. An existing one is replaced at the end, and is left alone if anything fails.
        specs: Every leaf with its shape and dtype.
        leaves: Each leaf once.
        metadata: Text attributes of the file.
        layout: Where the leaves go; by default, each in a dataset of its own name.

    Raises:
        UsageError: A leaf is missing, unknown, given twice, or does not have the shape and dtype of its spec;
            or HDF5 lacks its dtype (fp8).
        CheckpointError: ``h5py`` is missing, or the file cannot be written.
    """
    h5py = import_h5py(Path(path), "which is written")
    layout = layout or Hdf5Layout({name: name for name in specs})
    wrong = sorted(f"{name}: {spec.dtype}" for name, spec in specs.items() if "float8" in spec.dtype)
    if wrong:
        raise UsageError(f"an HDF5 file of Keras has no such dtype: {', '.join(wrong)}")
    check = LeafCheck(specs)
    with AtomicFile(path, 0) as out:
        try:
            # h5py truncates the file that is already open and keeps its place in the folder.
            with h5py.File(out.temporary, "w", locking=False) as file:  # it is locked already
                file.attrs.update(metadata or {})
                offsets = _build(h5py, file, specs, layout)
        except (OSError, ValueError, RuntimeError) as error:
            reason = f"cannot be written: {str(error)[:300]}"
            raise CheckpointError(path, reason, cure="Nothing was changed.") from error
        ends = [offsets[name] + spec.nbytes for name, spec in specs.items() if spec.nbytes]
        out.reserve(max([out.temporary.stat().st_size, *ends]))
        copy_leaves((name, leaf, out, offsets[name]) for name, leaf in check.each(leaves))
        check.finish()


def _build(h5py: Any, file: Any, specs: Mapping[str, TensorSpec], layout: Hdf5Layout) -> dict[str, int]:
    for path, attributes in layout.groups.items():
        file.require_group(path).attrs.update(attributes)
    for path, value in layout.rest.items():
        file[path] = value
    offsets = {}
    for name, spec in specs.items():
        folder, _, own = layout.places[name].rpartition("/")
        group = file.require_group(folder) if folder else file
        dataset = _allocate(h5py, group, own, spec)
        dataset.attrs[LEAF] = name
        offsets[name] = dataset.id.get_offset() or 0
    return offsets


def _allocate(h5py: Any, group: Any, name: str, spec: TensorSpec) -> Any:
    """Make a dataset whose bytes are allocated in the file but not written."""
    numpy = DTYPES[spec.dtype].numpy
    little = numpy.newbyteorder("<") if numpy.isbuiltin == 1 else numpy
    kind = h5py.h5t.py_create(little, logical=True)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(spec.shape) if spec.shape else h5py.h5s.create(h5py.h5s.SCALAR)
    dataset = h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, plan))
    if spec.dtype == "bfloat16":
        dataset.attrs["dtype"] = "bfloat16"  # as Keras marks it
    return dataset
