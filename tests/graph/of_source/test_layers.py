"""Each layer of torch.nn computes what torch does: one line a layer."""

import pytest
from torch import nn

from drawing import check
from ml_switcheroo.graph.of_source.layers.table import LAYER_ROWS
from ml_switcheroo.layers import KIND_OF_CLASS, STATELESS

IMAGE = "f2,4,6,6"
CASES = [
    *(
        (f"nn.{name}()", "f3,4")
        for name in """ReLU ReLU6 SELU Mish Hardsigmoid Hardswish SiLU Sigmoid Tanh LogSigmoid
    Softsign Tanhshrink LeakyReLU RReLU ELU CELU GELU Softplus Softshrink Hardshrink Hardtanh Identity Dropout
    GLU Flatten AlphaDropout FeatureAlphaDropout PReLU""".split()
    ),
    ("nn.LeakyReLU(0.3)", "f5"),
    ("nn.GELU('tanh')", "f5"),
    ("nn.GELU(approximate='tanh')", "f5"),
    ("nn.ELU(0.5, True)", "f5"),
    ("nn.CELU(alpha=2)", "f5"),
    ("nn.Softplus(2, 1)", "f5"),
    ("nn.Threshold(0.1, 20)", "f5"),
    ("nn.Hardtanh(-2, 0.5)", "f5"),
    ("nn.Softshrink(0.2)", "f5"),
    ("nn.Hardshrink(0.2)", "f5"),
    ("nn.ReLU(True)", "f5"),
    ("nn.RReLU(0.1, 0.3)", "f5"),
    ("nn.Softmax(1)", "f3,4"),
    ("nn.Softmax(dim=-1)", "f3,4"),
    ("nn.LogSoftmax(-1)", "f3,4"),
    ("nn.Softmin(dim=1)", "f3,4"),
    ("nn.Softmax2d()", "f2,3,4,4"),
    ("nn.GLU(1)", IMAGE),
    ("nn.PReLU(4)", IMAGE),
    *((f"nn.Dropout{n}d(0.2)", IMAGE) for n in (2,)),
    ("nn.Dropout1d()", "f2,3,4"),
    ("nn.Dropout3d()", "f2,3,2,2,2"),
    ("nn.Linear(4, 5)", "f3,4"),
    ("nn.Linear(4, 5, bias=False)", "f2,3,4"),
    ("nn.Linear(in_features=4, out_features=5)", "f4"),
    ("nn.modules.linear.NonDynamicallyQuantizableLinear(4, 5)", "f3,4"),
    ("nn.Conv1d(4, 6, 3)", "f2,4,8"),
    ("nn.Conv2d(4, 6, 3, 2, 1)", IMAGE),
    ("nn.Conv2d(4, 6, (3, 1), padding='same', groups=2, bias=False)", IMAGE),
    ("nn.Conv3d(2, 3, 2, dilation=2)", "f1,2,4,4,4"),
    ("nn.Conv2d(4, 4, 3, padding=1, padding_mode='reflect')", IMAGE),
    ("nn.Conv2d(4, 4, 3, padding=(1, 2), padding_mode='circular')", IMAGE),
    ("nn.Conv1d(4, 4, 3, padding=2, padding_mode='replicate')", "f2,4,6"),
    ("nn.Conv2d(4, 4, 3, groups=4)", "f4,6,6"),
    ("nn.Conv2d(4, 4, 4, padding='same', padding_mode='circular')", IMAGE),
    ("nn.ConvTranspose1d(4, 6, 3, 2)", "f2,4,5"),
    ("nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1)", IMAGE),
    ("nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2, bias=False)", IMAGE),
    ("nn.ConvTranspose3d(2, 3, 2, dilation=2)", "f1,2,3,3,3"),
    ("nn.BatchNorm1d(4)", "f3,4"),
    ("nn.BatchNorm1d(4, eps=1e-3)", "f3,4,5"),
    ("nn.BatchNorm2d(4)", IMAGE),
    ("nn.BatchNorm3d(2, affine=False)", "f2,2,3,3,3"),
    ("nn.BatchNorm2d(4, track_running_stats=False)", IMAGE),
    ("nn.SyncBatchNorm(4)", IMAGE),
    ("nn.InstanceNorm1d(4)", "f2,4,6"),
    ("nn.InstanceNorm2d(4, affine=True)", IMAGE),
    ("nn.InstanceNorm2d(4, track_running_stats=True)", IMAGE),
    ("nn.InstanceNorm3d(2)", "f1,2,3,3,3"),
    ("nn.InstanceNorm2d(4)", "f4,6,6"),
    ("nn.LayerNorm(4)", "f3,4"),
    ("nn.LayerNorm((3, 4), eps=1e-3)", "f2,3,4"),
    ("nn.LayerNorm(4, elementwise_affine=False)", "f3,4"),
    ("nn.LayerNorm(4, bias=False)", "f3,4"),
    ("nn.GroupNorm(2, 4)", IMAGE),
    ("nn.GroupNorm(4, 4, affine=False)", "f2,4"),
    ("nn.RMSNorm(4)", "f3,4"),
    ("nn.RMSNorm([3, 4], eps=1e-3, elementwise_affine=False)", "f2,3,4"),
    ("nn.LocalResponseNorm(2)", IMAGE),
    ("nn.Embedding(5, 3)", "i5:2,4"),
    ("nn.Embedding(5, 3, padding_idx=0)", "i5:4"),
    ("nn.EmbeddingBag(5, 3)", "i5:2,4"),
    ("nn.EmbeddingBag(5, 3, mode='sum')", "i5:2,4"),
    ("nn.MaxPool1d(2)", "f2,4,7"),
    ("nn.MaxPool2d(3, 2, 1)", IMAGE),
    ("nn.MaxPool2d(3, stride=2, ceil_mode=True)", IMAGE),
    ("nn.MaxPool3d((1, 2, 2))", "f1,2,3,4,4"),
    ("nn.AvgPool1d(2)", "f2,4,6"),
    ("nn.AvgPool2d(3, 2, 1, count_include_pad=False)", IMAGE),
    ("nn.AvgPool2d(2, 2, 0, True)", "f2,3,5,5"),
    ("nn.AvgPool3d(2)", "f1,2,4,4,4"),
    ("nn.LPPool1d(2, 3)", "p2,3,7"),
    ("nn.LPPool2d(2, 2)", "p2,3,6,6"),
    ("nn.LPPool3d(2, 2)", "p1,2,4,4,4"),
    *(
        (f"nn.Adaptive{kind}Pool{n}d({size})", shape)
        for kind in ("Avg", "Max")
        for n, size, shape in (
            (1, 2, "f2,3,7"),
            (2, "(1, 1)", IMAGE),
            (2, "(3, None)", IMAGE),
            (3, 2, "f1,2,4,4,4"),
        )
    ),
    *((f"nn.{word}Pad1d(2)", "f2,3,5") for word in ("Zero", "Reflection", "Replication", "Circular")),
    *((f"nn.{word}Pad2d((1, 2, 0, 1))", IMAGE) for word in ("Zero", "Reflection", "Replication", "Circular")),
    *((f"nn.{word}Pad3d(1)", "f1,2,3,3,3") for word in ("Zero", "Reflection", "Replication", "Circular")),
    ("nn.ConstantPad1d(1, 2.5)", "f2,3"),
    ("nn.ConstantPad2d((1, 0, 2, 1), 0.5)", IMAGE),
    ("nn.ConstantPad3d(1, 1)", "f1,2,2,2"),
    ("nn.PixelShuffle(2)", IMAGE),
    ("nn.PixelUnshuffle(2)", IMAGE),
    ("nn.ChannelShuffle(2)", IMAGE),
    ("nn.Upsample(scale_factor=2)", IMAGE),
    ("nn.Upsample((8, 9), mode='bilinear', align_corners=True)", IMAGE),
    ("nn.UpsamplingNearest2d(scale_factor=2)", IMAGE),
    ("nn.UpsamplingBilinear2d(scale_factor=2)", IMAGE),
    ("nn.Flatten(2)", IMAGE),
    ("nn.Flatten(start_dim=1, end_dim=2)", IMAGE),
    ("nn.Unflatten(1, (2, 2))", IMAGE),
    ("nn.Unflatten(-1, [2, 3])", IMAGE),
    ("nn.Fold((4, 4), 2, stride=2)", "f2,8,4"),
    ("nn.Unfold(2, stride=2)", IMAGE),
    ("nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))", "f3,4"),
    ("nn.RNN(3, 4)", "f5,2,3"),
    ("nn.RNN(3, 4, 2, nonlinearity='relu', bidirectional=True, batch_first=True)", "f2,5,3"),
    ("nn.LSTM(3, 4, 2)", "f5,2,3"),
    ("nn.LSTM(3, 4, batch_first=True, bidirectional=True, bias=False)", "f2,5,3"),
    ("nn.LSTM(3, 4, 2, proj_size=2, bidirectional=True)", "f5,2,3"),
    ("nn.GRU(3, 4, num_layers=2, batch_first=True)", "f2,5,3"),
    ("nn.GRU(3, 4, bidirectional=True)", "f5,2,3"),
    ("nn.LSTM(3, 4)", "f5,3"),
    ("nn.RNNCell(3, 4)", "f2,3"),
    ("nn.LSTMCell(3, 4)", "f2,3"),
    ("nn.GRUCell(3, 4, bias=False)", "f2,3"),
    ("nn.GRUCell(3, 4)", "f3"),
]
WITH_MORE = [
    ("nn.Bilinear(3, 4, 5)", "self.layer(x, y)", "f2,3 f2,4"),
    ("nn.CosineSimilarity(dim=1)", "self.layer(x, y)", "f2,5 f2,5"),
    ("nn.PairwiseDistance(2, keepdim=True)", "self.layer(x, y)", "f2,5 f2,5"),
    ("nn.EmbeddingBag(5, 3, mode='max')", "self.layer(x, torch.tensor([0, 2]))", "i5:6"),
    ("nn.EmbeddingBag(5, 3, mode='sum')", "self.layer(x, per_sample_weights=y)", "i5:2,4 f2,4"),
    ("nn.ConvTranspose2d(2, 3, 3, stride=2)", "self.layer(x, output_size=[8, 8])", "f1,2,3,3"),
    ("nn.LSTM(3, 4)", "self.layer(x, (y, z))", "f5,2,3 f1,2,4 f1,2,4"),
    ("nn.GRU(3, 4, 2, batch_first=True)", "self.layer(x, y)", "f2,5,3 f2,2,4"),
    ("nn.LSTMCell(3, 4)", "self.layer(x, (y, z))", "f2,3 f2,4 f2,4"),
    ("nn.GRUCell(3, 4)", "self.layer(x, y)", "f2,3 f2,4"),
    ("nn.MultiheadAttention(8, 2)", "self.layer(x, x, x)", "f5,2,8"),
    ("nn.MultiheadAttention(8, 2, batch_first=True)", "self.layer(x, y, y)", "f2,5,8 f2,3,8"),
    ("nn.MultiheadAttention(8, 2, batch_first=True)", "self.layer(x, x, x, need_weights=False)[0]", "f2,5,8"),
    (
        "nn.MultiheadAttention(8, 2, batch_first=True, bias=False)",
        "self.layer(x, x, x, average_attn_weights=False)",
        "f2,5,8",
    ),
    (
        "nn.MultiheadAttention(8, 2, batch_first=True)",
        "self.layer(x, x, x, attn_mask=torch.ones(5, 5, dtype=torch.bool).triu(1))",
        "f2,5,8",
    ),
    (
        "nn.MultiheadAttention(8, 2, batch_first=True)",
        "self.layer(x, x, x, key_padding_mask=torch.tensor([[False] * 5, [False] * 3 + [True] * 2]))",
        "f2,5,8",
    ),
    ("nn.MultiheadAttention(8, 2, kdim=6, vdim=4)", "self.layer(x, y, z)", "f5,2,8 f3,2,6 f3,2,4"),
    ("nn.MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True)", "self.layer(x, x, x)", "f5,2,8"),
    ("nn.MultiheadAttention(8, 2)", "self.layer(x, x, x)", "f5,8"),
    ("nn.MultiheadAttention(8, 2)", "self.layer(x, x, x, attn_mask=y)", "f5,2,8 f4,5,5"),
    ("nn.TransformerEncoderLayer(8, 2, 16)", "self.layer(x)", "f5,2,8"),
    (
        "nn.TransformerEncoderLayer(8, 2, 16, activation='gelu', batch_first=True, norm_first=True)",
        "self.layer(x)",
        "f2,5,8",
    ),
    (
        "nn.TransformerEncoderLayer(8, 2, 16, activation=F.silu, batch_first=True)",
        "self.layer(x, y)",
        "f2,5,8 f5,5",
    ),
    ("nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)", "self.layer(x, y)", "f2,5,8 f2,3,8"),
    (
        "nn.TransformerDecoderLayer(8, 2, 16, norm_first=True)",
        "self.layer(x, y, tgt_mask=nn.Transformer.generate_square_subsequent_mask(x.shape[0]))",
        "f5,2,8 f3,2,8",
    ),
    (
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, nn.LayerNorm(8))",
        "self.layer(x)",
        "f2,5,8",
    ),
    (
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 9, batch_first=True), 2, None, False)",
        "self.layer(x, mask=torch.ones(5, 5, dtype=torch.bool).triu(1))",
        "f2,5,8",
    ),
    (
        "nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), num_layers=2)",
        "self.layer(x, y)",
        "f2,5,8 f2,3,8",
    ),
    ("nn.Transformer(8, 2, 2, 2, 16)", "self.layer(x, y)", "f5,2,8 f3,2,8"),
    (
        "nn.Transformer(8, 2, 1, 1, 16, activation='gelu', batch_first=True, norm_first=True)",
        "self.layer(x, y)",
        "f2,5,8 f2,3,8",
    ),
    ("nn.utils.weight_norm(nn.Linear(4, 5))", "self.layer(x)", "f3,4"),
    ("nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 3))", "self.layer(x)", "f2,3,6"),
    ("nn.utils.parametrizations.weight_norm(nn.Linear(4, 5), dim=None)", "self.layer(x)", "f3,4"),
    ("nn.utils.spectral_norm(nn.Linear(4, 5))", "self.layer(x)", "f3,4"),
    ("nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))", "self.layer(x)", "f1,3,5,5"),
    ("nn.utils.parametrizations.spectral_norm(nn.ConvTranspose2d(3, 4, 3))", "self.layer(x)", "f1,3,5,5"),
    ("nn.utils.weight_norm(nn.Conv2d(3, 4, 3), dim=1)", "self.layer(x)", "f1,3,5,5"),
    (
        "nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])",
        "for one in self.layer:\n    x = one(x)\nreturn x",
        "f3,4",
    ),
    (
        "nn.ModuleDict({'a': nn.Linear(4, 4), 'b': nn.ReLU()})",
        "for name in ('a', 'b'):\n    x = self.layer[name](x)\nreturn x",
        "f3,4",
    ),
    (
        "nn.ModuleDict({'a': nn.Linear(4, 4), 'b': nn.ReLU()})",
        "for name, one in self.layer.items():\n    x = one(x)\nreturn x",
        "f3,4",
    ),
    (
        "nn.ParameterList([nn.Parameter(torch.ones(4)) for _ in range(2)])",
        "x * self.layer[0] + self.layer[1]",
        "f3,4",
    ),
    ("nn.ParameterDict({'w': nn.Parameter(torch.ones(4))})", "x * self.layer['w']", "f3,4"),
]


@pytest.mark.parametrize(("layer", "inputs"), CASES)
@pytest.mark.filterwarnings("ignore:.*enable_nested_tensor.*", "ignore:.*weight_norm.*", "ignore:.*oneDNN.*")
def test_it_computes_what_torch_does(tmp_path, layer, inputs):
    check(tmp_path, "self.layer(x)", inputs, f"self.layer = {layer}")


@pytest.mark.parametrize(("layer", "body", "inputs"), WITH_MORE)
@pytest.mark.filterwarnings("ignore:.*enable_nested_tensor.*", "ignore:.*weight_norm.*", "ignore:.*oneDNN.*")
def test_it_computes_what_torch_does_with_what_else_it_is_given(tmp_path, layer, body, inputs):
    check(tmp_path, body, inputs, f"self.layer = {layer}")


NOT_DRAWN = {
    **dict.fromkeys("FractionalMaxPool2d FractionalMaxPool3d".split(), "draws its windows at random"),
    **dict.fromkeys("MaxUnpool1d MaxUnpool2d MaxUnpool3d".split(), "takes the places of another pool"),
    **dict.fromkeys((name for name, kind in KIND_OF_CLASS.items() if kind == "class_weights"), "a loss"),
    **dict.fromkeys(("Parameter", "Buffer", "Conv1D"), "no layer of torch.nn"),
}


def test_every_layer_is_drawn_but_those_with_a_reason():
    known = {*KIND_OF_CLASS, *STATELESS} - {name for name in KIND_OF_CLASS if name.startswith("Lazy")}
    assert {name for name in known if name not in LAYER_ROWS} == {*NOT_DRAWN} - {"Conv1D"}


@pytest.mark.parametrize("name", sorted(LAYER_ROWS))
def test_every_layer_stands_in_a_case(name):
    if hasattr(nn, name) and not name.startswith("Lazy"):
        assert any(f"nn.{name}(" in text for case in (*CASES, *WITH_MORE) for text in case)
