"""What DeepSpeed saves (``samples/make_deepspeed.py``), beside what DeepSpeed itself makes of it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.tensors import as_numpy

SAMPLES = Path(__file__).parent / "samples" / "deepspeed"
BUFFERS = {"shift", "steps"}


def truth(folder: Path) -> dict[str, torch.Tensor]:
    """Return what DeepSpeed says, or the file of the model where it says nothing."""
    module = torch.load(folder / "step2" / "mp_rank_00_model_states.pt", weights_only=True)["module"]
    if not (folder / "whole.pt").is_file():
        return module
    return {**module, **torch.load(folder / "whole.pt", weights_only=True)}


@pytest.mark.parametrize("sample", ["zero0", "zero1-bf16", "zero2"])
def test_it_is_what_deepspeed_makes_of_it(sample: str) -> None:
    whole = truth(SAMPLES / sample)
    with ms.open_checkpoint(SAMPLES / sample) as checkpoint:
        assert checkpoint.format == "deepspeed"
        assert checkpoint.tied == (("embed.weight", "head.weight"),)
        assert checkpoint.extras["global_steps"] == 2
        assert set(checkpoint) == set(whole)
        for name in checkpoint.keys() - BUFFERS:
            assert checkpoint[name].read().tobytes() == as_numpy(whole[name]).tobytes()


def test_stage_3() -> None:
    whole = torch.load(SAMPLES / "zero3-bf16" / "whole.pt", weights_only=True)
    with ms.open_checkpoint(SAMPLES / "zero3-bf16") as checkpoint:
        assert checkpoint.tied == (("embed.weight", "head.weight"),)
        assert checkpoint.keys() == whole.keys()
        for name in checkpoint.keys() - BUFFERS:
            assert checkpoint[name].read().tobytes() == as_numpy(whole[name]).tobytes()
            np.testing.assert_array_equal(checkpoint[name][1:3], as_numpy(whole[name])[1:3])
        assert checkpoint.specs["frozen.weight"].dtype == "bfloat16"
        np.testing.assert_array_equal(checkpoint["shift"].read(), whole["shift"].numpy())
        assert checkpoint["steps"].read() == 7


def test_it_converts_with_its_layouts(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    kinds = {"embed": "embedding", "blocks.{i}.norm": "layer_norm", "blocks.{i}.fc{n}": "linear"}
    rules = [ms.Kind(pattern, kind) for pattern, kind in kinds.items()]
    rules += [ms.Kind("frozen", "linear"), ms.Kind("head", "linear"), ms.Drop("shift", why="a buffer")]
    ms.convert(SAMPLES / "zero3-bf16", out, to="jax", rules=[*rules, ms.Drop("steps", why="a buffer")])
    with ms.open_checkpoint(out) as made, ms.open_checkpoint(SAMPLES / "zero3-bf16") as source:
        for kernel, weight in {
            "blocks_1.fc1.kernel": "blocks.1.fc1.weight",
            "head.kernel": "embed.weight",
        }.items():
            np.testing.assert_array_equal(made[kernel].read(), source[weight].read().T)
        np.testing.assert_array_equal(made["embed.embedding"].read(), source["embed.weight"].read())


def test_the_folder_of_a_step_and_steps_without_latest(tmp_path: Path) -> None:
    with ms.open_checkpoint(SAMPLES / "zero2" / "step2") as checkpoint:
        assert len(checkpoint) == 16
    shutil.copytree(SAMPLES / "zero2" / "step2", tmp_path / "step2")
    shutil.copytree(SAMPLES / "zero2" / "step2", tmp_path / "step4")
    with pytest.raises(CheckpointError, match="holds 2 checkpoints of DeepSpeed") as caught:
        ms.open_checkpoint(tmp_path)
    assert "\n  step2\n  step4" in caught.value.cure
    (tmp_path / "latest").write_text("../step2")
    with pytest.raises(CheckpointError, match="holds 2 checkpoints"):
        ms.open_checkpoint(tmp_path)
    with pytest.raises(UsageError, match="select="):
        ms.open_checkpoint(SAMPLES / "zero2", select="module")


def change(path: Path, edit: Callable[[Any], object]) -> None:
    """Save a file of a sample anew."""
    with torch.serialization.safe_globals([]):
        content = torch.load(path, weights_only=True)
    edit(content)
    torch.save(content, path)


def optimizer(path: Path, edit: Callable[[Any], object]) -> None:
    """Write the states of an optimizer anew, without the classes of DeepSpeed."""
    key = "single_partition_of_fp32_groups"
    with ms.open_checkpoint(path, select=f"optimizer_state_dict.{key}") as checkpoint:
        groups = [torch.from_numpy(np.array(tensor)) for tensor in checkpoint.values()]
    states = {key: groups, "zero_stage": 2, "partition_count": [2, 2]}
    edit(states)
    torch.save({"optimizer_state_dict": states}, path)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (
            lambda step: (step / "zero_pp_rank_0_mp_rank_00_optim_states.pt").unlink(),
            "optim states of rank 0",
        ),
        (
            lambda step: (step / "zero_pp_rank_1_mp_rank_00_optim_states.pt").unlink(),
            "1 ranks, but the run had 2",
        ),
        (lambda step: (step / "mp_rank_00_model_states.pt").unlink(), "without the states of its model"),
        (lambda step: (step / "mp_rank_01_model_states.pt").touch(), "tensor parallelism"),
        (lambda step: (step / "layer_01-model_00-model_states.pt").touch(), "a pipeline or of experts"),
        (lambda step: (step / "bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt").touch(), "a second file"),
        (
            lambda step: change(
                step / "mp_rank_00_model_states.pt",
                lambda saved: saved["param_shapes"][0].update({"embed.weight": torch.Size((1, 5))}),
            ),
            "but the slices have",
        ),
        (
            lambda step: change(
                step / "mp_rank_00_model_states.pt",
                lambda saved: saved["param_shapes"][0].update({"embed.weight": torch.Size((50, 5))}),
            ),
            "elements of their parameters",
        ),
        (
            lambda step: change(
                step / "mp_rank_00_model_states.pt", lambda saved: saved["module"].pop("blocks.0.fc1.weight")
            ),
            "'blocks.0.fc1.weight' is trained, but not part",
        ),
        (
            lambda step: optimizer(
                step / "zero_pp_rank_0_mp_rank_00_optim_states.pt",
                lambda states: states.update(zero_stage=4),
            ),
            "stage 4",
        ),
        (
            lambda step: optimizer(
                step / "zero_pp_rank_0_mp_rank_00_optim_states.pt",
                lambda states: states.update(partition_count=[2, 4]),
            ),
            r"cut into \[2, 4\] slices",
        ),
        (
            lambda step: optimizer(
                step / "zero_pp_rank_0_mp_rank_00_optim_states.pt",
                lambda states: states.update(param_alignment_paddings=[[0], [-1]]),
            ),
            "groups of the optimizer that differ",
        ),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path: Path, edit: Callable[[Path], object], problem: str) -> None:
    step = shutil.copytree(SAMPLES / "zero2" / "step2", tmp_path / "step2")
    edit(step)
    with pytest.raises(CheckpointError, match=problem):
        ms.open_checkpoint(step)


def test_a_name_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (eval, ("1 + 1",))

    step = shutil.copytree(SAMPLES / "zero2" / "step2", tmp_path / "step2")
    change(step / "mp_rank_00_model_states.pt", lambda saved: saved.update(more=Evil()))
    with pytest.raises(CheckpointError, match=r"names builtins\.eval, which runs code"):
        ms.open_checkpoint(step)
