"""The torch side: every stateful layer of torch.nn, in the configurations that lie differently."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations

from ml_switcheroo.rules import Kind


@dataclass(frozen=True)
class Case:
    """A layer to run in PyTorch and in a framework.

    Attributes:
        name: What pytest and the support matrix call it.
        port: Which layer of the framework stands for it: a kind, or the name of a composite.
        make: Makes the torch layer.
        inputs: Shapes of the inputs, batch first; integers from a vocabulary where ``vocab`` is given.
        images: Whether the second axis of input and output is the channel axis.
        tolerance: Largest relative error of the output.
        vocab: Size of the vocabulary of integer inputs.
        rules: What a user has to say, because not even the live module shows it.
    """

    name: str
    port: str
    make: Callable[[], nn.Module]
    inputs: tuple[tuple[int, ...], ...]
    images: bool = False
    tolerance: float = 1e-5
    vocab: int = 0
    rules: tuple[Kind, ...] = ()


def _plain(name, port, make, *inputs, **more):
    return Case(name, port, make, inputs, **more)


def _image(name, port, make, *inputs, **more):
    return Case(name, port, make, inputs, images=True, **more)


def _sequence(name, port, make, *inputs):
    return Case(name, port, make, inputs, tolerance=1e-4)


def _first_axis(channels):
    """Say whether the first axis of a norm over several is that of channels: how many, 1 for none."""
    return (Kind("m", "layer_norm", flatten=channels),)


def _old_norm(wrap, layer):
    """Apply a parametrisation that torch calls deprecated: many checkpoints have it."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return wrap(layer)


CASES = [
    _plain("linear", "linear", lambda: nn.Linear(5, 7), (3, 5)),
    _plain("linear square", "linear", lambda: nn.Linear(6, 6), (3, 6)),
    _plain("linear no bias", "linear", lambda: nn.Linear(5, 7, bias=False), (2, 3, 5)),
    _plain("linear weight_norm", "linear", lambda: parametrizations.weight_norm(nn.Linear(5, 7)), (3, 5)),
    _plain(
        "linear weight_norm over all",
        "linear",
        lambda: parametrizations.weight_norm(nn.Linear(5, 7), dim=None),
        (3, 5),
    ),
    _plain(
        "linear old weight_norm", "linear", lambda: _old_norm(nn.utils.weight_norm, nn.Linear(6, 6)), (3, 6)
    ),
    _plain("linear spectral_norm", "linear", lambda: parametrizations.spectral_norm(nn.Linear(5, 7)), (3, 5)),
    _plain(
        "linear old spectral_norm",
        "linear",
        lambda: _old_norm(nn.utils.spectral_norm, nn.Linear(6, 6)),
        (3, 6),
    ),
    _plain("lazy linear", "linear", lambda: _materialised(nn.LazyLinear(7), (3, 5)), (3, 5)),
    _image("lazy conv2d", "conv", lambda: _materialised(nn.LazyConv2d(6, 3), (2, 4, 7, 8)), (2, 4, 7, 8)),
    _image(
        "lazy conv_transpose1d",
        "conv_transpose",
        lambda: _materialised(nn.LazyConvTranspose1d(6, 3), (2, 4, 7)),
        (2, 4, 7),
    ),
    _image(
        "lazy batch_norm2d",
        "batch_norm",
        lambda: _materialised(nn.LazyBatchNorm2d(), (4, 6, 5, 3)),
        (4, 6, 5, 3),
    ),
    _plain("linear_in_out", "linear_in_out", lambda: conv1d_of_transformers(7, 5), (3, 5)),
    _plain("linear_in_out square", "linear_in_out", lambda: conv1d_of_transformers(6, 6), (3, 6)),
    _plain("bilinear", "bilinear", lambda: nn.Bilinear(4, 5, 6), (3, 4), (3, 5)),
    _image("conv1d", "conv", lambda: nn.Conv1d(4, 6, 3), (2, 4, 11)),
    _image("conv2d", "conv", lambda: nn.Conv2d(3, 8, (3, 5), stride=2, padding=(1, 2)), (2, 3, 11, 12)),
    _image("conv3d", "conv", lambda: nn.Conv3d(2, 4, (1, 2, 3), padding=1), (2, 2, 4, 5, 6)),
    _image("conv2d square", "conv", lambda: nn.Conv2d(3, 3, 3), (2, 3, 7, 8)),
    _image("conv2d groups", "conv", lambda: nn.Conv2d(4, 8, 3, groups=2), (2, 4, 7, 8)),
    _image("conv2d depthwise", "conv", lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), (2, 4, 7, 8)),
    _image("conv1d dilation", "conv", lambda: nn.Conv1d(4, 6, 3, dilation=2), (2, 4, 11)),
    _image(
        "conv2d weight_norm", "conv", lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), (2, 3, 7, 8)
    ),
    _image(
        "conv2d old spectral_norm",
        "conv",
        lambda: _old_norm(nn.utils.spectral_norm, nn.Conv2d(3, 4, 3)),
        (2, 3, 7, 8),
    ),
    _image("conv_transpose1d", "conv_transpose", lambda: nn.ConvTranspose1d(4, 6, 3), (2, 4, 7)),
    _image(
        "conv_transpose2d",
        "conv_transpose",
        lambda: nn.ConvTranspose2d(3, 5, (3, 4), stride=2, padding=1, output_padding=1),
        (2, 3, 5, 6),
    ),
    _image(
        "conv_transpose3d", "conv_transpose", lambda: nn.ConvTranspose3d(2, 3, (1, 2, 3)), (1, 2, 3, 4, 5)
    ),
    _image(
        "conv_transpose2d square",
        "conv_transpose",
        lambda: nn.ConvTranspose2d(4, 4, 2, stride=2, bias=False),
        (2, 4, 5, 6),
    ),
    _image(
        "conv_transpose1d dilation",
        "conv_transpose",
        lambda: nn.ConvTranspose1d(4, 6, 3, dilation=2),
        (2, 4, 7),
    ),
    _image(
        "conv_transpose2d groups",
        "conv_transpose",
        lambda: nn.ConvTranspose2d(4, 6, 3, groups=2),
        (2, 4, 5, 6),
    ),
    _image(
        "conv_transpose2d spectral_norm",
        "conv_transpose",
        lambda: parametrizations.spectral_norm(nn.ConvTranspose2d(4, 4, 2)),
        (2, 4, 5, 6),
    ),
    _image("batch_norm1d", "batch_norm", lambda: nn.BatchNorm1d(6), (4, 6, 5)),
    _image("batch_norm2d", "batch_norm", lambda: nn.BatchNorm2d(6, eps=1e-3), (4, 6, 5, 3)),
    _image("batch_norm3d no affine", "batch_norm", lambda: nn.BatchNorm3d(6, affine=False), (2, 6, 2, 3, 4)),
    _image("sync_batch_norm", "batch_norm", lambda: nn.SyncBatchNorm(6), (4, 6, 5, 3)),
    _image("instance_norm1d", "instance_norm", lambda: nn.InstanceNorm1d(6, affine=True), (2, 6, 7)),
    _image("instance_norm3d", "instance_norm", lambda: nn.InstanceNorm3d(6, affine=True), (2, 6, 3, 4, 5)),
    _image("instance_norm2d", "instance_norm", lambda: nn.InstanceNorm2d(6, affine=True), (2, 6, 5, 7)),
    _image(
        "instance_norm2d running",
        "instance_norm",
        lambda: nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        (2, 6, 5, 7),
    ),
    _plain("layer_norm", "layer_norm", lambda: nn.LayerNorm(6), (3, 4, 6)),
    _plain("layer_norm no bias", "layer_norm", lambda: nn.LayerNorm(6, eps=1e-3, bias=False), (3, 6)),
    _plain(
        "layer_norm two axes",
        "layer_norm",
        lambda: nn.LayerNorm((4, 6)),
        (3, 4, 6),
        rules=_first_axis(1),
    ),
    _image(
        "layer_norm of images",
        "layer_norm",
        lambda: nn.LayerNorm((3, 4, 4)),
        (2, 3, 4, 4),
        rules=_first_axis(3),
    ),
    _image("group_norm", "group_norm", lambda: nn.GroupNorm(3, 6), (2, 6, 5, 7)),
    _plain("rms_norm", "rms_norm", lambda: nn.RMSNorm(6, eps=1e-5), (3, 4, 6)),
    _plain("embedding", "embedding", lambda: nn.Embedding(9, 5), (3, 4), vocab=9),
    _plain("embedding square", "embedding", lambda: nn.Embedding(6, 6), (3, 4), vocab=6),
    _plain("embedding_bag", "embedding_bag", lambda: nn.EmbeddingBag(9, 5, mode="sum"), (3, 4), vocab=9),
    _plain("embedding_bag mean", "embedding_bag mean", lambda: nn.EmbeddingBag(9, 5), (3, 4), vocab=9),
    _sequence("rnn", "rnn", lambda: nn.RNN(5, 6, batch_first=True), (2, 7, 5)),
    _sequence("rnn relu", "rnn", lambda: nn.RNN(6, 6, nonlinearity="relu", batch_first=True), (2, 7, 6)),
    _sequence("rnn no bias", "rnn", lambda: nn.RNN(5, 6, bias=False, batch_first=True), (2, 7, 5)),
    _sequence(
        "rnn layers bidirectional",
        "rnn",
        lambda: nn.RNN(5, 6, 2, bidirectional=True, batch_first=True),
        (2, 7, 5),
    ),
    _sequence("lstm", "lstm", lambda: nn.LSTM(5, 6, batch_first=True), (2, 7, 5)),
    _sequence("lstm square", "lstm", lambda: nn.LSTM(6, 6, batch_first=True), (2, 7, 6)),
    _sequence("lstm no bias", "lstm", lambda: nn.LSTM(5, 6, bias=False, batch_first=True), (2, 7, 5)),
    _sequence("lstm layers", "lstm", lambda: nn.LSTM(5, 6, 2, batch_first=True), (2, 7, 5)),
    _sequence(
        "lstm bidirectional", "lstm", lambda: nn.LSTM(5, 6, bidirectional=True, batch_first=True), (2, 7, 5)
    ),
    _sequence(
        "lstm layers bidirectional",
        "lstm",
        lambda: nn.LSTM(5, 6, 2, bidirectional=True, batch_first=True),
        (2, 7, 5),
    ),
    _sequence("lstm proj_size", "lstm", lambda: nn.LSTM(5, 6, proj_size=3, batch_first=True), (2, 7, 5)),
    _sequence("gru", "gru", lambda: nn.GRU(5, 6, batch_first=True), (2, 7, 5)),
    _sequence("gru no bias", "gru", lambda: nn.GRU(5, 6, bias=False, batch_first=True), (2, 7, 5)),
    _sequence(
        "gru layers bidirectional",
        "gru",
        lambda: nn.GRU(5, 6, 2, bidirectional=True, batch_first=True),
        (2, 7, 5),
    ),
    _sequence("rnn_cell", "rnn_cell", lambda: nn.RNNCell(5, 6), (3, 5), (3, 6)),
    _sequence("lstm_cell", "lstm_cell", lambda: nn.LSTMCell(5, 6), (3, 5), (3, 6), (3, 6)),
    _sequence("gru_cell", "gru_cell", lambda: nn.GRUCell(5, 6), (3, 5), (3, 6)),
    _sequence("mha", "mha", lambda: nn.MultiheadAttention(6, 2, batch_first=True), (3, 4, 6), (3, 5, 6)),
    _sequence(
        "mha no bias",
        "mha",
        lambda: nn.MultiheadAttention(6, 3, bias=False, batch_first=True),
        (3, 4, 6),
        (3, 5, 6),
    ),
    _sequence(
        "mha kdim",
        "mha",
        lambda: nn.MultiheadAttention(6, 2, kdim=5, vdim=5, batch_first=True),
        (3, 4, 6),
        (3, 7, 5),
    ),
    _sequence(
        "mha kdim vdim",
        "mha",
        lambda: nn.MultiheadAttention(6, 2, kdim=5, vdim=7, batch_first=True),
        (3, 4, 6),
        (3, 8, 5),
        (3, 8, 7),
    ),
    _sequence(
        "mha bias_kv",
        "mha",
        lambda: nn.MultiheadAttention(6, 2, add_bias_kv=True, batch_first=True),
        (3, 4, 6),
        (3, 5, 6),
    ),
    _sequence(
        "transformer encoder layer",
        "transformer_encoder_layer",
        lambda: nn.TransformerEncoderLayer(6, 2, 10, dropout=0.0, batch_first=True),
        (3, 4, 6),
    ),
    _sequence(
        "transformer decoder layer",
        "transformer_decoder_layer",
        lambda: nn.TransformerDecoderLayer(6, 2, 10, dropout=0.0, batch_first=True, norm_first=True),
        (3, 4, 6),
        (3, 5, 6),
    ),
    _sequence(
        "transformer encoder layer norm first",
        "transformer_encoder_layer",
        lambda: nn.TransformerEncoderLayer(6, 2, 10, dropout=0.0, batch_first=True, norm_first=True),
        (3, 4, 6),
    ),
    _sequence(
        "transformer encoder",
        "transformer_encoder",
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, 10, dropout=0.0, batch_first=True), 2, nn.LayerNorm(6)
        ),
        (3, 4, 6),
    ),
    _sequence(
        "transformer decoder",
        "transformer_decoder",
        lambda: nn.TransformerDecoder(
            nn.TransformerDecoderLayer(6, 2, 10, dropout=0.0, batch_first=True), 2, nn.LayerNorm(6)
        ),
        (3, 4, 6),
        (3, 5, 6),
    ),
    _sequence(
        "transformer",
        "transformer",
        lambda: nn.Transformer(6, 2, 2, 2, 10, dropout=0.0, batch_first=True),
        (3, 4, 6),
        (3, 5, 6),
    ),
    _image("prelu", "prelu", lambda: nn.PReLU(), (2, 6, 5)),
    _image("prelu channels", "prelu", lambda: nn.PReLU(6), (2, 6, 5)),
    _plain(
        "class_weights",
        "class_weights",
        lambda: nn.BCEWithLogitsLoss(torch.ones(6), reduction="none", pos_weight=torch.ones(6)),
        *((3, 6), (3, 6)),
    ),
    _plain("parameter and buffer", "kept", lambda: Kept(), (3, 6)),
    _plain("parameter list", "listed", lambda: Listed(), (3, 6)),
]


def conv1d_of_transformers(out, into):
    """Make the linear layer of GPT-2 in Hugging Face's transformers: its weight is (in, out)."""
    from transformers.pytorch_utils import Conv1D

    return Conv1D(out, into)


class Kept(nn.Module):
    """A class that keeps a parameter and a buffer itself."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))
        self.register_buffer("shift", torch.zeros(6))

    def forward(self, x):
        return x * self.scale + self.shift


class Listed(nn.Module):
    """A class with a list and a dictionary of parameters."""

    def __init__(self):
        super().__init__()
        self.scales = nn.ParameterList([torch.ones(6), torch.ones(6)])
        self.shifts = nn.ParameterDict({"left": torch.zeros(6), "right": torch.zeros(6)})

    def forward(self, x):
        left = x * self.scales[0] + self.shifts["left"]
        return left * self.scales[1] + self.shifts["right"]


def _materialised(layer, shape):
    layer(torch.zeros(shape))
    return layer


def randomised(case):
    """Make the layer of a case with weights that no symmetry hides: scales off 1, statistics off 0 and 1."""
    generator = torch.Generator().manual_seed(sum(map(ord, case.name)))
    torch.manual_seed(0)
    layer = case.make().eval()
    frozen = ("_u", "_v", "original0", "weight_g")
    with torch.no_grad():
        for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
            if tensor.is_floating_point() and not name.endswith(frozen):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.4)
                if name.rpartition(".")[2] in ("running_var", "original0", "weight_g") or tensor.ndim == 1:
                    tensor.copy_(tensor.abs() + 0.5)
    return layer.eval()


def inputs_of(case):
    """Return the inputs of a case as arrays, in PyTorch's layout."""
    rng = np.random.default_rng(sum(map(ord, case.name)))
    if case.vocab:
        return [rng.integers(0, case.vocab, shape) for shape in case.inputs]
    return [rng.normal(size=shape).astype(np.float32) for shape in case.inputs]


def run_torch(layer, inputs):
    """Run the torch layer; of several outputs the first."""
    arrays = [torch.from_numpy(array) for array in inputs]
    if isinstance(layer, nn.LSTMCell):
        arrays = [arrays[0], (arrays[1], arrays[2])]
    if isinstance(layer, nn.MultiheadAttention):
        arrays = [arrays[0], arrays[1], arrays[-1]]
    with torch.no_grad():
        out = layer(*arrays)
    return (out[0] if isinstance(out, tuple) else out).numpy()
