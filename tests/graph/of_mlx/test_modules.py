"""What is drawn of modules of MLX computes what they do, and they stay as they are."""

import math

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn
from mlx.utils import tree_flatten, tree_map

from ml_switcheroo.graph.drawers.mlx import draw
from ml_switcheroo.graph.inputs import given
from ml_switcheroo.graph.running import run
from ml_switcheroo.targets.mlx_arrays import from_mlx
from small_arrays import small_arrays


class Holder(nn.Module):
    """Holds one module, or several in a list."""

    def __init__(self, module, run):
        super().__init__()
        self.inner = module
        self._run = run

    def __call__(self, *inputs):
        return self._run(self.inner, *inputs)


def held(make, run=lambda module, *inputs: module(*inputs)):
    return lambda: Holder(make(), run)


class Convolutional(nn.Module):
    """A small network for images, with a batch norm and a residual sum."""

    def __init__(self):
        super().__init__()
        self.opening = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norms = [nn.BatchNorm(8), nn.BatchNorm(8)]
        self.filters = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.pool, self.dropout = nn.MaxPool2d(3, 2, 1), nn.Dropout(0.5)
        self.closing = nn.Linear(8 * 16, 5)

    def __call__(self, images):
        x = nn.relu(self.norms[0](self.opening(images)))
        x = nn.gelu(self.norms[1](self.filters(x)) + x)
        return self.closing(self.dropout(self.pool(x).flatten(1)))


class Block(nn.Module):
    """A block of a transformer, with fused attention of fewer keys than queries, and turned places."""

    def __init__(self, width=16, heads=4, shared=2):
        super().__init__()
        self.heads, self.shared = heads, shared
        self.before, self.behind = nn.RMSNorm(width), nn.RMSNorm(width)
        self.queries = nn.Linear(width, width, bias=False)
        self.rest = nn.Linear(width, width, bias=False)
        self.together = nn.Linear(width, width, bias=False)
        self.gate, self.up = nn.Linear(width, 24, bias=False), nn.Linear(width, 24, bias=False)
        self.down = nn.Linear(24, width, bias=False)
        self.places = nn.RoPE(width // heads)

    def __call__(self, x):
        batch, length, width = x.shape
        y = self.before(x)
        q = self.queries(y).reshape(batch, length, self.heads, -1).swapaxes(1, 2)
        k, v = mx.split(self.rest(y).reshape(batch, length, 2 * self.shared, -1).swapaxes(1, 2), 2, axis=1)
        scale = 1 / math.sqrt(width // self.heads)
        y = mx.fast.scaled_dot_product_attention(
            self.places(q), self.places(k), v, scale=scale, mask="causal"
        )
        x = x + self.together(y.swapaxes(1, 2).reshape(batch, length, width))
        y = self.behind(x)
        return x + self.down(nn.silu(self.gate(y)) * self.up(y))


class Texts(nn.Module):
    """A classifier of texts: a table, two recurrent layers, the last state."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.readers = [nn.LSTM(6, 5), nn.LSTM(5, 5)]
        self.head = nn.Linear(5, 3)

    def __call__(self, tokens):
        x = self.table(tokens)
        for reader in self.readers:
            x, _ = reader(x)
        return mx.softmax(self.head(x[:, -1]), axis=-1)


MODULES = {
    "linear": (held(lambda: nn.Linear(4, 3)), "f2,5,4"),
    "bilinear": (held(lambda: nn.Bilinear(4, 3, 5)), "f2,4 f2,3"),
    "embedding": (held(lambda: nn.Embedding(7, 4)), "i7:2,5"),
    "as_linear": (held(lambda: nn.Embedding(7, 4), lambda table, x: table.as_linear(table(x))), "i7:2,5"),
    "conv1d": (held(lambda: nn.Conv1d(4, 6, 3, 2, 1)), "f2,8,4"),
    "conv2d": (held(lambda: nn.Conv2d(4, 6, 3, 2, 1, dilation=2, groups=2)), "f2,9,8,4"),
    "conv3d": (held(lambda: nn.Conv3d(2, 3, 2)), "f1,4,4,4,2"),
    "conv_transpose2d": (held(lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1)), "f2,5,4,4"),
    "layer_norm": (held(lambda: nn.LayerNorm(6)), "f2,3,6"),
    "rms_norm": (held(lambda: nn.RMSNorm(6)), "f2,3,6"),
    "group_norm": (held(lambda: nn.GroupNorm(2, 6, pytorch_compatible=True)), "f2,4,4,6"),
    "group_norm_in_turns": (held(lambda: nn.GroupNorm(2, 6)), "f2,4,4,6"),
    "instance_norm": (held(lambda: nn.InstanceNorm(6, affine=True)), "f2,4,4,6"),
    "batch_norm": (held(lambda: nn.BatchNorm(6)), "f2,4,4,6"),
    "prelu": (held(lambda: nn.PReLU(4)), "f2,4"),
    "attention": (held(lambda: nn.MultiHeadAttention(8, 2), lambda layer, x: layer(x, x, x)), "f2,5,8"),
    "encoder": (held(lambda: nn.TransformerEncoder(1, 8, 2), lambda layer, x: layer(x, None)), "f2,5,8"),
    "decoder": (
        held(lambda: nn.TransformerDecoderLayer(8, 2), lambda layer, x, y: layer(x, y, None, None)),
        "f2,5,8 f2,3,8",
    ),
    "transformer": (
        held(lambda: nn.Transformer(8, 2, 1, 1), lambda layer, x, y: layer(x, y, None, None, None)),
        "f2,5,8 f2,3,8",
    ),
    "rnn": (held(lambda: nn.RNN(4, 5)), "f2,6,4"),
    "lstm": (held(lambda: nn.LSTM(4, 5)), "f2,6,4"),
    "gru": (held(lambda: nn.GRU(4, 5)), "f2,6,4"),
    "sinusoids": (held(lambda: nn.SinusoidalPositionalEncoding(8)), "f5"),
    "alibi": (held(nn.ALiBi, lambda layer, x: layer(x)), "f1,4,5,5"),
    **{
        f"{kind}_pool_{size}{step}{around}": (
            held(lambda kind=kind, how=(size, step, around): getattr(nn, f"{kind}Pool2d")(*how)),
            "f2,6,6,3",
        )
        for kind in ("Max", "Avg")
        for size, step, around in ((2, 2, 0), (3, 2, 1), (3, 1, 0))
    },
    "pools": (held(lambda: [nn.MaxPool1d(3, 2), nn.AvgPool1d(2)], lambda p, x: p[1](p[0](x))), "f2,9,4"),
    "pool3d": (held(lambda: nn.MaxPool3d(2)), "f1,4,4,4,2"),
    "upsampled": (held(lambda: nn.Upsample(2, mode="nearest")), "f1,3,4,2"),
    "upsampled_linearly": (held(lambda: nn.Upsample(2, mode="linear", align_corners=True)), "f1,3,4,2"),
    **{
        f"activation_{name}": (held(list, lambda _, x, name=name: getattr(nn, name)(x)), "f2,6")
        for name in """relu relu6 leaky_relu elu celu selu silu gelu gelu_approx gelu_fast_approx mish sigmoid
    log_sigmoid softplus softsign hardswish hard_tanh log_softmax softmax tanh step hard_shrink softmin
    glu""".split()
    },
    "convolutional": (Convolutional, "f2,16,16,3"),
    "block": (Block, "f2,6,16"),
    "texts": (Texts, "i11:2,7"),
}


def at_random(model):
    """Put random numbers into every leaf; those of variances are positive."""
    random = np.random.default_rng(0)
    flat = tree_flatten(model.parameters())
    leaves = {path: 0.3 * random.normal(size=leaf.shape) for path, leaf in flat}
    made = {path: abs(leaf) + 1 if path.endswith("var") else leaf for path, leaf in leaves.items()}
    model.load_weights([(path, mx.array(leaf.astype("float32"))) for path, leaf in made.items()])
    return model


def leaves_of(model):
    return {path: from_mlx(leaf) for path, leaf in tree_flatten(model.parameters())}


@pytest.mark.parametrize("name", MODULES)
def test_what_is_drawn_computes_what_the_module_does(name):
    make, inputs = MODULES[name]
    model, arrays = at_random(make()), small_arrays(inputs)
    graph = draw(model, None, given(arrays))
    assert not graph.gaps
    assert set(graph.leaves) == set(leaves_of(model))
    numbers = {graph.leaves[path]: leaf for path, leaf in leaves_of(model).items()}
    values = run(graph, numbers | dict(zip(graph.inputs, arrays, strict=True)), graph.outputs)
    model.eval()
    wanted = [leaf for _, leaf in tree_flatten([model(*map(mx.array, arrays))])]
    for number, right in zip(graph.outputs, wanted, strict=True):
        np.testing.assert_allclose(values[number], np.array(right), rtol=1e-4, atol=1e-4)


def test_a_module_is_in_evaluation_while_it_is_drawn_and_as_before_afterwards():
    model = at_random(Convolutional())
    before, weight = leaves_of(model), model.closing.weight
    model.norms[0].eval()
    draw(model, None, given("float32[2,16,16,3]"))
    assert model.training
    assert [norm.training for norm in model.norms] == [False, True]
    assert model.closing.weight is weight
    assert all(np.array_equal(leaf, before[path]) for path, leaf in leaves_of(model).items())


def test_what_a_module_keeps_of_its_last_call_is_gone_and_so_is_what_an_error_leaves():
    class Keeping(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = mx.ones(3)
            self.seen = mx.zeros(3)

        def __call__(self, x, wrong=None):
            self.seen = x * self.scale
            self.other = self.seen + 1
            if wrong is not None:
                raise ValueError("not today")
            return self.seen

    model = Keeping()
    draw(model, None, given("float32[3]"))
    assert "other" not in model
    assert model.seen.tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="not today"):
        draw(model, None, given("float32[3] float32[3]"))
    assert model.scale.tolist() == [1.0, 1.0, 1.0]
    assert "other" not in model


def test_no_memory_is_taken_for_leaves():
    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = mx.zeros((2**19, 2**10))

        def __call__(self, tokens):
            return self.table[tokens] @ mx.zeros((2**10, 3))

    mx.reset_peak_memory()
    graph = draw(Large(), None, given("int32[2,5]"))
    assert mx.get_peak_memory() < 2**20
    assert graph.nodes[graph.outputs[0]].shape == (2, 5, 3)


def test_inputs_by_name_and_a_call_of_ones_own():
    class Two(nn.Module):
        def __call__(self, one, two):
            return {"first": one - two, "more": [two]}

    arrays = small_arrays("f3 f3")
    graph = draw(Two(), None, given({"two": arrays[0], "one": arrays[1]}))
    values = run(graph, dict(zip(graph.inputs, arrays, strict=True)), graph.outputs)
    assert np.allclose(values[graph.outputs[0]], arrays[1] - arrays[0])
    assert graph.outputs[1] == graph.inputs[0]
    graph = draw(Two(), lambda model, x: model(x, 2 * x)["first"], given(arrays[:1]))
    values = run(graph, dict(zip(graph.inputs, arrays, strict=False)), graph.outputs)
    assert np.allclose(values[graph.outputs[0]], -arrays[0])


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (lambda x: mx.random.normal(x.shape) * x, "RandomBits"),
        (lambda x: mx.fft.rfft(x).real, "FFT"),
        (lambda x: mx.topk(x, 2), "Partition"),
        (nn.QuantizedLinear(64, 8), "QuantizedMatmul"),
    ],
)
def test_what_has_no_row_is_a_gap_with_its_name(code, why):
    graph = draw(Holder(tree_map(lambda leaf: leaf, []), lambda _, x: code(x)), None, given("float32[2,64]"))
    assert any(f"{why} of MLX" in gap for gap in graph.gaps)
