"""GPT-2, whose head is its embedding."""

import jax
import jax.numpy as jnp
from flax import nnx

from ported.scrambled import Scrambled

VOCABULARY, WIDTH, LAYERS, HEADS, PLACES = 53, 24, 2, 3, 19


class Attention(Scrambled):
    """Every token reads those before it."""

    def __init__(self, rngs):
        self.out = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.values, self.queries, self.keys = (nnx.Linear(WIDTH, WIDTH, rngs=rngs) for _ in range(3))

    def __call__(self, x):
        batch, length, _ = x.shape
        q, k, v = (f(x).reshape(batch, length, HEADS, -1) for f in (self.queries, self.keys, self.values))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
        mask = jnp.tril(jnp.ones((length, length), bool))
        scores = jnp.where(mask, scores, jnp.finfo(scores.dtype).min)
        y = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)
        return self.out(y.reshape(batch, length, WIDTH))


class Layer(Scrambled):
    """One layer, each part behind its norm."""

    def __init__(self, rngs):
        self.down = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs)
        self.up = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs)
        self.inside, self.before = (nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs) for _ in range(2))
        self.attention = Attention(rngs)

    def __call__(self, x):
        x = x + self.attention(self.before(x))
        return self.down(nnx.gelu(self.up(self.inside(x)))) + x


class Port(Scrambled):
    """The language model; gives the scores of the next token."""

    def __init__(self, rngs):
        self.norm = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)
        self.layers = nnx.List([Layer(rngs) for _ in range(LAYERS)])
        self.places = nnx.Param(jnp.zeros((PLACES, WIDTH)))
        self.words = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)

    def __call__(self, tokens):
        x = self.words(tokens) + self.places[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.words.attend(self.norm(x))
