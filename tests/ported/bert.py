"""BERT, the encoder and its pooler."""

import jax
import jax.numpy as jnp
from flax import nnx

from ported.scrambled import Scrambled

VOCABULARY, WIDTH, INSIDE, LAYERS, HEADS, PLACES = 53, 24, 40, 2, 3, 19


def normed(rngs):
    """Return the norm that BERT uses everywhere."""
    return nnx.LayerNorm(WIDTH, epsilon=1e-12, rngs=rngs)


class Attention(Scrambled):
    """Every token reads every other; the matrices have their heads as an axis."""

    def __init__(self, rngs):
        size = WIDTH // HEADS
        self.value, self.key, self.query = (
            nnx.LinearGeneral(WIDTH, (HEADS, size), rngs=rngs) for _ in range(3)
        )
        self.out = nnx.LinearGeneral((HEADS, size), WIDTH, axis=(-2, -1), rngs=rngs)

    def __call__(self, x):
        scores = jnp.einsum("bqhd,bkhd->bhqk", self.query(x), self.key(x)) / (WIDTH // HEADS) ** 0.5
        return self.out(jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), self.value(x)))


class Layer(Scrambled):
    """One layer, each part followed by its norm."""

    def __init__(self, rngs):
        self.narrow = nnx.Linear(INSIDE, WIDTH, rngs=rngs)
        self.second, self.first = normed(rngs), normed(rngs)
        self.attention = Attention(rngs)
        self.wide = nnx.Linear(WIDTH, INSIDE, rngs=rngs)

    def __call__(self, x):
        x = self.first(self.attention(x) + x)
        return self.second(x + self.narrow(nnx.gelu(self.wide(x), approximate=False)))


class Port(Scrambled):
    """The encoder; gives every token, and the first of each text pooled."""

    def __init__(self, rngs):
        self.pool = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.layers = nnx.List([Layer(rngs) for _ in range(LAYERS)])
        self.norm = normed(rngs)
        self.kinds = nnx.Embed(2, WIDTH, rngs=rngs)
        self.places = nnx.Embed(PLACES, WIDTH, rngs=rngs)
        self.words = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)

    def __call__(self, tokens):
        x = self.words(tokens) + self.kinds(jnp.zeros_like(tokens)) + self.places(jnp.arange(tokens.shape[1]))
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        return x, jnp.tanh(self.pool(x[:, 0]))
