import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from ml_switcheroo import make_plan
from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint

SHARDS = {
    "model-00001-of-00002.safetensors": {"a": np.arange(4.0), "b": np.ones((2, 3), np.float32)},
    "model-00002-of-00002.safetensors": {"c": np.arange(3)},
}
PLACES = {name: file for file, tensors in SHARDS.items() for name in tensors}


def write(folder: Path, places: object = PLACES) -> Path:
    for file, tensors in SHARDS.items():
        safetensors.numpy.save_file(tensors, folder / file, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 80}, "weight_map": places}))
    return index


def test_by_index_or_by_folder(tmp_path: Path) -> None:
    index = write(tmp_path)
    for path in (index, tmp_path):
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.format == "safetensors-sharded"
            assert list(checkpoint) == ["a", "b", "c"]
            assert checkpoint.metadata == {"format": "pt"}
            for tensors in SHARDS.values():
                for name, array in tensors.items():
                    np.testing.assert_array_equal(checkpoint[name].read(), array)
        with pytest.raises(CheckpointError, match="closed"):
            checkpoint["a"].read()


def test_shards_of_torch(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model-1.bin")
    torch.save({"b": torch.zeros(2)}, tmp_path / "pytorch_model-2.bin")
    places = {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.format == "torch-zip-sharded"
        assert {name: tensor.read().tolist() for name, tensor in checkpoint.items()} == {
            "a": [1, 1],
            "b": [0, 0],
        }


@pytest.mark.parametrize(
    ("places", "problem"),
    [
        ({**PLACES, "d": "model-00001-of-00002.safetensors"}, "d is not in model-00001"),
        (
            {"a": "model-00001-of-00002.safetensors"},
            "b is in model-00001-of-00002.safetensors, the index does not",
        ),
        ({**PLACES, "a": "model-00002-of-00002.safetensors"}, "the index says model-00002"),
        ({**PLACES, "x": "model-3.safetensors"}, "1 of 3 shards are missing: model-3.safetensors"),
        ({"a": "../secret.safetensors"}, "points outside of its folder"),
        ({"a": "/etc/passwd"}, "points outside of its folder"),
        ({"a": "a\\b"}, "points outside of its folder"),
        ({"a": ".."}, "points outside of its folder"),
        ({"a": 1}, "without a table"),
        ({}, "without a table"),
        ([], "without a table"),
    ],
)
def test_hostile_indexes(tmp_path: Path, places: object, problem: str) -> None:
    index = write(tmp_path, places)
    with pytest.raises(CheckpointError, match=problem):
        open_checkpoint(index)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "9" * 9999, '"x"'])
def test_an_index_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="index"):
        open_checkpoint(tmp_path / "a.index.json")


def test_a_folder_without_an_index(tmp_path: Path) -> None:
    write(tmp_path).unlink()
    with open_checkpoint(tmp_path) as checkpoint:
        assert sorted(checkpoint) == ["a", "b", "c"]
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"1 shards of its series are missing: model-00002-of-00002"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("index", [True, False])
def test_a_plan_of_one_shard_is_refused_by_the_names_of_the_others(tmp_path: Path, index: bool) -> None:
    path = write(tmp_path)
    if not index:
        path.unlink()
    first, second = sorted(tmp_path.glob("*.safetensors"))
    with open_checkpoint(first) as checkpoint:
        assert sorted(checkpoint) == ["a", "b"]  # it may be looked at
    with pytest.raises(CheckpointError, match=r"the others: model-00002-of-00002") as caught:
        make_plan(first, to="numpy")
    assert "Give all of them" in caught.value.cure
    second.unlink()
    with pytest.raises(CheckpointError, match="Download model-00002-of-00002"):
        make_plan(first, to="numpy")


def test_a_series_of_one_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "model-00001-of-00001.safetensors"
    safetensors.numpy.save_file({"a": np.arange(4.0)}, path)
    make_plan(path, to="numpy").check()
    make_plan(tmp_path, to="numpy").check()
