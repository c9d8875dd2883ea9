"""Flax Linen."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from parity import Port
from parity.nnx import transposed_padding, weighted


class Holder(linen.Module):
    """Hold a module, or a list of them, under the name m."""

    m: Any
    call: Any

    def __call__(self, *inputs):
        return self.call(self.m, *inputs)


def port(module, *inputs, call=lambda module, *inputs: module(*inputs)):
    """Hold a module; ``inputs`` are shapes to initialise it with."""
    holder = Holder(module, call)
    dtype = np.int32 if isinstance(module, linen.Embed) else np.float32
    args = [np.zeros(shape, dtype) for shape in inputs]
    shapes = jax.eval_shape(lambda: holder.init(jax.random.key(0), *args))
    variables = jax.tree.map(lambda leaf: jnp.asarray(np.zeros(leaf.shape, leaf.dtype)), shapes)
    return Port(variables, jax.jit(holder.apply))


def conv(layer):
    space = (9,) * len(layer.kernel_size)
    return port(
        linen.Conv(
            layer.out_channels,
            layer.kernel_size,
            strides=layer.stride,
            padding=[(size, size) for size in layer.padding],
            kernel_dilation=layer.dilation,
            feature_group_count=layer.groups,
            use_bias=layer.bias is not None,
        ),
        (1, *space, layer.in_channels),
    )


def conv_transpose(layer):
    space = (5,) * len(layer.kernel_size)
    return port(
        linen.ConvTranspose(
            layer.out_channels,
            layer.kernel_size,
            strides=layer.stride,
            padding=transposed_padding(layer),
            kernel_dilation=layer.dilation,
            use_bias=layer.bias is not None,
        ),
        (1, *space, layer.in_channels),
    )


def batch_norm(layer):
    norm = linen.BatchNorm(
        use_running_average=True,
        epsilon=layer.eps,
        momentum=1 - layer.momentum,
        use_scale=layer.affine,
        use_bias=layer.affine,
    )
    return port(norm, (1, layer.num_features))


def instance_norm(layer):
    if layer.track_running_stats:
        return batch_norm(layer)
    return port(linen.InstanceNorm(epsilon=layer.eps), (1, 2, 2, layer.num_features))


def layer_norm(layer):
    axes = tuple(range(-len(layer.normalized_shape), 0))
    shape = layer.normalized_shape
    if len(shape) == 3:  # of images: channels come last here
        shape = (*shape[1:], shape[0])
    norm = linen.LayerNorm(
        epsilon=layer.eps, use_bias=layer.bias is not None, reduction_axes=axes, feature_axes=axes
    )
    return port(norm, (1, *shape))


def embed(layer):
    return linen.Embed(layer.num_embeddings, layer.embedding_dim)


def stacked(layer, cell):
    """Return an RNN for each layer; two of them in a Bidirectional where it reads both ways."""
    ways = 1 + layer.bidirectional

    def one():
        rnns = [linen.RNN(cell(layer)) for _ in range(ways)]
        return linen.Bidirectional(*rnns) if ways == 2 else rnns[0]

    def run(modules, x):
        for module in modules:
            x = module(x)
        return x

    shape = (1, 2, layer.input_size)
    if layer.num_layers == 1:
        return port(one(), shape)
    return port([one() for _ in range(layer.num_layers)], shape, call=run)


def simple_cell(layer):
    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[layer.nonlinearity]
    return linen.SimpleCell(layer.hidden_size, activation_fn=activation)


def lstm_cell(layer):
    return linen.OptimizedLSTMCell(layer.hidden_size)


def gru_cell(layer):
    return linen.GRUCell(layer.hidden_size)


def one_step(make, layer):
    """Run a cell on (input, state): its new state."""
    shapes = ((1, layer.input_size), (1, layer.hidden_size))
    return port(make(layer), *shapes, call=lambda module, x, state: module(state, x)[1])


def lstm_step(layer):
    shapes = ((1, layer.input_size), (1, layer.hidden_size), (1, layer.hidden_size))
    return port(lstm_cell(layer), *shapes, call=lambda module, x, h, c: module((c, h), x)[1])


def attended(module, query, key, value=None):
    return module(query, key, value)


def mha(layer):
    attention = linen.MultiHeadDotProductAttention(
        layer.num_heads,
        qkv_features=layer.embed_dim,
        out_features=layer.embed_dim,
        use_bias=layer.out_proj.bias is not None,
    )
    return port(attention, (1, 2, layer.embed_dim), (1, 2, layer.kdim), (1, 2, layer.vdim), call=attended)


class EncoderLayer(linen.Module):
    """torch.nn.TransformerEncoderLayer."""

    heads: int
    hidden: int
    norm_first: bool

    def beside(self, name, x, part):
        """Add what a part makes of x, whose norm comes first or last."""
        norm = linen.LayerNorm(epsilon=1e-5, name=name)
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))

    def attend(self, name, *memory):
        attention = linen.MultiHeadDotProductAttention(self.heads, name=name)
        return lambda x: attention(x, *memory)

    def feed(self, x):
        hidden = jax.nn.relu(linen.Dense(self.hidden, name="linear1")(x))
        return linen.Dense(x.shape[-1], name="linear2")(hidden)

    @linen.compact
    def __call__(self, x):
        x = self.beside("norm1", x, self.attend("self_attn"))
        return self.beside("norm2", x, self.feed)


class DecoderLayer(EncoderLayer):
    """torch.nn.TransformerDecoderLayer."""

    @linen.compact
    def __call__(self, x, memory):
        x = self.beside("norm1", x, self.attend("self_attn"))
        x = self.beside("norm2", x, self.attend("multihead_attn", memory))
        return self.beside("norm3", x, self.feed)


class Stack(linen.Module):
    """torch.nn.TransformerEncoder and TransformerDecoder."""

    make: Any
    depth: int
    sizes: tuple

    @linen.compact
    def __call__(self, x, *memory):
        for index in range(self.depth):
            x = self.make(*self.sizes, name=f"layers_{index}")(x, *memory)
        return linen.LayerNorm(epsilon=1e-5, name="norm")(x)


class Transformer(linen.Module):
    """torch.nn.Transformer."""

    depth: int
    sizes: tuple

    @linen.compact
    def __call__(self, x, y):
        memory = Stack(EncoderLayer, self.depth, self.sizes, name="encoder")(x)
        return Stack(DecoderLayer, self.depth, self.sizes, name="decoder")(y, memory)


class Kept(linen.Module):
    """A class that keeps a parameter and a buffer itself."""

    @linen.compact
    def __call__(self, x):
        scale = self.param("scale", linen.initializers.zeros, (6,))
        shift = self.variable("buffers", "shift", jnp.zeros, (6,))
        return x * scale + shift.value


class Weighted(linen.Module):
    """Binary cross entropy of logits, each class with a weight, and with one for what is true of it."""

    @linen.compact
    def __call__(self, x, y):
        names = ("weight", "pos_weight")
        return weighted(x, y, *(self.variable("buffers", name, jnp.zeros, (6,)).value for name in names))


class Shifts(linen.Module):
    """A dictionary of parameters."""

    @linen.compact
    def __call__(self):
        return [self.param(name, linen.initializers.zeros, (6,)) for name in ("left", "right")]


class Listed(linen.Module):
    """A class with a list and a dictionary of parameters."""

    @linen.compact
    def __call__(self, x):
        scales = [self.param(f"scales_{index}", linen.initializers.zeros, (6,)) for index in range(2)]
        left, right = Shifts(name="shifts")()
        return (x * scales[0] + left) * scales[1] + right


def sizes(layer):
    return layer.self_attn.num_heads, layer.linear1.out_features, layer.norm_first


def stack(make, *inputs):
    return lambda whole: port(make(depth=len(whole.layers), sizes=sizes(whole.layers[0])), *inputs)


X, MEMORY = (1, 4, 6), (1, 5, 6)

LAYERS = {
    "linear": lambda layer: port(
        linen.Dense(layer.out_features, use_bias=layer.bias is not None), (1, layer.in_features)
    ),
    "linear_in_out": lambda layer: port(linen.Dense(layer.nf), (1, layer.nx)),
    "conv": conv,
    "conv_transpose": conv_transpose,
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "group_norm": lambda layer: port(
        linen.GroupNorm(layer.num_groups, epsilon=layer.eps), (1, 2, layer.num_channels)
    ),
    "rms_norm": lambda layer: port(linen.RMSNorm(epsilon=layer.eps), (1, layer.normalized_shape[0])),
    "embedding": lambda layer: port(embed(layer), (1, 2)),
    "embedding_bag": lambda layer: port(embed(layer), (1, 2), call=lambda module, bags: module(bags).sum(1)),
    "embedding_bag mean": lambda layer: port(
        embed(layer), (1, 2), call=lambda module, bags: module(bags).mean(1)
    ),
    "rnn": lambda layer: stacked(layer, simple_cell),
    "lstm": lambda layer: stacked(layer, lstm_cell),
    "gru": lambda layer: stacked(layer, gru_cell),
    "rnn_cell": lambda layer: one_step(simple_cell, layer),
    "lstm_cell": lstm_step,
    "gru_cell": lambda layer: one_step(gru_cell, layer),
    "mha": mha,
    "transformer_encoder_layer": lambda layer: port(EncoderLayer(*sizes(layer)), X),
    "transformer_decoder_layer": lambda layer: port(DecoderLayer(*sizes(layer)), X, MEMORY),
    "transformer_encoder": stack(partial(Stack, EncoderLayer), X),
    "transformer_decoder": stack(partial(Stack, DecoderLayer), X, MEMORY),
    "transformer": lambda whole: stack(Transformer, X, MEMORY)(whole.encoder),
    "prelu": lambda _: port(linen.PReLU(), (1, 2)),
    "class_weights": lambda _: port(Weighted(), (1, 6), (1, 6)),
    "kept": lambda _: port(Kept(), (1, 6)),
    "listed": lambda _: port(Listed(), (1, 6)),
}
