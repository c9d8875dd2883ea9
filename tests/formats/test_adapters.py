"""``--merge``: adapters of LoRA, against the formula in torch; what is not understood is refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn

from ml_switcheroo import make_plan, open_checkpoint
from ml_switcheroo.cli import cli
from ml_switcheroo.errors import CheckpointError

RANK, ALPHA = 4, 10


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.fc = nn.Linear(8, 12)
        self.square = nn.Linear(12, 12)
        self.conv = nn.Conv2d(3, 6, 3)
        self.point = nn.Conv2d(6, 5, 1)
        self.inward = nn.Parameter(torch.randn(8, 12))  # as transformers' Conv1D


STATE = {name.replace("inward", "inward.weight"): value for name, value in Net().state_dict().items()}


def parts(path: str, inner: tuple[int, ...], outer: int, rank: int = RANK) -> dict[str, torch.Tensor]:
    head = f"base_model.model.{path}.lora_"
    ones = [1] * (len(inner) - 1)
    return {f"{head}A.weight": torch.randn(rank, *inner), f"{head}B.weight": torch.randn(outer, rank, *ones)}


def saved(folder: Path, adapter: dict[str, torch.Tensor], dtype=torch.float32, **config) -> Path:
    torch.save({name: value.to(dtype) for name, value in STATE.items()}, folder / "base.pt")
    (folder / "adapter").mkdir(exist_ok=True)
    safetensors.torch.save_file(adapter, folder / "adapter" / "adapter_model.safetensors")
    said = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, **config}
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(said))
    return folder / "adapter"


def merged(folder: Path, adapter: dict[str, torch.Tensor], **config) -> dict[str, np.ndarray]:
    place = saved(folder, adapter, **config)
    with open_checkpoint(folder / "base.pt", merge=place) as checkpoint:
        assert set(STATE) <= set(checkpoint)
        found = {name: tensor.read() for name, tensor in checkpoint.items()}
    touched = {name.removeprefix("base_model.model.").partition(".lora_")[0] for name in adapter}
    for name, value in STATE.items():
        if name.rpartition(".")[0] not in touched:
            np.testing.assert_array_equal(found[name], value.numpy())
    return found


@pytest.mark.parametrize("rslora", [False, True])
def test_linear_layers(tmp_path: Path, rslora: bool) -> None:
    adapter = parts("fc", (8,), 12) | parts("square", (12,), 12)
    found = merged(tmp_path, adapter, use_rslora=rslora)
    scale = ALPHA / (math.sqrt(RANK) if rslora else RANK)
    for path in ("fc", "square"):
        a, b = (adapter[f"base_model.model.{path}.lora_{side}.weight"] for side in "AB")
        expected = STATE[f"{path}.weight"] + scale * b @ a
        np.testing.assert_allclose(found[f"{path}.weight"], expected, rtol=1e-5, atol=1e-5)


def test_patterns_of_rank_and_alpha(tmp_path: Path) -> None:
    adapter = parts("fc", (8,), 12) | parts("square", (12,), 12, rank=2)
    found = merged(tmp_path, adapter, rank_pattern={"square": 2}, alpha_pattern={"^fc": 3})
    for path, scale in (("fc", 3 / RANK), ("square", ALPHA / 2)):
        a, b = (adapter[f"base_model.model.{path}.lora_{side}.weight"] for side in "AB")
        expected = STATE[f"{path}.weight"] + scale * b @ a
        np.testing.assert_allclose(found[f"{path}.weight"], expected, rtol=1e-5, atol=1e-5)


def test_convolutions(tmp_path: Path) -> None:
    """As two convolutions, one behind the other."""
    adapter = parts("conv", (3, 3, 3), 6) | parts("point", (6, 1, 1), 5)
    found = merged(tmp_path, adapter)
    for path, width in (("conv", 3), ("point", 6)):
        image = torch.randn(1, width, 5, 5)
        a, b = (adapter[f"base_model.model.{path}.lora_{side}.weight"] for side in "AB")
        own = nn.functional.conv2d(image, STATE[f"{path}.weight"])
        expected = own + ALPHA / RANK * nn.functional.conv2d(nn.functional.conv2d(image, a), b)
        made = nn.functional.conv2d(image, torch.tensor(found[f"{path}.weight"]))
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


def test_embeddings_and_weights_stored_inward_first(tmp_path: Path) -> None:
    adapter = parts("inward", (8,), 12)
    adapter["base_model.model.table.lora_embedding_A"] = torch.randn(RANK, 11)
    adapter["base_model.model.table.lora_embedding_B"] = torch.randn(8, RANK)
    found = merged(tmp_path, adapter, fan_in_fan_out=True)
    a, b = (adapter[f"base_model.model.table.lora_embedding_{side}"] for side in "AB")
    expected = STATE["table.weight"] + ALPHA / RANK * (b @ a).T
    np.testing.assert_allclose(found["table.weight"], expected, rtol=1e-5, atol=1e-5)
    a, b = (adapter[f"base_model.model.inward.lora_{side}.weight"] for side in "AB")
    expected = STATE["inward.weight"] + ALPHA / RANK * (b @ a).T
    np.testing.assert_allclose(found["inward.weight"], expected, rtol=1e-5, atol=1e-5)


def test_dora(tmp_path: Path) -> None:
    adapter = parts("fc", (8,), 12)
    adapter["base_model.model.fc.lora_magnitude_vector"] = torch.rand(12) + 0.5
    found = merged(tmp_path, adapter, use_dora=True)
    a, b = (adapter[f"base_model.model.fc.lora_{side}.weight"] for side in "AB")
    weight = STATE["fc.weight"] + ALPHA / RANK * b @ a
    expected = adapter["base_model.model.fc.lora_magnitude_vector"][:, None] * nn.functional.normalize(weight)
    np.testing.assert_allclose(found["fc.weight"], expected, rtol=1e-5, atol=1e-5)


def test_what_was_trained_itself_is_taken_as_it_is(tmp_path: Path) -> None:
    adapter = parts("fc", (8,), 12)
    adapter["base_model.model.fc.base_layer.bias"] = torch.full((12,), 7.0)
    adapter["base_model.model.point.weight"] = torch.full((5, 6, 1, 1), 8.0)
    adapter["base_model.model.score.weight"] = torch.full((2, 12), 9.0)
    place = saved(tmp_path, adapter, modules_to_save=["score"], bias="all")
    with open_checkpoint(tmp_path / "base.pt", merge=place) as checkpoint:
        values = [checkpoint[name].read().flat[0] for name in ("fc.bias", "point.weight", "score.weight")]
    assert values == [7, 8, 9]


def test_it_is_rounded_once(tmp_path: Path) -> None:
    adapter = parts("fc", (8,), 12)
    place = saved(tmp_path, adapter, dtype=torch.bfloat16)
    a, b = (adapter[f"base_model.model.fc.lora_{side}.weight"] for side in "AB")
    base = STATE["fc.weight"].bfloat16().double()
    exact = base + ALPHA / RANK * b.double() @ a.double()
    with open_checkpoint(tmp_path / "base.pt", merge=place) as checkpoint:
        found = checkpoint["fc.weight"].read()
        assert str(found.dtype) == "bfloat16"
    error = np.abs(found.astype("float64") - exact.numpy())
    assert (error <= np.abs(exact.numpy()) * 2**-8 * 1.01).all()


REFUSED = {
    "rank 4": (parts("fc", (8,), 12, rank=3), {}),
    "has no gone.weight": (parts("gone", (8,), 12), {}),
    r"B A is \[12, 9\]": (parts("fc", (9,), 12), {}),
    "have to be there, both": ({"base_model.model.fc.lora_A.weight": torch.ones(RANK, 8)}, {}),
    "not a part of LoRA that is merged": (
        parts("fc", (8,), 12) | {"base_model.model.fc.lora_B.bias": torch.ones(12)},
        {},
    ),
    "no lora_A and lora_B": ({"base_model.model.fc.weight": torch.ones(12, 8)}, {}),
    "an adapter of the type 'IA3'": (parts("fc", (8,), 12), {"peft_type": "IA3"}),
    "init_lora_weights=pissa": (parts("fc", (8,), 12), {"init_lora_weights": "pissa_niter_4"}),
    "layer_replication": (parts("fc", (8,), 12), {"layer_replication": [[0, 4]]}),
    "do not go together": (parts("fc", (8,), 12), {"use_dora": True}),
    "lora_alpha is None": (parts("fc", (8,), 12), {"lora_alpha": None}),
    "is no pattern": (parts("fc", (8,), 12), {"rank_pattern": {"(": 3}}),
}


@pytest.mark.parametrize("problem", REFUSED)
def test_what_is_not_understood_is_refused(tmp_path: Path, problem: str) -> None:
    adapter, config = REFUSED[problem]
    place = saved(tmp_path, adapter, **config)
    with pytest.raises(CheckpointError, match=problem):
        open_checkpoint(tmp_path / "base.pt", merge=place)


def test_an_adapter_without_its_configuration(tmp_path: Path) -> None:
    place = saved(tmp_path, parts("fc", (8,), 12))
    (place / "adapter_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"adapter_config\.json"):
        open_checkpoint(tmp_path / "base.pt", merge=place)
    (place / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no adapter"):
        open_checkpoint(tmp_path / "base.pt", merge=place)


def test_a_plan_and_a_conversion(tmp_path: Path) -> None:
    adapter = parts("fc", (8,), 12)
    place = saved(tmp_path, adapter)
    torch.save({"fc.weight": STATE["fc.weight"], "fc.bias": STATE["fc.bias"]}, tmp_path / "base.pt")
    out = tmp_path / "out.npz"
    words = ["convert", tmp_path / "base.pt", out, "--to", "nnx", "--merge", place]
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    a, b = (adapter[f"base_model.model.fc.lora_{side}.weight"] for side in "AB")
    expected = STATE["fc.weight"] + ALPHA / RANK * b @ a
    with np.load(out) as made:
        np.testing.assert_allclose(made["fc.kernel"], expected.T, rtol=1e-5, atol=1e-5)


def test_an_adapter_alone_is_mapped_as_it_is(tmp_path: Path) -> None:
    plan = make_plan(saved(tmp_path, parts("fc", (8,), 12)), to="nnx")
    plan.check()
    assert {move.leaves[0].rpartition(".")[2] for move in plan.moves} == {"kernel"}
