"""The models in Keras: some are subclasses, some are functional, as the books have both."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
from keras import layers, ops

from parity import Port


def batch_norm(name=None):
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=name)


def padded(x, size):
    """Pad as PyTorch does: Keras's "same" is another where there are strides."""
    return ops.pad(x, ((0, 0), (size, size), (size, size), (0, 0)))


def block(x, channels, stride, name):
    shortcut = x
    out = layers.ZeroPadding2D(1)(x)
    out = layers.Conv2D(channels, 3, stride, use_bias=False, name=f"{name}_conv1")(out)
    out = layers.ReLU()(batch_norm(f"{name}_bn1")(out))
    out = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_conv2")(out)
    out = batch_norm(f"{name}_bn2")(out)
    if stride != 1:
        shortcut = layers.Conv2D(channels, 1, stride, use_bias=False, name=f"{name}_downsample_conv")(x)
        shortcut = batch_norm(f"{name}_downsample_bn")(shortcut)
    return layers.ReLU()(layers.Add()([out, shortcut]))


def resnet(width=6, classes=5):
    inputs = keras.Input((24, 20, 3))
    x = layers.ZeroPadding2D(3)(inputs)
    x = layers.Conv2D(width, 7, 2, use_bias=False, name="conv1")(x)
    x = layers.ReLU()(batch_norm("bn1")(x))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    x = block(x, width, 1, "layer1_0")
    x = block(x, width, 1, "layer1_1")
    x = block(x, 2 * width, 2, "layer2_0")
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, name="fc")(x))


class DoubleConv(layers.Layer):
    def __init__(self, channels, **more):
        super().__init__(**more)
        self.conv1 = layers.Conv2D(channels, 3, padding="same")
        self.bn1 = batch_norm()
        self.conv2 = layers.Conv2D(channels, 3, padding="same")
        self.bn2 = batch_norm()

    def call(self, x):
        x = ops.relu(self.bn1(self.conv1(x)))
        return ops.relu(self.bn2(self.conv2(x)))


class UNet(keras.Model):
    def __init__(self, width=4, classes=2):
        super().__init__()
        self.inc = DoubleConv(width)
        self.down1 = DoubleConv(2 * width)
        self.down2 = DoubleConv(4 * width)
        self.up1 = layers.Conv2DTranspose(2 * width, 2, 2)
        self.conv1 = DoubleConv(2 * width)
        self.up2 = layers.Conv2DTranspose(width, 2, 2)
        self.conv2 = DoubleConv(width)
        self.outc = layers.Conv2D(classes, 1)

    def call(self, x):
        x1 = self.inc(x)
        x2 = self.down1(ops.max_pool(x1, 2, 2))
        x3 = self.down2(ops.max_pool(x2, 2, 2))
        x = self.conv1(ops.concatenate([x2, self.up1(x3)], axis=-1))
        x = self.conv2(ops.concatenate([x1, self.up2(x)], axis=-1))
        return self.outc(x)


class EncoderBlock(layers.Layer):
    def __init__(self, dim, heads, hidden, **more):
        super().__init__(**more)
        self.norm1 = layers.LayerNormalization(epsilon=1e-6)
        self.attn = layers.MultiHeadAttention(heads, dim // heads)
        self.norm2 = layers.LayerNormalization(epsilon=1e-6)
        self.fc1 = layers.Dense(hidden)
        self.fc2 = layers.Dense(dim)

    def call(self, x):
        y = self.norm1(x)
        x = x + self.attn(y, y)
        return x + self.fc2(ops.gelu(self.fc1(self.norm2(x)), approximate=False))


class ViT(keras.Model):
    def __init__(self, size=8, patch=4, dim=12, depth=2, heads=3, hidden=20, classes=5):
        super().__init__()
        self.patch_embed = layers.Conv2D(dim, patch, patch)
        self.cls_token = self.add_weight(shape=(1, 1, dim), initializer="zeros", name="cls_token")
        shape = (1, (size // patch) ** 2 + 1, dim)
        self.pos_embed = self.add_weight(shape=shape, initializer="zeros", name="pos_embed")
        self.blocks = [EncoderBlock(dim, heads, hidden) for _ in range(depth)]
        self.norm = layers.LayerNormalization(epsilon=1e-6)
        self.head = layers.Dense(classes)

    def call(self, x):
        x = self.patch_embed(x)
        x = ops.reshape(x, (x.shape[0], -1, x.shape[-1]))
        token = ops.broadcast_to(self.cls_token, (x.shape[0], 1, x.shape[-1]))
        x = ops.concatenate([token, x], axis=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class DecoderBlock(layers.Layer):
    def __init__(self, dim, heads, **more):
        super().__init__(**more)
        self.ln_1 = layers.LayerNormalization(epsilon=1e-5)
        self.attn = layers.MultiHeadAttention(heads, dim // heads)
        self.ln_2 = layers.LayerNormalization(epsilon=1e-5)
        self.c_fc = layers.Dense(4 * dim)
        self.c_proj = layers.Dense(dim)

    def call(self, x):
        y = self.ln_1(x)
        x = x + self.attn(y, y, use_causal_mask=True)
        return x + self.c_proj(ops.gelu(self.c_fc(self.ln_2(x)), approximate=True))


class GPT(keras.Model):
    def __init__(self, vocab=11, length=7, dim=8, depth=2, heads=2):
        super().__init__()
        self.wte = layers.Embedding(vocab, dim)
        self.wpe = layers.Embedding(length, dim)
        self.h = [DecoderBlock(dim, heads) for _ in range(depth)]
        self.ln_f = layers.LayerNormalization(epsilon=1e-5)

    def call(self, tokens):
        x = self.wte(tokens) + self.wpe(ops.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return ops.matmul(self.ln_f(x), ops.transpose(self.wte.embeddings))


def lstm_classifier(vocab=9, dim=6, hidden=6, classes=3):
    return keras.Sequential(
        [
            layers.Embedding(vocab, dim, name="embedding"),
            layers.Bidirectional(layers.LSTM(hidden, return_sequences=True), name="lstm_0"),
            layers.Bidirectional(layers.LSTM(hidden, return_sequences=True), name="lstm_1"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(classes, name="fc"),
        ]
    )


class VAE(keras.Model):
    """With the encoder and the decoder of the Keras examples: each a model of its own."""

    def __init__(self, width=4, latent=3):
        super().__init__()
        image = keras.Input((8, 8, 1))
        x = layers.ZeroPadding2D(1)(image)
        x = layers.Conv2D(width, 3, 2, activation="relu")(x)
        x = layers.Conv2D(2 * width, 3, 2, activation="relu")(layers.ZeroPadding2D(1)(x))
        x = layers.Flatten()(x)
        mean = layers.Dense(latent, name="fc_mu")(x)
        spread = layers.Dense(latent, name="fc_logvar")(x)
        self.encoder = keras.Model(image, [mean, spread], name="encoder")
        code = keras.Input((latent,))
        x = layers.Dense(2 * width * 2 * 2, activation="relu")(code)
        x = layers.Reshape((2, 2, 2 * width))(x)
        x = layers.Conv2DTranspose(width, 3, 2, activation="relu")(x)
        x = layers.Cropping2D(((1, 0), (1, 0)))(x)
        x = layers.Conv2DTranspose(1, 3, 2, activation="sigmoid")(x)
        x = layers.Cropping2D(((1, 0), (1, 0)))(x)
        self.decoder = keras.Model(code, x, name="decoder")

    def call(self, x):
        mean, spread = self.encoder(x)
        return self.decoder(mean + ops.exp(0.5 * spread))


class SeparableBlock(layers.Layer):
    def __init__(self, channels, stride=1, **more):
        super().__init__(**more)
        self.depthwise = layers.DepthwiseConv2D(3, stride, use_bias=False)
        self.bn1 = batch_norm()
        self.pointwise = layers.Conv2D(channels, 1, use_bias=False)
        self.bn2 = batch_norm()

    def call(self, x):
        x = ops.relu6(self.bn1(self.depthwise(padded(x, 1))))
        return ops.relu6(self.bn2(self.pointwise(x)))


class SeparableNet(keras.Model):
    def __init__(self, width=8, classes=5):
        super().__init__()
        self.stem = layers.Conv2D(width, 3, 2, use_bias=False)
        self.bn = batch_norm()
        self.blocks = [SeparableBlock(width), SeparableBlock(2 * width, 2)]
        self.classifier = layers.Dense(classes)

    def call(self, x):
        x = ops.relu6(self.bn(self.stem(padded(x, 1))))
        for block in self.blocks:
            x = block(x)
        return self.classifier(ops.mean(x, (1, 2)))


# Random numbers take long to compile.
RANDOM = ("glorot_uniform", "uniform", "orthogonal", "OrthogonalInitializer")
FUNCTIONAL = {"ResNet": resnet, "LSTMClassifier": lstm_classifier}


def port(name, x):
    """Return the model, built for such an input, and how it is run."""
    with keras.saving.custom_object_scope(dict.fromkeys(RANDOM, keras.initializers.Zeros)):
        model = FUNCTIONAL[name]() if name in FUNCTIONAL else globals()[name]()
        model(keras.KerasTensor(x.shape, "int32" if x.dtype.kind == "i" else "float32"))
    return Port(model, run)


def run(model, x):
    """Run a model in one piece: Keras has no compiler of its own for a call."""
    values = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    return jax.jit(model.stateless_call)(values, others, x)[0]
