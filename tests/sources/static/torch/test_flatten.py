"""The Flatten before a Linear: found in ``forward``, with the channels the checkpoint shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from ml_switcheroo.sources.findings import NO_FLATTEN, Flatten
from ml_switcheroo.sources.live import read_module
from ml_switcheroo.sources.static import read_layers
from sources.reading import read_and_compare, run, specs_of

NET = """
class Net(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Dropout(0.1),
        )
        self.fc1 = nn.Linear(width * 16, 12)
        self.fc2 = nn.Linear(12, 10)
        self.flat = nn.Flatten()

    def forward(self, x):
        x = self.features(x)
        {flatten}
        x = F.relu(self.fc1(x))
        return self.fc2(x)
"""

FLATTENS = {
    "torch.flatten": "x = torch.flatten(x, 1)",
    "keyword": "x = torch.flatten(x, start_dim=1)",
    "method": "x = x.flatten(1)",
    "layer": "x = self.flat(x)",
    "view of size(0)": "x = x.view(x.size(0), -1)",
    "view of shape[0]": "x = x.view(x.shape[0], -1)",
    "reshape of len": "x = x.reshape(len(x), -1)",
    "rest and a number": "x = x.view(-1, 96)",
    "batch as a name": "b = x.size(0)\n        x = x.view(b, -1)",
    "all sizes": "b, c, h, w = x.shape\n        x = x.reshape(b, c * h * w)",
    "a tuple": "x = x.view((x.size(0), -1))",
    "torch.reshape": "x = torch.reshape(x, (x.shape[0], -1))",
    "pool before": "x = F.max_pool2d(x, 1)\n        x = x.flatten(1)",
    "in two steps": "x = x.flatten(2)\n        x = x.flatten(1)",
    "after an addition": "x = x + 0.5 * self.features[1](x)\n        x = x.flatten(1)",
    "after a branch": "if self.training:\n            x = F.dropout(x)\n        x = x.flatten(1)",
}


@pytest.mark.parametrize("name", FLATTENS)
@pytest.mark.parametrize("width", [6, 4])
def test_a_flatten_of_a_feature_map_is_found(tmp_path: Path, name: str, width: int) -> None:
    knowledge = read_and_compare(tmp_path, NET.replace("{flatten}", FLATTENS[name]), f"Net({width})")
    flatten = knowledge.findings["fc1"].flatten
    assert flatten is not None
    assert (flatten.channels, flatten.of) == (width, "features.0")
    assert flatten.where.startswith("model.py:")
    assert knowledge.findings["fc2"].flatten == NO_FLATTEN


def test_the_place_is_the_line_of_the_flatten(tmp_path: Path) -> None:
    knowledge = read_and_compare(tmp_path, NET.replace("{flatten}", "x = x.flatten(1)"))
    lines = (tmp_path / "model.py").read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(lines) if "x.flatten(1)" in text)
    assert knowledge.findings["fc1"].flatten == Flatten(6, "features.0", f"model.py:{line}")


def test_a_size_worked_out_in_a_loop(tmp_path: Path) -> None:
    code = (
        NET.replace("{flatten}", "x = x.view(-1, self.count(x))")
        + """
    def count(self, x):
        number = 1
        for size in x.size()[1:]:
            number *= size
        return number
"""
    )
    assert read_and_compare(tmp_path, code).findings["fc1"].flatten.channels == 6


def test_a_global_pool_makes_the_flatten_harmless(tmp_path: Path) -> None:
    code = NET.replace("width * 16", "width").replace(
        "{flatten}", "x = F.adaptive_avg_pool2d(x, 1).flatten(1)"
    )
    flatten = read_and_compare(tmp_path, code).findings["fc1"].flatten
    assert flatten in (NO_FLATTEN, Flatten(6, "features.0", flatten.where))


@pytest.mark.parametrize("change", ["x = x.mean((2, 3))", "x = x.mean([-2, -1])", "x = x.amax(dim=(2, 3))"])
def test_a_mean_over_space_is_no_flatten(tmp_path: Path, change: str) -> None:
    code = NET.replace("width * 16", "width").replace("{flatten}", change)
    assert read_and_compare(tmp_path, code).findings["fc1"].flatten == NO_FLATTEN


FC1 = ("fc1.weight", "fc1.bias")


def possible(knowledge, path: str = "fc1") -> list:
    """Return what may be flattened before a layer, as rules say it."""
    assert path not in knowledge.findings
    return [finding.flatten.said for finding in knowledge.candidates[path]]


@pytest.mark.parametrize(
    "change",
    [
        "x = mystery(x)",
        "x = x.reshape(3, 5, 7)",
        "x = torch.stack([x, x]).flatten(1)",
        "x = torch.tensor(x.tolist()).flatten(1)",
    ],
)
def test_what_cannot_be_followed_is_asked(tmp_path: Path, change: str) -> None:
    (tmp_path / "somewhere.py").write_text("")
    code = NET.replace("{flatten}", change).replace(
        "x = mystery(x)", "from somewhere import mystery\n        x = mystery(x)"
    )
    asked = possible(read_and_compare(tmp_path, code, unknown=FC1))
    assert asked[0] == 1
    assert 6 in asked


def test_a_part_of_the_channels_is_counted(tmp_path: Path) -> None:
    code = NET.replace("{flatten}", "x = x[:, ::2].flatten(1)").replace("width * 16", "width * 8")
    assert read_and_compare(tmp_path, code).findings["fc1"].flatten.channels == 3


def test_channels_that_come_from_two_layers_are_asked(tmp_path: Path) -> None:
    code = NET.replace(
        "{flatten}", "x = self.other(x) if x.shape[2] > 3 else x\n        x = x.flatten(1)"
    ).replace("self.flat =", "self.other = nn.Conv2d(width, 3, 1)\n        self.flat =")
    assert {1, 3, 6} <= set(possible(read_and_compare(tmp_path, code, unknown=FC1)))


def test_a_sequential_is_followed_through_its_flatten(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 5), nn.ReLU(), nn.Linear(5, 2)
        )

    def forward(self, x):
        return self.net(x)
"""
    knowledge = read_and_compare(tmp_path, code)
    assert knowledge.findings["net.3"].flatten.channels == 4
    assert knowledge.findings["net.3"].flatten.of == "net.0"
    assert knowledge.findings["net.5"].flatten == NO_FLATTEN


@pytest.mark.parametrize(
    "change",
    ["x = x.view(x.size(0), -1)", "x = x.view(x.shape[0], 12)", "x = x.flatten(1)", "x = x.view(-1, 12)"],
)
def test_a_flatten_of_the_input_itself_is_left_open(tmp_path: Path, change: str) -> None:
    # Whether an image comes in, and how many channels it has, stands nowhere.
    code = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 5)

    def forward(self, x):
        {change}
        return self.fc(x)
"""
    assert read_and_compare(tmp_path, code).findings["fc"].flatten is None


EINOPS = {
    "function": ("x = rearrange(x, 'b c h w -> b (c h w)')", 6),
    "layer": ("x = self.flat(x)", 6),
    "channels last": ("x = rearrange(x, 'b c h w -> b (h w c)')", 1),
    "in two steps": ("x = rearrange(rearrange(x, 'b c h w -> b c (h w)'), 'b c n -> b (c n)')", 6),
    "with sizes": ("x = rearrange(x, 'b c (h p) w -> b (c h p w)', p=2)", 6),
    "an ellipsis": ("x = rearrange(x, 'b ... -> b (...)')", 6),
}


@pytest.mark.parametrize("name", EINOPS)
def test_a_rearrange_of_einops(tmp_path: Path, name: str) -> None:
    change, channels = EINOPS[name]
    layer = "Rearrange('b c h w -> b (c h w)')"
    code = NET.replace("{flatten}", change).replace("nn.Flatten()", layer)
    code = "from einops import rearrange\nfrom einops.layers.torch import Rearrange\n" + code
    unknown = FC1 if channels is None else ()
    knowledge = read_and_compare(tmp_path, code, unknown=unknown)
    if channels is None:
        assert 6 in possible(knowledge)
    else:
        assert knowledge.findings["fc1"].flatten.channels == channels


def test_the_layers_of_einops_keep_no_tensors(tmp_path: Path) -> None:
    code = """
from einops.layers.torch import Rearrange, Reduce

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            Rearrange('b c (h p) (w q) -> b (h w) (p q c)', p=4, q=4), nn.Linear(48, 6), nn.LayerNorm(6),
            Reduce('b n c -> b c', 'mean'), nn.Linear(6, 2),
        )

    def forward(self, x):
        return self.net(x)
"""
    findings = read_and_compare(tmp_path, code).findings
    assert {path: one.kind for path, one in findings.items()} == {
        "net.1": "linear",
        "net.2": "layer_norm",
        "net.4": "linear",
    }
    assert findings["net.1"].flatten == NO_FLATTEN, "the channels are last"


OUT = ("attn.out_proj.weight", "attn.out_proj.bias")  # of the attention
POOLED = """
class Head(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d({size})
        self.out = nn.Linear(width * {size} ** 2, classes)

    def forward(self, x):
        return self.out(self.pool(x).flatten(1))


class Net(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3)
        self.rnn = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.attn = nn.MultiheadAttention(2 * width, 4, batch_first=True)
        self.proj = nn.Linear(2 * width, width)
        self.head = Head(width, 5)

    def forward(self, x):
        x = self.stem(x)
        n, c, h, w = x.shape
        t, _ = self.rnn(x.flatten(2).transpose(1, 2))
        t, _ = self.attn(t, t, t)
        t = self.proj(t)
        return self.head(t.transpose(1, 2).reshape(n, c, h, w))
"""


def test_the_places_of_a_pool_show_how_many_channels_there_are(tmp_path: Path) -> None:
    code = POOLED.replace("{size}", "2")
    static = read_and_compare(tmp_path, code, unknown=OUT)
    model = run(tmp_path, code).Net()
    for knowledge in (static, read_module(model, specs_of(model))):
        assert knowledge.findings["proj"].flatten == NO_FLATTEN
        assert knowledge.findings["head.out"].flatten.channels == 12


def test_an_image_of_channels_that_nobody_knows_is_a_choice(tmp_path: Path) -> None:
    code = POOLED.replace("AdaptiveAvgPool2d({size})", "AvgPool2d(2)").replace("{size}", "2")
    static = read_and_compare(tmp_path, code, unknown=(*OUT, "head.out.weight", "head.out.bias"))
    model = run(tmp_path, code).Net()
    for knowledge in (static, read_module(model, specs_of(model))):
        assert {1, 12} <= set(possible(knowledge, "head.out"))


def test_an_image_of_one_place_is_no_choice(tmp_path: Path) -> None:
    knowledge = read_and_compare(tmp_path, POOLED.replace("{size}", "1"), unknown=OUT)
    assert knowledge.findings["head.out"].flatten == NO_FLATTEN


def test_a_norm_of_layers_put_together_names_the_channels(tmp_path: Path) -> None:
    code = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 2, 3)
        self.norm = nn.BatchNorm2d(6)
        self.fc = nn.Linear(24, 3)

    def forward(self, x):
        x = torch.cat([self.one(x), self.two(x)], 1)
        return self.fc(torch.flatten(F.relu(self.norm(x)), 1))
"""
    flatten = read_and_compare(tmp_path, code).findings["fc"].flatten
    assert flatten is not None
    assert (flatten.channels, flatten.of) == (6, "norm")


CRNN = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.rnn = nn.{cell}(6 * {rows}, 5, batch_first=True)
        self.fc = nn.Linear(5, 3)

    def forward(self, x):
        x = self.conv(x)
        x = x.permute(0, 3, 1, 2).flatten(2)
        out, _ = self.rnn(x)
        return self.fc(out)
"""


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_an_image_that_is_flattened_before_a_recurrent_layer_is_named(tmp_path: Path, cell: str) -> None:
    knowledge = read_and_compare(tmp_path, CRNN.replace("{cell}", cell).replace("{rows}", "4"))
    (note,) = knowledge.notes
    assert note.startswith("rnn: where 6 channels of conv model.py:")
    assert knowledge.findings["fc"].flatten == NO_FLATTEN


def test_one_row_before_a_recurrent_layer_is_nothing_to_name(tmp_path: Path) -> None:
    code = CRNN.replace("{cell}", "LSTM").replace("{rows}", "1")
    assert not read_and_compare(
        tmp_path, code.replace("nn.Conv2d", "nn.Conv1d").replace("0, 3, 1, 2", "0, 2, 1")
    ).notes


TURNED = """
class Turned(nn.Linear):
    def forward(self, x):
        return {product}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.fc = Turned(64, 64, bias=False)

    def forward(self, x):
        return self.fc(torch.flatten(torch.relu(self.conv(x)), 1))
"""


@pytest.mark.parametrize("product", ["x @ self.weight", "torch.matmul(x, self.weight)"])
@pytest.mark.parametrize("how", ["static", "live"])
def test_a_flatten_before_a_matrix_that_is_used_the_other_way_round(
    tmp_path: Path, product: str, how: str
) -> None:
    model = run(tmp_path, TURNED.replace("{product}", product)).Net()
    specs = specs_of(model)
    known = (
        read_layers(f"{tmp_path / 'model.py'}:Net", specs) if how == "static" else read_module(model, specs)
    )
    finding = known.findings["fc"]
    assert (finding.kind, finding.flatten and finding.flatten.channels) == ("linear_in_out", 4)


def test_a_flatten_before_a_matrix_that_is_turned_first_is_asked(tmp_path: Path) -> None:
    model = run(tmp_path, TURNED.replace("{product}", "F.linear(x, self.weight.t())")).Net()
    found = read_module(model, specs_of(model)).candidates["fc"]
    assert {(one.kind, one.flatten and one.flatten.channels) for one in found} == {
        ("linear_in_out", 1),
        ("linear_in_out", 4),
    }


MASKS = {
    "a scalar": "x = torch.where(x >= 0, x, 0.1 * x)",
    "on the right": "x = torch.where(0 < x, x, 0.1 * x)",
    "two tensors": "x = torch.where(x > x.mean((2, 3), keepdim=True), x, -x)",
    "equality": "x = torch.where(x == 0, x, 2 * x)",
    "in a test": "if (x > 0).all():\n            x = x + 1",
}


@pytest.mark.parametrize("name", MASKS)
def test_a_comparison_of_tensors_has_their_axes(tmp_path: Path, name: str) -> None:
    flatten = f"{MASKS[name]}\n        x = x.flatten(1)"
    knowledge = read_and_compare(tmp_path, NET.replace("{flatten}", flatten))
    found = knowledge.findings["fc1"].flatten
    assert found is not None
    assert (found.channels, found.of) == (6, "features.0")


def test_what_a_mask_picks_is_asked(tmp_path: Path) -> None:
    knowledge = read_and_compare(
        tmp_path,
        NET.replace("{flatten}", "x = x[x > 0].view(-1, 96)"),
        unknown={"fc1.weight", "fc1.bias"},
    )
    assert possible(knowledge) == [1, 6]
