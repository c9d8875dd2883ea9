"""Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
from keras import layers, ops

from parity import Port

# What Keras shapes by the rank of its input: only a model shows it.
BY_RANK = {"prelu"}


class Holder(keras.Model):
    """Holds one layer, or a list of them, under the name m."""

    def __init__(self, module, run):
        super().__init__()
        self.m = module
        self.way = run

    def call(self, inputs):
        return self.way(self.m, *inputs)


def port(module, *shapes, run=lambda module, *inputs: module(*inputs)):
    """Hold a module under the name m, and build it for inputs of these shapes."""
    model = Holder(module, run)
    model([keras.KerasTensor(shape) for shape in shapes])
    return Port(model, call)


def call(model, *inputs):
    """Run a model in one piece: Keras has no compiler of its own for a call."""
    values = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    return jax.jit(model.stateless_call)(values, others, list(inputs))[0]


def image(layer, channels):
    return (1, *(size * 4 for size in layer.kernel_size), channels)


def conv(layer):
    """Make a Conv behind the zeros that torch pads with: Keras's own are others where there are strides."""
    made = getattr(layers, f"Conv{len(layer.kernel_size)}D")(
        layer.out_channels,
        layer.kernel_size,
        strides=layer.stride,
        dilation_rate=layer.dilation,
        groups=layer.groups,
        use_bias=layer.bias is not None,
    )
    padding = [(0, 0), *((size, size) for size in layer.padding), (0, 0)]
    shape = image(layer, layer.in_channels)
    return port(made, shape, run=lambda module, x: module(ops.pad(x, padding)))


def conv_transpose(layer):
    """Make a ConvTranspose without padding: torch cuts the same output on both sides, and adds on one."""
    rank = len(layer.kernel_size)
    made = getattr(layers, f"Conv{rank}DTranspose")(
        layer.out_channels,
        layer.kernel_size,
        strides=layer.stride,
        dilation_rate=layer.dilation,
        use_bias=layer.bias is not None,
    )

    def run(module, x):
        whole = module(x)
        sizes = zip(layer.kernel_size, layer.stride, layer.padding, layer.output_padding, strict=True)
        cuts = []
        for axis, (kernel, stride, padding, extra) in enumerate(sizes, start=1):
            size = (x.shape[axis] - 1) * stride - 2 * padding + kernel + extra
            cuts.append(slice(padding, padding + size))
        return whole[(slice(None), *cuts)] if any(layer.padding) else whole

    return port(made, image(layer, layer.in_channels), run=run)


def norm_shape(layer):
    rank = {"1": 1, "2": 2, "3": 3}.get(type(layer).__name__[-2], 2)
    return (1, *[2] * rank, layer.num_features)


def batch_norm(layer):
    made = layers.BatchNormalization(
        epsilon=layer.eps, momentum=1 - layer.momentum, center=layer.affine, scale=layer.affine
    )
    return port(made, norm_shape(layer))


def instance_norm(layer):
    if layer.track_running_stats:
        return batch_norm(layer)
    return port(layers.GroupNormalization(-1, epsilon=layer.eps), norm_shape(layer))


def layer_norm(layer):
    shape = layer.normalized_shape
    if len(shape) == 3:
        shape = (*shape[1:], shape[0])
    axes = list(range(-len(shape), 0))
    made = layers.LayerNormalization(axes, epsilon=layer.eps, center=layer.bias is not None)
    return port(made, (1, *shape))


def embedding(layer, run=lambda module, x: module(x)):
    return port(layers.Embedding(layer.num_embeddings, layer.embedding_dim), (1, 1), run=run)


def steps(layer, make):
    """Return a layer for each of torch's, in a Bidirectional where it reads both ways."""

    def one():
        made = make(layer.hidden_size, return_sequences=True, use_bias=layer.bias)
        return layers.Bidirectional(made) if layer.bidirectional else made

    def run(modules, x):
        for module in modules if isinstance(modules, list) else [modules]:
            x = module(x)
        return x

    made = one() if layer.num_layers == 1 else [one() for _ in range(layer.num_layers)]
    return port(made, (1, 2, layer.input_size), run=run)


def one_step(layer, made, states=1):
    shapes = [(1, layer.input_size)] + [(1, layer.hidden_size)] * states
    return port(made, *shapes, run=lambda module, x, *state: module(x, list(state))[0])


def attention(layer):
    return layers.MultiHeadAttention(
        layer.num_heads, layer.head_dim, use_bias=layer.out_proj.bias is not None
    )


def mha(layer):
    shapes = ((1, 2, size) for size in (layer.embed_dim, layer.kdim, layer.vdim))
    return port(attention(layer), *shapes, run=lambda module, x, *memory: module(x, memory[-1], memory[0]))


class EncoderLayer(layers.Layer):
    """torch.nn.TransformerEncoderLayer."""

    def __init__(self, layer):
        super().__init__()
        self.norm_first = layer.norm_first
        self.self_attn = attention(layer.self_attn)
        self.linear1 = layers.Dense(layer.linear1.out_features)
        self.linear2 = layers.Dense(layer.linear1.in_features)
        self.norm1, self.norm2 = (layers.LayerNormalization(epsilon=1e-5) for _ in range(2))

    def feed(self, x):
        return self.linear2(ops.relu(self.linear1(x)))

    def beside(self, norm, x, part):
        """Add what a part makes of x, whose norm comes first or last."""
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))

    def attend(self, x):
        return self.self_attn(x, x)

    def call(self, x):
        x = self.beside(self.norm1, x, self.attend)
        return self.beside(self.norm2, x, self.feed)


class DecoderLayer(EncoderLayer):
    """torch.nn.TransformerDecoderLayer."""

    def __init__(self, layer):
        super().__init__(layer)
        self.multihead_attn = attention(layer.multihead_attn)
        self.norm3 = layers.LayerNormalization(epsilon=1e-5)

    def call(self, x, memory):
        x = self.beside(self.norm1, x, self.attend)
        x = self.beside(self.norm2, x, lambda y: self.multihead_attn(y, memory))
        return self.beside(self.norm3, x, self.feed)


class Stack(layers.Layer):
    """torch.nn.TransformerEncoder and TransformerDecoder."""

    def __init__(self, make, stack):
        super().__init__()
        self.layers = [make(layer) for layer in stack.layers]
        self.norm = layers.LayerNormalization(epsilon=1e-5)

    def call(self, x, memory=None):
        for layer in self.layers:
            x = layer(x) if memory is None else layer(x, memory)
        return self.norm(x)


class Transformer(layers.Layer):
    """torch.nn.Transformer."""

    def __init__(self, whole):
        super().__init__()
        self.encoder, self.decoder = Stack(EncoderLayer, whole.encoder), Stack(DecoderLayer, whole.decoder)

    def call(self, x, y):
        return self.decoder(y, self.encoder(x))


def prelu(layer):
    """Make a PReLU for images; its slopes are shared over all axes but that of channels, or over all."""
    one = layer.num_parameters == 1
    return port(layers.PReLU(shared_axes=[1, 2] if one else [1]), (1, 5, 6))


class Kept(layers.Layer):
    """A class that keeps a parameter and a buffer itself."""

    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(6,))
        self.shift = self.add_weight(shape=(6,), trainable=False)

    def call(self, x):
        return x * self.scale + self.shift


class Weighted(layers.Layer):
    """Binary cross entropy of logits, each class with a weight, and with one for what is true of it."""

    def __init__(self):
        super().__init__()
        self.weight, self.pos_weight = (self.add_weight(shape=(6,), trainable=False) for _ in range(2))

    def call(self, x, y):
        return self.weight * ((1 + (self.pos_weight - 1) * y) * ops.softplus(-x) + (1 - y) * x)


class Listed(layers.Layer):
    """A class with a list and a dictionary of parameters."""

    def __init__(self):
        super().__init__()
        self.scales = [self.add_weight(shape=(6,)) for _ in range(2)]
        self.shifts = {name: self.add_weight(shape=(6,)) for name in ("left", "right")}

    def call(self, x):
        return (x * self.scales[0] + self.shifts["left"]) * self.scales[1] + self.shifts["right"]


LAYERS = {
    "linear": lambda layer: port(
        layers.Dense(layer.out_features, use_bias=layer.bias is not None), (1, layer.in_features)
    ),
    "linear_in_out": lambda layer: port(layers.Dense(layer.nf), (1, layer.nx)),
    "conv": conv,
    "conv_transpose": conv_transpose,
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "group_norm": lambda layer: port(
        layers.GroupNormalization(layer.num_groups, epsilon=layer.eps), (1, 2, 2, layer.num_channels)
    ),
    "rms_norm": lambda layer: port(layers.RMSNormalization(epsilon=layer.eps), (1, *layer.normalized_shape)),
    "embedding": embedding,
    "embedding_bag": lambda layer: embedding(layer, lambda module, x: ops.sum(module(x), 1)),
    "embedding_bag mean": lambda layer: embedding(layer, lambda module, x: ops.mean(module(x), 1)),
    "rnn": lambda layer: steps(
        layer, lambda *args, **more: layers.SimpleRNN(*args, activation=layer.nonlinearity, **more)
    ),
    "lstm": lambda layer: steps(layer, layers.LSTM),
    "gru": lambda layer: steps(layer, layers.GRU),
    "rnn_cell": lambda layer: one_step(layer, layers.SimpleRNNCell(layer.hidden_size)),
    "lstm_cell": lambda layer: one_step(layer, layers.LSTMCell(layer.hidden_size), states=2),
    "gru_cell": lambda layer: one_step(layer, layers.GRUCell(layer.hidden_size)),
    "mha": mha,
    "transformer_encoder_layer": lambda layer: port(EncoderLayer(layer), (1, 2, 6)),
    "transformer_decoder_layer": lambda layer: port(DecoderLayer(layer), (1, 2, 6), (1, 2, 6)),
    "transformer_encoder": lambda stack: port(Stack(EncoderLayer, stack), (1, 2, 6)),
    "transformer_decoder": lambda stack: port(Stack(DecoderLayer, stack), (1, 2, 6), (1, 2, 6)),
    "transformer": lambda whole: port(Transformer(whole), (1, 2, 6), (1, 2, 6)),
    "prelu": prelu,
    "class_weights": lambda _: port(Weighted(), (1, 6), (1, 6)),
    "kept": lambda _: port(Kept(), (1, 6)),
    "listed": lambda _: port(Listed(), (1, 6)),
}
