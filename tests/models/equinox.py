"""The models in Equinox: one example at a time, channels first, the statistics in ``eqx.nn.State``."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from equinox import nn

from parity import Port

KEY = jax.random.key(0)


def conv(*sizes, **more):
    return nn.Conv2d(*sizes, key=KEY, **more)


def linear(*sizes, **more):
    return nn.Linear(*sizes, key=KEY, **more)


def batch_norm(channels):
    return nn.BatchNorm(channels, axis_name="batch", eps=1e-5, momentum=0.9, mode="ema")


class BasicBlock(eqx.Module):
    conv1: nn.Conv2d
    bn1: nn.BatchNorm
    conv2: nn.Conv2d
    bn2: nn.BatchNorm
    downsample: nn.Sequential | None

    def __init__(self, channels_in, channels_out, stride=1):
        self.conv1 = conv(channels_in, channels_out, 3, stride, padding=1, use_bias=False)
        self.bn1 = batch_norm(channels_out)
        self.conv2 = conv(channels_out, channels_out, 3, padding=1, use_bias=False)
        self.bn2 = batch_norm(channels_out)
        self.downsample = None
        if stride != 1 or channels_in != channels_out:
            shortcut = conv(channels_in, channels_out, 1, stride, use_bias=False)
            self.downsample = nn.Sequential([shortcut, batch_norm(channels_out)])

    def __call__(self, x, state):
        out, state = self.bn1(self.conv1(x), state)
        out, state = self.bn2(self.conv2(jax.nn.relu(out)), state)
        if self.downsample is not None:
            x, state = self.downsample(x, state)
        return jax.nn.relu(out + x), state


class ResNet(eqx.Module):
    conv1: nn.Conv2d
    bn1: nn.BatchNorm
    maxpool: nn.MaxPool2d
    layer1: list
    layer2: list
    fc: nn.Linear

    def __init__(self, width=6, classes=5):
        self.conv1 = conv(3, width, 7, 2, padding=3, use_bias=False)
        self.bn1 = batch_norm(width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.layer1 = [BasicBlock(width, width), BasicBlock(width, width)]
        self.layer2 = [BasicBlock(width, 2 * width, 2)]
        self.fc = linear(2 * width, classes)

    def __call__(self, x, state):
        x, state = self.bn1(self.conv1(x), state)
        x = self.maxpool(jax.nn.relu(x))
        for block in (*self.layer1, *self.layer2):
            x, state = block(x, state)
        return self.fc(x.mean((1, 2)))


class DoubleConv(eqx.Module):
    conv1: nn.Conv2d
    bn1: nn.BatchNorm
    conv2: nn.Conv2d
    bn2: nn.BatchNorm

    def __init__(self, channels_in, channels_out):
        self.conv1 = conv(channels_in, channels_out, 3, padding=1)
        self.bn1 = batch_norm(channels_out)
        self.conv2 = conv(channels_out, channels_out, 3, padding=1)
        self.bn2 = batch_norm(channels_out)

    def __call__(self, x, state):
        x, state = self.bn1(self.conv1(x), state)
        x, state = self.bn2(self.conv2(jax.nn.relu(x)), state)
        return jax.nn.relu(x), state


class UNet(eqx.Module):
    inc: DoubleConv
    down1: DoubleConv
    down2: DoubleConv
    up1: nn.ConvTranspose2d
    conv1: DoubleConv
    up2: nn.ConvTranspose2d
    conv2: DoubleConv
    outc: nn.Conv2d
    pool: nn.MaxPool2d

    def __init__(self, width=4, classes=2):
        self.inc = DoubleConv(3, width)
        self.down1 = DoubleConv(width, 2 * width)
        self.down2 = DoubleConv(2 * width, 4 * width)
        self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2, key=KEY)
        self.conv1 = DoubleConv(4 * width, 2 * width)
        self.up2 = nn.ConvTranspose2d(2 * width, width, 2, 2, key=KEY)
        self.conv2 = DoubleConv(2 * width, width)
        self.outc = conv(width, classes, 1)
        self.pool = nn.MaxPool2d(2, 2)

    def __call__(self, x, state):
        x1, state = self.inc(x, state)
        x2, state = self.down1(self.pool(x1), state)
        x3, state = self.down2(self.pool(x2), state)
        x, state = self.conv1(jnp.concatenate([x2, self.up1(x3)]), state)
        x, state = self.conv2(jnp.concatenate([x1, self.up2(x)]), state)
        return self.outc(x)


class EncoderBlock(eqx.Module):
    norm1: nn.LayerNorm
    attn: nn.MultiheadAttention
    norm2: nn.LayerNorm
    mlp: nn.MLP

    def __init__(self, dim, heads, hidden):
        biases = dict.fromkeys(("use_query_bias", "use_key_bias", "use_value_bias", "use_output_bias"), True)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = nn.MultiheadAttention(heads, dim, key=KEY, **biases)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.MLP(dim, dim, hidden, 1, lambda x: jax.nn.gelu(x, approximate=False), key=KEY)

    def __call__(self, x):
        y = jax.vmap(self.norm1)(x)
        x = x + self.attn(y, y, y)
        return x + jax.vmap(self.mlp)(jax.vmap(self.norm2)(x))


class ViT(eqx.Module):
    patch_embed: nn.Conv2d
    cls_token: jax.Array
    pos_embed: jax.Array
    blocks: list
    norm: nn.LayerNorm
    head: nn.Linear

    def __init__(self, size=8, patch=4, dim=12, depth=2, heads=3, hidden=20, classes=5):
        self.patch_embed = conv(3, dim, patch, patch)
        self.cls_token = jnp.zeros((1, dim))
        self.pos_embed = jnp.zeros(((size // patch) ** 2 + 1, dim))
        self.blocks = [EncoderBlock(dim, heads, hidden) for _ in range(depth)]
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = linear(dim, classes)

    def __call__(self, x):
        x = self.patch_embed(x)
        x = jnp.concatenate([self.cls_token, x.reshape(len(x), -1).T]) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[0]))


class DecoderBlock(eqx.Module):
    ln_1: nn.LayerNorm
    attn: nn.MultiheadAttention
    ln_2: nn.LayerNorm
    c_fc: nn.Linear
    c_proj: nn.Linear

    def __init__(self, dim, heads):
        biases = dict.fromkeys(("use_query_bias", "use_key_bias", "use_value_bias", "use_output_bias"), True)
        self.ln_1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(heads, dim, key=KEY, **biases)
        self.ln_2 = nn.LayerNorm(dim)
        self.c_fc = linear(dim, 4 * dim)
        self.c_proj = linear(4 * dim, dim)

    def __call__(self, x):
        y = jax.vmap(self.ln_1)(x)
        x = x + self.attn(y, y, y, mask=jnp.tril(jnp.ones((len(x), len(x)), bool)))
        y = jax.nn.gelu(jax.vmap(self.c_fc)(jax.vmap(self.ln_2)(x)))
        return x + jax.vmap(self.c_proj)(y)


class GPT(eqx.Module):
    """The head is the embedding: ``eqx.nn.Shared`` would do, and a use of the weight is shorter."""

    wte: nn.Embedding
    wpe: nn.Embedding
    h: list
    ln_f: nn.LayerNorm

    def __init__(self, vocab=11, length=7, dim=8, depth=2, heads=2):
        self.wte = nn.Embedding(vocab, dim, key=KEY)
        self.wpe = nn.Embedding(length, dim, key=KEY)
        self.h = [DecoderBlock(dim, heads) for _ in range(depth)]
        self.ln_f = nn.LayerNorm(dim)

    def __call__(self, tokens):
        x = jax.vmap(self.wte)(tokens) + jax.vmap(self.wpe)(jnp.arange(len(tokens)))
        for block in self.h:
            x = block(x)
        return jax.vmap(self.ln_f)(x) @ self.wte.weight.T


class BiLSTM(eqx.Module):
    forward: nn.LSTMCell
    backward: nn.LSTMCell

    def __init__(self, size, hidden):
        self.forward = nn.LSTMCell(size, hidden, key=KEY)
        self.backward = nn.LSTMCell(size, hidden, key=KEY)

    def __call__(self, x):
        def run(cell, x, reverse):
            start = (jnp.zeros(cell.hidden_size), jnp.zeros(cell.hidden_size))

            def step(carry, token):
                carry = cell(token, carry)
                return carry, carry[0]

            return jax.lax.scan(step, start, x, reverse=reverse)[1]

        return jnp.concatenate([run(self.forward, x, False), run(self.backward, x, True)], axis=-1)


class LSTMClassifier(eqx.Module):
    embedding: nn.Embedding
    lstm: list
    fc: nn.Linear

    def __init__(self, vocab=9, dim=6, hidden=6, classes=3):
        self.embedding = nn.Embedding(vocab, dim, key=KEY)
        self.lstm = [BiLSTM(dim, hidden), BiLSTM(2 * hidden, hidden)]
        self.fc = linear(2 * hidden, classes)

    def __call__(self, tokens):
        x = jax.vmap(self.embedding)(tokens)
        for layer in self.lstm:
            x = layer(x)
        return self.fc(x.mean(axis=0))


class VAE(eqx.Module):
    encoder: nn.Sequential
    fc_mu: nn.Linear
    fc_logvar: nn.Linear
    decoder: nn.Sequential

    def __init__(self, width=4, latent=3):
        size = 2 * width * 2 * 2
        relu = nn.Lambda(jax.nn.relu)
        upwards = {"stride": 2, "padding": 1, "output_padding": 1, "key": KEY}
        self.encoder = nn.Sequential(
            [conv(1, width, 3, 2, padding=1), relu, conv(width, 2 * width, 3, 2, padding=1), relu]
        )
        self.fc_mu = linear(size, latent)
        self.fc_logvar = linear(size, latent)
        self.decoder = nn.Sequential(
            [
                linear(latent, size),
                relu,
                nn.Lambda(lambda x: x.reshape(2 * width, 2, 2)),
                nn.ConvTranspose2d(2 * width, width, 3, **upwards),
                relu,
                nn.ConvTranspose2d(width, 1, 3, **upwards),
                nn.Lambda(jax.nn.sigmoid),
            ]
        )

    def __call__(self, x):
        x = self.encoder(x).reshape(-1)
        return self.decoder(self.fc_mu(x) + jnp.exp(0.5 * self.fc_logvar(x)))


class SeparableBlock(eqx.Module):
    depthwise: nn.Conv2d
    bn1: nn.BatchNorm
    pointwise: nn.Conv2d
    bn2: nn.BatchNorm

    def __init__(self, channels_in, channels_out, stride=1):
        self.depthwise = conv(
            channels_in, channels_in, 3, stride, padding=1, groups=channels_in, use_bias=False
        )
        self.bn1 = batch_norm(channels_in)
        self.pointwise = conv(channels_in, channels_out, 1, use_bias=False)
        self.bn2 = batch_norm(channels_out)

    def __call__(self, x, state):
        x, state = self.bn1(self.depthwise(x), state)
        x, state = self.bn2(self.pointwise(jax.nn.relu6(x)), state)
        return jax.nn.relu6(x), state


class SeparableNet(eqx.Module):
    stem: nn.Conv2d
    bn: nn.BatchNorm
    blocks: list
    classifier: nn.Linear

    def __init__(self, width=8, classes=5):
        self.stem = conv(3, width, 3, 2, padding=1, use_bias=False)
        self.bn = batch_norm(width)
        self.blocks = [SeparableBlock(width, width), SeparableBlock(width, 2 * width, 2)]
        self.classifier = linear(2 * width, classes)

    def __call__(self, x, state):
        x, state = self.bn(self.stem(x), state)
        x = jax.nn.relu6(x)
        for block in self.blocks:
            x, state = block(x, state)
        return self.classifier(x.mean((1, 2)))


STATEFUL = (ResNet, UNet, SeparableNet)


def port(name, x):
    """Return the model of zeros, with its state where it has one, and how it is run on a batch."""
    cls = globals()[name]
    if cls in STATEFUL:
        return Port(zeros(eqx.nn.make_with_state(cls)), run_with_state)
    return Port(zeros(cls), eqx.filter_jit(lambda model, x: jax.vmap(model)(x)))


def zeros(make):
    """Make a model without its random numbers, which take long to compile."""
    return jax.tree.map(
        lambda leaf: jnp.asarray(np.zeros(leaf.shape, leaf.dtype)) if hasattr(leaf, "shape") else leaf,
        eqx.filter_eval_shape(make),
    )


@eqx.filter_jit
def run_with_state(model, x):
    module, state = eqx.nn.inference_mode(model[0]), model[1]
    return jax.vmap(module, axis_name="batch", in_axes=(0, None))(x, state)
