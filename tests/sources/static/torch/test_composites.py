"""Layers of torch.nn with several tensors or children: recurrent ones, attention, transformers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.sources.live import read_module
from ml_switcheroo.sources.static import read_layers
from sources.reading import run, specs_of

RECURRENT = """
class Net(nn.Module):
    def __init__(self, hidden=6, layers=2):
        super().__init__()
        self.a = nn.LSTM(4, hidden, layers, bidirectional=True)
        self.b = nn.GRU(4, hidden, bias=False)
        self.c = nn.LSTM(4, 6, proj_size=3, batch_first=True)
        self.d = nn.LSTMCell(4, hidden)
        self.e = nn.RNN(3, hidden, nonlinearity="relu")
"""
ATTENTION = """
class Net(nn.Module):
    def __init__(self, width=8, extra=False):
        super().__init__()
        self.a = nn.MultiheadAttention(width, 2)
        self.b = nn.MultiheadAttention(width, 2, kdim=3, vdim=5)
        self.c = nn.MultiheadAttention(width, 2, bias=False, add_bias_kv=True)
        self.d = nn.MultiheadAttention(width, 2, add_bias_kv=extra)
"""
TRANSFORMERS = """
class Layer(nn.TransformerEncoderLayer):
    def __init__(self, width):
        super().__init__(width, 2, 12, batch_first=True)
        self.extra = nn.Embedding(3, width)
class Net(nn.Module):
    def __init__(self, width=8, depth=2):
        super().__init__()
        layer = nn.TransformerEncoderLayer(d_model=width, nhead=2, dim_feedforward=16)
        self.encoder = nn.TransformerEncoder(layer, num_layers=depth, norm=nn.LayerNorm(width))
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(width, 2, 12, bias=False), depth)
        self.whole = nn.Transformer(width, 2, 1, depth, 16)
        self.own = nn.TransformerEncoder(Layer(width), depth)
"""


@pytest.mark.parametrize(
    ("code", "make"),
    [
        (RECURRENT, "Net()"),
        (RECURRENT, "Net(5, 3)"),
        (ATTENTION, "Net()"),
        (ATTENTION, "Net(12, True)"),
        (TRANSFORMERS, "Net()"),
        (TRANSFORMERS, "Net(4, 3)"),
    ],
)
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_every_layer_is_known_as_the_live_model_has_it(tmp_path: Path, code: str, make: str) -> None:
    model = eval(make, run(tmp_path, code).__dict__)
    specs = specs_of(model)
    found = read_layers("model.py:Net", specs, root=tmp_path)
    real = read_module(model, specs)
    assert {key: one.kind for key, one in found.findings.items()} == {
        key: one.kind for key, one in real.findings.items()
    }
    assert found.notes == ()


def test_a_recurrent_layer_of_another_depth_is_a_contradiction(tmp_path: Path) -> None:
    code = "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    model = run(tmp_path, code + "        self.a = nn.LSTM(4, 6, 2)\n").Net()
    (tmp_path / "model.py").write_text(
        "import torch.nn as nn\n" + code + "        self.a = nn.LSTM(4, 6, bidirectional=True)\n"
    )
    found = read_layers("model.py:Net", specs_of(model), root=tmp_path)
    assert "does not make a.bias_hh_l1" in found.notes[0]
    assert "the checkpoint lacks, a.bias_hh_l0_reverse" in found.notes[1]
