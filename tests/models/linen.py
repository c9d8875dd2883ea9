"""The models in Flax Linen: some with their layers made in ``setup``, some compact, with Flax's own names."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from parity import Port


class BasicBlock(nn.Module):
    channels: int
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        out = nn.Conv(self.channels, (3, 3), strides=self.stride, padding=1, use_bias=False, name="conv1")(x)
        out = nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="bn1")(out))
        out = nn.Conv(self.channels, (3, 3), padding=1, use_bias=False, name="conv2")(out)
        out = nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="bn2")(out)
        if x.shape != out.shape:
            x = nn.Conv(self.channels, (1, 1), strides=self.stride, use_bias=False, name="downsample_conv")(x)
            x = nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="downsample_bn")(x)
        return nn.relu(out + x)


class ResNet(nn.Module):
    width: int = 6
    classes: int = 5

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(self.width, (7, 7), strides=2, padding=3, use_bias=False, name="conv1")(x)
        x = nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="bn1")(x))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        x = BasicBlock(self.width, name="layer1_0")(x)
        x = BasicBlock(self.width, name="layer1_1")(x)
        x = BasicBlock(2 * self.width, 2, name="layer2_0")(x)
        return nn.Dense(self.classes, name="fc")(x.mean((1, 2)))


class DoubleConv(nn.Module):
    """Flax's names: Conv_0, BatchNorm_0, Conv_1, BatchNorm_1."""

    channels: int

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.Conv(self.channels, (3, 3))(x)
            x = nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-5)(x))
        return x


class UNet(nn.Module):
    width: int = 4
    classes: int = 2

    def setup(self):
        self.inc = DoubleConv(self.width)
        self.down1 = DoubleConv(2 * self.width)
        self.down2 = DoubleConv(4 * self.width)
        self.up1 = nn.ConvTranspose(2 * self.width, (2, 2), strides=(2, 2))
        self.conv1 = DoubleConv(2 * self.width)
        self.up2 = nn.ConvTranspose(self.width, (2, 2), strides=(2, 2))
        self.conv2 = DoubleConv(self.width)
        self.outc = nn.Conv(self.classes, (1, 1))

    def __call__(self, x):
        x1 = self.inc(x)
        x2 = self.down1(nn.max_pool(x1, (2, 2), strides=(2, 2)))
        x3 = self.down2(nn.max_pool(x2, (2, 2), strides=(2, 2)))
        x = self.conv1(jnp.concatenate([x2, self.up1(x3)], axis=-1))
        x = self.conv2(jnp.concatenate([x1, self.up2(x)], axis=-1))
        return self.outc(x)


class EncoderBlock(nn.Module):
    """Flax's names for the attention and the norms, as in google-research/vision_transformer."""

    heads: int
    hidden: int

    @nn.compact
    def __call__(self, x):
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(self.heads)(y, y)
        y = nn.gelu(nn.Dense(self.hidden)(nn.LayerNorm()(x)), approximate=False)
        return x + nn.Dense(x.shape[-1])(y)


class ViT(nn.Module):
    patch: int = 4
    dim: int = 12
    depth: int = 2
    heads: int = 3
    hidden: int = 20
    classes: int = 5

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(self.dim, (self.patch,) * 2, strides=self.patch, padding="VALID", name="embedding")(x)
        x = x.reshape(len(x), -1, self.dim)
        cls = self.param("cls", nn.initializers.zeros, (1, 1, self.dim))
        x = jnp.concatenate([jnp.broadcast_to(cls, (len(x), 1, self.dim)), x], axis=1)
        x = x + self.param("pos_embedding", nn.initializers.zeros, (1, x.shape[1], self.dim))
        for index in range(self.depth):
            x = EncoderBlock(self.heads, self.hidden, name=f"encoderblock_{index}")(x)
        return nn.Dense(self.classes, name="head")(nn.LayerNorm(name="encoder_norm")(x)[:, 0])


class DecoderBlock(nn.Module):
    heads: int

    def setup(self):
        self.ln_1 = nn.LayerNorm(epsilon=1e-5)
        self.attn = nn.MultiHeadDotProductAttention(self.heads)
        self.ln_2 = nn.LayerNorm(epsilon=1e-5)
        self.c_fc = nn.Dense(32)
        self.c_proj = nn.Dense(8)

    def __call__(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, mask=nn.make_causal_mask(jnp.ones(x.shape[:2])))
        return x + self.c_proj(nn.gelu(self.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    vocab: int = 11
    length: int = 7
    dim: int = 8
    depth: int = 2
    heads: int = 2

    def setup(self):
        self.wte = nn.Embed(self.vocab, self.dim)
        self.wpe = nn.Embed(self.length, self.dim)
        self.h = [DecoderBlock(self.heads) for _ in range(self.depth)]
        self.ln_f = nn.LayerNorm(epsilon=1e-5)

    def __call__(self, tokens):
        x = self.wte(tokens) + self.wpe(jnp.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.wte.attend(self.ln_f(x))


class LSTMClassifier(nn.Module):
    vocab: int = 9
    dim: int = 6
    hidden: int = 6
    classes: int = 3

    def setup(self):
        def rnn():
            return nn.RNN(nn.OptimizedLSTMCell(self.hidden))

        self.embedding = nn.Embed(self.vocab, self.dim)
        self.lstm = [nn.Bidirectional(rnn(), rnn()) for _ in range(2)]
        self.fc = nn.Dense(self.classes)

    def __call__(self, tokens):
        x = self.embedding(tokens)
        for layer in self.lstm:
            x = layer(x)
        return self.fc(x.mean(axis=1))


class Encoder(nn.Module):
    width: int
    latent: int

    def setup(self):
        self.conv1 = nn.Conv(self.width, (3, 3), strides=2, padding=1)
        self.conv2 = nn.Conv(2 * self.width, (3, 3), strides=2, padding=1)
        self.fc_mu = nn.Dense(self.latent)
        self.fc_logvar = nn.Dense(self.latent)

    def __call__(self, x):
        x = nn.relu(self.conv2(nn.relu(self.conv1(x))))
        x = x.reshape(len(x), -1)
        return self.fc_mu(x), self.fc_logvar(x)


class Decoder(nn.Module):
    width: int

    def setup(self):
        upwards = {"strides": (2, 2), "padding": ((1, 2), (1, 2))}
        self.fc = nn.Dense(2 * self.width * 2 * 2)
        self.deconv1 = nn.ConvTranspose(self.width, (3, 3), **upwards)
        self.deconv2 = nn.ConvTranspose(1, (3, 3), **upwards)

    def __call__(self, z):
        x = nn.relu(self.fc(z)).reshape(len(z), 2, 2, -1)
        return nn.sigmoid(self.deconv2(nn.relu(self.deconv1(x))))


class VAE(nn.Module):
    width: int = 4
    latent: int = 3

    def setup(self):
        self.encoder = Encoder(self.width, self.latent)
        self.decoder = Decoder(self.width)

    def __call__(self, x):
        mean, spread = self.encoder(x)
        return self.decoder(mean + jnp.exp(0.5 * spread))


class SeparableBlock(nn.Module):
    channels: int
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        groups = x.shape[-1]
        x = nn.Conv(
            groups,
            (3, 3),
            strides=self.stride,
            padding=1,
            feature_group_count=groups,
            use_bias=False,
            name="depthwise",
        )(x)
        x = nn.relu6(nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="bn1")(x))
        x = nn.Conv(self.channels, (1, 1), use_bias=False, name="pointwise")(x)
        return nn.relu6(nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="bn2")(x))


class SeparableNet(nn.Module):
    width: int = 8
    classes: int = 5

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(self.width, (3, 3), strides=2, padding=1, use_bias=False, name="stem")(x)
        x = nn.relu6(nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="bn")(x))
        x = SeparableBlock(self.width, name="blocks_0")(x)
        x = SeparableBlock(2 * self.width, 2, name="blocks_1")(x)
        return nn.Dense(self.classes, name="classifier")(x.mean((1, 2)))


def port(name, x):
    """Return variables of zeros, which nothing has to be compiled for, and how they are run."""
    module = globals()[name]()
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x))
    variables = jax.tree.map(lambda leaf: jnp.asarray(np.zeros(leaf.shape, leaf.dtype)), shapes)
    return Port(variables, jax.jit(module.apply))
