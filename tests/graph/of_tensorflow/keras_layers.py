"""Layers and models of Keras, and what they are given; run as a script, each is drawn and compared.

It prints the path of the first gap or how far each is from what Keras gives, by name.
"""

import json
import sys

import keras
import numpy as np
from keras import layers, ops

from ml_switcheroo.graph.drawers.keras import draw
from ml_switcheroo.graph.inputs import given
from ml_switcheroo.graph.running import run
from ml_switcheroo.targets.keras_nodes import variables_of
from small_arrays import small_arrays


def functional(*made, dtype="float32"):
    """Return what makes a model of layers that follow each other."""

    def make(array):
        inputs = keras.Input(array.shape[1:], dtype=array.dtype.name)
        x = inputs
        for layer in made:
            x = layer()(x)
        return keras.Model(inputs, x)

    return make


class Convolutional(keras.Model):
    """A small network for images, with a batch norm and a residual sum."""

    def __init__(self):
        super().__init__()
        self.opening = layers.Conv2D(8, 3, strides=2, padding="same")
        self.norms = [layers.BatchNormalization(), layers.BatchNormalization()]
        self.filters = layers.Conv2D(8, 3, padding="same", use_bias=False)
        self.pool, self.dropout = layers.MaxPooling2D(3, 2, padding="same"), layers.Dropout(0.5)
        self.closing = layers.Dense(5, activation="softmax")

    def call(self, images):
        x = ops.relu(self.norms[0](self.opening(images)))
        x = ops.gelu(self.norms[1](self.filters(x)) + x)
        x = self.dropout(self.pool(x))
        return self.closing(ops.reshape(x, (ops.shape(x)[0], -1)))


class Block(keras.Model):
    """A block of a transformer whose places are turned, with fused attention."""

    def __init__(self, width=16, heads=4):
        super().__init__()
        self.heads = heads
        self.before, self.behind = layers.RMSNormalization(), layers.LayerNormalization()
        self.three = layers.Dense(3 * width, use_bias=False)
        self.together = layers.Dense(width)
        self.gate, self.up, self.down = layers.Dense(24), layers.Dense(24), layers.Dense(width)

    def turn(self, x):
        half = x.shape[-1] // 2
        pace = 100.0 ** (-ops.arange(half, dtype="float32") / half)
        angle = ops.arange(x.shape[1], dtype="float32")[:, None, None] * pace
        one, other = x[..., :half], x[..., half:]
        turned = [
            one * ops.cos(angle) - other * ops.sin(angle),
            one * ops.sin(angle) + other * ops.cos(angle),
        ]
        return ops.concatenate(turned, axis=-1)

    def call(self, x):
        batch, length, width = x.shape
        parts = ops.split(self.three(self.before(x)), 3, axis=-1)
        q, k, v = (ops.reshape(one, (batch, length, self.heads, -1)) for one in parts)
        y = ops.dot_product_attention(self.turn(q), self.turn(k), v, is_causal=True)
        x = x + self.together(ops.reshape(y, (batch, length, width)))
        y = self.behind(x)
        return x + self.down(ops.silu(self.gate(y)) * self.up(y))


class Attending(keras.Model):
    """One layer of attention over what it is given."""

    def __init__(self, layer, **words):
        super().__init__()
        self.layer, self.words = layer, words

    def call(self, x):
        return self.layer(x, x, **self.words)


def called(make):
    """Return what makes a model, and builds it by a call."""

    def made(array):
        model = make()
        model(array)
        return model

    return made


L = layers
CASES = {
    "dense": (functional(lambda: L.Dense(3, activation="tanh")), "f2,5,4"),
    "einsum_dense": (
        functional(lambda: L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")),
        "f2,5,4",
    ),
    "embedding": (functional(lambda: L.Embedding(7, 4)), "i7:2,5"),
    "conv1d": (functional(lambda: L.Conv1D(4, 3, padding="causal", dilation_rate=2)), "f2,8,4"),
    "conv2d_groups": (
        functional(lambda: L.Conv2D(4, 3, groups=2, padding="same", dilation_rate=2)),
        "f2,8,8,4",
    ),
    "conv3d": (functional(lambda: L.Conv3D(4, 3)), "f1,4,4,4,2"),
    "depthwise": (functional(lambda: L.DepthwiseConv2D(3, 2, "same", depth_multiplier=2)), "f2,8,8,4"),
    "depthwise1d": (functional(lambda: L.DepthwiseConv1D(3)), "f2,8,4"),
    "separable": (functional(lambda: L.SeparableConv2D(4, 3)), "f2,8,8,4"),
    "transposed1d": (functional(lambda: L.Conv1DTranspose(4, 3, strides=2)), "f2,8,3"),
    "transposed2d": (functional(lambda: L.Conv2DTranspose(4, 3, strides=2, padding="same")), "f2,8,8,3"),
    "layer_norm": (functional(L.LayerNormalization), "f2,5,4"),
    "group_norm": (functional(lambda: L.GroupNormalization(2)), "f2,4,4,4"),
    "rms_norm": (functional(L.RMSNormalization), "f2,5,4"),
    "unit_norm": (functional(L.UnitNormalization), "f2,5"),
    "batch_norm": (functional(L.BatchNormalization), "f2,4,4,4"),
    "pools": (
        functional(lambda: L.MaxPooling2D(3, 2, "same"), lambda: L.AveragePooling2D(2, 1, "same")),
        "f2,8,8,3",
    ),
    "pools1d": (functional(lambda: L.MaxPooling1D(2), L.GlobalAveragePooling1D), "f2,8,3"),
    "global": (functional(L.GlobalMaxPooling2D), "f2,4,4,3"),
    "shapes": (
        functional(
            lambda: L.ZeroPadding2D(1),
            lambda: L.Cropping2D(((1, 0), (0, 2))),
            lambda: L.UpSampling2D(2),
            lambda: L.Permute((2, 1, 3)),
            L.Flatten,
            lambda: L.RepeatVector(3),
        ),
        "f2,4,4,3",
    ),
    "resized": (functional(lambda: L.UpSampling2D(2, interpolation="bilinear")), "f1,4,4,3"),
    "prelu": (functional(L.PReLU), "f2,5"),
    "lstm": (functional(lambda: L.LSTM(3, return_sequences=True), lambda: L.LSTM(3)), "f2,5,4"),
    "gru": (functional(lambda: L.GRU(3)), "f2,5,4"),
    "rnn": (functional(lambda: L.SimpleRNN(3, go_backwards=True)), "f2,5,4"),
    "both_ways": (functional(lambda: L.Bidirectional(L.LSTM(3, return_sequences=True))), "f2,5,4"),
    "unrolled": (functional(lambda: L.LSTM(3, unroll=True)), "f2,5,4"),
    "conv_lstm": (functional(lambda: L.ConvLSTM2D(3, 3)), "f1,3,5,5,2"),
    "each_step": (functional(lambda: L.TimeDistributed(L.Dense(3))), "f2,5,4"),
    "attention": (called(lambda: Attending(L.MultiHeadAttention(2, 4), use_causal_mask=True)), "f2,5,8"),
    "grouped_attention": (called(lambda: Attending(L.GroupQueryAttention(4, 4, 2))), "f2,5,8"),
    **{
        name: (functional(lambda name=name: L.Activation(name)), "f2,6")
        for name in """relu relu6 leaky_relu elu selu gelu silu mish sigmoid hard_sigmoid hard_silu softplus
    softsign tanh exponential log_softmax softmax celu glu log_sigmoid hard_tanh tanh_shrink hard_shrink
    soft_shrink squareplus sparse_plus""".split()
    },
    "convolutional": (called(Convolutional), "f2,16,16,3"),
    "block": (called(Block), "f2,6,16"),
    "texts": (
        functional(
            lambda: L.Embedding(11, 6),
            lambda: L.LSTM(5, return_sequences=True),
            lambda: L.LSTM(5),
            lambda: L.Dense(3, activation="softmax"),
        ),
        "i11:2,7",
    ),
}


def compared(name):
    """Return the gaps of one case, or how far what is drawn is from what Keras gives."""
    make, text = CASES[name]
    (array,) = small_arrays(text)
    model = make(array)
    random = np.random.default_rng(0)
    variables = variables_of(model)
    for path, variable in variables.items():
        numbers = 0.3 * random.normal(size=variable.shape)
        if "seed_generator" not in path:
            variable.assign(abs(numbers) + 1 if path.endswith("variance") else numbers)
    graph = draw(model, None, given([array]))
    if graph.gaps:
        return list(graph.gaps)
    numbers = {graph.leaves[path]: variable.numpy() for path, variable in variables.items()}
    values = run(graph, numbers | {graph.inputs[0]: array}, graph.outputs)
    right = np.asarray(model(array))
    return float(np.abs(values[graph.outputs[0]] - right).max())


if __name__ == "__main__":
    found = {}
    for name in CASES:
        try:
            found[name] = compared(name)
        except Exception as error:  # noqa: BLE001 - said by the test of that name
            found[name] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps([keras.backend.backend(), found]))
