"""Write ``.pt`` files in torch's zip format, leaf by leaf and without torch.

Layout: see ``torch_zip``, the reader. ``torch.load(path, weights_only=True)`` gives a plain state dict, also
with ``mmap=True``: the tensors are contiguous, on the CPU, and lie in their storages one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats.leaves import LeafCheck
from ml_switcheroo.formats.output import AtomicFile
from ml_switcheroo.formats.stream import Leaf, strips
from ml_switcheroo.formats.zip_writer import ZipLayout
from ml_switcheroo.tensors import DTYPES, TensorSpec

__all__ = ["write_torch"]

_FOLDER = "archive"  # as torch calls it where a file has no name


def write_torch(
    path: str | Path,
    specs: Mapping[str, TensorSpec],
    leaves: Iterable[tuple[str, Leaf]],
    metadata: Mapping[str, str] | None = None,
    *,
    tied: Iterable[Sequence[str]] = (),
) -> None:
    """Write a state dict as ``torch.save`` does; guarantees and errors as for ``write_safetensors``.

    Args:
        path: The file to write.
        specs: The specs of the tensors, by name, in the order of the state dict.
        leaves: The tensors, in any order.
        metadata: Texts for the comment of the archive.
        tied: Names that are one tensor: they share a storage, which has the values of the first that comes.

    Raises:
        UsageError: Tied tensors have different specs.
    """
    first = _shared(specs, tied)
    keys = {name: str(number) for number, name in enumerate(dict.fromkeys(first.values()))}
    layout = ZipLayout(metadata, "a .pt archive")
    small = {"data.pkl": _pickle(specs, first, keys), ".format_version": b"1", ".storage_alignment": b"64"}
    small["byteorder"] = b"little"
    heads = [layout.add(f"{_FOLDER}/{name}", 0, head=content) for name, content in small.items()]
    members = {name: layout.add(f"{_FOLDER}/data/{key}", specs[name].nbytes) for name, key in keys.items()}
    heads.append(layout.add(f"{_FOLDER}/version", 0, head=b"3\n"))
    check = LeafCheck(specs)
    with AtomicFile(path, layout.size) as out:
        for head in heads:
            head.write(out, ())
        for name, leaf in check.each(leaves):
            member = members.pop(first[name], None)
            if member is not None:
                member.write(out, strips(leaf))
        check.finish()
        layout.finish(out)


def _shared(specs: Mapping[str, TensorSpec], tied: Iterable[Sequence[str]]) -> dict[str, str]:
    """Return for each name the one whose storage it has."""
    first = {name: name for name in specs}
    for names in tied:
        there = [name for name in names if name in specs]
        for name in there[1:]:
            if specs[name] != specs[there[0]]:
                raise UsageError(
                    f"{there[0]} {specs[there[0]]} and {name} {specs[name]} are said to be one tensor"
                )
            first[name] = there[0]
    return first


# ---- the pickle: the few opcodes that a state dict needs (Lib/pickletools.py) --------------------------


def _pickle(specs: Mapping[str, TensorSpec], first: Mapping[str, str], keys: Mapping[str, str]) -> bytes:
    tensors = b"".join(_text(name) + _tensor(spec, keys[first[name]]) for name, spec in specs.items())
    return b"\x80\x02" + _ORDERED + b"(" + tensors + b"u."


def _class(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


_ORDERED = _class("collections", "OrderedDict") + b")R"


def _tensor(spec: TensorSpec, key: str) -> bytes:
    """Write the call that makes a tensor: torch's own names for dtypes that came later need another one."""
    typed = DTYPES[spec.dtype].storage
    storage = _class("torch", typed) if typed else _class("torch.storage", "UntypedStorage")
    count = spec.size if typed else spec.nbytes
    stored = _tuple([_text("storage"), storage, _text(key), _text("cpu"), _number(count)]) + b"Q"
    sizes = [stored, _number(0), _tuple(map(_number, spec.shape)), _tuple(map(_number, _strides(spec.shape)))]
    rest = [b"\x89", _ORDERED, *([] if typed else [_class("torch", spec.dtype)])]
    rebuild = "_rebuild_tensor_v2" if typed else "_rebuild_tensor_v3"
    return _class("torch._utils", rebuild) + _tuple([*sizes, *rest]) + b"R"


def _strides(shape: Sequence[int]) -> Iterator[int]:
    """Yield the strides of a contiguous tensor, in elements, as torch counts them.

    >>> list(_strides((2, 3, 4))), list(_strides((0, 3))), list(_strides(()))
    ([12, 4, 1], [3, 1], [])
    """
    steps = accumulate((max(size, 1) for size in reversed(shape)), lambda one, other: one * other, initial=1)
    return reversed(list(steps)[: len(shape)])


def _tuple(parts: Iterable[bytes]) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def _text(text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(content)) + content


def _number(value: int) -> bytes:
    if value < 2**31:
        return b"J" + struct.pack("<i", value)
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content
