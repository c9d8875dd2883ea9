"""The models in Flax NNX."""

import jax
import jax.numpy as jnp
from flax import nnx

from parity import Port
from parity.nnx import zeros


def batch_norm(channels, rngs):
    return nnx.BatchNorm(channels, use_running_average=True, momentum=0.9, epsilon=1e-5, rngs=rngs)


class BasicBlock(nnx.Module):
    def __init__(self, channels_in, channels_out, stride=1, *, rngs):
        self.conv1 = nnx.Conv(
            channels_in, channels_out, (3, 3), strides=stride, padding=1, use_bias=False, rngs=rngs
        )
        self.bn1 = batch_norm(channels_out, rngs)
        self.conv2 = nnx.Conv(channels_out, channels_out, (3, 3), padding=1, use_bias=False, rngs=rngs)
        self.bn2 = batch_norm(channels_out, rngs)
        self.shortcut = nnx.data(None)
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nnx.Sequential(
                nnx.Conv(channels_in, channels_out, (1, 1), strides=stride, use_bias=False, rngs=rngs),
                batch_norm(channels_out, rngs),
            )

    def __call__(self, x):
        identity = x if self.shortcut is None else self.shortcut(x)
        out = nnx.relu(self.bn1(self.conv1(x)))
        return nnx.relu(self.bn2(self.conv2(out)) + identity)


class ResNet(nnx.Module):
    def __init__(self, width=6, classes=5, *, rngs):
        self.conv1 = nnx.Conv(3, width, (7, 7), strides=2, padding=3, use_bias=False, rngs=rngs)
        self.bn1 = batch_norm(width, rngs)
        self.layer1 = nnx.List([BasicBlock(width, width, rngs=rngs), BasicBlock(width, width, rngs=rngs)])
        self.layer2 = nnx.List([BasicBlock(width, 2 * width, 2, rngs=rngs)])
        self.fc = nnx.Linear(2 * width, classes, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for block in (*self.layer1, *self.layer2):
            x = block(x)
        return self.fc(x.mean((1, 2)))


class DoubleConv(nnx.Module):
    def __init__(self, channels_in, channels_out, *, rngs):
        self.conv1 = nnx.Conv(channels_in, channels_out, (3, 3), rngs=rngs)
        self.bn1 = batch_norm(channels_out, rngs)
        self.conv2 = nnx.Conv(channels_out, channels_out, (3, 3), rngs=rngs)
        self.bn2 = batch_norm(channels_out, rngs)

    def __call__(self, x):
        x = nnx.relu(self.bn1(self.conv1(x)))
        return nnx.relu(self.bn2(self.conv2(x)))


class UNet(nnx.Module):
    def __init__(self, width=4, classes=2, *, rngs):
        self.inc = DoubleConv(3, width, rngs=rngs)
        self.down1 = DoubleConv(width, 2 * width, rngs=rngs)
        self.down2 = DoubleConv(2 * width, 4 * width, rngs=rngs)
        self.up1 = nnx.ConvTranspose(4 * width, 2 * width, (2, 2), strides=(2, 2), rngs=rngs)
        self.conv1 = DoubleConv(4 * width, 2 * width, rngs=rngs)
        self.up2 = nnx.ConvTranspose(2 * width, width, (2, 2), strides=(2, 2), rngs=rngs)
        self.conv2 = DoubleConv(2 * width, width, rngs=rngs)
        self.outc = nnx.Conv(width, classes, (1, 1), rngs=rngs)

    def __call__(self, x):
        x1 = self.inc(x)
        x2 = self.down1(nnx.max_pool(x1, (2, 2), strides=(2, 2)))
        x3 = self.down2(nnx.max_pool(x2, (2, 2), strides=(2, 2)))
        x = self.conv1(jnp.concatenate([x2, self.up1(x3)], axis=-1))
        x = self.conv2(jnp.concatenate([x1, self.up2(x)], axis=-1))
        return self.outc(x)


class Mlp(nnx.Module):
    def __init__(self, dim, hidden, *, rngs):
        self.fc1 = nnx.Linear(dim, hidden, rngs=rngs)
        self.fc2 = nnx.Linear(hidden, dim, rngs=rngs)

    def __call__(self, x):
        return self.fc2(nnx.gelu(self.fc1(x), approximate=False))


class EncoderBlock(nnx.Module):
    def __init__(self, dim, heads, hidden, *, rngs):
        self.norm1 = nnx.LayerNorm(dim, rngs=rngs)
        self.attn = nnx.MultiHeadAttention(heads, dim, decode=False, rngs=rngs)
        self.norm2 = nnx.LayerNorm(dim, rngs=rngs)
        self.mlp = Mlp(dim, hidden, rngs=rngs)

    def __call__(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nnx.Module):
    def __init__(self, size=8, patch=4, dim=12, depth=2, heads=3, hidden=20, classes=5, *, rngs):
        self.patch_embed = nnx.Conv(3, dim, (patch, patch), strides=patch, rngs=rngs)
        self.cls_token = nnx.Param(jnp.zeros((1, 1, dim)))
        self.pos_embed = nnx.Param(jnp.zeros((1, (size // patch) ** 2 + 1, dim)))
        self.blocks = nnx.List([EncoderBlock(dim, heads, hidden, rngs=rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(dim, rngs=rngs)
        self.head = nnx.Linear(dim, classes, rngs=rngs)

    def __call__(self, x):
        x = self.patch_embed(x)
        x = x.reshape(len(x), -1, x.shape[-1])
        token = jnp.broadcast_to(self.cls_token[...], (len(x), 1, x.shape[-1]))
        x = jnp.concatenate([token, x], axis=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class DecoderMLP(nnx.Module):
    def __init__(self, dim, *, rngs):
        self.c_fc = nnx.Linear(dim, 4 * dim, rngs=rngs)
        self.c_proj = nnx.Linear(4 * dim, dim, rngs=rngs)

    def __call__(self, x):
        return self.c_proj(nnx.gelu(self.c_fc(x)))


class DecoderBlock(nnx.Module):
    def __init__(self, dim, heads, *, rngs):
        self.ln_1 = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        self.attn = nnx.MultiHeadAttention(heads, dim, decode=False, rngs=rngs)
        self.ln_2 = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        self.mlp = DecoderMLP(dim, rngs=rngs)

    def __call__(self, x):
        mask = nnx.make_causal_mask(jnp.ones(x.shape[:2]))
        x = x + self.attn(self.ln_1(x), mask=mask)
        return x + self.mlp(self.ln_2(x))


class GPT(nnx.Module):
    def __init__(self, vocab=11, length=7, dim=8, depth=2, heads=2, *, rngs):
        self.wte = nnx.Embed(vocab, dim, rngs=rngs)
        self.wpe = nnx.Embed(length, dim, rngs=rngs)
        self.h = nnx.List([DecoderBlock(dim, heads, rngs=rngs) for _ in range(depth)])
        self.ln_f = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)

    def __call__(self, tokens):
        x = self.wte(tokens) + self.wpe(jnp.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.wte.attend(self.ln_f(x))


class LSTMClassifier(nnx.Module):
    def __init__(self, vocab=9, dim=6, hidden=6, classes=3, *, rngs):
        def rnn(size):
            return nnx.RNN(nnx.OptimizedLSTMCell(size, hidden, rngs=rngs), rngs=rngs)

        self.embedding = nnx.Embed(vocab, dim, rngs=rngs)
        self.lstm = nnx.List(
            [nnx.Bidirectional(rnn(size), rnn(size), rngs=rngs) for size in (dim, 2 * hidden)]
        )
        self.fc = nnx.Linear(2 * hidden, classes, rngs=rngs)

    def __call__(self, tokens):
        x = self.embedding(tokens)
        for layer in self.lstm:
            x = layer(x)
        return self.fc(x.mean(axis=1))


class Encoder(nnx.Module):
    def __init__(self, width, latent, *, rngs):
        self.conv1 = nnx.Conv(1, width, (3, 3), strides=2, padding=1, rngs=rngs)
        self.conv2 = nnx.Conv(width, 2 * width, (3, 3), strides=2, padding=1, rngs=rngs)
        self.fc_mu = nnx.Linear(2 * width * 2 * 2, latent, rngs=rngs)
        self.fc_logvar = nnx.Linear(2 * width * 2 * 2, latent, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.conv2(nnx.relu(self.conv1(x))))
        x = x.reshape(len(x), -1)
        return self.fc_mu(x), self.fc_logvar(x)


class Decoder(nnx.Module):
    def __init__(self, width, latent, *, rngs):
        self.fc = nnx.Linear(latent, 2 * width * 2 * 2, rngs=rngs)
        upwards = {"strides": (2, 2), "padding": ((1, 2), (1, 2)), "rngs": rngs}
        self.deconv1 = nnx.ConvTranspose(2 * width, width, (3, 3), **upwards)
        self.deconv2 = nnx.ConvTranspose(width, 1, (3, 3), **upwards)

    def __call__(self, z):
        x = nnx.relu(self.fc(z)).reshape(len(z), 2, 2, -1)
        return nnx.sigmoid(self.deconv2(nnx.relu(self.deconv1(x))))


class VAE(nnx.Module):
    def __init__(self, width=4, latent=3, *, rngs):
        self.encoder = Encoder(width, latent, rngs=rngs)
        self.decoder = Decoder(width, latent, rngs=rngs)

    def __call__(self, x):
        mean, spread = self.encoder(x)
        return self.decoder(mean + jnp.exp(0.5 * spread))


class SeparableBlock(nnx.Module):
    def __init__(self, channels_in, channels_out, stride=1, *, rngs):
        self.depthwise = nnx.Conv(
            *(channels_in, channels_in, (3, 3)),
            strides=stride,
            padding=1,
            feature_group_count=channels_in,
            use_bias=False,
            rngs=rngs,
        )
        self.bn1 = batch_norm(channels_in, rngs)
        self.pointwise = nnx.Conv(channels_in, channels_out, (1, 1), use_bias=False, rngs=rngs)
        self.bn2 = batch_norm(channels_out, rngs)

    def __call__(self, x):
        x = nnx.relu6(self.bn1(self.depthwise(x)))
        return nnx.relu6(self.bn2(self.pointwise(x)))


class SeparableNet(nnx.Module):
    def __init__(self, width=8, classes=5, *, rngs):
        self.stem = nnx.Conv(3, width, (3, 3), strides=2, padding=1, use_bias=False, rngs=rngs)
        self.bn = batch_norm(width, rngs)
        self.blocks = nnx.Sequential(
            SeparableBlock(width, width, rngs=rngs),
            SeparableBlock(width, 2 * width, 2, rngs=rngs),
        )
        self.classifier = nnx.Linear(2 * width, classes, rngs=rngs)

    def __call__(self, x):
        x = self.blocks(nnx.relu6(self.bn(self.stem(x))))
        return self.classifier(x.mean((1, 2)))


def made(cls):
    """Make a model of zeros, which nothing has to be compiled for."""
    graph, state = nnx.split(nnx.eval_shape(lambda: cls(rngs=nnx.Rngs(0))))
    return nnx.merge(graph, jax.tree.map(zeros, state))


def port(name, x):
    """Return the model, and how it is run."""
    return Port(made(globals()[name]), nnx.jit(lambda model, x: model(x)))
