import io
import pickle
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.tensors import as_numpy


def save(path: Path, content: object, **options: object) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=False, **options)
    return path


def assert_holds(path: Path, state: dict[str, torch.Tensor], form: str, select: str | None = None) -> None:
    with open_checkpoint(path, select=select) as checkpoint:
        assert checkpoint.format == form
        assert list(checkpoint) == list(state)
        for name, tensor in state.items():
            expected = as_numpy(tensor)
            found = checkpoint[name].read()
            assert found.dtype == expected.dtype
            assert found.shape == expected.shape
            assert found.tobytes() == expected.tobytes()


BASE = torch.arange(60.0)
STATE = {
    "plain": torch.randn(3, 4),
    "odd": torch.arange(3, dtype=torch.uint8),
    "transposed": BASE.view(6, 10).t(),
    "offset": BASE[7:19].view(3, 4),
    "bf16": torch.randn(5).bfloat16(),
    "complex": torch.randn(2, dtype=torch.complex128),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(3),
    "empty": torch.zeros(0, 3),
    "u16": torch.arange(3).to(torch.uint16),
    "tied": BASE.view(6, 10).t(),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_stream_format(tmp_path: Path, protocol: int) -> None:
    path = save(tmp_path / "a.pt", STATE, pickle_protocol=protocol)
    assert_holds(path, STATE, "torch-legacy")
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.tied == (("transposed", "tied"),)


def test_parts_are_selected(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"model": STATE, "ema": {"w": torch.ones(1)}, "epoch": 3})
    with pytest.raises(CheckpointError, match="2 parts"):
        open_checkpoint(path)
    assert_holds(path, STATE, "torch-legacy", select="model")


def test_a_pickled_module_names_its_class(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 3)
    path = save(tmp_path / "a.pt", model)
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear"):
        open_checkpoint(path)
    assert_holds(path, model.state_dict(), "torch-legacy", select=".")


def test_a_view_of_a_storage(tmp_path: Path) -> None:
    """Old files keep a storage that is part of another one as (key, offset, size) of the whole."""
    content = save(tmp_path / "a.pt", {"w": torch.arange(8.0)}).read_bytes()
    # ('storage', FloatStorage, key, 'cpu', 8, None): None becomes (key, 2, 6); the shape shrinks to 5.
    marker = b"K\x08Nt"
    assert content.count(marker) == 1
    content = content.replace(marker, b"K\x08" + b"X\x01\x00\x00\x00vK\x02K\x06\x87t")
    content = content.replace(b"K\x08\x85", b"K\x05\x85")
    (tmp_path / "b.pt").write_bytes(content)
    with open_checkpoint(tmp_path / "b.pt") as checkpoint:
        assert checkpoint["w"].read().tolist() == [2, 3, 4, 5, 6]
    assert torch.load(tmp_path / "b.pt")["w"].tolist() == [2, 3, 4, 5, 6]
    (tmp_path / "c.pt").write_bytes(content.replace(b"K\x02K\x06\x87", b"K\x03K\x06\x87"))
    with pytest.raises(CheckpointError, match="goes beyond its storage"):
        open_checkpoint(tmp_path / "c.pt")


def test_quantised_tensors_are_named(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates them, once in each process
        quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint32)
    path = save(tmp_path / "a.pt", {"state": {"w": torch.arange(4.0)}, "other": {"q": quantised}})
    assert_holds(path, {"w": torch.arange(4.0)}, "torch-legacy", select="state")
    with pytest.raises(CheckpointError, match="QInt32Storage"):
        open_checkpoint(path, select="other")


def test_cut_off_or_longer_files_are_refused(tmp_path: Path) -> None:
    content = save(tmp_path / "a.pt", STATE).read_bytes()
    for length in [*range(1, len(content), 97), len(content) - 1]:
        (tmp_path / "b.pt").write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            open_checkpoint(tmp_path / "b.pt")
    (tmp_path / "b.pt").write_bytes(content + b"x")
    with pytest.raises(CheckpointError, match="1 bytes after the last storage") as caught:
        open_checkpoint(tmp_path / "b.pt")
    assert caught.value.offset == len(content)


def test_a_storage_that_lies_about_its_size(tmp_path: Path) -> None:
    content = save(tmp_path / "a.pt", {"w": torch.arange(4.0)}).read_bytes()
    for count in (2, 2**40, -1):
        changed = content[:-24] + struct.pack("<q", count) + content[-16:]
        (tmp_path / "b.pt").write_bytes(changed)
        with pytest.raises(CheckpointError, match=r"truncated|belong to nothing"):
            open_checkpoint(tmp_path / "b.pt")


def test_plain_pickles(tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in STATE.items()}
    for protocol in (2, 5):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(state, protocol))
        assert_holds(tmp_path / "a.pkl", state, "pickle")


def test_plain_pickles_of_arrays(tmp_path: Path) -> None:
    content = {
        "model": {"w": np.arange(6.0).reshape(2, 3), "b": np.zeros(3, np.int8)},
        "__author__": "somebody",
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with open_checkpoint(tmp_path / "a.pkl") as checkpoint:
        assert checkpoint["w"].read().tolist() == [[0, 1, 2], [3, 4, 5]]
        assert checkpoint.extras["__author__"] == "somebody"


def test_a_storage_within_a_storage_is_refused(tmp_path: Path) -> None:
    """Bytes of a storage hold no further pickled storages: nothing can nest without end."""
    inner = io.BytesIO()
    torch.save(torch.ones(2).untyped_storage(), inner, _use_new_zipfile_serialization=False)
    body = inner.getvalue()
    for _ in range(2):
        call = b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(body)) + body + b"\x85R"
        body = b"\x80\x02" + call + b"."
    (tmp_path / "a.pkl").write_bytes(body)
    with pytest.raises(CheckpointError, match="a storage in the pickle"):
        open_checkpoint(tmp_path / "a.pkl")


def test_a_pickle_without_tensors(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(CheckpointError, match="no state dict"):
        open_checkpoint(tmp_path / "a.pt")
