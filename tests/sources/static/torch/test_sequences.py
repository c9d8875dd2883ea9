"""What a Linear is given behind a recurrent layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.sources.findings import NO_FLATTEN
from sources.reading import read_and_compare

NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.{layer}(6, 8, {options})
        self.conv = nn.Conv1d(8, 8, 3)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear({width}, 3)

    def forward(self, x, n):
        {forward}
        return self.fc(x)
"""

ORDERED = {
    "the last step": (8, "x, _ = self.rnn(x)\n        x = x[:, -1]"),
    "the last step, every axis named": (8, "x, _ = self.rnn(x)\n        x = x[:, -1, :]"),
    "the last step of what comes first": (8, "x = self.rnn(x)[0][-1]"),
    "some steps": (16, "x, _ = self.rnn(x)\n        x = x[:, -2:].flatten(1)"),
    "all steps, flattened": (40, "x, _ = self.rnn(x)\n        x = x.flatten(1)"),
    "all steps, by their sizes": (40, "x, _ = self.rnn(x)\n        x = x.reshape(x.size(0), -1)"),
    "all steps, by torch.flatten": (40, "x, (h, c) = self.rnn(x)\n        x = torch.flatten(x, 1)"),
    "each step": (8, "x, _ = self.rnn(x)\n        x = x.reshape(-1, 8)"),
    "each step, normed": (8, "x, _ = self.rnn(x)\n        x = F.dropout(self.norm(x), 0.1)"),
    "the mean of the steps": (8, "x, _ = self.rnn(x)\n        x = x.mean(1)"),
    "the last state": (8, "_, (h, _) = self.rnn(x)\n        x = h[-1]"),
    "packed": (
        8,
        "p = nn.utils.rnn.pack_padded_sequence(x, n, batch_first=True)\n        x, _ = self.rnn(p)\n"
        "        x, _ = nn.utils.rnn.pad_packed_sequence(x, batch_first=True)\n        x = x[:, -1]",
    ),
    "both directions": (16, "_, (h, _) = self.rnn(x)\n        x = torch.cat([h[-2], h[-1]], dim=1)"),
    "two of them": (
        40,
        "x, _ = self.rnn(x)\n        y, _ = self.rnn(x)\n        x = (x + y).reshape(len(x), -1)",
    ),
}


@pytest.mark.parametrize("name", ORDERED)
def test_steps_and_units_lie_in_the_same_order_everywhere(tmp_path: Path, name: str) -> None:
    width, forward = ORDERED[name]
    code = NET.format(layer="LSTM", options="batch_first=True", width=width, forward=forward)
    assert read_and_compare(tmp_path, code).findings["fc"].flatten == NO_FLATTEN


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        ("GRU", ""),
        ("RNN", "2"),
        ("GRU", "bidirectional=True"),
        ("LSTM", "proj_size=4"),
        ("GRU", "bias=False"),
    ],
)
def test_every_recurrent_layer(tmp_path: Path, layer: str, options: str) -> None:
    forward = "x, h = self.rnn(x)\n        x = x.flatten(1)"
    code = NET.format(layer=layer, options=options, width=40, forward=forward)
    assert read_and_compare(tmp_path, code).findings["fc"].flatten == NO_FLATTEN


@pytest.mark.parametrize(("layer", "unpacked"), [("GRUCell", "h"), ("LSTMCell", "h, c"), ("RNNCell", "h")])
def test_every_cell(tmp_path: Path, layer: str, unpacked: str) -> None:
    forward = f"{unpacked} = self.rnn(x)\n        x = h"
    code = NET.format(layer=layer, options="", width=8, forward=forward)
    assert read_and_compare(tmp_path, code).findings["fc"].flatten == NO_FLATTEN


@pytest.mark.parametrize(
    "forward",
    [
        pytest.param("x, _ = self.rnn(x)\n        x = x.transpose(1, 2).flatten(1)", id="units-before-steps"),
        pytest.param("x, _ = self.rnn(x)\n        x = x.view(*x.shape[:1], -1)[:, n]", id="an-unknown-index"),
    ],
)
def test_other_orders_are_asked(tmp_path: Path, forward: str) -> None:
    code = NET.format(layer="LSTM", options="batch_first=True", width=40, forward=forward)
    knowledge = read_and_compare(tmp_path, code, unknown=("fc.weight", "fc.bias"))
    assert {1, 8} <= {finding.flatten.channels for finding in knowledge.candidates["fc"]}


def test_the_states_of_all_layers_lie_in_the_same_order_everywhere(tmp_path: Path) -> None:
    forward = "_, (h, _) = self.rnn(x)\n        x = h.transpose(0, 1).flatten(1)"
    code = NET.format(layer="LSTM", options="batch_first=True", width=40, forward=forward)
    assert read_and_compare(tmp_path, code).findings["fc"].flatten == NO_FLATTEN


def test_a_convolution_behind_it_makes_an_image_again(tmp_path: Path) -> None:
    forward = "x, _ = self.rnn(x)\n        x = self.conv(x.transpose(1, 2)).flatten(1)"
    code = NET.format(layer="LSTM", options="batch_first=True", width=24, forward=forward)
    flatten = read_and_compare(tmp_path, code).findings["fc"].flatten
    assert flatten is not None
    assert (flatten.channels, flatten.of) == (8, "conv")


@pytest.mark.parametrize(
    ("take", "channels"),
    [
        ("x[:, :, 0].flatten(1)", 8),
        ("x[..., 1:].flatten(1)", 8),
        ("x[:, :4].flatten(1)", 4),
        ("x[:, 0]", 1),
    ],
)
def test_a_part_of_a_feature_map(tmp_path: Path, take: str, channels: int | None) -> None:
    code = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(32, 3)

    def forward(self, x):
        x = self.conv(x)
        return self.fc({take})
"""
    flatten = read_and_compare(tmp_path, code).findings["fc"].flatten
    assert (flatten and flatten.channels) == channels
