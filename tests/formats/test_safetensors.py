import json
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch

from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats import open_checkpoint

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


def make(header: object, content: bytes = b"", nbytes: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if nbytes is None else nbytes) + text + content


def test_golden_bytes_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(GOLDEN)
    with open_checkpoint(tmp_path / "a") as checkpoint:
        assert checkpoint.format == "safetensors"
        assert list(checkpoint) == ["b", "a", "c"]
        assert checkpoint.metadata == {"format": "pt"}
        assert checkpoint.tied == ()
        assert checkpoint["a"].read() == 1
        assert checkpoint["b"].read().tolist() == [1, -2]
        assert checkpoint["c"].read().shape == (0, 3)
        assert checkpoint.nbytes == 10


def entry(dtype: str = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"\x01\x00", "bytes are no checkpoint|not a checkpoint"),
        (make(b"{}" + b" " * 6), "holds no tensor"),
        (make({"a": entry()}, b"1234", nbytes=10**8 + 1), "header of 100000001 bytes"),
        (make({"a": entry()}, b"1234", nbytes=2**63), "not a checkpoint|header of"),
        (make({"a": entry()}, b"1234", nbytes=5000), "the file ends at"),
        (make(b'{"a": '), "no JSON"),
        (make(b"[" * 100_000), r"does not begin with \{"),
        (make(b'{"a":' + b"[" * 100_000), "no JSON"),
        (make(b'{"a":' + b"9" * 10_000 + b"}"), "no JSON"),
        (make(b'{"a":' + json.dumps(entry()).encode() + b',"a":1}', b"1234"), "a is there twice"),
        (make({"a": entry()}, b"12345"), "1 bytes after the last tensor"),
        (make({"a": entry()}, b"123"), "ends at byte"),
        (make({"a": entry(offsets=(4, 8))}, b"12345678"), "leaves a gap"),
        (make({"a": entry(), "b": entry(offsets=(2, 6))}, b"123456"), "overlaps"),
        (make({"a": entry(), "b": entry()}, b"1234"), "overlaps"),
        (make({"a": entry(offsets=(4, 0))}, b"1234"), "span -4"),
        (make({"a": entry(offsets=(-4, 0))}, b"1234"), "no lists of sizes"),
        (make({"a": entry(offsets=(0, 4, 8))}, b"1234"), "no lists of sizes"),
        (make({"a": entry(offsets=(0.0, 4))}, b"1234"), "no lists of sizes"),
        (make({"a": entry(shape=(True,))}, b"1234"), "no lists of sizes"),
        (make({"a": entry(shape=(2,))}, b"1234"), "has 8 bytes, its offsets 0 to 4 span 4"),
        (make({"a": entry(shape=(2**62, 2**62, 0), offsets=(0, 0))}), "overflows"),
        (make({"a": entry(dtype="F31")}, b"1234"), "dtype 'F31' is not one of"),
        (make({"a": entry(dtype=[1])}, b"1234"), "dtype"),  # type: ignore[arg-type]
        (make({"a": {**entry(), "more": 1}}, b"1234"), "must have dtype, shape"),
        (make({"a": [1]}, b"1234"), "must have dtype, shape"),
        (make({"__metadata__": {"a": 1}, "b": entry()}, b"1234"), "not a table of text"),
        (make(b'{"\xff":1}'), "no JSON"),
    ],
)
def test_hostile_headers(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=problem) as caught:
        open_checkpoint(path)
    assert caught.value.file == path
    assert len(str(caught.value)) < 1000


def test_unaligned_tensors_are_read(tmp_path: Path) -> None:
    header = {"a": entry("U8", (1,), (0, 1)), "b": entry("F32", (2,), (1, 9))}
    (tmp_path / "a").write_bytes(make(header, b"\x07" + np.array([1.5, 2], "<f4").tobytes()))
    with open_checkpoint(tmp_path / "a") as checkpoint:
        array = checkpoint["b"].read()
        assert array.flags.aligned
        assert array.tolist() == [1.5, 2]
        assert checkpoint["b"][1] == 2


def test_reading_a_part_of_a_tensor(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    safetensors.numpy.save_file({"w": array}, tmp_path / "a")
    with open_checkpoint(tmp_path / "a") as checkpoint:
        tensor = checkpoint["w"]
        assert (tensor.shape, tensor.ndim, tensor.size, tensor.nbytes, len(tensor)) == ((4, 6), 2, 24, 96, 4)
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor[1:3, ::2], array[1:3, ::2])
        np.testing.assert_array_equal(tensor[-1], array[-1])
        assert np.asarray(tensor, dtype=np.float64).dtype == np.float64
        assert not tensor[0].flags.writeable


def test_a_part_cannot_be_selected(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(GOLDEN)
    with pytest.raises(UsageError, match="no parts"):
        open_checkpoint(tmp_path / "a", select="model")


def test_what_mlx_wrote(tmp_path: Path) -> None:
    import mlx.core as mx

    leaves = {"w": mx.arange(6).reshape(2, 3).astype(mx.bfloat16), "b": mx.array([True, False])}
    mx.save_safetensors(str(tmp_path / "a.safetensors"), leaves, {"format": "mlx"})
    mx.savez(str(tmp_path / "a.npz"), b=leaves["b"])
    with open_checkpoint(tmp_path / "a.safetensors") as checkpoint:
        assert checkpoint.metadata == {"format": "mlx"}
        assert checkpoint["w"].read().dtype == ml_dtypes.bfloat16
        assert checkpoint["w"].read().astype(float).tolist() == [[0, 1, 2], [3, 4, 5]]
    with open_checkpoint(tmp_path / "a.npz") as checkpoint:
        assert checkpoint["b"].read().tolist() == [True, False]
