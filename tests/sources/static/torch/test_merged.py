"""Flattened images that are joined, repeated, gated or cut: each by itself, exactly, or asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import ml_switcheroo as ms
from ml_switcheroo.errors import RuleError
from ml_switcheroo.sources.findings import Flatten, flatten_said
from sources.reading import run

HEAD = """
from einops import rearrange

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1, stride=2)
        self.gate = nn.Linear(6, 96)
        self.vector = nn.Linear(1, 5)
        self.word = nn.Embedding(7, 5)
        self.scale = nn.Parameter(torch.ones(96))
        self.rnn = nn.LSTM(6, 7, batch_first=True)
        self.pools = nn.ModuleList([nn.AdaptiveMaxPool2d(size) for size in (1, 2, 3)])
        self.fc = nn.Linear({size}, 5)

    def mystery(self, *args):
        return torch.ops.mystery.call(*args)

    def forward(self, x, words=None):
        y = self.conv(x)
        b, c, h, w = y.shape
        return self.fc({given})
"""

# What the Linear is given, its size, and what is flattened before it, as a rule says it.
CERTAIN = {
    "one image twice": ("torch.cat([y.flatten(1), y.view(b, -1)], 1)", 192, "2*6*16"),
    "a pyramid": ("torch.cat([pool(y).flatten(1) for pool in self.pools], -1)", 84, "6 + 6*4 + 6*9"),
    "beside a vector": ("torch.cat((self.vector(x.mean((2, 3))), y.flatten(1)), 1)", 101, "5 + 6*16"),
    "hstack": ("torch.hstack((y.flatten(1), self.word(words)))", 101, "6*16 + 5"),
    "channels last": ("rearrange(y, 'b c h w -> b (h w c)')", 96, 1),
    "permuted": ("y.permute(0, 2, 3, 1).reshape(b, -1)", 96, 1),
    "tokens": ("y.flatten(2).transpose(1, 2).flatten(1)", 96, 1),
    "a half of the channels": ("F.glu(y, 1).flatten(1)", 48, 3),
    "a chunk": ("y.chunk(3, dim=1)[0].flatten(1)", 32, 2),
    "unequal parts": ("torch.split(y, [4, 2], dim=1)[0].flatten(1)", 64, 4),
    "joined channels": ("torch.cat([y, F.relu(y)], 1).flatten(1)", 192, 12),
    "a crop": ("y[:, :, 1:, :3].reshape(b, -1)", 54, 6),
    "narrowed": ("y.narrow(2, 0, 2).flatten(1)", 48, 6),
    "a mean over rows": ("y.mean(2).flatten(1)", 24, 6),
    "a mean over channels": ("y.mean(1).flatten(1)", 16, 1),
    "pairs of channels": ("torch.bmm(y.flatten(2), y.flatten(2).transpose(1, 2)).flatten(1)", 36, 1),
    "einsum": ("torch.einsum('bchw,bdhw->bcd', y, y).flatten(1)", 36, 1),
    "patches": ("rearrange(y, 'b c (h p) (w q) -> b (h w) (c p q)', p=2, q=2)", 24, 6),
    "patches by reshape": (
        "y.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * 4)",
        24,
        6,
    ),
    "windows": ("F.unfold(y, 2, stride=2).transpose(1, 2)", 24, 6),
    "columns": ("y.permute(0, 3, 1, 2).flatten(2)", 24, 6),
    "recurrent": ("self.rnn(y.flatten(2).transpose(1, 2))[0].flatten(1)", 112, 1),
    "a functional pool": ("F.max_pool2d(y, 2).flatten(1)", 24, 6),
    "a residual": ("(y + 0.5 * F.relu(y)).flatten(1)", 96, 6),
    "groups": ("y.view(b, 2, 3, h, w).transpose(1, 2).reshape(b, -1)", 96, 6),
    "gated": ("y.flatten(1) * torch.sigmoid(self.gate(y.mean((2, 3))))", 96, 6),
    "scaled by a tensor of its own": ("y.flatten(1) * self.scale", 96, 6),
    "one of two pools": ("(F.avg_pool2d(y, 1) if self.training else F.max_pool2d(y, 1)).flatten(1)", 96, 6),
}

# What has to be among the candidates.
ASKED = {
    "frames": ("self.conv(x.reshape(-1, 1, 8, 8)).reshape(len(words), -1)", 192, "2*6*16"),
    "images of unknown sizes": (
        "torch.cat([y.flatten(1), F.max_pool2d(y, 2).flatten(1)], 1)",
        120,
        "6*16 + 6*4",
    ),
    "beside a vector that is given": ("torch.cat([words, y.flatten(1)], 1)", 103, "7 + 6*16"),
    "something unknown": ("self.mystery(y)", 96, 6),
    "something unknown beside it": ("self.mystery(y.flatten(1), words)", 101, "6*16 + 5"),
    "columns before rows of channels": ("y.transpose(1, 2).flatten(1)", 96, "4*6*4"),
    "folded twice": ("F.pixel_unshuffle(y, 2).flatten(1)", 96, 6),
    "features before places": ("nn.Linear(16, 16)(y.flatten(2)).flatten(1)", 96, 6),
}


def read(folder: Path, given: str, size: int) -> tuple:
    """Return the model and the plan for it, from its source and from the live module, which agree."""
    code = HEAD.replace("{given}", given).replace("{size}", str(size))
    model = run(folder, code).Net()
    static = ms.make_plan(model.state_dict(), to="nnx", layers=f"{folder}/model.py:Net")
    live = ms.make_plan(model.state_dict(), to="nnx", layers=model)
    rules = [[one.rules for one in plan.ambiguous] for plan in (static, live)]
    assert rules[0] == rules[1]
    assert {str(move) for move in static.moves} == {str(move) for move in live.moves}
    return model, static


def channels_last(rows: np.ndarray, said: int | str) -> np.ndarray:
    """Permute rows of (c h w), one image after the other, as a rule says them."""
    parts = flatten_said(said).parts or ((1, int(said), len(rows) // int(said)),)
    found, start = [], 0
    for times, channels, places in parts:
        stop = start + times * channels * places
        part = rows[start:stop].reshape(times, channels, places, *rows.shape[1:])
        found.append(part.swapaxes(1, 2).reshape(rows[start:stop].shape))
        start = stop
    return np.concatenate(found)


@pytest.mark.parametrize("name", CERTAIN)
def test_what_the_code_shows_is_permuted(tmp_path: Path, name: str) -> None:
    given, size, said = CERTAIN[name]
    model, plan = read(tmp_path, given, size)
    assert not plan.ambiguous
    state = model.state_dict()
    kernel = plan.apply(state)["fc.kernel"]
    np.testing.assert_array_equal(kernel, channels_last(state["fc.weight"].numpy().T, said))
    back = (~plan).apply(plan.apply(state))
    assert torch.equal(torch.from_numpy(np.array(back["fc.weight"])), state["fc.weight"])


@pytest.mark.parametrize("name", ASKED)
def test_what_it_does_not_show_is_asked(tmp_path: Path, name: str) -> None:
    given, size, said = ASKED[name]
    model, plan = read(tmp_path, given, size)
    asked = {entry.names[0]: entry for entry in plan.ambiguous}
    rule = next(rule for rule in asked["fc.weight"].rules if f"flatten={said!r}".replace("'", '"') in rule)
    settled = ms.make_plan(model.state_dict(), to="nnx", layers=model, rules=ms.rule_lines.parse_rules(rule))
    assert "fc.weight" not in {name for entry in settled.ambiguous for name in entry.names}
    state = model.state_dict()
    kernel = settled.apply(state, partial=True)["fc.kernel"]
    np.testing.assert_array_equal(kernel, channels_last(state["fc.weight"].numpy().T, said))


def test_what_a_gate_puts_out_is_permuted_too(tmp_path: Path) -> None:
    model, plan = read(tmp_path, *CERTAIN["gated"][:2])
    state, leaves = model.state_dict(), plan.apply(model.state_dict())
    for slot, leaf in (("weight", leaves["gate.kernel"].T), ("bias", leaves["gate.bias"])):
        np.testing.assert_array_equal(leaf, channels_last(state[f"gate.{slot}"].numpy(), 6))


def test_a_tensor_of_its_own_is_permuted_too(tmp_path: Path) -> None:
    model, plan = read(tmp_path, *CERTAIN["scaled by a tensor of its own"][:2])
    state = model.state_dict()
    state["scale"] = torch.arange(96.0)
    np.testing.assert_array_equal(plan.apply(state)["scale"], channels_last(state["scale"].numpy(), 6))


OWN = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(6, 3, 1, 1))
        self.matrix = nn.Parameter(torch.randn({shape}))
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x):
        y = self.norm(F.conv2d(x, self.kernel)).flatten(1)
        return {given}
"""


@pytest.mark.parametrize(
    ("shape", "given", "axis"),
    [
        ("5, 96", "F.linear(y, self.matrix)", 1),
        ("96, 5", "y @ self.matrix", 0),
        ("96, 5", "torch.matmul(y, self.matrix)", 0),
    ],
)
def test_a_matrix_of_its_own_behind_a_convolution_that_is_a_call(tmp_path, shape, given, axis) -> None:
    model = run(tmp_path, OWN.replace("{shape}", shape).replace("{given}", given)).Net()
    plan = ms.make_plan(model.state_dict(), to="nnx", layers=model)
    matrix = model.state_dict()["matrix"].numpy()
    expected = np.moveaxis(channels_last(np.moveaxis(matrix, axis, 0), 6), 0, axis)
    np.testing.assert_array_equal(plan.apply(model.state_dict())["matrix"], expected)


FOLDED = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, stride=2)
        self.one = nn.{layer}(24, 5, 1)

    def forward(self, x):
        y = self.conv(x)
        return self.one({given})
"""


@pytest.mark.parametrize(
    ("layer", "given"),
    [
        ("Conv1d", "y.flatten(1, 2)"),
        ("Conv2d", "F.pixel_unshuffle(y, 2)"),
        ("ConvTranspose1d", "y.flatten(1, 2)"),
    ],
)
def test_places_that_are_folded_into_channels(tmp_path: Path, layer: str, given: str) -> None:
    model = run(tmp_path, FOLDED.replace("{layer}", layer).replace("{given}", given)).Net()
    plan = ms.make_plan(model.state_dict(), to="jax", layers=model)
    plain = ms.make_plan(
        model.state_dict(), to="jax", layers=model, rules=[ms.Kind("one", layer, flatten=1)]
    ).apply(model.state_dict())["one.kernel"]
    found = plan.apply(model.state_dict())["one.kernel"]
    np.testing.assert_array_equal(np.moveaxis(found, -2, 0), channels_last(np.moveaxis(plain, -2, 0), 6))


def test_a_pixel_shuffle_asks_how_the_port_does_it(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3)
        self.up = nn.PixelShuffle(2)
        self.last = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.last(self.up(F.relu(self.conv(x))))
"""
    model = run(tmp_path, code).Net()
    (doubt,) = ms.make_plan(model.state_dict(), to="nnx", layers=model).ambiguous
    assert doubt.rules == ('Kind("conv", "conv", unflatten=1)', 'Kind("conv", "conv", unflatten=3)')


def test_a_rule_of_several_parts() -> None:
    assert flatten_said("6*16 + 2*6*4 + 10") == Flatten(6, parts=((1, 6, 16), (2, 6, 4), (1, 1, 10)))
    assert flatten_said("64") == flatten_said(64) == Flatten(64)
    for wrong in ("6*", "a*b", "", "6*4*3*2", 0, -3, 1.5):
        with pytest.raises(RuleError, match="say how many channels"):
            flatten_said(wrong)
    state = {"fc.weight": np.zeros((2, 20))}
    rule = ms.Kind("fc", "linear", flatten="2*3*2 + 4")
    plan = ms.make_plan(state, to="nnx", rules=[rule])
    assert "is 16" in plan.unexpected["fc.weight"].why


def test_a_rules_file_says_it_too(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[[kind]]\npattern = "fc"\nkind = "linear"\nflatten = "2*3*2 + 4"\n')
    state = {"fc.weight": np.arange(32.0).reshape(2, 16)}
    plan = ms.make_plan(state, to="nnx", rules=tmp_path / "rules.toml")
    leaf = plan.apply(state)["fc.kernel"]
    np.testing.assert_array_equal(leaf, channels_last(state["fc.weight"].T, "2*3*2 + 4"))
    plan.save(tmp_path / "plan.json")
    assert ms.Plan.load(tmp_path / "plan.json").apply(state)["fc.kernel"].tolist() == leaf.tolist()
