import json
import os
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_switcheroo.errors import UsageError
from ml_switcheroo.formats import open_checkpoint, write_safetensors, write_shards
from ml_switcheroo.tensors import DTYPES, TensorSpec, spec_of

GOLDEN_HEADER = (
    b'{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    b'"a":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},"c":{"dtype":"BOOL","shape":[0,3],"data_offsets":[10,10]}}'
)
GOLDEN = (
    struct.pack("<Q", len(GOLDEN_HEADER) + (-len(GOLDEN_HEADER) % 8))
    + GOLDEN_HEADER
    + b" " * (-len(GOLDEN_HEADER) % 8)
    + b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
    + b"\x80\x3f"
)
LEAVES = {
    "a": np.array(1, ml_dtypes.bfloat16),
    "b": np.array([1, -2], np.float32),
    "c": np.zeros((0, 3), np.bool_),
}


def specs_of(leaves: dict[str, np.ndarray]) -> dict[str, TensorSpec]:
    return {name: spec_of(array) for name, array in leaves.items()}


def test_golden_bytes(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a", specs_of(LEAVES), LEAVES.items(), {"format": "pt"})
    assert (tmp_path / "a").read_bytes() == GOLDEN
    loaded = safetensors.torch.load(GOLDEN)
    assert loaded["a"] == 1
    assert loaded["b"].tolist() == [1, -2]
    assert loaded["c"].shape == (0, 3)


@pytest.mark.parametrize("dtype", [name for name, row in DTYPES.items() if row.safetensors])
def test_every_dtype_agrees_with_the_reference(tmp_path: Path, dtype: str) -> None:
    row = DTYPES[dtype]
    bits = np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 256, 12 * row.itemsize, np.uint8)
    tensor = torch.frombuffer(bytearray(bits), dtype=torch.uint8).view(getattr(torch, dtype)).reshape(3, 4)
    safetensors.torch.save_file({"w": tensor}, tmp_path / "theirs")
    with open_checkpoint(tmp_path / "theirs") as checkpoint:
        array = checkpoint["w"].read()
        assert array.tobytes() == bits.tobytes()
        write_safetensors(tmp_path / "ours", checkpoint.specs, [("w", array)])
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_view_is_written_in_c_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = data.draw(st.lists(st.integers(0, 5), max_size=4).map(tuple))
    base = np.arange(np.prod(shape, dtype=int), dtype=data.draw(st.sampled_from(["f4", "u1", "i8"]))).reshape(
        shape
    )
    view = base.transpose(data.draw(st.permutations(range(len(shape)))))
    view = view[tuple(slice(None, None, data.draw(st.sampled_from([1, 2, -1]))) for _ in shape)]
    path = tmp_path_factory.mktemp("views") / "a"
    write_safetensors(path, {"v": spec_of(view)}, [("v", view)])
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)["v"], view)


@pytest.mark.parametrize("shape", [(1500, 1501), (3, 900_001), (1, 1, 3_000_001), (700_001, 3)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_large_transposed_leaves(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    bits = np.random.default_rng(2).integers(0, 2**16, shape, np.uint16)
    base = bits.view(ml_dtypes.bfloat16) if dtype == "bfloat16" else bits.astype(np.float32)
    view = base.transpose()
    write_safetensors(tmp_path / "a", {"v": spec_of(view)}, [("v", view)])
    with open_checkpoint(tmp_path / "a") as checkpoint:
        assert checkpoint["v"].read().tobytes() == np.ascontiguousarray(view).tobytes()


def test_a_foreign_byte_order_is_turned_round(tmp_path: Path) -> None:
    array = np.arange(5, dtype=">f4")
    write_safetensors(tmp_path / "a", {"v": TensorSpec((5,), "float32")}, [("v", array)])
    assert safetensors.numpy.load_file(tmp_path / "a")["v"].tolist() == [0, 1, 2, 3, 4]


def test_leaves_may_come_in_any_order(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a", specs_of(LEAVES), reversed(LEAVES.items()), {"format": "pt"})
    assert (tmp_path / "a").read_bytes() == GOLDEN


@pytest.mark.parametrize(
    ("leaves", "problem"),
    [
        ({"a": LEAVES["a"]}, "2 leaves did not come: b, c"),
        ({**LEAVES, "d": LEAVES["a"]}, "d: no such leaf"),
        ({**LEAVES, "b": np.zeros(3, np.float32)}, r"b: expected float32\[2\], found float32\[3\]"),
        ({**LEAVES, "b": np.zeros(2)}, r"b: expected float32\[2\], found float64\[2\]"),
    ],
)
def test_wrong_leaves_leave_nothing_behind(
    tmp_path: Path, leaves: dict[str, np.ndarray], problem: str
) -> None:
    path = tmp_path / "a"
    with pytest.raises(UsageError, match=problem):
        write_safetensors(path, specs_of(LEAVES), leaves.items())
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match=problem):
        write_safetensors(path, specs_of(LEAVES), leaves.items())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_leaf_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="b: the leaf came twice"):
        write_safetensors(tmp_path / "a", specs_of(LEAVES), [*LEAVES.items(), ("b", LEAVES["b"])])


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such dtype: w: complex128"):
        write_safetensors(tmp_path / "a", {"w": TensorSpec((1,), "complex128")}, [])
    with pytest.raises(UsageError, match="__metadata__"):
        write_safetensors(tmp_path / "a", {"__metadata__": TensorSpec((1,), "int8")}, [])
    assert list(tmp_path.iterdir()) == []


def test_the_mode_is_what_the_umask_gives(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_safetensors(tmp_path / "a", specs_of(LEAVES), LEAVES.items())
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_shards_with_an_index(tmp_path: Path) -> None:
    leaves = {f"w{i}": np.full((10, 10), i, np.float32).T for i in range(7)}  # 400 bytes each
    leaves["big"] = np.arange(1000.0)
    written = write_shards(
        tmp_path / "out", specs_of(leaves), leaves.items(), {"format": "pt"}, max_bytes=1000
    )
    assert [path.name for path in written] == [
        *(f"model-{i:05}-of-00005.safetensors" for i in range(1, 6)),
        "model.safetensors.index.json",
    ]
    assert sorted(tmp_path.glob("out/*")) == sorted(written)
    with open_checkpoint(tmp_path / "out") as checkpoint:
        assert checkpoint.metadata == {"format": "pt"}
        assert list(checkpoint) == list(leaves)
        for name, array in leaves.items():
            np.testing.assert_array_equal(checkpoint[name].read(), array)
    index = json.loads(written[-1].read_text())
    assert index["metadata"]["total_size"] == 7 * 400 + 8000


def test_what_fits_is_one_file(tmp_path: Path) -> None:
    leaves = {"w": np.ones(3)}
    assert write_shards(tmp_path, specs_of(leaves), leaves.items(), max_bytes=10**9) == [
        tmp_path / "model.safetensors"
    ]
    with pytest.raises(UsageError, match="largest size of 0 bytes"):
        write_shards(tmp_path, specs_of(leaves), leaves.items(), max_bytes=0)


def test_shards_that_fail_leave_the_old_ones(tmp_path: Path) -> None:
    leaves = {"a": np.ones(3), "b": np.ones(3)}
    write_shards(tmp_path, specs_of(leaves), leaves.items(), max_bytes=24)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match="did not come"):
        write_shards(tmp_path, specs_of(leaves), [("a", np.zeros(3))], max_bytes=24)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
