"""A vision transformer with a class token."""

import jax.numpy as jnp
from flax import nnx

from ported.scrambled import Scrambled

PATCH, WIDTH, LAYERS, HEADS, PLACES, CLASSES = 8, 24, 2, 3, 17, 13


class Layer(Scrambled):
    """One layer, each part behind its norm."""

    def __init__(self, rngs):
        self.narrow, self.wide = (nnx.Linear(*s, rngs=rngs) for s in ((4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH)))
        self.second, self.first = (nnx.LayerNorm(WIDTH, epsilon=1e-6, rngs=rngs) for _ in range(2))
        self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, rngs=rngs)

    def __call__(self, x):
        x = x + self.attention(self.first(x))
        return x + self.narrow(nnx.gelu(self.wide(self.second(x)), approximate=False))


class Port(Scrambled):
    """The classifier; images are ``(batch, height, width, channels)``, patches a linear layer."""

    def __init__(self, rngs):
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)
        self.norm = nnx.LayerNorm(WIDTH, epsilon=1e-6, rngs=rngs)
        self.layers = nnx.List([Layer(rngs) for _ in range(LAYERS)])
        self.places = nnx.Param(jnp.zeros((1, PLACES, WIDTH)))
        self.first = nnx.Param(jnp.zeros((1, 1, WIDTH)))
        self.patches = nnx.Linear(PATCH * PATCH * 3, WIDTH, rngs=rngs)

    def __call__(self, images):
        batch, height, width, channels = images.shape
        x = images.reshape(batch, height // PATCH, PATCH, width // PATCH, PATCH, channels)
        x = self.patches(x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, PATCH * PATCH * channels))
        x = jnp.concatenate([jnp.broadcast_to(self.first[...], (batch, 1, WIDTH)), x], 1) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x)[:, 0])
