"""Haiku: a function of the input, and its params and state."""

from functools import partial

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from parity import Port
from parity.nnx import weighted

KEY = jax.random.key(0)

# What Haiku shapes by the rank of its input: only a model shows it.
BY_RANK = {"batch_norm", "instance_norm", "layer_norm"}


def port(function, *inputs):
    """Make the params of a function for inputs of these shapes, and the state where it has one."""
    transformed = hk.without_apply_rng(hk.transform_with_state(function))
    params, state = started(transformed, *inputs)
    apply = jax.jit(transformed.apply)
    if not state:
        return Port(params, lambda params, *inputs: apply(params, {}, *inputs)[0])
    return Port((params, state), lambda model, *inputs: apply(*model, *inputs)[0])


def started(transformed, *inputs):
    """Return params and state of zeros, which need no compiler."""
    shapes = jax.eval_shape(transformed.init, KEY, *inputs)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def scoped(function):
    """Let a function make its params below the name m."""

    def run(*inputs):
        with hk.name_scope("m"):
            return function(*inputs)

    return run


def numbers(*shape):
    return np.zeros(shape, "f4")


def image(layer, channels):
    """Return an image as large as the kernel, so that every size fits."""
    return numbers(1, *(size * 4 for size in layer.kernel_size), channels)


def linear(inputs, outputs, bias):
    return port(lambda x: hk.Linear(outputs, with_bias=bias, name="m")(x), numbers(1, inputs))


def conv(layer):
    def function(x):
        return hk.ConvND(
            len(layer.kernel_size),
            layer.out_channels,
            layer.kernel_size,
            stride=layer.stride,
            rate=layer.dilation,
            padding=[(size, size) for size in layer.padding],
            feature_group_count=layer.groups,
            with_bias=layer.bias is not None,
            name="m",
        )(x)

    return port(function, image(layer, layer.in_channels))


def conv_transpose(layer):
    """Run a ConvNDTranspose; it has no dilation, and its padding is that of the spread-out input."""
    sizes = zip(layer.kernel_size, layer.padding, layer.output_padding, layer.dilation, strict=True)
    padding = [(d * (k - 1) - p, d * (k - 1) - p + extra) for k, p, extra, d in sizes]
    shape = (*layer.kernel_size, layer.out_channels, layer.in_channels)

    @scoped
    def dilated(x):
        """Do what hk.ConvNDTranspose does, with a dilation."""
        w = hk.get_parameter("w", shape, init=jnp.zeros)
        letters = "DHW"[-len(layer.kernel_size) :]
        numbers = (f"N{letters}C", f"{letters}OI", f"N{letters}C")
        out = jax.lax.conv_transpose(
            x, w, layer.stride, padding, rhs_dilation=layer.dilation, dimension_numbers=numbers
        )
        return out + hk.get_parameter("b", (layer.out_channels,), init=jnp.zeros)

    def function(x):
        return hk.ConvNDTranspose(
            len(layer.kernel_size),
            layer.out_channels,
            layer.kernel_size,
            stride=layer.stride,
            padding=padding,
            with_bias=layer.bias is not None,
            name="m",
        )(x)

    plain = all(size == 1 for size in layer.dilation)
    return port(function if plain else dilated, image(layer, layer.in_channels))


def batch_norm(layer):
    rank = {"1": 1, "2": 2, "3": 3}.get(type(layer).__name__[-2], 2)

    def function(x):
        return hk.BatchNorm(layer.affine, layer.affine, 1 - layer.momentum, layer.eps, name="m")(x, False)

    def start(x):
        return hk.BatchNorm(layer.affine, layer.affine, 1 - layer.momentum, layer.eps, name="m")(x, True)

    x = numbers(2, *[2] * rank, layer.num_features)
    made = started(hk.transform_with_state(start), x)
    apply = jax.jit(hk.without_apply_rng(hk.transform_with_state(function)).apply)
    return Port(made, lambda model, x: apply(*model, x)[0])


def instance_norm(layer):
    if layer.track_running_stats:
        return batch_norm(layer)
    shape = (1, 2, 2, layer.num_features)
    return port(lambda x: hk.InstanceNorm(True, True, eps=layer.eps, name="m")(x), numbers(*shape))


def layer_norm(layer):
    if len(layer.normalized_shape) > 1:
        return over_several(layer)
    return port(
        lambda x: hk.LayerNorm(-1, True, layer.bias is not None, eps=layer.eps, name="m")(x),
        numbers(1, *layer.normalized_shape),
    )


def over_several(layer):
    """Run a norm over several axes: its scale has the rank of the input."""
    shape = layer.normalized_shape
    if len(shape) == 3:
        shape = (*shape[1:], shape[0])
    axes = tuple(range(-len(shape), 0))
    return port(
        lambda x: hk.LayerNorm(axes, True, True, eps=layer.eps, param_axis=axes, name="m")(x),
        numbers(1, *shape),
    )


def group_norm(layer):
    return port(
        lambda x: hk.GroupNorm(layer.num_groups, eps=layer.eps, name="m")(x),
        numbers(1, 2, 2, layer.num_channels),
    )


def embedding(layer, run=lambda vectors: vectors):
    return port(
        lambda x: run(hk.Embed(layer.num_embeddings, layer.embedding_dim, name="m")(x)),
        np.zeros((1, 1), int),
    )


def steps(layer, make):
    """Unroll a core for each layer of torch's, two of them for two ways."""
    ways = 1 + layer.bidirectional

    def read(x, name, *, back=False):
        core = make(layer.hidden_size, name=name)
        out, _ = hk.dynamic_unroll(core, x[::-1] if back else x, core.initial_state(x.shape[1]))
        return out[::-1] if back else out

    def function(x):
        x = jnp.swapaxes(x, 0, 1)
        for index in range(layer.num_layers):
            name = f"m_{index}" if layer.num_layers > 1 else "m"
            if ways == 1:
                x = read(x, name)
                continue
            with hk.name_scope(name):
                both = [read(x, "forward"), read(x, "backward", back=True)]
            x = jnp.concatenate(both, -1)
        return jnp.swapaxes(x, 0, 1)

    return port(function, numbers(1, 2, layer.input_size))


def lstm_cell(layer):
    def function(x, h, c):
        return hk.LSTM(layer.hidden_size, name="m")(x, hk.LSTMState(h, c))[0]

    state = numbers(1, layer.hidden_size)
    return port(function, numbers(1, layer.input_size), state, state)


def attention(layer, name):
    """Make an attention; Haiku has none without a key size of its own."""
    return hk.MultiHeadAttention(
        layer.num_heads,
        layer.head_dim,
        with_bias=layer.out_proj.bias is not None,
        w_init=hk.initializers.Constant(0.0),
        model_size=layer.embed_dim,
        name=name,
    )


def mha(layer):
    return port(
        lambda x, *memory: attention(layer, "m")(x, memory[0], memory[-1]),
        *(numbers(1, 2, size) for size in (layer.embed_dim, layer.kdim, layer.vdim)),
    )


def norm(x, name):
    return hk.LayerNorm(-1, True, True, name=name)(x)


def feed(layer, x):
    hidden = jax.nn.relu(hk.Linear(layer.linear1.out_features, name="linear1")(x))
    return hk.Linear(layer.linear1.in_features, name="linear2")(hidden)


def beside(layer, name, x, part):
    """Add what a part makes of x, whose norm comes first or last."""
    return x + part(norm(x, name)) if layer.norm_first else norm(x + part(x), name)


def attend(layer, name, *memory):
    return lambda x: attention(getattr(layer, name), name)(x, *(memory or (x, x)))


def encoded(layer, x):
    """torch.nn.TransformerEncoderLayer."""
    x = beside(layer, "norm1", x, attend(layer, "self_attn"))
    return beside(layer, "norm2", x, lambda y: feed(layer, y))


def decoded(layer, x, memory):
    """torch.nn.TransformerDecoderLayer."""
    x = beside(layer, "norm1", x, attend(layer, "self_attn"))
    x = beside(layer, "norm2", x, attend(layer, "multihead_attn", memory, memory))
    return beside(layer, "norm3", x, lambda y: feed(layer, y))


def stacked(run, stack, x, *memory):
    """torch.nn.TransformerEncoder and TransformerDecoder."""
    for index, layer in enumerate(stack.layers):
        with hk.name_scope(f"layers_{index}"):
            x = run(layer, x, *memory)
    return norm(x, "norm")


def transformer(whole, x, y):
    """torch.nn.Transformer."""
    with hk.name_scope("encoder"):
        memory = stacked(encoded, whole.encoder, x)
    with hk.name_scope("decoder"):
        return stacked(decoded, whole.decoder, y, memory)


X = numbers(1, 2, 6)


class Kept(hk.Module):
    """A class that keeps a parameter and a buffer itself."""

    def __call__(self, x):
        scale = hk.get_parameter("scale", (6,), init=jnp.zeros)
        return x * scale + hk.get_state("shift", (6,), init=jnp.zeros)


class Weighted(hk.Module):
    """Binary cross entropy of logits, each class with a weight, and with one for what is true of it."""

    def __call__(self, x, y):
        names = ("weight", "pos_weight")
        return weighted(x, y, *(hk.get_state(name, (6,), init=jnp.zeros) for name in names))


class Listed(hk.Module):
    """A class with a list and a dictionary of parameters."""

    def __call__(self, x):
        first, second = (hk.get_parameter(f"scales_{index}", (6,), init=jnp.zeros) for index in range(2))
        left, right = (hk.get_parameter(f"shifts/{name}", (6,), init=jnp.zeros) for name in ("left", "right"))
        return (x * first + left) * second + right


LAYERS = {
    "linear": lambda layer: linear(layer.in_features, layer.out_features, layer.bias is not None),
    "linear_in_out": lambda layer: linear(layer.nx, layer.nf, bias=True),
    "conv": conv,
    "conv_transpose": conv_transpose,
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
    "rms_norm": lambda layer: port(
        lambda x: hk.RMSNorm(-1, layer.eps, name="m")(x), numbers(1, *layer.normalized_shape)
    ),
    "embedding": embedding,
    "embedding_bag": lambda layer: embedding(layer, lambda vectors: vectors.sum(1)),
    "embedding_bag mean": lambda layer: embedding(layer, lambda vectors: vectors.mean(1)),
    "rnn": lambda layer: steps(layer, hk.VanillaRNN),
    "lstm": lambda layer: steps(layer, hk.LSTM),
    "rnn_cell": lambda layer: port(
        lambda x, h: hk.VanillaRNN(layer.hidden_size, name="m")(x, h)[0],
        numbers(1, layer.input_size),
        numbers(1, layer.hidden_size),
    ),
    "lstm_cell": lstm_cell,
    "mha": mha,
    "transformer_encoder_layer": lambda layer: port(scoped(partial(encoded, layer)), X),
    "transformer_decoder_layer": lambda layer: port(scoped(partial(decoded, layer)), X, X),
    "transformer_encoder": lambda stack: port(scoped(partial(stacked, encoded, stack)), X),
    "transformer_decoder": lambda stack: port(scoped(partial(stacked, decoded, stack)), X, X),
    "transformer": lambda whole: port(scoped(partial(transformer, whole)), X, X),
    "class_weights": lambda _: port(lambda *xy: Weighted(name="m")(*xy), numbers(1, 6), numbers(1, 6)),
    "kept": lambda _: port(lambda x: Kept(name="m")(x), numbers(1, 6)),
    "listed": lambda _: port(lambda x: Listed(name="m")(x), numbers(1, 6)),
}
