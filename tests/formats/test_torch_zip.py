import argparse
import collections
import io
import mmap
import os
import warnings
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.tensors import DTYPES, TensorSpec, as_numpy


def save(path: Path, content: object, **options: object) -> Path:
    torch.save(content, path, **options)
    return path


def assert_same_bytes(found: np.ndarray, expected: torch.Tensor) -> None:
    array = as_numpy(expected)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


def rezip(path: Path, changes: dict[str, bytes | None], method: int = zipfile.ZIP_STORED) -> Path:
    """Write the archive again with other members: the hands of an attacker, or of a repacking tool."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    for name, content in changes.items():
        if content is None:
            del members[name]
        else:
            members[name] = content
    with zipfile.ZipFile(path, "w", method) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return path


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_every_dtype_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    row = DTYPES[dtype]
    bits = np.random.default_rng(0).integers(0, 256, 24 * row.itemsize, np.uint8)
    if dtype == "bool":
        bits &= 1
    tensor = torch.frombuffer(bytearray(bits), dtype=torch.uint8).view(getattr(torch, dtype)).reshape(2, 3, 4)
    with open_checkpoint(save(tmp_path / "a.pt", {"w": tensor})) as checkpoint:
        assert checkpoint.specs == {"w": TensorSpec((2, 3, 4), dtype)}
        read = checkpoint["w"].read()
        assert read.dtype == row.numpy
        assert read.tobytes() == bits.tobytes()
        assert not read.flags.writeable


def test_views_strides_and_offsets_are_honoured(tmp_path: Path) -> None:
    base = torch.arange(120, dtype=torch.float32)
    views = {
        "transposed": base.view(10, 12).t(),
        "sliced": base.view(10, 12)[2:7:2, 3:],
        "offset": base[7:19].view(3, 4),
        "expanded": base[3:4].expand(5, 4),
        "permuted": base.view(2, 3, 4, 5).permute(3, 1, 0, 2),
        "scalar": base[5],
        "empty": base[:0].view(0, 3),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }
    with open_checkpoint(save(tmp_path / "a.pt", views)) as checkpoint:
        assert list(checkpoint) == list(views)
        for name, view in views.items():
            assert_same_bytes(checkpoint[name].read(), view)
            assert_same_bytes(np.asarray(checkpoint[name]), view)
        assert_same_bytes(checkpoint["permuted"][1:3, ..., 2], views["permuted"][1:3, ..., 2])


def test_conjugated_and_negated_views_are_settled(tmp_path: Path) -> None:
    views = {"conj": torch.randn(3, 2, dtype=torch.complex64).conj()}
    views["neg"] = torch.randn(3, 2, dtype=torch.complex64).conj().imag
    views["both"] = torch._neg_view(torch.randn(2, dtype=torch.complex64).conj())
    assert views["neg"].is_neg()
    assert views["both"].is_neg()
    assert views["both"].is_conj()
    with open_checkpoint(save(tmp_path / "a.pt", views)) as checkpoint:
        for name, view in views.items():
            np.testing.assert_array_equal(checkpoint[name].read(), view.resolve_conj().resolve_neg().numpy())


def test_tied_names_are_the_very_same_view(tmp_path: Path) -> None:
    weight = torch.randn(6, 4)
    state = {
        "embed.weight": weight,
        "half": weight[:3],
        "other": weight.clone(),
        "head.weight": weight,
        "e": weight[:0],
    }
    state["f"] = state["e"]
    with open_checkpoint(save(tmp_path / "a.pt", state)) as checkpoint:
        assert checkpoint.tied == (("embed.weight", "head.weight"),)


def test_a_module_state_dict_with_parameters_and_buffers(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.LSTM(4, 5))
    state = model.state_dict(keep_vars=True)
    assert isinstance(state["0.weight"], torch.nn.Parameter)
    with open_checkpoint(save(tmp_path / "a.pt", state)) as checkpoint:
        assert checkpoint.format == "torch-zip"
        assert checkpoint.path == tmp_path / "a.pt"
        assert list(checkpoint) == list(state)
        assert checkpoint.specs["1.num_batches_tracked"] == TensorSpec((), "int64")
        for name, tensor in state.items():
            assert_same_bytes(checkpoint[name].read(), tensor.detach())


def test_a_read_tensor_is_mapped_from_the_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"w": torch.arange(4096.0)})
    with open_checkpoint(path) as checkpoint:
        array = checkpoint["w"].read()
    root = array
    while isinstance(root, np.ndarray) or hasattr(root, "base"):
        root = root.base
    assert isinstance(root.obj, mmap.mmap)
    assert array[17] == 17  # stays valid after close


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "anything"])
def test_the_only_dict_of_tensors_is_the_state_dict(tmp_path: Path, key: str) -> None:
    model = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, name="run"),
        "loss": torch.tensor(0.5),
        "rng_state": torch.get_rng_state(),
        "optimizer": optimizer.state_dict(),
        key: model.state_dict(),
        "counts": collections.Counter("aab"),
        "best": np.float64(0.25),
    }
    with open_checkpoint(save(tmp_path / "a.pt", content)) as checkpoint:
        assert list(checkpoint) == ["weight", "bias"]
        assert checkpoint.selected == key
        assert checkpoint.extras["epoch"] == 3
        assert checkpoint.extras["args.lr"] == 0.1
        assert checkpoint.extras["best"] == 0.25
        assert checkpoint.extras["loss"] == TensorSpec((), "float32")
        assert checkpoint.extras["optimizer.state.0.exp_avg"] == TensorSpec((3, 2), "float32")


def test_several_candidates_are_listed_and_one_can_be_selected(tmp_path: Path) -> None:
    content = {"model": {"w": torch.ones(2)}, "ema": {"w": torch.zeros(2), "v": {"x": torch.ones(1)}}}
    path = save(tmp_path / "a.pt", content)
    with pytest.raises(CheckpointError, match="3 parts of the file could be the state dict") as caught:
        open_checkpoint(path)
    assert "\n  model " in caught.value.cure
    assert "\n  ema " in caught.value.cure
    with open_checkpoint(path, select="ema") as checkpoint:
        assert list(checkpoint) == ["w", "v.x"]
        assert checkpoint["w"].read().tolist() == [0, 0]
    with open_checkpoint(path, select=".") as checkpoint:
        assert list(checkpoint) == ["model.w", "ema.w", "ema.v.x"]
    with open_checkpoint(path, select="ema.v") as checkpoint:
        assert list(checkpoint) == ["x"]
    with pytest.raises(CheckpointError, match="there is no 'emma' in the file"):
        open_checkpoint(path, select="emma")


def test_a_class_that_is_not_allowed_is_refused_with_its_name_and_place(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"epoch": 1, "when": Fake(), "state_dict": {"w": torch.ones(2)}})
    with pytest.raises(CheckpointError, match=r"Fake, which does not belong in a state dict") as caught:
        open_checkpoint(path)
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("a/data.pkl")
    assert caught.value.member == "a/data.pkl"
    assert pickled[caught.value.offset :].startswith(f"c{Fake.__module__}\nFake\n".encode())
    assert "\n  state_dict " in caught.value.cure
    with open_checkpoint(path, select="state_dict") as checkpoint:
        assert checkpoint["w"].read().tolist() == [1, 1]


class Fake:
    pass


class Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {os.environ['CANARY']}",)


@pytest.mark.parametrize("select", [None, "state_dict", "."])
def test_no_code_of_the_file_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select: str | None
) -> None:
    canary = tmp_path / "canary"
    monkeypatch.setenv("CANARY", str(canary))
    path = save(tmp_path / "a.pt", {"x": Runs(), "state_dict": {"w": torch.ones(2)}})
    with pytest.raises(CheckpointError, match=r"system, which runs code; nothing was run"):
        open_checkpoint(path, select=select)
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.exists(), "the file was not dangerous: the test shows nothing"


def test_a_pickled_module_is_refused_and_its_parameters_can_be_selected(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    model[1].register_buffer("scratch", torch.ones(1), persistent=False)
    path = save(tmp_path / "a.pt", {"model": model, "epoch": 2})
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.container\.Sequential") as caught:
        open_checkpoint(path)
    assert "model.state_dict()" in caught.value.cure
    assert "\n  model " in caught.value.cure
    with open_checkpoint(path, select="model") as checkpoint:
        assert set(checkpoint) == set(model.state_dict())
        for name, tensor in model.state_dict().items():
            assert_same_bytes(checkpoint[name].read(), tensor)


def test_tensors_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates them, once in each process
        quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    state = {
        "q": quantised,
        "s": torch.eye(3).to_sparse(),
        "m": torch.empty(2, device="meta"),
        "ok": torch.ones(1),
    }
    with pytest.raises(CheckpointError, match="3 of 4 tensors cannot be read") as caught:
        open_checkpoint(save(tmp_path / "a.pt", state))
    assert "q: a quantised tensor (torch.QInt8Storage)" in caught.value.reason
    assert "s: a sparse tensor" in caught.value.reason
    assert "m: a tensor without bytes (device meta)" in caught.value.reason


def test_a_file_without_tensors_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no state dict"):
        open_checkpoint(save(tmp_path / "a.pt", {"epoch": 1, "names": ["a"]}))
    with pytest.raises(CheckpointError, match="one tensor without a name"):
        open_checkpoint(save(tmp_path / "b.pt", torch.ones(2)))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    state = {"w": torch.arange(3), "n": {"b": torch.ones(2, dtype=torch.bfloat16)}}
    with open_checkpoint(save(tmp_path / "a.pt", state, pickle_protocol=protocol), select=".") as checkpoint:
        assert checkpoint["w"].read().tolist() == [0, 1, 2]
        assert checkpoint["n.b"].read().dtype == ml_dtypes.bfloat16


def test_a_compressed_archive_is_unpacked(tmp_path: Path) -> None:
    state = {"w": torch.randn(64, 3), "v": torch.arange(5)}
    path = rezip(save(tmp_path / "a.pt", state), {}, zipfile.ZIP_DEFLATED)
    with open_checkpoint(path) as checkpoint:
        for name, tensor in state.items():
            assert_same_bytes(checkpoint[name].read(), tensor)


def test_a_big_endian_archive_is_turned_round(tmp_path: Path) -> None:
    state = {
        "w": torch.arange(6.0).view(2, 3).t(),
        "c": torch.randn(2, dtype=torch.complex128),
        "b": torch.ones(3),
    }
    state["b"] = torch.tensor([1.5, -2.25]).bfloat16()
    path = save(tmp_path / "a.pt", state)
    sizes = {"a/data/0": 4, "a/data/1": 8, "a/data/2": 2}
    with zipfile.ZipFile(path) as archive:
        swapped = {n: np.frombuffer(archive.read(n), f"u{w}").byteswap().tobytes() for n, w in sizes.items()}
    rezip(path, {**swapped, "a/byteorder": b"big"})
    with open_checkpoint(path) as checkpoint:
        for name, tensor in state.items():
            assert_same_bytes(checkpoint[name].read(), tensor)


def test_a_storage_that_is_missing_or_of_another_size_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"w": torch.ones(4)})
    with pytest.raises(CheckpointError, match="the storage has 12 bytes, its pickle says 16"):
        open_checkpoint(rezip(path, {"a/data/0": bytes(12)}))
    with pytest.raises(CheckpointError, match="storage is not in the archive") as caught:
        open_checkpoint(rezip(path, {"a/data/0": None}))
    assert caught.value.member == "a/data/0"


def test_a_view_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"w": torch.ones(4)})
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("a/data.pkl")
    assert b"K\x04\x85" in pickled  # the shape (4,)
    with pytest.raises(CheckpointError, match=r"float32\[5\] .* does not fit") as caught:
        open_checkpoint(rezip(path, {"a/data.pkl": pickled.replace(b"K\x04\x85", b"K\x05\x85")}))
    assert caught.value.member == "a/data.pkl"
    assert caught.value.offset


def test_checksums_that_torch_did_not_compute_are_accepted(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = save(tmp_path / "a.pt", {"w": torch.ones(4)})
    finally:
        torch.serialization.set_crc32_options(True)
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("a/data.pkl").CRC == 0
    with open_checkpoint(path) as checkpoint:
        assert checkpoint["w"].read().tolist() == [1, 1, 1, 1]


def test_a_torchscript_archive_is_named(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="jit"):
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="TorchScript"):
        open_checkpoint(tmp_path / "a.pt")


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    content = save(tmp_path / "a.pt", {"w": torch.ones(4)}).read_bytes()
    for length in range(0, len(content), 13):
        (tmp_path / "b.pt").write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            open_checkpoint(tmp_path / "b.pt")


def test_a_file_that_shrinks_is_noticed_before_its_pages_are_touched(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"w": torch.ones(100_000)})
    checkpoint = open_checkpoint(path)
    os.truncate(path, 1000)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        checkpoint["w"].read()
    checkpoint.close()
    with pytest.raises(CheckpointError, match="closed"):
        checkpoint["w"].read()


def test_numpy_arrays_in_the_pickle(tmp_path: Path) -> None:
    arrays = {
        "c": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "t": torch.ones(1),
    }
    arrays["big"] = np.arange(3, dtype=">i4")
    with open_checkpoint(save(tmp_path / "a.pt", arrays)) as checkpoint:
        for name in ("c", "f", "big"):
            np.testing.assert_array_equal(checkpoint[name].read(), arrays[name])


def test_torch_can_be_absent(tmp_path: Path) -> None:
    """Pickled names of torch's modules are never imported (the real check is in a process without torch)."""
    import subprocess
    import sys

    path = save(tmp_path / "a.pt", {"w": torch.ones(2)})
    code = f"""
import sys
sys.modules["torch"] = None
from ml_switcheroo.formats import open_checkpoint
assert open_checkpoint({str(path)!r})["w"].read().tolist() == [1, 1]
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_buffers_that_claim_the_same_storage_with_another_size(tmp_path: Path) -> None:
    """Two references to one storage must both fit the member that is there."""
    buffer = io.BytesIO()
    base = torch.arange(8.0)
    torch.save({"a": base[:4], "b": base}, buffer)
    path = tmp_path / "a.pt"
    path.write_bytes(buffer.getvalue())
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    # The second reference spells its size out; enlarge it and the shape that goes with it.
    first, second = pickled.split(b"X\x01\x00\x00\x00b", 1)
    assert second.count(b"K\x08") == 2
    changed = first + b"X\x01\x00\x00\x00b" + second.replace(b"K\x08", b"K\x40")
    with pytest.raises(CheckpointError, match="its pickle says 256"):
        open_checkpoint(rezip(path, {"archive/data.pkl": changed}))
