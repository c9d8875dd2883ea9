"""The allow-list: what a checkpoint's pickle may call, and the inert values that come out.

Tensors: ``torch/_utils.py`` (``_rebuild_*``), ``torch/_tensor.py`` (``__reduce_ex__``). Arrays:
``numpy/_core/multiarray.py``. Every constructor here is a function of this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ml_switcheroo.formats.checkpoint import Array
from ml_switcheroo.formats.files import Region
from ml_switcheroo.formats.inert import Foreign, Global, Record, Unreadable
from ml_switcheroo.formats.pickle_machine import Constructor, hashable
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["CONSTRUCTORS", "HOSTILE", "PickledArray", "PickledTensor", "StorageRef", "storage_ref"]

HOSTILE = frozenset(
    "asyncio builtins bdb cffi code codeop commands ctypes dill cloudpickle httplib imp "
    "importlib joblib linecache marshal multiprocessing nt operator os pdb pickle _pickle pip pkgutil "
    "platform posix profile pty pydoc requests runpy setuptools shelve shutil signal site smtplib socket ssl "
    "subprocess sys tempfile threading _thread timeit urllib urllib2 venv webbrowser zipimport".split()
)
"""Top-level modules whose classes never belong in a checkpoint; refused even if a part is selected."""


_MAX_EXPANSION = 2**30
"""How many bytes an expanded tensor may exceed its storage by; else a small file could ask for a petabyte."""


@dataclass(frozen=True, slots=True, eq=False)
class StorageRef:
    """A storage that a pickle names by its key.

    Attributes:
        key: The record's name in the archive.
        dtype: A name in ``tensors.DTYPES``; empty for an untyped storage, whose elements are bytes.
        nbytes: Its size.
        element: Size of an element in bytes.
        start: Where it begins in the bytes of the key: a storage may be part of another one.
        held: Its bytes, if the pickle itself holds them.
        kind: The class that the pickle names for it.
        unreadable: Why its elements cannot be read; empty if they can.
    """

    key: str
    dtype: str
    nbytes: int
    element: int = 1
    start: int = 0
    held: Region | None = None
    kind: Global | None = None
    unreadable: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class PickledTensor:
    """A view of a storage, as a pickle describes it; ``offset`` and ``strides`` count elements."""

    storage: StorageRef
    spec: TensorSpec
    offset: int
    strides: tuple[int, ...]
    change: Callable[[Array], Array] | None = None

    def set_state(self, state: Any) -> None:
        """Ignore attributes that somebody set on a tensor."""


class PickledArray:
    """A NumPy array whose bytes lie in the pickle.

    Attributes:
        spec: Shape and dtype; ``None`` until the state is set, or if the dtype is not in the table.
        content: The bytes in C order.
    """

    def __init__(self) -> None:
        self.spec: TensorSpec | None = None
        self.content = b""

    def set_state(self, state: Any) -> None:
        """Take ``(version, shape, dtype, is_fortran, bytes)``."""
        _version, shape, dtype, fortran, content = state
        shape = _sizes(shape)
        if not isinstance(dtype, PickledDtype):
            raise ValueError("an array without a dtype")
        if dtype.name is None or type(content) is not bytes:
            return
        spec = TensorSpec(shape, dtype.name)
        if spec.nbytes != len(content):
            raise ValueError(f"{len(content)} bytes for an array {spec!r}")
        array = np.frombuffer(content, dtype.numpy).reshape(shape, order="F" if fortran else "C")
        self.spec = spec
        self.content = array.astype(DTYPES[dtype.name].numpy).tobytes()


class PickledDtype:
    """A NumPy dtype; ``name`` is ``None`` if it is not in the table (objects, text, records)."""

    def __init__(self, code: Any, *_: Any) -> None:
        plain = type(code) is str and code[:1] in "fiubc" and code[1:].isdigit() and len(code) <= 3
        self.numpy = np.dtype(code) if plain else np.dtype(np.void)
        self.name = self.numpy.name if self.numpy.name in DTYPES else None

    def set_state(self, state: Any) -> None:
        """Take the byte order."""
        if state[1] in ("<", ">"):
            self.numpy = self.numpy.newbyteorder(state[1])


def _sizes(sizes: Any) -> tuple[int, ...]:
    if type(sizes) not in (tuple, list) or len(sizes) > 64 or any(type(n) is not int or n < 0 for n in sizes):
        raise ValueError("invalid sizes")
    return tuple(sizes)


def storage_ref(pid: Any) -> StorageRef:
    """Read a persistent id ``("storage", class, key, location, number of elements, ...)``.

    Raises:
        ValueError: It is something else.
    """
    if type(pid) is not tuple or len(pid) not in (5, 6) or pid[0] != "storage":
        raise ValueError("a persistent id that is not a storage")
    kind, key, count = pid[1], pid[2], pid[4]
    if type(kind) is not Global or type(key) is not str or type(count) is not int or count < 0:
        raise ValueError("a malformed storage")
    name = kind.path.rpartition(".")[2]
    if name in _UNTYPED:
        return _viewed(StorageRef(key, "", count, kind=kind), pid[5:])
    if name in _STORAGES:
        width = DTYPES[_STORAGES[name]].itemsize
        return _viewed(StorageRef(key, _STORAGES[name], count * width, width, kind=kind), pid[5:])
    if name in _QUANTISED:
        width = _QUANTISED[name]
        return StorageRef(key, "", count * width, width, unreadable=f"a quantised tensor ({kind.path})")
    raise ValueError(f"{kind.path} is not a storage")


def _viewed(storage: StorageRef, view: tuple[Any, ...]) -> StorageRef:
    """Take part of a storage: ``(key of the part, offset, number of elements)``, or None for all of it."""
    if not view or view[0] is None:
        return storage
    if type(view[0]) is not tuple or len(view[0]) != 3 or not all(type(n) is int for n in view[0][1:]):
        raise ValueError("a malformed view of a storage")
    start, nbytes = view[0][1] * storage.element, view[0][2] * storage.element
    if not 0 <= start <= start + nbytes <= storage.nbytes:
        raise ValueError("a view that goes beyond its storage")
    return replace(storage, start=start, nbytes=nbytes)


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, dtype: str, extra: Any = None) -> Any:
    if isinstance(storage, Unreadable):
        return storage
    if not isinstance(storage, StorageRef):
        raise ValueError("a tensor without a storage")
    if storage.unreadable:
        return Unreadable(storage.unreadable)
    if dtype not in DTYPES:
        return Unreadable(f"a tensor of dtype {dtype or 'unknown'}")
    spec, strides = TensorSpec(_sizes(size), dtype), _sizes(stride)
    if type(offset) is not int or offset < 0 or len(strides) != len(spec.shape):
        raise ValueError(f"a tensor {spec!r} with offset {offset} and strides {strides}")
    last = offset + sum((n - 1) * step for n, step in zip(spec.shape, strides, strict=True))
    if spec.size and (last + 1) * DTYPES[dtype].itemsize > storage.nbytes:
        reason = f"a tensor {spec!r} with offset {offset} and strides {strides} does not fit"
        raise ValueError(f"{reason} into {storage.nbytes} bytes of storage {storage.key!r}")
    if math.prod(n for n in spec.shape if n) * DTYPES[dtype].itemsize > storage.nbytes + _MAX_EXPANSION:
        raise ValueError(f"a tensor {spec!r} in {storage.nbytes} bytes of storage {storage.key!r}")
    flags = extra if type(extra) is dict else {}
    return PickledTensor(
        storage, spec, offset, strides, _CHANGES[bool(flags.get("conj")), bool(flags.get("neg"))]
    )


def _conjugate_negative(array: Array) -> Array:
    return np.negative(np.conjugate(array))


_CHANGES: Mapping[tuple[bool, bool], Callable[[Array], Array] | None] = {
    (False, False): None,
    (True, False): np.conjugate,
    (False, True): np.negative,
    (True, True): _conjugate_negative,
}


def _rebuild_v2(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
    """Rebuild a tensor. Torch passes requires_grad, hooks and any pending conjugation or negation."""
    return _rebuild(
        storage, offset, size, stride, getattr(storage, "dtype", ""), rest[2] if len(rest) > 2 else None
    )


def _rebuild_v3(
    storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, extra: Any = None
) -> Any:
    return _rebuild(storage, offset, size, stride, _dtype_name(dtype), extra)


def _rebuild_parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _rebuild_typed(function: Any, kind: Any, args: Any, _state: Any) -> Any:
    if type(function) is not Global or type(kind) is not Global or type(args) is not tuple:
        raise ValueError("a malformed tensor")
    if kind.path not in _PLAIN_TENSORS:
        return Unreadable(f"a tensor subclass ({kind.path})")
    build = _TENSORS.get(function.path)
    if build is None:
        raise ValueError(f"{function.path} does not rebuild a tensor")
    return build(*args)


def _rebuild_from_array(value: Any, dtype: Any, *_: Any) -> Any:
    """Return the array that stands for a tensor of a device without storages (XLA)."""
    if not isinstance(value, PickledArray | PickledTensor):
        raise ValueError("a tensor without an array")
    held = value.spec.dtype if value.spec else "unknown"
    if held != _dtype_name(dtype):
        return Unreadable(f"a tensor of dtype {_dtype_name(dtype)} saved as {held}")
    return value


def _rebuild_quantised(storage: Any, *_: Any) -> Unreadable:
    return Unreadable(getattr(storage, "unreadable", "") or "a quantised tensor")


def _unreadable(what: str) -> Constructor:
    return lambda *_: Unreadable(what)


def _wrapper(kind: Any, *_: Any) -> Unreadable:
    return Unreadable(f"a tensor subclass ({_text(kind)})")


def _dtype_name(dtype: Any) -> str:
    return dtype.path.removeprefix("torch.") if type(dtype) is Global else ""


def _only_named(*_: Any) -> Any:
    raise ValueError("a call of a constant")


def _text(value: Any = "") -> str:
    """Return text as it is; anything else could be a structure that never ends when printed."""
    return value if type(value) is str else repr(value) if type(value) in (int, Global) else "?"


def _device(kind: Any, index: Any = None) -> str:
    return _text(kind) if index is None else f"{_text(kind)}:{_text(index)}"


def _path(*parts: Any) -> str:
    return "/".join(map(_text, parts))


def _plain_dict(*args: Any) -> dict[Any, Any]:
    """Build an OrderedDict, a Counter or a defaultdict (its factory is never called)."""
    pairs = args[-1] if args else None
    if type(pairs) is dict:
        return dict(pairs)
    if type(pairs) is list:
        return {hashable(key, 0): value for key, value in pairs}
    return {}


def _plain_list(items: Any = (), *_: Any) -> list[Any]:
    return list(items) if type(items) in (list, tuple) else []


def _plain_set(items: Any = ()) -> frozenset[Any]:
    return frozenset(hashable(item, 0) for item in items)


def _encode(text: Any, coding: Any = "latin1") -> bytes:
    if type(text) is not str or coding not in ("latin1", "latin-1"):
        raise ValueError("malformed bytes")
    return text.encode("latin-1")


def _bytes(content: Any = b"", *_: Any) -> bytes:
    if type(content) is str:
        return content.encode("latin-1")
    return content if type(content) is bytes else b""


def _scalar(dtype: Any, content: Any = b"") -> Any:
    if type(dtype) is not PickledDtype or dtype.name is None or type(content) is not bytes:
        return None
    return np.frombuffer(content, dtype.numpy, 1)[0].item()


def _reconstruct(*_: Any) -> PickledArray:
    return PickledArray()


def _object(kind: Any, *_: Any) -> Any:
    """Build what ``copyreg._reconstructor`` would: an object without its state."""
    if type(kind) is not Global:
        raise ValueError("an object without a class")
    build = CONSTRUCTORS.get(kind.path)
    return build() if build else Foreign(kind, (), kind.offset)


_UNTYPED = ("UntypedStorage", "_UntypedStorage")
_STORAGES = {row.storage: row.name for row in DTYPES.values() if row.storage}
_QUANTISED = {
    "QInt8Storage": 1,
    "QUInt8Storage": 1,
    "QInt32Storage": 4,
    "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1,
}
_PLAIN_TENSORS = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")
_NAMED_DTYPES = (
    *DTYPES, *"half float double short int long bits8 bits16 qint8 quint8 qint32 quint4x2 quint2x4".split(),
    *(f"{sign}int{bits}" for sign in ("u", "") for bits in range(1, 8)), "float4_e2m1fn_x2", "complex32",
)  # fmt: skip
_QSCHEMES = ("per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric")

_REBUILDERS: Mapping[str, Constructor] = {
    "_rebuild_tensor": _rebuild_v2,
    "_rebuild_tensor_v2": _rebuild_v2,
    "_rebuild_tensor_v3": _rebuild_v3,
    "_rebuild_parameter": _rebuild_parameter,
    "_rebuild_parameter_with_state": _rebuild_parameter,
    "_rebuild_device_tensor_from_numpy": _rebuild_from_array,
    "_rebuild_device_tensor_from_cpu_tensor": _rebuild_from_array,
    "_rebuild_xla_tensor": _rebuild_from_array,
    "_rebuild_qtensor": _rebuild_quantised,
    "_rebuild_sparse_tensor": _unreadable("a sparse tensor"),
    "_rebuild_nested_tensor": _unreadable("a nested tensor"),
    "_rebuild_meta_tensor_no_storage": _unreadable("a tensor without bytes (device meta)"),
    "_rebuild_wrapper_subclass": _wrapper,
}
_TENSORS = {f"torch._utils.{name}": build for name, build in _REBUILDERS.items()}

CONSTRUCTORS: Mapping[str, Constructor] = {
    **_TENSORS,
    "torch._tensor._rebuild_from_type_v2": _rebuild_typed,
    "torch.Size": _sizes,
    "torch.device": _device,
    "torch.serialization._get_layout": _text,
    "torch.nn.parameter.Parameter": _rebuild_parameter,
    "collections.OrderedDict": _plain_dict,
    "collections.defaultdict": _plain_dict,
    "collections.Counter": _plain_dict,
    "collections.deque": _plain_list,
    "argparse.Namespace": lambda: Record(),
    "types.SimpleNamespace": lambda: Record(),
    "builtins.dict": _plain_dict,
    "builtins.list": _plain_list,
    "builtins.tuple": lambda items=(): tuple(_plain_list(items)),
    "builtins.set": _plain_set,
    "builtins.frozenset": _plain_set,
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "builtins.complex": lambda real=0.0, imaginary=0.0: complex(float(real), float(imaginary)),
    "builtins.slice": lambda *bounds: ("slice", *bounds),
    "builtins.range": lambda *bounds: ("range", *bounds),
    "builtins.xrange": lambda *bounds: ("range", *bounds),
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _object,
    **{f"pathlib.{name}": _path for name in ("PosixPath", "WindowsPath", "Path",
       "PurePosixPath", "PureWindowsPath")},
    **{f"numpy.{core}.multiarray.{name}": build for core in ("core", "_core")
       for name, build in (("scalar", _scalar), ("_reconstruct", _reconstruct))},
    "numpy.dtype": PickledDtype,
    # Named, never called.
    **{f"torch.{name}": _only_named for name in (*_NAMED_DTYPES, *_QSCHEMES, "Tensor", "strided")},
    **{f"{module}.{name}": _only_named for module in ("torch", "torch.cuda", "torch.storage")
       for name in (*_STORAGES, *_UNTYPED, *_QUANTISED)},
    **{f"builtins.{name}": _only_named for name in ("int", "float", "bool", "str", "object")},
    "numpy.ndarray": _only_named,
    "torch.nn.parameter.Buffer": _only_named,
}  # fmt: skip
