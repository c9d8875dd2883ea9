"""Checkpoints of other frameworks, read without them: of flax.serialization, Keras, TensorFlow."""

import os
import warnings
import zipfile
from pathlib import Path

import ml_dtypes
import msgpack
import numpy as np
import pytest
import torch

from ml_switcheroo import make_plan, open_checkpoint
from ml_switcheroo.conversion import export
from ml_switcheroo.errors import CheckpointError, UsageError

flax = pytest.importorskip("flax")
TREE = {
    "fc1": {"kernel": np.arange(12.0, dtype="float32").reshape(3, 4), "bias": np.ones(4, ml_dtypes.bfloat16)},
    "fc2": {"kernel": np.ones((4, 5), "int8"), "bias": np.float32(3.0)},
}


def _flax(path: Path, tree=TREE) -> Path:
    from flax import serialization

    path.write_bytes(serialization.to_bytes(tree))
    return path


def test_flax_msgpack(tmp_path: Path) -> None:
    with open_checkpoint(_flax(tmp_path / "flax_model.msgpack")) as checkpoint:
        assert checkpoint.format == "flax-msgpack"
        assert set(checkpoint) == {"fc1/kernel", "fc1/bias", "fc2/kernel", "fc2/bias"}
        for name, tensor in checkpoint.items():
            layer, _, slot = name.partition("/")
            np.testing.assert_array_equal(tensor.read(), TREE[layer][slot])
            assert tensor.dtype == np.asarray(TREE[layer][slot]).dtype


def test_arrays_in_chunks(tmp_path: Path, monkeypatch) -> None:
    from flax import serialization

    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 16)
    path = _flax(tmp_path / "flax_model.msgpack")
    assert b"__msgpack_chunked_array__" in path.read_bytes()
    with open_checkpoint(path) as checkpoint:
        np.testing.assert_array_equal(checkpoint["fc1/kernel"].read(), TREE["fc1"]["kernel"])
        np.testing.assert_array_equal(checkpoint["fc1/kernel"][1], TREE["fc1"]["kernel"][1])


def test_flax_msgpack_is_a_source_of_export_and_no_checkpoint_of_torch(tmp_path: Path) -> None:
    tree = {"fc": {"kernel": np.arange(6, dtype="float32").reshape(2, 3), "bias": np.zeros(3, "float32")}}
    path = _flax(tmp_path / "flax_model.msgpack", tree)
    torch.save({"fc.weight": torch.zeros(3, 2), "fc.bias": torch.zeros(3)}, tmp_path / "like.pt")
    export(path, tmp_path / "out.npz", like=tmp_path / "like.pt")
    with np.load(tmp_path / "out.npz") as made:
        np.testing.assert_array_equal(made["fc.weight"], tree["fc"]["kernel"].T)
    with pytest.raises(UsageError, match="another layout"):
        make_plan(path, to="nnx")


def _array(*content: object) -> msgpack.ExtType:
    return msgpack.ExtType(1, msgpack.packb(content, use_bin_type=True))


GOOD = _array([2], "float32", b"12345678")


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ({"a": _array([3], "float32", b"12345678")}, "12 bytes, not 8"),
        ({"a": _array([2**62, 2**62], "float32", b"1")}, "bytes, not 1"),
        ({"a": _array([-2], "float32", b"12345678")}, "no plain numbers"),
        ({"a": _array([2], "object", b"12345678")}, "no plain numbers"),
        ({"a": _array([2], "float32")}, "not its shape, its dtype and its bytes"),
        ({"a": msgpack.ExtType(9, b"x")}, "no array of numbers"),
        ({"a": {"b": 3}}, "holds no array"),
        ({"a\n": GOOD}, "no printable text"),
        ({"a": {"__msgpack_chunked_array__": True, "shape": {"0": 9}, "chunks": {"0": GOOD}}}, "pieces"),
        ({"a": {"__msgpack_chunked_array__": True, "shape": {"1": 2}, "chunks": {"0": GOOD}}}, "pieces"),
        ({"a": {"__msgpack_chunked_array__": True}}, "pieces"),
    ],
)
def test_hostile_msgpack(tmp_path: Path, tree, problem: str) -> None:
    (tmp_path / "a.msgpack").write_bytes(msgpack.packb(tree, use_bin_type=True))
    with pytest.raises(CheckpointError, match=problem):
        open_checkpoint(tmp_path / "a.msgpack")


def test_damaged_msgpack(tmp_path: Path) -> None:
    whole = _flax(tmp_path / "a.msgpack").read_bytes()
    path = tmp_path / "b.msgpack"
    contents = [whole[:size] for size in range(3, len(whole))]
    contents += [
        whole + b"\0",
        b"\x81\xa1a" * 500,
        b"\xdf\xff\xff\xff\xff\xa1a\xc0",
        b"\x82\xa1a\xc0\xa1a\xc0",
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            open_checkpoint(path)


# Keras ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    folder = tmp_path_factory.mktemp("keras")
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="fc"), keras.layers.Dense(2, name="head")], name="net"
    )
    model.compile("adam", "mse")
    with warnings.catch_warnings(action="ignore"):  # of Keras, about NumPy
        model.save(folder / "model.keras")
        model.save(folder / "model.h5")
        weights = [np.asarray(value) for value in model.get_weights()]
    names = ("fc/kernel", "fc/bias", "head/kernel", "head/bias")
    return folder, dict(zip(names, weights, strict=True))


def test_a_whole_model_in_one_h5(saved) -> None:
    folder, weights = saved
    with open_checkpoint(folder / "model.h5") as checkpoint:
        found = {name.removeprefix("net/"): tensor.read() for name, tensor in checkpoint.items()}
        assert any(name.startswith("optimizer_weights") for name in checkpoint.extras)
    assert list(found) == list(weights)
    for name, value in weights.items():
        np.testing.assert_array_equal(found[name], value)


def test_an_archive_of_keras(saved, tmp_path: Path) -> None:
    folder, weights = saved
    with open_checkpoint(folder / "model.keras") as checkpoint:
        found = {
            tuple(tensor.shape): tensor.read()
            for name, tensor in checkpoint.items()
            if "optimizer" not in name
        }
    for value in weights.values():
        np.testing.assert_array_equal(found[value.shape], value)
    for file in ("model.keras", "model.h5"):
        with pytest.raises(UsageError, match="another layout"):
            make_plan(folder / file, to="nnx")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(CheckpointError, match=r"without model\.weights\.h5"):
        open_checkpoint(tmp_path / "empty.keras")


# TensorFlow -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    tensorflow = pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("tensorflow")
    state = {f"layer_{n}/kernel": np.full((n + 1, 2), n, "float32") for n in range(300)}  # more than a block
    state |= {"step": np.int64(3), "half": np.ones(3, ml_dtypes.bfloat16), "flag": np.array([True, False])}
    tensorflow.raw_ops.SaveV2(
        prefix=str(folder / "model.ckpt"),
        tensor_names=list(state),
        shape_and_slices=[""] * len(state),
        tensors=[tensorflow.constant(value) for value in state.values()],
    )
    root = tensorflow.Module()
    root.w = tensorflow.Variable(np.arange(6.0).reshape(2, 3))
    tensorflow.train.Checkpoint(model=root).write(str(folder / "objects"))
    return folder, state


def test_a_checkpoint_of_tensorflow(bundle) -> None:
    folder, state = bundle
    with open_checkpoint(folder / "model.ckpt.index") as checkpoint:
        assert checkpoint.format == "tensorflow"
        assert set(checkpoint) == set(state)
        for name, value in state.items():
            np.testing.assert_array_equal(checkpoint[name].read(), value)
    with open_checkpoint(folder / "objects.index") as checkpoint:
        assert list(checkpoint) == ["model/w"]
        np.testing.assert_array_equal(checkpoint["model/w"].read(), np.arange(6.0).reshape(2, 3))
        assert "_CHECKPOINTABLE_OBJECT_GRAPH" in checkpoint.extras
    with pytest.raises(UsageError, match="another layout"):
        make_plan(folder / "objects.index", to="nnx")


def test_damaged_checkpoints_of_tensorflow(bundle, tmp_path: Path) -> None:
    folder, _ = bundle
    index = (folder / "objects.index").read_bytes()
    path, data = tmp_path / "objects.index", tmp_path / "objects.data-00000-of-00001"
    path.write_bytes(index)
    with pytest.raises(CheckpointError, match="data-00000-of-00001 is missing"):
        open_checkpoint(path)
    whole = (folder / data.name).read_bytes()
    data.write_bytes(whole[:10])
    with pytest.raises(CheckpointError):
        open_checkpoint(path)
    data.write_bytes(whole)
    rng = np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(index)
        for at in rng.integers(0, len(index), 2):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            with open_checkpoint(path) as checkpoint:
                for tensor in checkpoint.values():
                    tensor.read()
        except CheckpointError:
            pass
