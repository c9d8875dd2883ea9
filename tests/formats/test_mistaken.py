import gzip
from pathlib import Path

import numpy as np
import pytest

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint, write_safetensors
from ml_switcheroo.tensors import TensorSpec

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.mark.parametrize(
    ("content", "what", "cure"),
    [
        (POINTER, "a pointer of Git LFS", "git lfs pull"),
        (b"\n<!DOCTYPE html><html></html>", "a web page", "Download"),
        (gzip.compress(b"weights", mtime=0), "compressed by gzip", "Unpack"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x80", "an ONNX file", "exported from"),
        (b"\x08\x0a:\x80\x01\x0a\x10\x0a\x01x", "an ONNX file", "exported from"),
        (b"\x1c\0\0\0TFL3\x14\0", "a TFLite file", "converted from"),
        (b"GGUF\x03\0\0\0\0\0\0\0", "a GGUF file", "made from"),
    ],
)
def test_it_says_what_the_file_is(tmp_path: Path, content: bytes, what: str, cure: str) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=what) as caught:
        open_checkpoint(tmp_path / "model.pt")
    assert cure in caught.value.cure


def test_safetensors_whose_header_is_as_long_as_a_magic_number(tmp_path: Path) -> None:
    path, specs = tmp_path / "a.safetensors", {"w": TensorSpec((2,), "float32")}
    write_safetensors(path, specs, {"w": np.ones(2, np.float32)}.items())
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    wanted = int.from_bytes(b"\x1f\x8b", "little")
    header = content[8 : 8 + length].ljust(wanted)
    path.write_bytes(wanted.to_bytes(8, "little") + header + content[8 + length :])
    with open_checkpoint(path) as checkpoint:
        assert checkpoint["w"].read().tolist() == [1.0, 1.0]
