"""What Lightning saves (``samples/make_lightning.py``): a file; a folder where the model is sharded."""

import shutil
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.tensors import as_numpy

SAMPLES = Path(__file__).parent / "samples" / "lightning"
NAMES = ["fc.weight", "fc.bias", "head.weight", "head.bias"]


def test_the_file_of_one_process() -> None:
    whole = torch.load(SAMPLES / "one.ckpt", weights_only=True)
    with open_checkpoint(SAMPLES / "one.ckpt") as checkpoint:
        assert checkpoint.selected == "state_dict"
        assert list(checkpoint) == NAMES
        for name, tensor in whole["state_dict"].items():
            assert checkpoint[name].read().tobytes() == as_numpy(tensor).tobytes()
        assert checkpoint.extras["pytorch-lightning_version"] == whole["pytorch-lightning_version"]
        assert checkpoint.extras["hyper_parameters.width"] == 4


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of torch itself
def test_the_folder_of_two_processes(tmp_path: Path) -> None:
    dcp_to_torch_save(SAMPLES / "two.ckpt", tmp_path / "whole.pt")
    whole = torch.load(tmp_path / "whole.pt", weights_only=False)["state_dict"]
    with open_checkpoint(SAMPLES / "two.ckpt") as checkpoint:
        assert checkpoint.format == "torch-distributed"
        assert checkpoint.selected == "state_dict"
        assert sorted(checkpoint) == sorted(NAMES)
        assert max(len(tensor.chunks) for tensor in checkpoint.values()) == 2  # type: ignore[attr-defined]
        for name, tensor in whole.items():
            assert checkpoint[name].read().tobytes() == as_numpy(tensor).tobytes()


def test_the_folder_without_its_metadata(tmp_path: Path) -> None:
    folder = shutil.copytree(SAMPLES / "two.ckpt", tmp_path / "two.ckpt")
    (folder / ".metadata").unlink()
    with pytest.raises(CheckpointError, match=r"but no \.metadata that says"):
        open_checkpoint(folder)
