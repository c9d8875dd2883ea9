import struct
import tarfile
from pathlib import Path

import pytest
import torch

from formats.early_torch import archive, pickled, tensor, triple
from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint


def test_an_archive_as_torch_reads_it(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pt")
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.format == "torch-tar"
        found = {name: value.read().tolist() for name, value in checkpoint.items()}
    assert found == {"whole": [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]], "part": [[4, 6, 8], [5, 7, 9]]}


def test_torch_agrees(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pt")
    loaded = torch.load(path, weights_only=False)
    with open_checkpoint(path) as checkpoint:
        for name, value in loaded.items():
            assert checkpoint[name].read().tolist() == value.tolist()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"storages": pickled(-1)}, "an invalid count"),
        ({"storages": pickled(10**9)}, "an invalid count"),
        ({"storages": pickled(1) + pickled((1, 2))}, "an invalid record"),
        (
            {"storages": pickled(1) + triple(70, "cpu", "FloatStorage") + struct.pack("<q", 2**40)},
            "truncated",
        ),
        (
            {"storages": pickled(1) + triple(70, "cpu", "os") + struct.pack("<q", 1)},
            "torch.os is not a storage",
        ),
        ({"tensors": pickled(1) + tensor(80, 99, (1,), (1,), 0)}, "damaged list of tensors"),
        ({"tensors": pickled(1) + tensor(80, 70, (13,), (1,), 0)}, "does not fit"),
        ({"tensors": pickled(1) + triple(80, 70, "FloatTensor") + struct.pack("<i4x", 1000)}, "rank 1000"),
        ({"pickle": b"\x80\x02cos\nsystem\n)R."}, "os.system, which runs code"),
        ({"pickle": b"\x80\x02K\x05Q."}, "names no tensor"),
    ],
)
def test_hostile_archives(tmp_path: Path, changes: dict[str, bytes], problem: str) -> None:
    path = archive(tmp_path / "a.pt", **changes)
    with pytest.raises(CheckpointError, match=problem):
        open_checkpoint(path)


def test_a_tar_archive_of_something_else(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("readme"))
    with pytest.raises(CheckpointError, match="without storages, tensors, pickle"):
        open_checkpoint(tmp_path / "a.tar")
