"""Equinox: layers of one example, mapped over the batch."""

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox import nn

from parity import Port
from parity.nnx import weighted

KEY = jax.random.key(0)

# What Equinox lets the user shape by the rank of the input: only a model shows it.
BY_RANK = {"prelu"}


class Holder(eqx.Module):
    """Holds one layer, or a list of them, under the name m."""

    m: object


def port(module, run=lambda module, *inputs: module(*inputs)):
    """Hold a module under the name m; it runs on each example of the batch."""

    @eqx.filter_jit
    def call(model, *inputs):
        return jax.vmap(lambda *one: run(model.m, *one))(*inputs)

    return Port(Holder(module), call)


def sized(layer, *names):
    common = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
    arguments = {name: getattr(layer, name) for name in (*common, *names)}
    return {**arguments, "use_bias": layer.bias is not None, "key": KEY}


def batch_norm(layer):
    make = eqx.nn.make_with_state(
        lambda: Holder(
            nn.BatchNorm(
                layer.num_features, "batch", layer.eps, layer.affine, 1 - layer.momentum, mode="batch"
            )
        )
    )

    @eqx.filter_jit
    def run(pair, x):
        model, state = pair
        layer = eqx.nn.inference_mode(model.m)
        return jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)[0]

    return Port(make(), run)


def instance_norm(layer):
    if layer.track_running_stats:
        return batch_norm(layer)
    return port(nn.GroupNorm(layer.num_features, layer.num_features, layer.eps))


def layer_norm(layer):
    norm = nn.LayerNorm(layer.normalized_shape, layer.eps, use_bias=layer.bias is not None)
    return port(norm, lambda norm, x: over_rest(norm, x, len(layer.normalized_shape)))


def over_rest(function, x, rank):
    """Map over the axes that a function of the last ones does not see."""
    for _ in range(x.ndim - rank):
        function = jax.vmap(function)
    return function(x)


def rms_norm(layer):
    norm = nn.RMSNorm(layer.normalized_shape, layer.eps, use_bias=False)
    return port(norm, lambda norm, x: over_rest(norm, x, len(layer.normalized_shape)))


def linear(layer, inputs, outputs, bias):
    return port(nn.Linear(inputs, outputs, bias, key=KEY), lambda module, x: over_rest(module, x, 1))


class Both(eqx.Module):
    """A cell for each direction."""

    forward: object
    backward: object


def scanned(cell, x, start):
    def step(state, one):
        state = cell(one, state)
        return state, state[0] if isinstance(state, tuple) else state

    return jax.lax.scan(step, start, x)[1]


def steps(layer, make, state):
    """Return a cell for each layer of torch's, two of them for two ways."""
    ways = 1 + layer.bidirectional

    def one(index):
        size = layer.input_size if index == 0 else layer.hidden_size * ways
        cells = [make(size, layer.hidden_size, layer.bias, key=KEY) for _ in range(ways)]
        return Both(*cells) if ways == 2 else cells[0]

    def run(cells, x):
        zero = jnp.zeros(layer.hidden_size)
        start = (zero, zero) if state == 2 else zero
        for cell in cells if isinstance(cells, list) else [cells]:
            if isinstance(cell, Both):
                back = scanned(cell.backward, x[::-1], start)[::-1]
                x = jnp.concatenate([scanned(cell.forward, x, start), back], -1)
            else:
                x = scanned(cell, x, start)
        return x

    single = layer.num_layers == 1
    return port(one(0) if single else [one(index) for index in range(layer.num_layers)], run)


def attention(layer):
    bias = layer.out_proj.bias is not None
    return nn.MultiheadAttention(
        layer.num_heads,
        layer.embed_dim,
        layer.kdim,
        layer.vdim,
        use_query_bias=bias,
        use_key_bias=bias,
        use_value_bias=bias,
        use_output_bias=bias,
        key=KEY,
    )


class EncoderLayer(eqx.Module):
    """torch.nn.TransformerEncoderLayer."""

    self_attn: nn.MultiheadAttention
    linear1: nn.Linear
    linear2: nn.Linear
    norm1: nn.LayerNorm
    norm2: nn.LayerNorm
    norm_first: bool = eqx.field(static=True)

    def __init__(self, layer):
        width, hidden = layer.linear1.in_features, layer.linear1.out_features
        self.norm_first = layer.norm_first
        self.self_attn = attention(layer.self_attn)
        self.linear1, self.linear2 = nn.Linear(width, hidden, key=KEY), nn.Linear(hidden, width, key=KEY)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def feed(self, x):
        return jax.vmap(lambda one: self.linear2(jax.nn.relu(self.linear1(one))))(x)

    def beside(self, norm, x, part):
        """Add what a part makes of x, whose norm comes first or last."""
        norm = jax.vmap(norm)
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))

    def attend(self, x):
        return self.self_attn(x, x, x)

    def __call__(self, x):
        x = self.beside(self.norm1, x, self.attend)
        return self.beside(self.norm2, x, self.feed)


class DecoderLayer(EncoderLayer):
    """torch.nn.TransformerDecoderLayer."""

    multihead_attn: nn.MultiheadAttention
    norm3: nn.LayerNorm

    def __init__(self, layer):
        super().__init__(layer)
        self.multihead_attn = attention(layer.multihead_attn)
        self.norm3 = nn.LayerNorm(layer.linear1.in_features)

    def __call__(self, x, memory):
        x = self.beside(self.norm1, x, self.attend)
        x = self.beside(self.norm2, x, lambda y: self.multihead_attn(y, memory, memory))
        return self.beside(self.norm3, x, self.feed)


class Stack(eqx.Module):
    """torch.nn.TransformerEncoder and TransformerDecoder."""

    layers: list
    norm: nn.LayerNorm

    def __init__(self, make, stack):
        self.layers = [make(layer) for layer in stack.layers]
        self.norm = nn.LayerNorm(stack.norm.normalized_shape)

    def __call__(self, x, *memory):
        for layer in self.layers:
            x = layer(x, *memory)
        return jax.vmap(self.norm)(x)


class Transformer(eqx.Module):
    """torch.nn.Transformer."""

    encoder: Stack
    decoder: Stack

    def __init__(self, whole):
        self.encoder, self.decoder = Stack(EncoderLayer, whole.encoder), Stack(DecoderLayer, whole.decoder)

    def __call__(self, x, y):
        return self.decoder(y, self.encoder(x))


def prelu(layer):
    """Make a PReLU; slopes of channels have the shape that broadcasts to an example's."""
    slopes = layer.num_parameters
    return port(nn.PReLU() if slopes == 1 else nn.PReLU(jnp.zeros((slopes, 1))))


class Kept(eqx.Module):
    """A class that keeps a parameter and a buffer itself."""

    scale: jax.Array
    shift: jax.Array

    def __call__(self, x):
        return x * self.scale + self.shift


class Weighted(eqx.Module):
    """Binary cross entropy of logits, each class with a weight, and with one for what is true of it."""

    weight: jax.Array
    pos_weight: jax.Array

    def __call__(self, x, y):
        return weighted(x, y, self.weight, self.pos_weight)


class Listed(eqx.Module):
    """A class with a list and a dictionary of parameters."""

    scales: list
    shifts: dict

    def __call__(self, x):
        left = x * self.scales[0] + self.shifts["left"]
        return left * self.scales[1] + self.shifts["right"]


ZERO = jnp.zeros(6)

LAYERS = {
    "linear": lambda layer: linear(layer, layer.in_features, layer.out_features, layer.bias is not None),
    "linear_in_out": lambda layer: linear(layer, layer.nx, layer.nf, bias=True),
    "conv": lambda layer: port(nn.Conv(len(layer.kernel_size), **sized(layer))),
    "conv_transpose": lambda layer: port(
        nn.ConvTranspose(len(layer.kernel_size), **sized(layer, "output_padding"))
    ),
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "group_norm": lambda layer: port(nn.GroupNorm(layer.num_groups, layer.num_channels, layer.eps)),
    "rms_norm": rms_norm,
    "embedding": lambda layer: port(
        nn.Embedding(layer.num_embeddings, layer.embedding_dim, key=KEY),
        lambda module, tokens: jax.vmap(module)(tokens),
    ),
    "embedding_bag": lambda layer: port(
        nn.Embedding(layer.num_embeddings, layer.embedding_dim, key=KEY),
        lambda module, bag: jax.vmap(module)(bag).sum(0),
    ),
    "embedding_bag mean": lambda layer: port(
        nn.Embedding(layer.num_embeddings, layer.embedding_dim, key=KEY),
        lambda module, bag: jax.vmap(module)(bag).mean(0),
    ),
    "lstm": lambda layer: steps(layer, nn.LSTMCell, 2),
    "gru": lambda layer: steps(layer, nn.GRUCell, 1),
    "lstm_cell": lambda layer: port(
        nn.LSTMCell(layer.input_size, layer.hidden_size, key=KEY),
        lambda module, x, h, c: module(x, (h, c))[0],
    ),
    "gru_cell": lambda layer: port(nn.GRUCell(layer.input_size, layer.hidden_size, key=KEY)),
    "mha": lambda layer: port(attention(layer), lambda module, x, *memory: module(x, memory[0], memory[-1])),
    "transformer_encoder_layer": lambda layer: port(EncoderLayer(layer)),
    "transformer_decoder_layer": lambda layer: port(DecoderLayer(layer)),
    "transformer_encoder": lambda stack: port(Stack(EncoderLayer, stack)),
    "transformer_decoder": lambda stack: port(Stack(DecoderLayer, stack)),
    "transformer": lambda whole: port(Transformer(whole)),
    "prelu": prelu,
    "class_weights": lambda _: port(Weighted(ZERO, ZERO)),
    "kept": lambda _: port(Kept(ZERO, ZERO)),
    "listed": lambda _: port(Listed([ZERO, ZERO], {"left": ZERO, "right": ZERO})),
}
