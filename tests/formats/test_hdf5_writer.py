from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.formats.hdf5_writer import Hdf5Layout, write_hdf5
from ml_switcheroo.tensors import TensorSpec, spec_of

LEAVES = {
    "w": np.arange(2**21, dtype=np.float32).reshape(2**10, 2**11).T,
    "half": np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16),
    "mask": np.array([True, False]),
    "step": np.asarray(3),
    "none": np.zeros((0, 2), np.float16),
}
SPECS = {name: spec_of(leaf) for name, leaf in LEAVES.items()}


def test_the_library_reads_what_was_written(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.h5", SPECS, reversed(LEAVES.items()), {"note": "ü"})
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["note"] == "ü"
        for name, leaf in LEAVES.items():
            assert file[name].chunks is None
            assert file[name][()].tobytes() == leaf.tobytes()
        assert file["mask"].dtype == np.bool_
        assert file["half"].attrs["dtype"] == "bfloat16"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5"]


def test_our_reader_reads_it_mapped(tmp_path: Path) -> None:
    layout = Hdf5Layout({name: f"layers/{name}/vars/0" for name in LEAVES}, rest={"seed/vars/0": np.ones(2)})
    write_hdf5(tmp_path / "a.h5", SPECS, LEAVES.items(), {"note": "ü"}, layout=layout)
    with open_checkpoint(tmp_path / "a.h5") as checkpoint:
        assert dict(checkpoint.metadata) == {"format": "keras", "note": "ü"}
        assert dict(checkpoint.specs) == SPECS
        assert checkpoint.extras == {"seed.vars.0": TensorSpec((2,), "float64")}
        for name, leaf in LEAVES.items():
            assert checkpoint[name].read().tobytes() == leaf.tobytes()


def test_an_interrupted_run_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"old")
    with pytest.raises(UsageError, match="did not come"):
        write_hdf5(tmp_path / "a.h5", SPECS, [])
    assert (tmp_path / "a.h5").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.h5"]


def test_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no such dtype: w: float8_e5m2"):
        write_hdf5(tmp_path / "a.h5", {"w": TensorSpec((2,), "float8_e5m2")}, [])
    with pytest.raises(CheckpointError, match="cannot be written: there is no such folder"):
        write_hdf5(tmp_path / "absent" / "a.h5", SPECS, LEAVES.items())
    twice = Hdf5Layout(dict.fromkeys(SPECS, "one"))
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_hdf5(tmp_path / "a.h5", SPECS, LEAVES.items(), layout=twice)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(CheckpointError, match="h5py; it is not installed") as caught:
        write_hdf5(tmp_path / "a.h5", SPECS, LEAVES.items())
    assert caught.value.cure == "pip install 'ml-switcheroo[keras]'"
    assert list(tmp_path.iterdir()) == []
