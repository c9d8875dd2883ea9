import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING

from ml_switcheroo.errors import CheckpointError
from ml_switcheroo.formats import open_checkpoint
from ml_switcheroo.formats.distributed import _uncovered
from ml_switcheroo.tensors import as_numpy

SAMPLES = Path(__file__).parent / "samples"


def save(folder: Path, state: dict[str, object]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about saving from one process
        dcp.save(state, checkpoint_id=folder)
    return folder


@pytest.mark.parametrize(
    ("arguments", "fine"),
    [
        (lambda member: (type(member), member.name), True),
        (lambda _: (dict, "fromkeys"), False),
        (lambda member: (type(member), type(member)), False),
    ],
)
def test_getattr_names_the_member_of_an_enumeration_and_does_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Callable[[Enum], object], fine: bool
) -> None:
    """Python 3.11.0 to 3.11.3 pickle a member as a call of getattr."""
    monkeypatch.setattr(_MEM_FORMAT_ENCODING, "__reduce_ex__", lambda member, _: (getattr, arguments(member)))
    folder = save(tmp_path / "a", {"w": torch.arange(6.0).reshape(2, 3)})
    assert b"getattr" in (folder / ".metadata").read_bytes()
    if fine:
        with open_checkpoint(folder) as checkpoint:
            assert checkpoint["w"].read().tolist() == [[0, 1, 2], [3, 4, 5]]
    else:
        with pytest.raises(CheckpointError, match="not an enum of torch"):
            open_checkpoint(folder)


@pytest.mark.slow
def test_the_sample_is_what_two_ranks_write(tmp_path: Path) -> None:
    port = str(20000 + os.getpid() % 20000)
    script = SAMPLES / "make_fsdp.py"
    subprocess.run([sys.executable, "-W", "ignore", script, tmp_path, port], check=True, timeout=300)
    with open_checkpoint(tmp_path / "parts") as made, open_checkpoint(SAMPLES / "fsdp" / "parts") as sample:
        assert dict(made.specs) == dict(sample.specs)
        assert {name: [at for at, _ in tensor.chunks] for name, tensor in made.items()} == {  # type: ignore[attr-defined]
            name: [at for at, _ in tensor.chunks]  # type: ignore[attr-defined]
            for name, tensor in sample.items()
        }


def test_what_two_ranks_wrote_is_put_together() -> None:
    folder = SAMPLES / "fsdp"
    with open_checkpoint(folder / "parts") as parts, open_checkpoint(folder / "whole.pt") as whole:
        assert parts.format == "torch-distributed"
        assert parts.selected == "model"
        assert dict(parts.specs) == dict(whole.specs)
        assert len(parts["0.weight"].chunks) == 2  # type: ignore[attr-defined]
        for name, tensor in whole.items():
            assert parts[name].read().tobytes() == tensor.read().tobytes()
            np.testing.assert_array_equal(parts[name][1:4], tensor.read()[1:4])
            np.testing.assert_array_equal(parts[name][-1], tensor.read()[-1])
            np.testing.assert_array_equal(parts[name][::2], tensor.read()[::2])


def test_one_process(tmp_path: Path) -> None:
    state = {
        "w": torch.randn(4, 3),
        "n": {"b": torch.ones(2).bfloat16(), "e": torch.zeros(0, 2), "s": torch.tensor(1.5)},
    }
    folder = save(tmp_path / "a", {**state, "epoch": 3})
    with open_checkpoint(folder, select=".") as checkpoint:
        flat = {"w": state["w"], **{f"n.{name}": tensor for name, tensor in state["n"].items()}}
        assert set(checkpoint) == set(flat)
        for name, tensor in flat.items():
            assert checkpoint[name].read().tobytes() == as_numpy(tensor).tobytes()
        assert "pickled object" in checkpoint.extras["epoch"]
    with pytest.raises(CheckpointError, match="2 parts"):
        open_checkpoint(folder)


def test_a_slice_opens_only_the_chunks_it_touches(tmp_path: Path) -> None:
    state = {"w": torch.randn(4, 3)}
    folder = save(tmp_path / "a", state)
    with open_checkpoint(folder) as checkpoint:
        tensor = checkpoint["w"]
        ((start, chunk),) = tensor.chunks  # type: ignore[attr-defined]
        assert start == (0, 0)
        assert tensor[2:].tolist() == chunk.read()[2:].tolist()


def test_missing_and_short_files_are_named(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", {"w": torch.randn(4, 3)})
    (shard,) = folder.glob("*.distcp")
    content = shard.read_bytes()
    shard.write_bytes(content[:100])
    with pytest.raises(CheckpointError, match="but the file has 100 bytes"):
        open_checkpoint(folder)
    shard.unlink()
    with pytest.raises(CheckpointError, match="no such file"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"__0_0.distcp", b"../../passwd", "points outside the folder"),
        (b"__0_0.distcp", b"__0_0.dis\0cp", "no name of a file"),
        (b"Metadata", b"Metadate", "a Metadate where a Metadata should be"),
        (
            b"\x8c\x05torch\x94\x8c\x07float32",
            b"\x8c\x02os\x94\x8c\x06system",
            "system, which does not belong",
        ),
        (b"K\x04K\x03\x86", b"K\x05K\x03\x86", "its chunks have|lies nowhere|is described"),
    ],
)
def test_hostile_metadata(tmp_path: Path, old: bytes, new: bytes, problem: str) -> None:
    folder = save(tmp_path / "a", {"w": torch.randn(4, 3)})
    content = (folder / ".metadata").read_bytes()
    assert old in content
    (folder / ".metadata").write_bytes(content.replace(old, new, 1))
    with pytest.raises(CheckpointError, match=problem):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("boxes", "problem"),
    [
        ([((0, 0), (4, 6))], ""),
        ([((0, 0), (2, 6)), ((2, 0), (2, 6))], ""),
        ([((0, 0), (2, 3)), ((0, 3), (4, 3)), ((2, 0), (2, 3)), ((4, 0), (0, 6))], ""),
        ([((0, 0), (2, 6))], "have 12 elements"),
        ([((0, 0), (2, 6)), ((1, 0), (2, 6))], "overlap"),
        ([((0, 0), (2, 6)), ((0, 0), (2, 6))], "overlap"),
        ([((0, 0), (4, 5)), ((4, 0), (1, 4))], "goes beyond it"),
        ([((0,), (24,))], "another rank"),
    ],
)
def test_chunks_must_cover_a_tensor_once(
    boxes: list[tuple[tuple[int, ...], tuple[int, ...]]], problem: str
) -> None:
    found = _uncovered((4, 6), boxes)
    assert problem in found if problem else not found
