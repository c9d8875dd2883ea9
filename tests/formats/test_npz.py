import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint


def test_arrays_of_numpy_are_read(tmp_path: Path) -> None:
    arrays = {
        "c": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.arange(24).reshape(2, 3, 4)),
        "big": np.arange(3, dtype=">i4"),
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 2), np.uint8),
        "folder/name": np.ones(2, np.complex64),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        with open_checkpoint(tmp_path / "a.npz") as checkpoint:
            assert checkpoint.format == "npz"
            assert list(checkpoint) == list(arrays)
            for name, array in arrays.items():
                np.testing.assert_array_equal(checkpoint[name].read(), array)
                np.testing.assert_array_equal(checkpoint[name][...], array)


def test_a_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "weight.npy", np.arange(6).reshape(2, 3))
    with open_checkpoint(tmp_path / "weight.npy") as checkpoint:
        assert checkpoint.format == "npy"
        assert checkpoint["weight"].read().tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.array([{}], dtype=object), "'|O' , which is not|dtype '\\|O'"),
        (np.array(["text"]), "dtype '<U4'"),
        (np.zeros(2, [("a", "f4")]), "records"),
        (np.zeros(2, "M8[s]"), "dtype '<M8"),
        (np.ones(2, ml_dtypes.bfloat16), "stripped of its dtype"),
    ],
)
def test_what_is_no_plain_number_is_refused(tmp_path: Path, array: np.ndarray, problem: str) -> None:
    np.savez(tmp_path / "a.npz", w=array)
    with pytest.raises(CheckpointError, match=problem) as caught:
        open_checkpoint(tmp_path / "a.npz")
    assert caught.value.member == "w.npy"


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"nonsense", "not an array"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", b"1234"), "has 8 bytes, 4 are there"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2**99,)}"), "damaged array header"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "shape is none"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999, 0)}"), "overflows"),
        (npy("{'descr': '<f4', 'shape': (1,)}"), "damaged array header"),
        (npy("__import__('os').system('false')"), "damaged array header"),
        (npy("(" * 5000), "damaged array header"),
        (npy("9" * 9000), "damaged array header"),
        (b"\x93NUMPY\x09\x00\x10\x00" + bytes(16), "version 9"),
        (b"\x93NUMPY\x01\x00\xff\xff" + bytes(16), "65535 bytes"),
    ],
)
def test_hostile_arrays(tmp_path: Path, content: bytes, problem: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("w.npy", content)
    with pytest.raises(CheckpointError, match=problem):
        open_checkpoint(tmp_path / "a.npz")
