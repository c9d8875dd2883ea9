"""Flax NNX."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity import Port


def rngs():
    """Return random numbers that nothing else has drawn from."""
    return nnx.Rngs(0)


def port(make, run=lambda module, *inputs: module(*inputs)):
    """Hold a module under the name m; its weights are zeros, which nothing has to be compiled for."""
    graph, state = nnx.split(nnx.eval_shape(lambda: nnx.Dict(m=make())))
    model = nnx.merge(graph, jax.tree.map(zeros, state))
    return Port(model, nnx.jit(lambda model, *inputs: run(model.m, *inputs)))


def zeros(leaf):
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.key(0)
    return jnp.asarray(np.zeros(leaf.shape, leaf.dtype))


def linear(layer):
    return port(
        lambda: nnx.Linear(
            layer.in_features, layer.out_features, use_bias=layer.bias is not None, rngs=rngs()
        )
    )


def conv(layer):
    return port(
        lambda: nnx.Conv(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            strides=layer.stride,
            padding=[(size, size) for size in layer.padding],
            kernel_dilation=layer.dilation,
            feature_group_count=layer.groups,
            use_bias=layer.bias is not None,
            rngs=rngs(),
        )
    )


def transposed_padding(layer):
    """Return the padding that lax.conv_transpose wants for a transposed convolution of torch."""
    per_axis = zip(layer.kernel_size, layer.dilation, layer.padding, layer.output_padding, strict=True)
    full = [(dilation * (size - 1) - padding, extra) for size, dilation, padding, extra in per_axis]
    return [(before, before + extra) for before, extra in full]


def conv_transpose(layer):
    return port(
        lambda: nnx.ConvTranspose(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            strides=layer.stride,
            padding=transposed_padding(layer),
            kernel_dilation=layer.dilation,
            use_bias=layer.bias is not None,
            rngs=rngs(),
        )
    )


def batch_norm(layer):
    return port(
        lambda: nnx.BatchNorm(
            layer.num_features,
            use_running_average=True,
            epsilon=layer.eps,
            momentum=1 - layer.momentum,
            use_scale=layer.affine,
            use_bias=layer.affine,
            rngs=rngs(),
        )
    )


def instance_norm(layer):
    if layer.track_running_stats:
        return batch_norm(layer)
    return port(lambda: nnx.InstanceNorm(layer.num_features, epsilon=layer.eps, rngs=rngs()))


def layer_norm(layer):
    """Make a LayerNorm; one over several axes is one over their product."""
    size, rank = math.prod(layer.normalized_shape), len(layer.normalized_shape)
    return port(
        lambda: nnx.LayerNorm(size, epsilon=layer.eps, use_bias=layer.bias is not None, rngs=rngs()),
        lambda module, x: module(x.reshape(*x.shape[:-rank], size)).reshape(x.shape),
    )


def group_norm(layer):
    return port(lambda: nnx.GroupNorm(layer.num_channels, layer.num_groups, epsilon=layer.eps, rngs=rngs()))


def rms_norm(layer):
    return port(lambda: nnx.RMSNorm(layer.normalized_shape[0], epsilon=layer.eps, rngs=rngs()))


def embed(layer):
    return nnx.Embed(layer.num_embeddings, layer.embedding_dim, rngs=rngs())


def stacked(layer, cell):
    """Return an nnx.RNN for each layer; two of them in an nnx.Bidirectional where it reads both ways."""
    ways = 1 + layer.bidirectional

    def one(index):
        size = layer.input_size if index == 0 else layer.hidden_size * ways
        rnns = [nnx.RNN(cell(size, layer), rngs=rngs()) for _ in range(ways)]
        return nnx.Bidirectional(*rnns, rngs=rngs()) if ways == 2 else rnns[0]

    def run(modules, x):
        for module in modules:
            x = module(x)
        return x

    if layer.num_layers == 1:
        return port(lambda: one(0))
    return port(lambda: nnx.List([one(index) for index in range(layer.num_layers)]), run)


def simple_cell(size, layer):
    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[layer.nonlinearity]
    return nnx.SimpleCell(size, layer.hidden_size, activation_fn=activation, rngs=rngs())


def lstm_cell(size, layer):
    return nnx.OptimizedLSTMCell(size, layer.hidden_size, rngs=rngs())


def gru_cell(size, layer):
    """Make a GRUCell; its recurrent Linear lacks the bias that torch has, and gets it here."""
    cell = nnx.GRUCell(size, layer.hidden_size, rngs=rngs())
    if layer.bias is not False:
        cell.dense_h = nnx.Linear(layer.hidden_size, 3 * layer.hidden_size, rngs=rngs())
    return cell


def one_step(make, layer):
    """Run a cell on (input, state): its new state."""
    return port(lambda: make(layer.input_size, layer), lambda module, x, state: module(state, x)[1])


def mha(layer):
    """Make an attention; where values have another size than keys, its value gets that size here."""

    def make():
        made = nnx.MultiHeadAttention(
            layer.num_heads,
            layer.embed_dim,
            in_kv_features=layer.kdim,
            use_bias=layer.out_proj.bias is not None,
            decode=False,
            rngs=rngs(),
        )
        if layer.vdim != layer.kdim:
            made.value = nnx.LinearGeneral(layer.vdim, (layer.num_heads, layer.head_dim), rngs=rngs())
        return made

    return replace(port(make), prepared=layer.vdim != layer.kdim)


class FeedForward(nnx.Module):
    """What the encoder and decoder layers share."""

    def __init__(self, layer):
        width, hidden = layer.linear1.in_features, layer.linear1.out_features
        self.norm_first = layer.norm_first
        self.self_attn = nnx.MultiHeadAttention(layer.self_attn.num_heads, width, decode=False, rngs=rngs())
        self.linear1 = nnx.Linear(width, hidden, rngs=rngs())
        self.linear2 = nnx.Linear(hidden, width, rngs=rngs())
        self.norm1, self.norm2 = (
            nnx.LayerNorm(width, epsilon=layer.norm1.eps, rngs=rngs()) for _ in range(2)
        )

    def feed(self, x):
        return self.linear2(jax.nn.relu(self.linear1(x)))

    def beside(self, norm, x, part):
        """Add what a part makes of x, whose norm comes first or last."""
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))


class EncoderLayer(FeedForward):
    """torch.nn.TransformerEncoderLayer."""

    def __call__(self, x):
        x = self.beside(self.norm1, x, self.self_attn)
        return self.beside(self.norm2, x, self.feed)


class DecoderLayer(FeedForward):
    """torch.nn.TransformerDecoderLayer."""

    def __init__(self, layer):
        super().__init__(layer)
        width = layer.linear1.in_features
        heads = layer.multihead_attn.num_heads
        self.multihead_attn = nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs())
        self.norm3 = nnx.LayerNorm(width, epsilon=layer.norm3.eps, rngs=rngs())

    def __call__(self, x, memory):
        x = self.beside(self.norm1, x, self.self_attn)
        x = self.beside(self.norm2, x, lambda y: self.multihead_attn(y, memory))
        return self.beside(self.norm3, x, self.feed)


class Stack(nnx.Module):
    """torch.nn.TransformerEncoder and TransformerDecoder."""

    def __init__(self, make, stack):
        self.layers = nnx.List([make(layer) for layer in stack.layers])
        self.norm = nnx.LayerNorm(stack.norm.normalized_shape[0], epsilon=stack.norm.eps, rngs=rngs())

    def __call__(self, x, *memory):
        for layer in self.layers:
            x = layer(x, *memory)
        return self.norm(x)


class Transformer(nnx.Module):
    """torch.nn.Transformer."""

    def __init__(self, whole):
        self.encoder, self.decoder = Stack(EncoderLayer, whole.encoder), Stack(DecoderLayer, whole.decoder)

    def __call__(self, x, y):
        return self.decoder(y, self.encoder(x))


class Kept(nnx.Module):
    """A class that keeps a parameter and a buffer itself."""

    def __init__(self):
        self.scale = nnx.Param(jnp.zeros(6))
        self.shift = nnx.Variable(jnp.zeros(6))

    def __call__(self, x):
        return x * self.scale + self.shift


class Weighted(nnx.Module):
    """Binary cross entropy of logits, each class with a weight, and with one for what is true of it."""

    def __init__(self):
        self.weight, self.pos_weight = (nnx.Variable(jnp.zeros(6)) for _ in range(2))

    def __call__(self, x, y):
        return weighted(x, y, self.weight[...], self.pos_weight[...])


def weighted(x, y, weight, pos_weight):
    """Return the loss of each logit."""
    return weight * ((1 + (pos_weight - 1) * y) * jax.nn.softplus(-x) + (1 - y) * x)


class Listed(nnx.Module):
    """A class with a list and a dictionary of parameters."""

    def __init__(self):
        self.scales = nnx.List([nnx.Param(jnp.zeros(6)) for _ in range(2)])
        self.shifts = nnx.Dict(left=nnx.Param(jnp.zeros(6)), right=nnx.Param(jnp.zeros(6)))

    def __call__(self, x):
        left = x * self.scales[0] + self.shifts["left"]
        return left * self.scales[1] + self.shifts["right"]


LAYERS = {
    "linear": linear,
    "linear_in_out": lambda layer: port(lambda: nnx.Linear(layer.nx, layer.nf, rngs=rngs())),
    "conv": conv,
    "conv_transpose": conv_transpose,
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
    "rms_norm": rms_norm,
    "embedding": lambda layer: port(lambda: embed(layer)),
    "embedding_bag": lambda layer: port(lambda: embed(layer), lambda module, bags: module(bags).sum(1)),
    "embedding_bag mean": lambda layer: port(lambda: embed(layer), lambda module, bags: module(bags).mean(1)),
    "rnn": lambda layer: stacked(layer, simple_cell),
    "lstm": lambda layer: stacked(layer, lstm_cell),
    "gru": lambda layer: replace(stacked(layer, gru_cell), prepared=layer.bias),
    "rnn_cell": lambda layer: one_step(simple_cell, layer),
    "lstm_cell": lambda layer: port(
        lambda: lstm_cell(layer.input_size, layer), lambda module, x, h, c: module((c, h), x)[1]
    ),
    "gru_cell": lambda layer: replace(one_step(gru_cell, layer), prepared=layer.bias),
    "mha": mha,
    "transformer_encoder_layer": lambda layer: port(lambda: EncoderLayer(layer)),
    "transformer_decoder_layer": lambda layer: port(lambda: DecoderLayer(layer)),
    "transformer_encoder": lambda stack: port(lambda: Stack(EncoderLayer, stack)),
    "transformer_decoder": lambda stack: port(lambda: Stack(DecoderLayer, stack)),
    "transformer": lambda whole: port(lambda: Transformer(whole)),
    "prelu": lambda _: port(nnx.PReLU),
    "class_weights": lambda _: port(Weighted),
    "kept": lambda _: port(Kept),
    "listed": lambda _: port(Listed),
}
