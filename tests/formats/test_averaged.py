"""``--ema``: averaged weights as their libraries keep them, under the names of the model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ml_switcheroo import make_plan, open_checkpoint
from ml_switcheroo.errors import CheckpointError


def model(value: float) -> nn.Module:
    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(4, 4)))
    for tensor in made.state_dict().values():
        tensor.fill_(value)
    return made


def opened(tmp_path: Path, content: object, **options) -> dict[str, np.ndarray]:
    torch.save(content, tmp_path / "model.pt")
    with open_checkpoint(tmp_path / "model.pt", ema=True, **options) as checkpoint:
        return {name: tensor.read() for name, tensor in checkpoint.items()}


def prefixed(prefix: str, state) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


OWN, MEAN = model(1).state_dict(), model(2).state_dict()
LIT = {name.replace(".", ""): value for name, value in model(2).named_parameters()}
SHADOW = [value.detach() for value in model(2).parameters()]

FILES = {
    "timm": ({"state_dict": OWN, "state_dict_ema": MEAN, "epoch": 3}, ""),
    "two state dicts": ({"model": OWN, "ema": MEAN, "optimizer": {"state": {}, "param_groups": []}}, ""),
    "ema_pytorch": (
        {**prefixed("online_model.", OWN), **prefixed("ema_model.", MEAN), "step": torch.tensor(3)},
        "online_model.",
    ),
    "in one state dict": ({**prefixed("model.", OWN), **prefixed("ema.", MEAN)}, "model."),
    "without a prefix": ({**OWN, **prefixed("ema.", MEAN)}, ""),
    "in a module": ({"model": OWN, "ema": prefixed("module.", MEAN)}, ""),
    "shadow": ({"model": OWN, "ema": {"shadow": MEAN, "decay": 0.9}}, ""),
    "alone": ({"state_dict": prefixed("ema.", MEAN)}, ""),
}


@pytest.mark.parametrize("name", FILES)
def test_by_name(tmp_path: Path, name: str) -> None:
    content, prefix = FILES[name]
    found = opened(tmp_path, content)
    assert list(found) == [f"{prefix}{name}" for name in OWN]
    assert all((value == 2).all() for value in found.values())


@pytest.mark.parametrize("wrapped", [False, True])
def test_names_without_dots(tmp_path: Path, wrapped: bool) -> None:
    """LitEma keeps parameters only; statistics and all else stay as they are."""
    other = {f"first_stage.{name}": torch.ones(3) for name in ("a.weight", "b.weight")}
    state = prefixed("model.", OWN) | other | prefixed("model_ema.", LIT)
    state |= {"model_ema.decay": torch.tensor(0.9), "model_ema.num_updates": torch.tensor(3)}
    found = opened(tmp_path, {"state_dict": state, "epoch": 3} if wrapped else state)
    assert list(found) == [*prefixed("model.", OWN), *other]
    averaged = {f"model.{name}" for name, _ in model(0).named_parameters()}
    for name, value in found.items():
        assert (value == (2 if name in averaged else 1)).all()


def test_a_list_in_the_order_of_the_parameters(tmp_path: Path) -> None:
    found = opened(tmp_path, {"model": OWN, "ema": {"decay": 0.9, "num_updates": 3, "shadow_params": SHADOW}})
    parameters = dict(model(0).named_parameters())
    assert list(found) == list(OWN)
    for name, value in found.items():
        assert (value == (2 if name in parameters else 1)).all()


def test_a_list_that_is_not_that_of_the_model(tmp_path: Path) -> None:
    for shadow in (SHADOW[:-1], [*SHADOW, SHADOW[0]], SHADOW[::-1]):
        with pytest.raises(CheckpointError, match="the average of nothing that lies beside it") as caught:
            opened(tmp_path, {"model": OWN, "ema": {"shadow_params": shadow}})
        assert "frozen parameters are not in it" in str(caught.value)


def test_it_is_never_guessed(tmp_path: Path) -> None:
    clash = {"model.a.b1": torch.ones(2), "model.a.b.1": torch.ones(2), "model_ema.ab1": torch.ones(2)}
    cases = {
        "no averaged weights are in it": OWN,
        "several averages": {"model": OWN, "ema": MEAN, "model_ema": MEAN},
        "fits several models": {"student": OWN, "teacher": OWN, "ema": MEAN},
        "the average of nothing": {"model": OWN, "ema": {"other.weight": torch.ones(2)}},
        "the same without their dots": clash,
    }
    for problem, content in cases.items():
        with pytest.raises(CheckpointError, match=problem):
            opened(tmp_path, content)


def test_a_plan_of_averaged_weights(tmp_path: Path) -> None:
    torch.save({"model": OWN, "ema": MEAN}, tmp_path / "model.pt")
    with open_checkpoint(tmp_path / "model.pt", ema=True) as checkpoint:
        plan = make_plan(checkpoint, to="nnx", layers=model(0))
        assert all((leaf == 2).all() for leaf in plan.apply(checkpoint).values())
