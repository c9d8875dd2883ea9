"""MLX."""

import mlx.core as mx
from mlx import nn

from parity import Port


class Holder(nn.Module):
    """Holds one layer, or a list of them, under the name m."""

    def __init__(self, module):
        super().__init__()
        self.m = module


def port(module, run=lambda module, *inputs: module(*inputs)):
    """Hold a module under the name m."""

    def call(model, *inputs):
        model.eval()
        return run(model.m, *map(mx.array, inputs))

    return Port(Holder(module), call)


def sized(layer, *names):
    """Return arguments of a convolution; MLX's one-dimensional ones take numbers, not tuples."""
    one = len(layer.kernel_size) == 1
    return {name: getattr(layer, name)[0] if one else getattr(layer, name) for name in names}


def rank(layer):
    return len(layer.kernel_size)


def conv(layer):
    arguments = sized(layer, "kernel_size", "stride", "padding", "dilation")
    if rank(layer) < 3:
        arguments["groups"] = layer.groups
    bias = layer.bias is not None
    make = getattr(nn, f"Conv{rank(layer)}d")
    return port(make(layer.in_channels, layer.out_channels, bias=bias, **arguments))


def conv_transpose(layer):
    arguments = sized(layer, "kernel_size", "stride", "padding", "dilation", "output_padding")
    make = getattr(nn, f"ConvTranspose{rank(layer)}d")
    bias = layer.bias is not None
    return port(make(layer.in_channels, layer.out_channels, bias=bias, **arguments))


def batch_norm(layer):
    """Make a BatchNorm; it takes no images of three dimensions, so they are one here."""
    norm = nn.BatchNorm(layer.num_features, eps=layer.eps, affine=layer.affine)
    return port(norm, lambda norm, x: norm(x.reshape(len(x), -1, x.shape[-1])).reshape(x.shape))


def instance_norm(layer):
    if layer.track_running_stats:
        return batch_norm(layer)
    return port(nn.InstanceNorm(layer.num_features, eps=layer.eps, affine=True))


def layer_norm(layer):
    """Make a LayerNorm; MLX has them over one axis only, and one over several is computed by hand."""
    if len(layer.normalized_shape) == 1:
        return port(nn.LayerNorm(layer.normalized_shape[0], eps=layer.eps, bias=layer.bias is not None))
    inner = nn.LayerNorm(1, eps=layer.eps)
    first, *rest = layer.normalized_shape
    # A norm over an image is one over (h, w, c) where channels are last.
    inner.weight = inner.bias = mx.zeros((*rest, first) if len(rest) == 2 else layer.normalized_shape)
    axes = tuple(range(-len(layer.normalized_shape), 0))

    def run(module, x):
        x = (x - x.mean(axes, keepdims=True)) * mx.rsqrt(x.var(axes, keepdims=True) + layer.eps)
        return x * module.weight + module.bias

    return port(inner, run)


def steps(layer, make, first=lambda out: out):
    """Return a layer for each layer of torch's, two of them for two ways."""
    ways = 1 + layer.bidirectional

    class Both(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.forward, self.backward = make(size), make(size)

        def __call__(self, x):
            back = first(self.backward(x[:, ::-1]))[:, ::-1]
            return mx.concatenate([first(self.forward(x)), back], axis=-1)

    def one(index):
        size = layer.input_size if index == 0 else layer.hidden_size * ways
        return Both(size) if ways == 2 else make(size)

    def run(modules, x):
        for module in modules if isinstance(modules, list) else [modules]:
            out = module(x)
            x = out if ways == 2 else first(out)
        return x

    single = layer.num_layers == 1
    return port(one(0) if single else [one(index) for index in range(layer.num_layers)], run)


def rnn(layer):
    activation = {"tanh": mx.tanh, "relu": nn.relu}[layer.nonlinearity]
    return steps(layer, lambda size: nn.RNN(size, layer.hidden_size, layer.bias, nonlinearity=activation))


def one_step(module, first=lambda out: out):
    """Run a layer of a sequence for one step, with the state as an argument."""
    return port(module, lambda module, x, *state: first(module(x[:, None], *state))[:, 0])


def attention(layer):
    made = nn.MultiHeadAttention(
        layer.num_heads * layer.head_dim,
        layer.num_heads,
        key_input_dims=layer.kdim,
        value_input_dims=layer.vdim,
        bias=True,
    )
    if layer.out_proj.bias is None:
        for name in ("query_proj", "key_proj", "value_proj", "out_proj"):
            del made[name]["bias"]
    else:
        assert layer.in_proj_bias is not None
    return made


class EncoderLayer(nn.Module):
    """torch.nn.TransformerEncoderLayer."""

    def __init__(self, layer):
        super().__init__()
        width, hidden = layer.linear1.in_features, layer.linear1.out_features
        self.norm_first = layer.norm_first
        self.self_attn = attention(layer.self_attn)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def feed(self, x):
        return self.linear2(nn.relu(self.linear1(x)))

    def beside(self, norm, x, part):
        """Add what a part makes of x, whose norm comes first or last."""
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))

    def attend(self, x):
        return self.self_attn(x, x, x)

    def __call__(self, x):
        x = self.beside(self.norm1, x, self.attend)
        return self.beside(self.norm2, x, self.feed)


class DecoderLayer(EncoderLayer):
    """torch.nn.TransformerDecoderLayer."""

    def __init__(self, layer):
        super().__init__(layer)
        self.multihead_attn = attention(layer.multihead_attn)
        self.norm3 = nn.LayerNorm(layer.linear1.in_features)

    def __call__(self, x, memory):
        x = self.beside(self.norm1, x, self.attend)
        x = self.beside(self.norm2, x, lambda y: self.multihead_attn(y, memory, memory))
        return self.beside(self.norm3, x, self.feed)


class Stack(nn.Module):
    """torch.nn.TransformerEncoder and TransformerDecoder."""

    def __init__(self, make, stack):
        super().__init__()
        self.layers = [make(layer) for layer in stack.layers]
        self.norm = nn.LayerNorm(stack.norm.normalized_shape[0])

    def __call__(self, x, *memory):
        for layer in self.layers:
            x = layer(x, *memory)
        return self.norm(x)


class Transformer(nn.Module):
    """torch.nn.Transformer."""

    def __init__(self, whole):
        super().__init__()
        self.encoder, self.decoder = Stack(EncoderLayer, whole.encoder), Stack(DecoderLayer, whole.decoder)

    def __call__(self, x, y):
        return self.decoder(y, self.encoder(x))


class Kept(nn.Module):
    """A class that keeps a parameter and a buffer itself."""

    def __init__(self):
        super().__init__()
        self.scale, self.shift = mx.zeros(6), mx.zeros(6)

    def __call__(self, x):
        return x * self.scale + self.shift


class Weighted(nn.Module):
    """Binary cross entropy of logits, each class with a weight, and with one for what is true of it."""

    def __init__(self):
        super().__init__()
        self.weight, self.pos_weight = mx.zeros(6), mx.zeros(6)

    def __call__(self, x, y):
        return self.weight * ((1 + (self.pos_weight - 1) * y) * nn.softplus(-x) + (1 - y) * x)


class Listed(nn.Module):
    """A class with a list and a dictionary of parameters."""

    def __init__(self):
        super().__init__()
        self.scales = [mx.zeros(6), mx.zeros(6)]
        self.shifts = {"left": mx.zeros(6), "right": mx.zeros(6)}

    def __call__(self, x):
        left = x * self.scales[0] + self.shifts["left"]
        return left * self.scales[1] + self.shifts["right"]


LAYERS = {
    "linear": lambda layer: port(
        nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
    ),
    "linear_in_out": lambda layer: port(nn.Linear(layer.nx, layer.nf)),
    "bilinear": lambda layer: port(
        nn.Bilinear(layer.in1_features, layer.in2_features, layer.out_features, bias=layer.bias is not None)
    ),
    "conv": conv,
    "conv_transpose": conv_transpose,
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "group_norm": lambda layer: port(
        nn.GroupNorm(layer.num_groups, layer.num_channels, eps=layer.eps, pytorch_compatible=True)
    ),
    "rms_norm": lambda layer: port(nn.RMSNorm(layer.normalized_shape[0], eps=layer.eps)),
    "embedding": lambda layer: port(nn.Embedding(layer.num_embeddings, layer.embedding_dim)),
    "embedding_bag": lambda layer: port(
        nn.Embedding(layer.num_embeddings, layer.embedding_dim), lambda module, bags: module(bags).sum(1)
    ),
    "embedding_bag mean": lambda layer: port(
        nn.Embedding(layer.num_embeddings, layer.embedding_dim), lambda module, bags: module(bags).mean(1)
    ),
    "rnn": rnn,
    "lstm": lambda layer: steps(
        layer, lambda size: nn.LSTM(size, layer.hidden_size, layer.bias), lambda out: out[0]
    ),
    "gru": lambda layer: steps(layer, lambda size: nn.GRU(size, layer.hidden_size, layer.bias)),
    "rnn_cell": lambda layer: one_step(nn.RNN(layer.input_size, layer.hidden_size)),
    "lstm_cell": lambda layer: one_step(nn.LSTM(layer.input_size, layer.hidden_size), lambda out: out[0]),
    "gru_cell": lambda layer: one_step(nn.GRU(layer.input_size, layer.hidden_size)),
    "mha": lambda layer: port(attention(layer), lambda module, x, *memory: module(x, memory[0], memory[-1])),
    "transformer_encoder_layer": lambda layer: port(EncoderLayer(layer)),
    "transformer_decoder_layer": lambda layer: port(DecoderLayer(layer)),
    "transformer_encoder": lambda stack: port(Stack(EncoderLayer, stack)),
    "transformer_decoder": lambda stack: port(Stack(DecoderLayer, stack)),
    "transformer": lambda whole: port(Transformer(whole)),
    "prelu": lambda layer: port(nn.PReLU(layer.num_parameters)),
    "class_weights": lambda _: port(Weighted()),
    "kept": lambda _: port(Kept()),
    "listed": lambda _: port(Listed()),
}
