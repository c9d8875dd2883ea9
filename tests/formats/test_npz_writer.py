import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats import open_checkpoint, write_npz
from ml_switcheroo.tensors import DTYPES, TensorSpec, spec_of


def test_numpy_and_our_reader_agree(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    leaves = {name: rng.integers(0, 2, (3, 5)).astype(row.numpy).T for name, row in DTYPES.items()} | {
        "a/b.c": np.float32(3),
        "empty": np.zeros((0, 4), np.int8),
        "long": np.arange(1_000_000.0).reshape(-1, 2).T,
    }
    specs = {name: spec_of(array) for name, array in leaves.items()}
    write_npz(tmp_path / "a.npz", specs, reversed(leaves.items()), {"plan": "ü"})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None
    loaded = np.load(tmp_path / "a.npz")
    assert loaded.files == list(leaves)
    with open_checkpoint(tmp_path / "a.npz") as checkpoint:
        assert checkpoint.metadata == {"plan": "ü"}
        assert checkpoint.specs == specs
        for name, array in leaves.items():
            assert checkpoint[name].read().tobytes() == array.tobytes()
            assert loaded[name].tobytes() == array.tobytes()
            if loaded[name].dtype.kind == "V":
                assert array.dtype.isbuiltin != 1
            else:
                assert loaded[name].dtype == array.dtype


def test_stored_arrays_lie_aligned(tmp_path: Path) -> None:
    leaves = {"a": np.ones(1, np.int8), "b": np.ones(3, np.complex128), "c": np.ones(1, ml_dtypes.bfloat16)}
    write_npz(tmp_path / "a.npz", {name: spec_of(array) for name, array in leaves.items()}, leaves.items())
    with open_checkpoint(tmp_path / "a.npz") as checkpoint:
        for name in leaves:
            assert checkpoint[name].read().ctypes.data % 64 == 0


def test_the_same_leaves_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write_npz(tmp_path / name, {"w": TensorSpec((2,), "int8")}, [("w", np.array([1, 2], np.int8))])
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    spec = TensorSpec((2,), "int8")
    with pytest.raises(UsageError, match="cannot be a member"):
        write_npz(tmp_path / "a.npz", {"../w": spec}, [])
    with pytest.raises(UsageError, match="did not come"):
        write_npz(tmp_path / "a.npz", {"w": spec}, [])
    with pytest.raises(UsageError, match="room for 65535"):
        write_npz(tmp_path / "a.npz", {"w": spec}, [], {"x": "y" * 70_000})
    assert list(tmp_path.iterdir()) == []
