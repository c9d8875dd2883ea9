"""A path, all shards, a state dict or a module: whatever people give where a checkpoint is taken."""

from pathlib import Path

import numpy as np
import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo.conversion import export
from ml_switcheroo.errors import CheckpointError, UsageError
from ml_switcheroo.formats import open_checkpoint, write_safetensors
from ml_switcheroo.formats.given import as_state, is_files, layers_of, opened
from ml_switcheroo.tensors import TensorSpec


def net():
    torch.manual_seed(0)
    return torch.nn.ModuleDict({"fc": torch.nn.Linear(3, 4), "norm": torch.nn.BatchNorm1d(4)})


def shard(path: Path, *names: str) -> Path:
    specs = dict.fromkeys(names, TensorSpec((2, 3), "float32"))
    write_safetensors(path, specs, ((name, np.full((2, 3), len(name), "f4")) for name in names))
    return path


@pytest.fixture
def shards(tmp_path):
    names = [f"m-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    return [shard(tmp_path / name, f"fc{number}.weight") for number, name in enumerate(names)]


def test_all_shards_without_an_index_are_one_checkpoint(shards, tmp_path):
    for given in (shards, list(map(str, shards)), tuple(reversed(shards))):
        with open_checkpoint(given) as checkpoint:
            assert list(checkpoint) == ["fc0.weight", "fc1.weight", "fc2.weight"]
            assert checkpoint.format == "safetensors-sharded"
            assert checkpoint["fc2.weight"].read().shape == (2, 3)
    layers = {f"fc{number}": "linear" for number in range(3)}
    assert len(ms.make_plan(shards, to="jax", layers=layers).moves) == 3
    ms.convert(shards, tmp_path / "out.npz", to="jax", layers=layers)
    assert sorted(np.load(tmp_path / "out.npz")) == [f"fc{number}.kernel" for number in range(3)]


def test_a_shard_that_is_missing_is_named(shards):
    with pytest.raises(CheckpointError, match=r"1 shards of its series are missing: m-00002-of-00003"):
        open_checkpoint(shards[::2])


def test_a_tensor_in_two_shards_and_no_shards_are_refused(tmp_path):
    one, other = shard(tmp_path / "a.safetensors", "x", "y"), shard(tmp_path / "b.safetensors", "y")
    with pytest.raises(CheckpointError, match=r"y is in .*a.safetensors and .*b.safetensors"):
        open_checkpoint([one, other])
    with pytest.raises(UsageError, match="empty list"):
        open_checkpoint([])


def test_an_output_is_no_shard_of_the_input(shards):
    before = shards[2].read_bytes()
    for given in (shards[0], shards):
        with pytest.raises(UsageError, match="give another name"):
            ms.convert(given, shards[2], to="numpy")
    assert shards[2].read_bytes() == before


def test_a_module_and_its_state_dict_are_converted_as_its_file_is(tmp_path):
    model = net()
    torch.save(model.state_dict(), tmp_path / "w.pt")
    layers = {"fc": "Linear", "norm": "BatchNorm1d"}
    made = []
    for number, given in enumerate((model, model.state_dict(), tmp_path / "w.pt")):
        out = tmp_path / f"{number}.npz"
        ms.convert(given, out, to="nnx", **({} if given is model else {"layers": layers}))
        made.append(dict(np.load(out)))
    assert made[0].keys() == made[1].keys() == made[2].keys()
    assert all(np.array_equal(made[0][name], one[name]) for one in made[1:] for name in one)


def test_tensors_in_memory_that_are_one_are_tied():
    table = torch.ones(3, 2)
    with opened({"a": table, "b": table, "c": table.clone()}) as state:
        assert state.tied == (("a", "b"),)
        assert not state["a"].read().flags.writeable
    assert table.numpy().flags.writeable


def test_the_way_back_takes_a_module(tmp_path):
    model = net()
    ms.convert(model, tmp_path / "out.safetensors", to="nnx")
    export(tmp_path / "out.safetensors", tmp_path / "back.npz", like=model)
    back = np.load(tmp_path / "back.npz")
    assert all(np.array_equal(back[name], value) for name, value in model.state_dict().items())
    with open_checkpoint(tmp_path / "out.safetensors") as state:
        again = ms.to_torch(dict(state), like=model, to="nnx")
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())


def test_a_plan_is_applied_to_a_module():
    model = net()
    leaves = ms.make_plan(model, to="nnx").apply(model)
    assert np.array_equal(leaves["fc.kernel"], model["fc"].weight.detach().numpy().T)


def test_two_states_in_memory_never_pass_for_one():
    """A run that was interrupted does not go on with values that may be others."""
    state = {"a": np.ones(2)}
    with opened(state) as one, opened(state) as other:
        assert one.digest == other.digest
        assert one.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (42, "an int is no checkpoint: give its path"),
        (["a.pt", 3], "a list is no checkpoint"),
        ({"epoch": 3}, r"not a state dict; these entries are no tensors: epoch \(int\)"),
    ],
)
def test_what_is_no_checkpoint_is_refused(given, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        ms.make_plan(given, to="nnx")
    with pytest.raises(UsageError, match=said):
        ms.convert(given, tmp_path / "out.npz", to="nnx")


def test_a_part_is_selected_of_files_alone(tmp_path):
    with pytest.raises(UsageError, match="select= says what is read of a file; a dict is none"):
        ms.convert({"a": np.ones(2)}, tmp_path / "out.npz", to="nnx", select="model")


def test_who_says_what_the_layers_are():
    model = net()
    assert layers_of(model, None) is model
    assert layers_of(model, "model.py:Net") == "model.py:Net"
    assert layers_of(model.state_dict(), None) is None
    assert layers_of("a.pt", None) is None
    assert as_state(model).keys() == model.state_dict().keys()
    assert not is_files(model)
    with pytest.raises(UsageError, match="open checkpoint"):
        as_state("a.pt")
