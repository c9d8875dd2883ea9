"""Read the folders that ``torch.distributed.checkpoint`` writes (FSDP, torchtitan, Lightning), without torch.

Layout (``torch/distributed/checkpoint/filesystem.py``, ``metadata.py``): ``.metadata`` is a pickle. It lists
the shape, dtype and chunks of each tensor. Each chunk is a ``torch.save`` archive, given by file, offset and
length; it is opened when the chunk is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, TypeGuard

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats.checkpoint import Array, Checkpoint, ChunkedTensor, LazyTensor
from ml_switcheroo.formats.files import SourceFile, SourceRange
from ml_switcheroo.formats.inert import Foreign, Global, PickleFault
from ml_switcheroo.formats.pickle_opcodes import read_pickle
from ml_switcheroo.formats.pickled_values import CONSTRUCTORS
from ml_switcheroo.formats.state_dicts import choose
from ml_switcheroo.formats.torch_state import faults_of
from ml_switcheroo.formats.torch_zip import MAX_PICKLE, open_tensor
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["METADATA", "open_distributed"]

METADATA = ".metadata"

_MODULES = ("torch.distributed.checkpoint.metadata.", "torch.distributed.checkpoint.filesystem.")
_Place = tuple[str, int, int]
_Sizes = tuple[int, ...]


class _Chunk(LazyTensor):
    """A chunk that is an archive of its own within a file."""

    __slots__ = ("_file", "_range")

    def __init__(self, spec: TensorSpec, file: SourceFile, start: int, nbytes: int) -> None:
        super().__init__(spec)
        self._file = file
        self._range = (start, nbytes)

    def read(self) -> Array:
        """Open the archive and return its tensor."""
        tensor = open_tensor(SourceRange(self._file, *self._range))
        if tensor.spec != self.spec:
            reason = f"a chunk that should be {self.spec!r} is {tensor.spec!r}"
            raise CheckpointError(self._file.path, reason, offset=self._range[0])
        return tensor.read()


def open_distributed(folder: Path, *, select: str | None = None) -> Checkpoint:
    """Open a folder of ``torch.distributed.checkpoint``; only ``.metadata`` is read.

    Args:
        folder: The folder with ``.metadata`` and the ``.distcp`` files.
        select: The part that is the state dict; None if there is only one candidate.

    Raises:
        CheckpointError: The metadata is damaged, a file is missing, or chunks do not cover their tensor.
    """
    with SourceFile(folder / METADATA) as source, faults_of(source.path):
        if source.size > MAX_PICKLE:
            raise CheckpointError(source.path, f"{source.size} bytes; at most {MAX_PICKLE} are read")
        pickled = read_pickle(source.read(0, source.size), _CONSTRUCTORS, _no_storage)
        for path, offset in pickled.foreign.items():
            if not path.startswith(_MODULES):
                raise PickleFault(f"holds {path}, which does not belong in such metadata", offset)
    files: dict[str, SourceFile] = {}
    try:
        with faults_of(folder / METADATA):
            tree = _Folder(folder, pickled.value, files).tree()
            choice = choose(tree, select)
    except BaseException:
        for file in files.values():
            file.close()
        raise
    return Checkpoint(
        folder,
        "torch-distributed",
        choice.tensors,
        extras=choice.extras,
        selected=choice.path,
        files=list(files.values()),
    )


def _member(kind: Any, name: Any) -> Global:
    """Name the member of an enum. Python 3.11.0 to 3.11.3 pickle it as a call of getattr."""
    if not isinstance(kind, Global) or not isinstance(name, str) or not kind.path.startswith(_MODULES):
        raise ValueError("getattr of something that is not an enum of torch")
    return Global(kind.path, name, kind.offset)


_CONSTRUCTORS = {**CONSTRUCTORS, "builtins.getattr": _member}


def _no_storage(_: Any) -> Any:
    raise ValueError("a storage, which does not belong in such metadata")


class _Folder:
    """The metadata, with the files that it names."""

    def __init__(self, folder: Path, root: Any, files: dict[str, SourceFile]) -> None:
        self._folder = folder
        self._files = files
        table = _attributes(root, "Metadata")
        self._entries = _mapping(table.get("state_dict_metadata"))
        self._paths = _mapping(table.get("planner_data"))
        self._places: dict[tuple[str, _Sizes | None], _Place] = {}
        for index, info in _mapping(table.get("storage_data")).items():
            key, place = _attributes(index, "MetadataIndex"), _attributes(info, "_StorageInfo")
            if place.get("transform_descriptors"):
                raise PickleFault("chunks that were compressed or otherwise transformed", index.offset)
            name, offset = key.get("fqn"), key.get("offset")
            relative, start, length = (place.get(part) for part in ("relative_path", "offset", "length"))
            if type(name) is not str or type(relative) is not str or not _are_sizes((start, length)):
                raise PickleFault("a malformed place of a chunk", index.offset)
            self._places[name, offset] = (relative, int(start or 0), int(length or 0))

    def tree(self) -> dict[Any, Any]:
        """Return the state as it was before its names were joined with dots."""
        root: dict[Any, Any] = {}
        for name, entry in self._entries.items():
            path = self._paths.get(name, (name,)) if type(name) is str else ()
            if type(path) is not tuple or not path or not all(type(key) in (str, int) for key in path):
                raise PickleFault("a malformed name")
            node = root
            for key in path[:-1]:
                node = node.setdefault(key, {})
                if type(node) is not dict:
                    raise PickleFault(f"{name!r} is inside a tensor")
            node[path[-1]] = self._leaf(name, entry)
        return root

    def _leaf(self, name: str, entry: Any) -> Any:
        if _kind(entry) == "BytesStorageMetadata":
            return f"a pickled object of {self._places.get((name, None), ('', 0, 0))[2]} bytes"
        table = _attributes(entry, "TensorStorageMetadata")
        shape, chunks = table.get("size"), table.get("chunks")
        dtype = _dtype(table.get("properties"))
        if not _are_sizes(shape) or type(chunks) is not list or dtype not in DTYPES:
            raise PickleFault(
                f"{name!r}: a shape, a dtype ({dtype}) or chunks that cannot be read", entry.offset
            )
        spec = TensorSpec(shape, dtype)
        pieces = [
            (start, self._chunk(name, start, TensorSpec(sizes, dtype))) for start, sizes in _boxes(chunks)
        ]
        problem = _uncovered(shape, [(start, chunk.shape) for start, chunk in pieces])
        if problem:
            raise PickleFault(f"{name!r} {spec!r}: {problem}", entry.offset)
        return ChunkedTensor(spec, pieces)

    def _chunk(self, name: str, start: _Sizes, spec: TensorSpec) -> _Chunk:
        place = self._places.get((name, start))
        if place is None:
            raise PickleFault(f"{name!r}: the chunk at {start} is in no file")
        relative, offset, length = place
        if relative not in self._files:
            if Path(relative).name != relative or "\\" in relative:
                raise PickleFault(f"{name!r} points outside the folder: {relative!r}")
            self._files[relative] = SourceFile(self._folder / relative)
        file = self._files[relative]
        if offset + length > file.size:
            reason = (
                f"{name!r} should lie at {offset} to {offset + length}, but the file has {file.size} bytes"
            )
            raise CheckpointError(file.path, reason, offset=offset, cure="Copy or download it again.")
        return _Chunk(spec, file, offset, length)


def _kind(value: Any) -> str:
    return value.kind.path.rpartition(".")[2] if isinstance(value, Foreign) else type(value).__name__


def _attributes(value: Any, kind: str) -> dict[Any, Any]:
    if _kind(value) != kind:
        raise PickleFault(f"a {_kind(value)} where a {kind} should be")
    return dict(value.attributes)


def _mapping(value: Any) -> dict[Any, Any]:
    return value if type(value) is dict else {}


def _are_sizes(value: Any) -> TypeGuard[_Sizes]:
    return type(value) is tuple and len(value) <= 64 and all(type(n) is int and 0 <= n < 2**62 for n in value)


def _dtype(properties: Any) -> str:
    state = properties.state if isinstance(properties, Foreign) else None
    first = state[0] if type(state) is tuple and state else None
    return first.path.removeprefix("torch.") if type(first) is Global else "unknown"


def _boxes(chunks: list[Any]) -> Iterator[tuple[_Sizes, _Sizes]]:
    for chunk in chunks:
        table = _attributes(chunk, "ChunkStorageMetadata")
        start, sizes = table.get("offsets"), table.get("sizes")
        if not _are_sizes(start) or not _are_sizes(sizes) or len(start or ()) != len(sizes or ()):
            raise PickleFault("a malformed chunk", chunk.offset)
        yield tuple(start or ()), tuple(sizes or ())


def _uncovered(shape: _Sizes, boxes: list[tuple[_Sizes, _Sizes]]) -> str:
    """Say why boxes do not cover a shape exactly once; empty if they do.

    Toggle the corners of all boxes. If only the corners of the whole remain, each element is covered an odd
    number of times. If the volumes add up as well, it is covered once.
    """
    if any(len(start) != len(shape) for start, _ in boxes):
        return "a chunk of another rank"
    total = sum(math.prod(sizes) for _, sizes in boxes)
    if total != math.prod(shape):
        return f"its chunks have {total} elements"
    if not total:
        return ""
    odd: set[_Sizes] = set()
    for start, sizes in [*boxes, ((0,) * len(shape), shape)]:
        if any(low + size > most for low, size, most in zip(start, sizes, shape, strict=True)):
            return f"the chunk at {start} goes beyond it"
        if math.prod(sizes):
            for corner in product(*((low, low + size) for low, size in zip(start, sizes, strict=True))):
                odd ^= {corner}
    return "its chunks overlap and leave gaps" if odd else ""
