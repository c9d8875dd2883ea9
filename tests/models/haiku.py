"""The models in Haiku: modules whose layers are made in the constructor, or where they are called."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from parity import Port


def batch_norm(name=None):
    return hk.BatchNorm(create_scale=True, create_offset=True, decay_rate=0.9, name=name)


class BasicBlock(hk.Module):
    def __init__(self, channels, stride=1, project=False, name=None):
        super().__init__(name)
        self.conv1 = hk.Conv2D(channels, 3, stride, padding=(1, 1), with_bias=False, name="conv1")
        self.bn1 = batch_norm("bn1")
        self.conv2 = hk.Conv2D(channels, 3, padding=(1, 1), with_bias=False, name="conv2")
        self.bn2 = batch_norm("bn2")
        self.project = project
        if project:
            self.shortcut_conv = hk.Conv2D(channels, 1, stride, with_bias=False, name="shortcut_conv")
            self.shortcut_bn = batch_norm("shortcut_bn")

    def __call__(self, x, training):
        out = jax.nn.relu(self.bn1(self.conv1(x), training))
        out = self.bn2(self.conv2(out), training)
        if self.project:
            x = self.shortcut_bn(self.shortcut_conv(x), training)
        return jax.nn.relu(out + x)


class ResNet(hk.Module):
    def __init__(self, width=6, classes=5, name=None):
        super().__init__(name)
        self.conv1 = hk.Conv2D(width, 7, 2, padding=(3, 3), with_bias=False, name="conv1")
        self.bn1 = batch_norm("bn1")
        self.layer1 = [BasicBlock(width, name=f"layer1_{i}") for i in range(2)]
        self.layer2 = [BasicBlock(2 * width, 2, project=True, name="layer2_0")]
        self.fc = hk.Linear(classes, name="fc")

    def __call__(self, x, training):
        x = jax.nn.relu(self.bn1(self.conv1(x), training))
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-jnp.inf)
        x = hk.max_pool(x, (3, 3, 1), (2, 2, 1), "VALID")
        for block in (*self.layer1, *self.layer2):
            x = block(x, training)
        return self.fc(x.mean((1, 2)))


class DoubleConv(hk.Module):
    """Haiku's names: conv2_d, batch_norm, conv2_d_1, batch_norm_1."""

    def __init__(self, channels, name=None):
        super().__init__(name)
        self.channels = channels

    def __call__(self, x, training):
        for _ in range(2):
            x = hk.Conv2D(self.channels, 3)(x)
            x = jax.nn.relu(batch_norm()(x, training))
        return x


class UNet(hk.Module):
    def __init__(self, width=4, classes=2, name=None):
        super().__init__(name)
        self.inc = DoubleConv(width, name="inc")
        self.down1 = DoubleConv(2 * width, name="down1")
        self.down2 = DoubleConv(4 * width, name="down2")
        self.up1 = hk.Conv2DTranspose(2 * width, 2, 2, name="up1")
        self.conv1 = DoubleConv(2 * width, name="conv1")
        self.up2 = hk.Conv2DTranspose(width, 2, 2, name="up2")
        self.conv2 = DoubleConv(width, name="conv2")
        self.outc = hk.Conv2D(classes, 1, name="outc")

    def __call__(self, x, training):
        def pool(x):
            return hk.max_pool(x, (2, 2, 1), (2, 2, 1), "VALID")

        x1 = self.inc(x, training)
        x2 = self.down1(pool(x1), training)
        x3 = self.down2(pool(x2), training)
        x = self.conv1(jnp.concatenate([x2, self.up1(x3)], axis=-1), training)
        x = self.conv2(jnp.concatenate([x1, self.up2(x)], axis=-1), training)
        return self.outc(x)


def layer_norm(eps, name):
    return hk.LayerNorm(-1, True, True, eps, name=name)


class Attention(hk.MultiHeadAttention):
    """Haiku's, with the width of the model as PyTorch has it."""

    def __init__(self, dim, heads, name):
        super().__init__(heads, dim // heads, w_init=hk.initializers.VarianceScaling(), name=name)


class EncoderBlock(hk.Module):
    def __init__(self, dim, heads, hidden, name=None):
        super().__init__(name)
        self.norm1 = layer_norm(1e-6, "norm1")
        self.attn = Attention(dim, heads, "attn")
        self.norm2 = layer_norm(1e-6, "norm2")
        self.fc1 = hk.Linear(hidden, name="fc1")
        self.fc2 = hk.Linear(dim, name="fc2")

    def __call__(self, x):
        y = self.norm1(x)
        x = x + self.attn(y, y, y)
        return x + self.fc2(jax.nn.gelu(self.fc1(self.norm2(x)), approximate=False))


class ViT(hk.Module):
    def __init__(self, patch=4, dim=12, depth=2, heads=3, hidden=20, classes=5, name=None):
        super().__init__(name)
        self.dim = dim
        self.patch_embed = hk.Conv2D(dim, patch, patch, padding="VALID", name="patch_embed")
        self.blocks = [EncoderBlock(dim, heads, hidden, name=f"blocks_{i}") for i in range(depth)]
        self.norm = layer_norm(1e-6, "norm")
        self.head = hk.Linear(classes, name="head")

    def __call__(self, x, training):
        x = self.patch_embed(x).reshape(len(x), -1, self.dim)
        token = hk.get_parameter("cls_token", (1, 1, self.dim), init=jnp.zeros)
        x = jnp.concatenate([jnp.broadcast_to(token, (len(x), 1, self.dim)), x], axis=1)
        x = x + hk.get_parameter("pos_embed", (1, x.shape[1], self.dim), init=jnp.zeros)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class DecoderBlock(hk.Module):
    def __init__(self, dim, heads, name=None):
        super().__init__(name)
        self.ln_1 = layer_norm(1e-5, "ln_1")
        self.attn = Attention(dim, heads, "attn")
        self.ln_2 = layer_norm(1e-5, "ln_2")
        self.c_fc = hk.Linear(4 * dim, name="c_fc")
        self.c_proj = hk.Linear(dim, name="c_proj")

    def __call__(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, mask=jnp.tril(jnp.ones((1, 1, x.shape[1], x.shape[1]))))
        return x + self.c_proj(jax.nn.gelu(self.c_fc(self.ln_2(x))))


class GPT(hk.Module):
    def __init__(self, vocab=11, length=7, dim=8, depth=2, heads=2, name=None):
        super().__init__(name)
        self.wte = hk.Embed(vocab, dim, name="wte")
        self.wpe = hk.Embed(length, dim, name="wpe")
        self.h = [DecoderBlock(dim, heads, name=f"h_{i}") for i in range(depth)]
        self.ln_f = layer_norm(1e-5, "ln_f")

    def __call__(self, tokens, training):
        x = self.wte(tokens) + self.wpe(jnp.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.embeddings.T


class LSTMClassifier(hk.Module):
    def __init__(self, vocab=9, dim=6, hidden=6, classes=3, name=None):
        super().__init__(name)
        self.embedding = hk.Embed(vocab, dim, name="embedding")
        self.lstm = []
        for i in range(2):
            with hk.name_scope(f"lstm_{i}"):
                self.lstm.append((hk.LSTM(hidden, name="forward"), hk.LSTM(hidden, name="backward")))
        self.fc = hk.Linear(classes, name="fc")

    def __call__(self, tokens, training):
        x = self.embedding(tokens)
        for forward, backward in self.lstm:
            ahead = hk.dynamic_unroll(forward, x, forward.initial_state(len(x)), time_major=False)[0]
            back = hk.dynamic_unroll(
                backward, x, backward.initial_state(len(x)), time_major=False, reverse=True
            )[0]
            x = jnp.concatenate([ahead, back], axis=-1)
        return self.fc(x.mean(axis=1))


class VAE(hk.Module):
    def __init__(self, width=4, latent=3, name=None):
        super().__init__(name)
        self.encoder = [
            hk.Conv2D(channels, 3, 2, padding=(1, 1), name=f"encoder_conv{i}")
            for i, channels in enumerate((width, 2 * width), 1)
        ]
        self.fc_mu = hk.Linear(latent, name="fc_mu")
        self.fc_logvar = hk.Linear(latent, name="fc_logvar")
        self.decoder_fc = hk.Linear(2 * width * 2 * 2, name="decoder_fc")
        self.decoder = [
            hk.Conv2DTranspose(channels, 3, 2, padding=((1, 2), (1, 2)), name=f"decoder_deconv{i}")
            for i, channels in enumerate((width, 1), 1)
        ]

    def __call__(self, x, training):
        for conv in self.encoder:
            x = jax.nn.relu(conv(x))
        x = x.reshape(len(x), -1)
        x = self.decoder_fc(self.fc_mu(x) + jnp.exp(0.5 * self.fc_logvar(x)))
        x = jax.nn.relu(x).reshape(len(x), 2, 2, -1)
        first, second = self.decoder
        return jax.nn.sigmoid(second(jax.nn.relu(first(x))))


class SeparableBlock(hk.Module):
    def __init__(self, channels, stride=1, name=None):
        super().__init__(name)
        self.depthwise = hk.DepthwiseConv2D(
            1, 3, stride, padding=((1, 1), (1, 1)), with_bias=False, name="depthwise"
        )
        self.bn1 = batch_norm("bn1")
        self.pointwise = hk.Conv2D(channels, 1, with_bias=False, name="pointwise")
        self.bn2 = batch_norm("bn2")

    def __call__(self, x, training):
        x = jax.nn.relu6(self.bn1(self.depthwise(x), training))
        return jax.nn.relu6(self.bn2(self.pointwise(x), training))


class SeparableNet(hk.Module):
    def __init__(self, width=8, classes=5, name=None):
        super().__init__(name)
        self.stem = hk.Conv2D(width, 3, 2, padding=(1, 1), with_bias=False, name="stem")
        self.bn = batch_norm("bn")
        self.blocks = [SeparableBlock(width, name="blocks_0"), SeparableBlock(2 * width, 2, name="blocks_1")]
        self.classifier = hk.Linear(classes, name="classifier")

    def __call__(self, x, training):
        x = jax.nn.relu6(self.bn(self.stem(x), training))
        for block in self.blocks:
            x = block(x, training)
        return self.classifier(x.mean((1, 2)))


def port(name, x):
    """Return params (and state, where there is one) of zeros, and how they are run."""
    cls = globals()[name]
    network = hk.without_apply_rng(hk.transform_with_state(lambda x, training: cls()(x, training)))
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), x, True))
    params, state = jax.tree.map(lambda leaf: jnp.asarray(np.zeros(leaf.shape, leaf.dtype)), shapes)
    run = jax.jit(lambda params, state, x: network.apply(params, state, x, False)[0])
    if not state:
        return Port(params, lambda params, x: run(params, {}, x))
    return Port((params, state), lambda model, x: run(*model, x))
