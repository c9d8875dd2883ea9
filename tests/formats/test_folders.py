from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint


def test_the_names_of_hugging_face_come_first(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    torch.save({"lr": torch.zeros(1)}, tmp_path / "optimizer.pt")
    safetensors.numpy.save_file({"w": np.ones(1)}, tmp_path / "model.safetensors")
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.path == tmp_path / "model.safetensors"


def test_the_only_checkpoint_is_taken(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    torch.save({"model": {"w": torch.zeros(1)}, "ema": {"w": torch.ones(1)}}, tmp_path / "last.ckpt")
    with open_checkpoint(tmp_path, select="ema") as checkpoint:
        assert checkpoint["w"].read().tolist() == [1]


def test_several_checkpoints_are_listed(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        torch.save({"w": torch.zeros(1)}, tmp_path / name)
    with pytest.raises(CheckpointError, match="2 checkpoints") as caught:
        open_checkpoint(tmp_path)
    assert "\n  a.pt\n  b.pt" in caught.value.cure


def test_a_folder_without_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        open_checkpoint(tmp_path)
