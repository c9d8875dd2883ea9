import warnings
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint


def test_weights_of_keras(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:  # as keras' H5IOStore writes them
        group = file.create_group("layers/dense/vars")
        group.attrs["name"] = "dense"
        half = group.create_dataset("0", data=np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16))
        half.attrs["dtype"] = "bfloat16"
        group.create_dataset("1", data=np.arange(3, dtype=np.float32))
        group.create_dataset("2", data=np.float32(7))
        group.create_dataset(
            "chunked", data=np.arange(100.0).reshape(10, 10), chunks=(5, 5), compression="gzip"
        )
        group.create_dataset("big", data=np.arange(3, dtype=">i4"))
    with open_checkpoint(tmp_path / "a.weights.h5") as checkpoint:
        assert checkpoint.format == "hdf5"
        dense = {name.removeprefix("layers.dense.vars."): tensor for name, tensor in checkpoint.items()}
        assert dense["0"].read().dtype == ml_dtypes.bfloat16
        assert dense["0"].read().astype(float).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert dense["1"].read().tolist() == [0, 1, 2]
        assert dense["2"].read() == 7
        assert dense["big"].read().tolist() == [0, 1, 2]
        np.testing.assert_array_equal(dense["chunked"].read(), np.arange(100.0).reshape(10, 10))
        np.testing.assert_array_equal(dense["chunked"][2:4, 1], [21, 31])


def test_what_keras_itself_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of Keras' own
        import keras

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
        model.save_weights(tmp_path / "a.weights.h5")
        expected = model.get_weights()
    with open_checkpoint(tmp_path / "a.weights.h5") as checkpoint:
        found = [checkpoint[name].read() for name in checkpoint]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_bytes_in_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("w", (4,), "f4", external=[(str(tmp_path / "secret"), 0, 16)])
    with pytest.raises(CheckpointError, match="other files"):
        open_checkpoint(tmp_path / "a.h5")


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["w"] = np.ones(2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["v"] = np.zeros(1)
        file["link"] = h5py.ExternalLink("b.h5", "/w")
    with open_checkpoint(tmp_path / "a.h5") as checkpoint:
        assert list(checkpoint) == ["v"]


def test_damaged_files_and_text(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.ones(200)
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "b.h5").write_bytes(content[:300])
    with pytest.raises(CheckpointError, match="damaged HDF5"):
        open_checkpoint(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["w"] = "text"
    with pytest.raises(CheckpointError, match="not plain numbers"):
        open_checkpoint(tmp_path / "c.h5")
