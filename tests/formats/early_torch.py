"""Make the tar archives that torch wrote before 0.1.10; no torch of today writes them."""

import io
import pickle
import struct
import tarfile
from pathlib import Path

import torch


def pickled(value: object) -> bytes:
    return pickle.dumps(value, 2)


class Named:
    """Pickles as a persistent id, as early torch named tensors."""

    def __init__(self, key: int) -> None:
        self.key = key


class Pickler(pickle._Pickler):
    def persistent_id(self, obj: object) -> str | None:
        return str(obj.key) if isinstance(obj, Named) else None


class Kind:
    """A global in a pickle: torch.FloatStorage and its like."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> str:
        return self.name


def kind(name: str) -> bytes:
    return f"ctorch\n{name}\n".encode()


def triple(key: int, second: object, name: str) -> bytes:
    """Pickle (key, second, torch class)."""
    return b"\x80\x02(" + pickle.dumps(key, 0)[:-1] + pickle.dumps(second, 0)[:-1] + kind(name) + b"t."


def tensor(key: int, storage: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> bytes:
    rank = len(shape)
    return triple(key, storage, "FloatTensor") + struct.pack(
        f"<i4x{2 * rank + 1}q", rank, *shape, *strides, offset
    )


def archive(path: Path, **changes: bytes) -> Path:
    """Write the archive that an early torch wrote for a small state dict."""
    values = torch.arange(12.0)
    members = {
        "storages": pickled(1) + triple(70, "cpu", "FloatStorage")
        + struct.pack("<q12f", 12, *values.tolist()) + pickled([(71, 70, 4, 6)]),
        "tensors": pickled(2) + tensor(80, 70, (3, 4), (4, 1), 0) + tensor(81, 71, (2, 3), (1, 2), 0),
        "pickle": b"",
    }  # fmt: skip
    out = io.BytesIO()
    Pickler(out, 2).dump({"whole": Named(80), "part": Named(81)})
    members["pickle"] = out.getvalue()
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, content in {**members, **changes}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path
